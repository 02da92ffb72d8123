/*
 * loader/setup_boot.c -- what the firmware is told so that it starts a Linux kernel.
 * Source: Linux, Documentation/arch/x86/boot.rst; the fw_cfg items are those that QEMU's firmware
 * users know, see setup_rom.c.
 *
 *   memory: 0x10000 real-mode code, its heap and stack; 0x20000 the command line;
 *           code32_start the protected-mode code; the initrd below the top of RAM, of which the
 *           firmware keeps a little for its tables.
 */
#include "loader/setup_boot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpuid.h"

enum {
    SETUP_AT = 0x10000,
    SETUP_ROOM = 0xe000, /* code and heap; the stack comes down from 0xfff0 */
    SETUP_HEAP_MIN = 0x1000,
    HEAP_END = SETUP_ROOM - 0x200, /* as the header counts it */
    CMDLINE_AT = 0x20000,
    CMDLINE_ROOM = 0x8000,
    KERNEL_FLOOR = 0x100000,
    INITRD_ALIGN = 4096,
};
#define FIRMWARE_BYTES (UINT64_C(1) << 20) /* at the top of RAM; SeaBIOS takes 128 to 256 KiB */

enum { /* fw_cfg keys */
       KEY_KERNEL_ADDR = 0x07,
       KEY_KERNEL_SIZE = 0x08,
       KEY_INITRD_ADDR = 0x0a,
       KEY_INITRD_SIZE = 0x0b,
       KEY_KERNEL_DATA = 0x11,
       KEY_INITRD_DATA = 0x12,
       KEY_CMDLINE_ADDR = 0x13,
       KEY_CMDLINE_SIZE = 0x14,
       KEY_CMDLINE_DATA = 0x15,
       KEY_SETUP_ADDR = 0x16,
       KEY_SETUP_SIZE = 0x17,
       KEY_SETUP_DATA = 0x18,
};

static const char rom_file[] = "genroms/linuxboot.bin";
static const char boot_order[] = "/rom@genroms/linuxboot.bin\nHALT";

/* What 32-bit and 64-bit kernels of the last twenty years are compiled for.  With less than that,
 * only the kernel's own check knows. */
static void list_missing(const struct cpu_model *model, bool is_64bit, char *list, size_t size)
{
    const struct {
        const char *name;
        bool there, only_64bit;
    } features[] = {
        {"fpu", model->has[FPU_], false},  {"tsc", model->tsc, false},
        {"msr", model->has[MSR_], false},  {"cx8", model->has[CX8], false},
        {"cmov", model->has[CMOV], false}, {"pae", model->pae, false},
        {"fxsr", model->has[FXSR_], true}, {"sse", model->has[SSE_], true},
        {"sse2", model->has[SSE2], true},
    };
    size_t used = 0;

    list[0] = '\0';
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]) && used < size; i++) {
        if (!features[i].there && (is_64bit || !features[i].only_64bit))
            used += (size_t)snprintf(list + used, size - used, " %s", features[i].name);
    }
}

bool setup_boot_wanted(const struct file *kernel, const struct cpu_model *model, char *reason,
                       size_t reason_size)
{
    struct bzimage_header header;
    struct error error = {0};
    char missing[64];

    reason[0] = '\0';
    if (!bzimage_probe(kernel) || !bzimage_check(kernel, &header, &error))
        return false; /* whoever loads it will say what is wrong */
    if (header.is_64bit && !model->long_mode) {
        snprintf(reason, reason_size, "%s is a 64-bit kernel, and -cpu %s has no long mode",
                 kernel->path, model->name);
        return true;
    }
    list_missing(model, header.is_64bit, missing, sizeof(missing));
    if (missing[0] != '\0')
        snprintf(reason, reason_size, "%s may want more than -cpu %s has (not there:%s)",
                 kernel->path, model->name, missing);
    return missing[0] != '\0' || !header.has_payload;
}

static bool fill_setup(const struct boot_source *source, const struct bzimage_header *h,
                       uint64_t initrd_at, struct setup_boot *boot, struct error *error)
{
    const char *path = source->kernel.path;
    uint16_t mode = BZIMAGE_VID_MODE_NORMAL;
    uint8_t *setup;

    if (h->setup_bytes > SETUP_ROOM - SETUP_HEAP_MIN)
        return error_set(error, "%s: %llu bytes of real-mode code are too many", path,
                         (unsigned long long)h->setup_bytes);
    setup = boot->setup = malloc(h->setup_bytes);
    if (setup == NULL)
        return error_set(error, "%s: not enough host memory", path);
    memcpy(setup, source->kernel.bytes, h->setup_bytes);
    setup[HDR_TYPE_OF_LOADER] = BZIMAGE_LOADER_UNDEFINED;
    setup[HDR_LOADFLAGS] |= BZIMAGE_CAN_USE_HEAP;
    (void)setup_boot_video_mode(source->cmdline, &mode);
    boot_put(setup + HDR_VID_MODE, 2, mode);
    boot_put(setup + HDR_HEAP_END_PTR, 2, HEAP_END);
    boot_put(setup + HDR_CMD_LINE_PTR, 4, CMDLINE_AT);
    if (source->module_count != 0) {
        boot_put(setup + HDR_RAMDISK_IMAGE, 4, initrd_at);
        boot_put(setup + HDR_RAMDISK_SIZE, 4, source->modules[0].file.size);
    }
    return true;
}

bool setup_boot_video_mode(const char *cmdline, uint16_t *mode)
{
    *mode = BZIMAGE_VID_MODE_NORMAL;
    for (const char *at = cmdline; (at = strstr(at, "vga=")) != NULL; at += 4) {
        const char *value = at + 4;
        const size_t length = strcspn(value, " ");
        char *end;
        const unsigned long number = strtoul(value, &end, 0);

        if (at != cmdline && at[-1] != ' ')
            continue; /* the end of another word */
        if (length == 6 && !strncmp(value, "normal", length))
            *mode = BZIMAGE_VID_MODE_NORMAL;
        else if (length == 3 && !strncmp(value, "ext", length))
            *mode = BZIMAGE_VID_MODE_EXT;
        else if (length == 3 && !strncmp(value, "ask", length))
            *mode = BZIMAGE_VID_MODE_ASK;
        else if (length != 0 && end == value + length && number <= UINT16_MAX)
            *mode = (uint16_t)number;
    }
    return *mode != BZIMAGE_VID_MODE_NORMAL;
}

/* Where the initrd goes: as high as the kernel and the firmware let it; 0 when it does not fit. */
static uint64_t place_initrd(const struct boot_source *source, const struct bzimage_header *h,
                             uint64_t ram_bytes)
{
    const uint64_t size = source->modules[0].file.size;
    uint64_t end = ram_bytes > FIRMWARE_BYTES ? ram_bytes - FIRMWARE_BYTES : 0;

    if (end > h->initrd_max + 1)
        end = h->initrd_max + 1;
    if (end < size || ((end - size) & ~(uint64_t)(INITRD_ALIGN - 1)) < h->run_end)
        return 0;
    return (end - size) & ~(uint64_t)(INITRD_ALIGN - 1);
}

static void add_item(struct setup_boot *boot, size_t *count, const char *file, uint16_t key,
                     const void *data, size_t size)
{
    boot->items[(*count)++] =
        (struct pc_fw_item){.file = file, .key = key, .data = data, .size = size};
}

bool setup_boot_make(const struct boot_source *source, uint64_t ram_bytes, struct setup_boot *boot,
                     struct error *error)
{
    const struct file *kernel = &source->kernel, *initrd = &source->modules[0].file;
    const size_t initrd_size = source->module_count != 0 ? initrd->size : 0;
    struct bzimage_header h;
    uint64_t initrd_at = 0;
    size_t count = 0, number = 0;

    *boot = (struct setup_boot){0};
    if (!bzimage_check(kernel, &h, error) ||
        !bzimage_check_cmdline(&h, source->cmdline, CMDLINE_ROOM, error))
        return false;
    if (ram_bytes < FIRMWARE_BYTES || h.run_end > ram_bytes - FIRMWARE_BYTES)
        return error_set(error, "%s: the kernel needs %llu MiB of RAM to start (see -m)",
                         kernel->path, (unsigned long long)((h.run_end >> 20) + 2));
    if (source->module_count > 1)
        return error_set(error, "%s: a Linux kernel takes one -initrd", kernel->path);
    if (source->module_count != 0) {
        initrd_at = place_initrd(source, &h, ram_bytes);
        if (initrd_at == 0)
            return error_set(error, "%s: %zu MiB do not fit into the guest's RAM beside the kernel",
                             initrd->path, (initrd->size >> 20) + 1);
    }
    if (!fill_setup(source, &h, initrd_at, boot, error))
        return false;
    setup_rom_make(boot->rom);

    const struct {
        uint16_t address_key, size_key, data_key;
        uint64_t address, size;
        const void *data;
    } things[] = {
        {KEY_CMDLINE_ADDR, KEY_CMDLINE_SIZE, KEY_CMDLINE_DATA, CMDLINE_AT,
         strlen(source->cmdline) + 1, source->cmdline},
        {KEY_INITRD_ADDR, KEY_INITRD_SIZE, KEY_INITRD_DATA, initrd_at, initrd_size, initrd->bytes},
        {KEY_KERNEL_ADDR, KEY_KERNEL_SIZE, KEY_KERNEL_DATA, h.load_at, h.payload_bytes,
         kernel->bytes + h.setup_bytes},
        {KEY_SETUP_ADDR, KEY_SETUP_SIZE, KEY_SETUP_DATA, SETUP_AT, h.setup_bytes, boot->setup},
    };

    for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        boot_put(boot->numbers[number], 4, things[i].address);
        add_item(boot, &count, NULL, things[i].address_key, boot->numbers[number++], 4);
        boot_put(boot->numbers[number], 4, things[i].size);
        add_item(boot, &count, NULL, things[i].size_key, boot->numbers[number++], 4);
        add_item(boot, &count, NULL, things[i].data_key, things[i].data, things[i].size);
    }
    add_item(boot, &count, rom_file, 0, boot->rom, sizeof(boot->rom));
    add_item(boot, &count, "bootorder", 0, boot_order, sizeof(boot_order));
    return true;
}

void setup_boot_free(struct setup_boot *boot)
{
    free(boot->setup);
    *boot = (struct setup_boot){0};
}
