/*
 * loader/bzimage.h -- the Linux kernel's bzImage, by the x86 boot protocol.
 */
#ifndef RINGER_LOADER_BZIMAGE_H
#define RINGER_LOADER_BZIMAGE_H

#include "loader/boot_image.h"

/* Does the file carry a Linux setup header? */
bool bzimage_probe(const struct file *kernel);
/* The checked header. */
struct bzimage_header {
    uint32_t version;
    uint64_t setup_bytes;   /* boot sector and setup code: where the protected-mode code begins */
    uint64_t payload_bytes; /* protected-mode code */
    uint64_t header_end;    /* first byte after the setup header */
    uint64_t load_at;       /* code32_start */
    uint64_t run_end;       /* first byte that the kernel does not use before it reads e820 */
    uint64_t initrd_max;    /* highest address that the initrd may occupy */
    uint64_t cmdline_max;   /* characters */
    bool is_64bit;          /* a 64-bit kernel, which says so (2.12) */
    bool has_payload;       /* a compressed Linux behind the usual 32-bit entry (2.08); others that
                             * use the format may know no other entry than the real-mode one */
};

/* Setup header fields, offsets in the file and in boot_params alike. [boot.rst "The Real-Mode
 * Kernel Header"] */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_SYSSIZE = 0x1f4,
    HDR_VID_MODE = 0x1fa,
    HDR_BOOT_FLAG = 0x1fe,
    HDR_JUMP = 0x200, /* EB xx: xx also says where the header ends */
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END_PTR = 0x224,
    HDR_EXT_LOADER_VER = 0x226,
    HDR_EXT_LOADER_TYPE = 0x227,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,  /* 2.03 */
    HDR_KERNEL_ALIGNMENT = 0x230, /* 2.05 */
    HDR_RELOCATABLE = 0x234,      /* 2.05 */
    HDR_XLOADFLAGS = 0x236,       /* 2.12 */
    HDR_CMDLINE_SIZE = 0x238,     /* 2.06 */
    HDR_HARDWARE_SUBARCH = 0x23c, /* 2.07 */
    HDR_PAYLOAD_LENGTH = 0x24c,   /* 2.08 */
    HDR_SETUP_DATA = 0x250,       /* 2.09 */
    HDR_PREF_ADDRESS = 0x258,     /* 2.10 */
    HDR_INIT_SIZE = 0x260,        /* 2.10 */
    HDR_END_MAX = 0x290,          /* boot_params has something else from here on */
};

/* loadflags, type_of_loader, vid_mode */
enum {
    BZIMAGE_LOADED_HIGH = 1 << 0,
    BZIMAGE_CAN_USE_HEAP = 1 << 7,
    BZIMAGE_LOADER_UNDEFINED = 0xff,
    BZIMAGE_VID_MODE_NORMAL = 0xffff,
    BZIMAGE_VID_MODE_EXT = 0xfffe,
    BZIMAGE_VID_MODE_ASK = 0xfffd,
};

/* Check the file and fill *header; on failure the error names the file and what is wrong. */
bool bzimage_check(const struct file *kernel, struct bzimage_header *header, struct error *error);
/* Is the command line short enough, for the kernel and for `room` bytes? */
bool bzimage_check_cmdline(const struct bzimage_header *header, const char *cmdline, size_t room,
                           struct error *error);
/* Fill *image.  On failure the error names the file and what is wrong with it. */
bool bzimage_load(const struct boot_source *source, struct boot_image *image, struct error *error);

#endif
