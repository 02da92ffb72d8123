/*
 * loader/bzimage.c -- the Linux x86 boot protocol, versions 2.02 to 2.15, 32-bit entry.
 * Source: Linux, Documentation/arch/x86/boot.rst and zero-page.rst ("boot.rst" below).
 *
 *   file:   | boot sector | setup (setup_sects x 512) | protected-mode code (syssize x 16) | ...
 *                  ^ 0x1f1 setup header
 *   memory: GDT_AT flat GDT; BOOT_PARAMS_AT the "zero page"; CMDLINE_AT the command line;
 *           code32_start the protected-mode code; the initrd as high as the kernel lets it be.
 *
 * The kernel's own real-mode code is not run: we do what it would have done.  Where that code has
 * to decide something, see setup_boot.h.
 */
#include "loader/bzimage.h"

#include <stdlib.h>
#include <string.h>

/* boot_params outside the header. [zero-page.rst] */
enum {
    BP_SCREEN_Y = 0x01, /* struct screen_info starts at 0 */
    BP_EXT_MEM_K = 0x02,
    BP_VIDEO_MODE = 0x06,
    BP_VIDEO_COLS = 0x07,
    BP_VIDEO_LINES = 0x0e,
    BP_VIDEO_IS_VGA = 0x0f,
    BP_VIDEO_POINTS = 0x10,
    BP_ACPI_RSDP_ADDR = 0x070, /* 2.14 */
    BP_ALT_MEM_K = 0x1e0,
    BP_E820_ENTRIES = 0x1e8,
    BP_E820_TABLE = 0x2d0,
    BP_E820_MAX = 128,
    BP_E820_ENTRY_BYTES = 20,
    BP_SIZE = 4096,
};

enum {
    MAGIC_HDRS = 0x53726448, /* "HdrS" */
    BOOT_FLAG = 0xaa55,
    XLF_KERNEL_64 = 1 << 0,
    SETUP_SECTS_DEFAULT = 4,
    SECTOR = 512,
    CMDLINE_SIZE_OLD = 255,           /* before 2.06 */
    INITRD_ADDR_MAX_OLD = 0x37ffffff, /* before 2.03 */
    CODE32_START = 0x100000,
    GDT_AT = 0x8f000,
    BOOT_PARAMS_AT = 0x90000,
    CMDLINE_AT = 0x91000,
    CMDLINE_ROOM = 0x8000,
    VIDEO_MODE_TEXT = 3,
};

bool bzimage_probe(const struct file *kernel)
{
    return kernel->size >= HDR_VERSION + 2 && boot_get(kernel->bytes + HDR_MAGIC, 4) == MAGIC_HDRS;
}

/* Where the kernel will run, and how far it needs RAM there. [boot.rst "init_size"] */
static void plan_run_area(const uint8_t *bytes, struct bzimage_header *h)
{
    const uint32_t align = boot_get(bytes + HDR_KERNEL_ALIGNMENT, 4);
    const uint64_t preferred = boot_get(bytes + HDR_PREF_ADDRESS, 4) |
                               (uint64_t)boot_get(bytes + HDR_PREF_ADDRESS + 4, 4) << 32;
    const uint64_t init_size = boot_get(bytes + HDR_INIT_SIZE, 4);
    uint64_t start = preferred;

    h->run_end = h->load_at + h->payload_bytes;
    if (h->version < 0x020a)
        return;
    if (bytes[HDR_RELOCATABLE] != 0 && h->load_at > preferred)
        start = align != 0 ? (h->load_at + align - 1) / align * align : h->load_at;
    /* The preferred address is 64 bits wide and unchecked: a sum past 2^64 must not look small. */
    if (__builtin_add_overflow(start, init_size, &start))
        start = UINT64_MAX;
    if (start > h->run_end)
        h->run_end = start;
}

bool bzimage_check(const struct file *kernel, struct bzimage_header *h, struct error *error)
{
    const uint8_t *bytes = kernel->bytes;
    const char *path = kernel->path;
    uint64_t syssize_bytes;
    unsigned setup_sects;

    if (!bzimage_probe(kernel))
        return error_set(error, "%s: not a Linux kernel", path);
    if (boot_get(bytes + HDR_BOOT_FLAG, 2) != BOOT_FLAG)
        return error_set(error, "%s: damaged Linux kernel: the boot sector's signature is wrong",
                         path);
    h->version = boot_get(bytes + HDR_VERSION, 2);
    if (h->version < 0x0202)
        return error_set(error, "%s: Linux boot protocol %u.%02u is too old (2.02 is needed)", path,
                         h->version >> 8, h->version & 0xff);
    if (h->version >= 0x0300)
        return error_set(error, "%s: Linux boot protocol %u.%02u is not known", path,
                         h->version >> 8, h->version & 0xff);
    setup_sects = bytes[HDR_SETUP_SECTS] != 0 ? bytes[HDR_SETUP_SECTS] : SETUP_SECTS_DEFAULT;
    h->setup_bytes = (setup_sects + 1) * (uint64_t)SECTOR;
    if (kernel->size <= h->setup_bytes)
        return error_set(error, "%s: truncated Linux kernel: the file ends in its setup code",
                         path);
    h->header_end = HDR_MAGIC + bytes[HDR_JUMP + 1];
    if (bytes[HDR_JUMP] != 0xeb || h->header_end < HDR_INITRD_ADDR_MAX)
        return error_set(error, "%s: damaged Linux kernel: the setup header has no valid length",
                         path);
    if (h->header_end > HDR_END_MAX)
        h->header_end = HDR_END_MAX;
    if (!(bytes[HDR_LOADFLAGS] & BZIMAGE_LOADED_HIGH))
        return error_set(error, "%s: a zImage, which loads low; only bzImage kernels are supported",
                         path);

    h->payload_bytes = kernel->size - h->setup_bytes;
    syssize_bytes = (uint64_t)boot_get(bytes + HDR_SYSSIZE, h->version >= 0x0204 ? 4 : 2) * 16;
    if (syssize_bytes > h->payload_bytes + 15)
        return error_set(error, "%s: truncated Linux kernel: %llu bytes of code, %llu are there",
                         path, (unsigned long long)syssize_bytes,
                         (unsigned long long)h->payload_bytes);
    /* What follows the code (a signature) is not loaded.  Before 2.04 the field is 16 bits wide. */
    if (h->version >= 0x0204 && syssize_bytes != 0 && syssize_bytes < h->payload_bytes)
        h->payload_bytes = syssize_bytes;

    h->load_at = boot_get(bytes + HDR_CODE32_START, 4);
    if (h->load_at == 0) /* iPXE: its real-mode code asks for no hook, and goes there itself */
        h->load_at = CODE32_START;
    if (h->load_at < CODE32_START)
        return error_set(error, "%s: damaged Linux kernel: it wants to be loaded at 0x%llx", path,
                         (unsigned long long)h->load_at);
    h->initrd_max =
        h->version >= 0x0203 ? boot_get(bytes + HDR_INITRD_ADDR_MAX, 4) : INITRD_ADDR_MAX_OLD;
    h->cmdline_max =
        h->version >= 0x0206 ? boot_get(bytes + HDR_CMDLINE_SIZE, 4) : CMDLINE_SIZE_OLD;
    if (h->version >= 0x0207 && boot_get(bytes + HDR_HARDWARE_SUBARCH, 4) != 0)
        return error_set(error, "%s: a kernel for another machine than a PC (subarchitecture %u)",
                         path, boot_get(bytes + HDR_HARDWARE_SUBARCH, 4));
    h->is_64bit = h->version >= 0x020c && (boot_get(bytes + HDR_XLOADFLAGS, 2) & XLF_KERNEL_64);
    h->has_payload = h->version >= 0x0208 && boot_get(bytes + HDR_PAYLOAD_LENGTH, 4) != 0;
    plan_run_area(bytes, h);
    return true;
}

/* Memory sizes for those who do not read e820: KiB above 1 MiB. */
static uint64_t extended_kib(const struct boot_source *source)
{
    for (size_t i = 0; i < source->e820_count; i++)
        if (source->e820[i].type == 1 && source->e820[i].base == CODE32_START)
            return source->e820[i].size >> 10;
    return 0;
}

static void fill_boot_params(const struct boot_source *source, const struct bzimage_header *h,
                             uint8_t *bp)
{
    const uint64_t extended = extended_kib(source);
    size_t entries = source->e820_count < BP_E820_MAX ? source->e820_count : BP_E820_MAX;

    memcpy(bp + HDR_SETUP_SECTS, source->kernel.bytes + HDR_SETUP_SECTS,
           h->header_end - HDR_SETUP_SECTS);
    bp[HDR_TYPE_OF_LOADER] = BZIMAGE_LOADER_UNDEFINED;
    bp[HDR_EXT_LOADER_VER] = bp[HDR_EXT_LOADER_TYPE] = 0;
    boot_put(bp + HDR_VID_MODE, 2, BZIMAGE_VID_MODE_NORMAL);
    boot_put(bp + HDR_CODE32_START, 4, h->load_at);
    boot_put(bp + HDR_CMD_LINE_PTR, 4, CMDLINE_AT);
    if (h->version >= 0x0209)
        boot_put(bp + HDR_SETUP_DATA, 8, 0);
    if (source->has_vga) {
        bp[BP_VIDEO_MODE] = VIDEO_MODE_TEXT;
        bp[BP_VIDEO_COLS] = 80;
        bp[BP_VIDEO_LINES] = 25;
        bp[BP_VIDEO_IS_VGA] = 1;
        bp[BP_VIDEO_POINTS] = 16;
    }
    boot_put(bp + BP_EXT_MEM_K, 2, extended < 0xfc00 ? extended : 0xfc00);
    boot_put(bp + BP_ALT_MEM_K, 4, extended);
    if (h->version >= 0x020e)
        boot_put(bp + BP_ACPI_RSDP_ADDR, 8, source->rsdp);
    bp[BP_E820_ENTRIES] = (uint8_t)entries;
    for (size_t i = 0; i < entries; i++) {
        uint8_t *entry = bp + BP_E820_TABLE + i * BP_E820_ENTRY_BYTES;

        boot_put(entry, 8, source->e820[i].base);
        boot_put(entry + 8, 8, source->e820[i].size);
        boot_put(entry + 16, 4, source->e820[i].type);
    }
}

static bool add_initrd(const struct boot_source *source, const struct bzimage_header *h,
                       struct boot_image *image, uint8_t *bp, struct error *error)
{
    const struct file *initrd = &source->modules[0].file;
    uint64_t at;

    if (source->module_count == 0)
        return true;
    if (source->module_count > 1)
        return error_set(error, "%s: a Linux kernel takes one -initrd", source->kernel.path);
    at = boot_image_place(source, h->run_end, h->initrd_max + 1, initrd->size);
    if (at == 0)
        return error_set(error, "%s: %zu MiB do not fit into the guest's RAM beside the kernel",
                         initrd->path, (initrd->size >> 20) + 1);
    boot_put(bp + HDR_RAMDISK_IMAGE, 4, at);
    boot_put(bp + HDR_RAMDISK_SIZE, 4, initrd->size);
    return boot_image_add(image, source, "the initrd", at, initrd->bytes, initrd->size, 0, NULL,
                          error);
}

bool bzimage_check_cmdline(const struct bzimage_header *h, const char *cmdline, size_t room,
                           struct error *error)
{
    const size_t size = strlen(cmdline);
    const uint64_t max = h->cmdline_max < room - 1 ? h->cmdline_max : room - 1;

    return size <= max || error_set(error, "-append: %zu characters, the kernel takes %llu", size,
                                    (unsigned long long)max);
}

bool bzimage_load(const struct boot_source *source, struct boot_image *image, struct error *error)
{
    const struct file *kernel = &source->kernel;
    const size_t cmdline_size = strlen(source->cmdline);
    struct bzimage_header h;
    uint8_t *bp;

    *image = (struct boot_image){0};
    if (!bzimage_check(kernel, &h, error))
        return false;
    if (!bzimage_check_cmdline(&h, source->cmdline, CMDLINE_ROOM, error))
        return false;
    if (!boot_image_is_ram(source, h.load_at, h.run_end - h.load_at))
        return error_set(error, "%s: the kernel needs %llu MiB of RAM to start (see -m)",
                         kernel->path, (unsigned long long)((h.run_end >> 20) + 1));
    bp = calloc(1, BP_SIZE);
    if (bp == NULL)
        return error_set(error, "%s: not enough host memory", kernel->path);
    fill_boot_params(source, &h, bp);
    /* From here on the image owns bp; it stays ours to fill until the image is freed. */
    if (!boot_image_add(image, source, "its boot parameters", BOOT_PARAMS_AT, bp, BP_SIZE, 0, bp,
                        error) ||
        !add_initrd(source, &h, image, bp, error) ||
        !boot_image_add(image, source, "its command line", CMDLINE_AT,
                        (const uint8_t *)source->cmdline, cmdline_size + 1, 0, NULL, error) ||
        !boot_image_add(image, source, "its code", h.load_at, kernel->bytes + h.setup_bytes,
                        h.payload_bytes, 0, NULL, error) ||
        !boot_image_add_gdt(image, source, GDT_AT, error)) {
        boot_image_free(image);
        return false;
    }
    image->eip = (uint32_t)h.load_at;
    image->esi = BOOT_PARAMS_AT;
    return true;
}
