/*
 * loader/elf_image.c -- multiboot 1 and PVH kernels, through libelf.
 * Sources: Multiboot Specification 0.6.96 ("MB"); Xen, docs/misc/pvh.pandoc and
 * include/public/arch-x86/hvm/start_info.h ("PVH"); System V ABI, "Program Header".
 *
 * The segments go to their physical addresses.  The information block goes to INFO_AT, in the
 * conventional memory below what any of these kernels occupies, modules as high as possible.
 */
#include "loader/elf_image.h"

#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* [MB 3.1] */
enum {
    MB_SEARCH_BYTES = 8192,
    MB_MAGIC = 0x1badb002,
    MB_LOADER_MAGIC = 0x2badb002,
    MB_PAGE_ALIGN = 1 << 0,
    MB_MEMORY_INFO = 1 << 1,
    MB_VIDEO_MODE = 1 << 2,
    MB_MANDATORY = 0xffff, /* a loader that does not know one of these bits must refuse */
    MB_ADDRESS_FIELDS = 1 << 16,
    MB_HEADER_BYTES = 12,
    MB_HEADER_ADDRESS_BYTES = 32,
};
/* The information structure. [MB 3.3] */
enum {
    MBI_FLAGS = 0,
    MBI_MEM_LOWER = 4,
    MBI_MEM_UPPER = 8,
    MBI_CMDLINE = 16,
    MBI_MODS_COUNT = 20,
    MBI_MODS_ADDR = 24,
    MBI_MMAP_LENGTH = 44,
    MBI_MMAP_ADDR = 48,
    MBI_LOADER_NAME = 64,
    MBI_SIZE = 88,
    MBI_HAS_MEM = 1 << 0,
    MBI_HAS_CMDLINE = 1 << 2,
    MBI_HAS_MODS = 1 << 3,
    MBI_HAS_MMAP = 1 << 6,
    MBI_HAS_LOADER_NAME = 1 << 9,
    MB_MODULE_BYTES = 16,
    MB_MMAP_BYTES = 24, /* with its leading size field */
};
/* [PVH] */
enum {
    NOTE_PHYS32_ENTRY = 18,
    HSI_MAGIC = 0x336ec578,
    HSI_BYTES = 56,
    HSI_MODULE_BYTES = 32,
    HSI_MMAP_BYTES = 24,
    HSI_MODULES_MAX = 1, /* what its users understand */
};
enum {
    GDT_AT = 0x8f000,
    INFO_AT = 0x90000,
    INFO_ROOM = 0xc000, /* up to the EBDA with some air */
    ELF_SEGMENTS_MAX = 128,
};
#define LOADER_NAME "ringer"
static const uint64_t MODULES_CEILING = UINT64_C(1) << 32;

/* ---- the information block: a bump allocator over guest addresses INFO_AT.. ---- */

struct info {
    uint8_t *bytes;
    uint64_t used;
};

/* Room for `size` bytes, 8-aligned; 0 when there is none.  Returns the guest address. */
static uint64_t info_take(struct info *info, uint64_t size)
{
    const uint64_t at = (info->used + 7) & ~UINT64_C(7);

    if (size > INFO_ROOM || at > INFO_ROOM - size)
        return 0;
    info->used = at + size;
    return INFO_AT + at;
}

static uint8_t *info_at(const struct info *info, uint64_t address)
{
    return info->bytes + (address - INFO_AT);
}

/* A string of two parts, joined by a blank when both are there. */
static uint64_t info_text(struct info *info, const char *first, const char *second)
{
    const size_t a = strlen(first), b = strlen(second);
    const uint64_t at = info_take(info, a + b + 2);
    uint8_t *out;

    if (at == 0)
        return 0;
    out = info_at(info, at);
    memcpy(out, first, a);
    out += a;
    if (a != 0 && b != 0)
        *out++ = ' ';
    memcpy(out, second, b);
    out[b] = 0;
    return at;
}

static bool info_full(const struct boot_source *source, struct error *error)
{
    return error_set(error, "%s: command line and module names are too long for the guest",
                     source->kernel.path);
}

/* ---- modules ---- */

/* Place every module below 4 GiB and above the kernel; addresses in at[]. */
static bool place_modules(const struct boot_source *source, struct boot_image *image,
                          uint64_t kernel_end, uint64_t at[], struct error *error)
{
    uint64_t ceiling = MODULES_CEILING;

    for (size_t i = 0; i < source->module_count; i++) {
        const struct file *file = &source->modules[i].file;

        at[i] = boot_image_place(source, kernel_end, ceiling, file->size);
        if (at[i] == 0)
            return error_set(error, "%s: %zu MiB do not fit into the guest's RAM beside the kernel",
                             file->path, (file->size >> 20) + 1);
        if (!boot_image_add(image, source, "a module", at[i], file->bytes, file->size, 0, NULL,
                            error))
            return false;
        ceiling = at[i];
    }
    return true;
}

/* ---- multiboot ---- */

/* Offset of the header in the file, or -1. [MB 3.1: within 8 KiB, 4-aligned] */
static long multiboot_find(const struct file *kernel)
{
    for (size_t at = 0; at + MB_HEADER_BYTES <= kernel->size && at < MB_SEARCH_BYTES; at += 4) {
        const uint8_t *p = kernel->bytes + at;

        if (boot_get(p, 4) == MB_MAGIC && MB_MAGIC + boot_get(p + 4, 4) + boot_get(p + 8, 4) == 0)
            return (long)at;
    }
    return -1;
}

/* Load by the header's address fields. [MB 3.1.3] */
static bool multiboot_load_flat(const struct boot_source *source, struct boot_image *image,
                                size_t header_at, uint64_t *kernel_end, struct error *error)
{
    const struct file *kernel = &source->kernel;
    const uint8_t *p = kernel->bytes + header_at;
    uint64_t header_addr, load_addr, load_end, bss_end, offset, size;

    if (kernel->size - header_at < MB_HEADER_ADDRESS_BYTES)
        return error_set(error, "%s: truncated multiboot header", kernel->path);
    header_addr = boot_get(p + 12, 4);
    load_addr = boot_get(p + 16, 4);
    load_end = boot_get(p + 20, 4);
    bss_end = boot_get(p + 24, 4);
    image->eip = boot_get(p + 28, 4);
    if (load_addr > header_addr || header_addr - load_addr > header_at)
        return error_set(error, "%s: damaged multiboot header: it loads from before the file",
                         kernel->path);
    offset = header_at - (header_addr - load_addr);
    size = kernel->size - offset;
    if (load_end != 0) {
        if (load_end < load_addr)
            return error_set(error, "%s: damaged multiboot header: it ends before it starts",
                             kernel->path);
        if (load_end - load_addr > size)
            return error_set(error, "%s: truncated multiboot kernel: %llu bytes, %llu are there",
                             kernel->path, (unsigned long long)(load_end - load_addr),
                             (unsigned long long)size);
        size = load_end - load_addr;
    }
    *kernel_end = load_addr + size;
    if (bss_end > *kernel_end)
        *kernel_end = bss_end;
    return boot_image_add(image, source, "the kernel", load_addr, kernel->bytes + offset, size,
                          *kernel_end - load_addr - size, NULL, error);
}

/* Fill the information structure; EBX points at it. [MB 3.3] */
static bool multiboot_info(const struct boot_source *source, struct boot_image *image,
                           const uint64_t module_at[], struct info *info, struct error *error)
{
    const uint64_t mbi_at = info_take(info, MBI_SIZE);
    const uint64_t mods_at = info_take(info, source->module_count * MB_MODULE_BYTES);
    const uint64_t mmap_at = info_take(info, source->e820_count * MB_MMAP_BYTES);
    const uint64_t cmdline_at = info_text(info, source->kernel.path, source->cmdline);
    const uint64_t name_at = info_text(info, LOADER_NAME, "");
    uint32_t flags = MBI_HAS_MEM | MBI_HAS_CMDLINE | MBI_HAS_MMAP | MBI_HAS_LOADER_NAME;
    uint8_t *mbi;

    if (mbi_at == 0 || mods_at == 0 || mmap_at == 0 || cmdline_at == 0 || name_at == 0)
        return info_full(source, error);
    for (size_t i = 0; i < source->module_count; i++) {
        uint8_t *entry = info_at(info, mods_at + i * MB_MODULE_BYTES);
        const uint64_t text_at = info_text(info, source->modules[i].text, "");

        if (text_at == 0)
            return info_full(source, error);
        boot_put(entry, 4, module_at[i]);
        boot_put(entry + 4, 4, module_at[i] + source->modules[i].file.size);
        boot_put(entry + 8, 4, text_at);
        flags |= MBI_HAS_MODS;
    }
    mbi = info_at(info, mbi_at);
    for (size_t i = 0; i < source->e820_count; i++) {
        const struct pc_e820 *range = &source->e820[i];
        uint8_t *entry = info_at(info, mmap_at + i * MB_MMAP_BYTES);

        boot_put(entry, 4, MB_MMAP_BYTES - 4);
        boot_put(entry + 4, 8, range->base);
        boot_put(entry + 12, 8, range->size);
        boot_put(entry + 20, 4, range->type);
        if (range->type == 1 && range->base == 0)
            boot_put(mbi + MBI_MEM_LOWER, 4, range->size >> 10);
        if (range->type == 1 && range->base == 0x100000)
            boot_put(mbi + MBI_MEM_UPPER, 4, range->size >> 10);
    }
    boot_put(mbi + MBI_FLAGS, 4, flags);
    boot_put(mbi + MBI_CMDLINE, 4, cmdline_at);
    boot_put(mbi + MBI_MODS_COUNT, 4, source->module_count);
    boot_put(mbi + MBI_MODS_ADDR, 4, mods_at);
    boot_put(mbi + MBI_MMAP_LENGTH, 4, source->e820_count * MB_MMAP_BYTES);
    boot_put(mbi + MBI_MMAP_ADDR, 4, mmap_at);
    boot_put(mbi + MBI_LOADER_NAME, 4, name_at);
    image->eax = MB_LOADER_MAGIC;
    image->ebx = (uint32_t)mbi_at;
    return true;
}

/* ---- ELF ---- */

struct elf_facts {
    uint64_t entry; /* e_entry as a physical address */
    uint64_t end;   /* past the highest loaded byte */
    bool has_pvh;
    uint64_t pvh_entry;
};

static bool elf_damaged(const struct file *kernel, const char *what, struct error *error)
{
    return error_set(error, "%s: damaged ELF file: %s", kernel->path, what);
}

/* One PT_LOAD segment. */
static bool elf_load_segment(const struct boot_source *source, struct boot_image *image,
                             const GElf_Ehdr *ehdr, const GElf_Phdr *phdr, struct elf_facts *facts,
                             struct error *error)
{
    const struct file *kernel = &source->kernel;
    uint64_t end;

    if (phdr->p_memsz == 0)
        return true;
    if (phdr->p_filesz > phdr->p_memsz)
        return elf_damaged(kernel, "a segment is larger in the file than in memory", error);
    if (phdr->p_offset > kernel->size || phdr->p_filesz > kernel->size - phdr->p_offset)
        return elf_damaged(kernel, "a segment lies outside the file (truncated?)", error);
    if (!boot_image_add(image, source, "an ELF segment", phdr->p_paddr,
                        kernel->bytes + phdr->p_offset, phdr->p_filesz,
                        phdr->p_memsz - phdr->p_filesz, NULL, error))
        return false;
    end = phdr->p_paddr + phdr->p_memsz; /* no overflow: it is RAM */
    if (end > facts->end)
        facts->end = end;
    /* The entry may be given as a virtual address: the kernel runs without paging at first. */
    if (ehdr->e_entry >= phdr->p_vaddr && ehdr->e_entry - phdr->p_vaddr < phdr->p_memsz)
        facts->entry = phdr->p_paddr + (ehdr->e_entry - phdr->p_vaddr);
    return true;
}

/* Look for Xen's PHYS32_ENTRY in one PT_NOTE segment. */
static bool elf_read_notes(const struct file *kernel, Elf *elf, const GElf_Phdr *phdr,
                           struct elf_facts *facts, struct error *error)
{
    Elf_Data *data;
    GElf_Nhdr note;
    size_t at = 0, name_at, desc_at;

    if (phdr->p_offset > kernel->size || phdr->p_filesz > kernel->size - phdr->p_offset)
        return elf_damaged(kernel, "its notes lie outside the file (truncated?)", error);
    data = elf_getdata_rawchunk(elf, (int64_t)phdr->p_offset, phdr->p_filesz,
                                phdr->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
    if (data == NULL)
        return true; /* empty or unreadable: no notes */
    while ((at = gelf_getnote(data, at, &note, &name_at, &desc_at)) > 0) {
        const uint8_t *desc = (const uint8_t *)data->d_buf + desc_at;

        if (note.n_type != NOTE_PHYS32_ENTRY || note.n_namesz != 4 ||
            memcmp((const char *)data->d_buf + name_at, "Xen", 4) != 0)
            continue;
        if (note.n_descsz != 4 && note.n_descsz != 8)
            return elf_damaged(kernel, "the PVH entry note has a wrong size", error);
        facts->pvh_entry = boot_get(desc, 4);
        if (note.n_descsz == 8 && boot_get(desc + 4, 4) != 0)
            return elf_damaged(kernel, "the PVH entry lies above 4 GiB", error);
        facts->has_pvh = true;
    }
    return true;
}

static bool elf_load(const struct boot_source *source, struct boot_image *image, Elf *elf,
                     struct elf_facts *facts, struct error *error)
{
    const struct file *kernel = &source->kernel;
    GElf_Ehdr ehdr;
    GElf_Phdr phdr;
    size_t count;

    if (gelf_getehdr(elf, &ehdr) == NULL || elf_getphdrnum(elf, &count) != 0)
        return elf_damaged(kernel, elf_errmsg(-1), error);
    if (ehdr.e_ident[EI_DATA] != ELFDATA2LSB ||
        (ehdr.e_machine != EM_386 && ehdr.e_machine != EM_X86_64))
        return error_set(error, "%s: an ELF file for another processor (machine %u)", kernel->path,
                         ehdr.e_machine);
    if (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN)
        return error_set(error, "%s: an ELF file that is not executable", kernel->path);
    if (count > ELF_SEGMENTS_MAX)
        return elf_damaged(kernel, "too many segments", error);
    facts->entry = ehdr.e_entry;
    for (size_t i = 0; i < count; i++) {
        if (gelf_getphdr(elf, (int)i, &phdr) == NULL)
            return elf_damaged(kernel, "its program headers lie outside the file (truncated?)",
                               error);
        if (phdr.p_type == PT_LOAD && !elf_load_segment(source, image, &ehdr, &phdr, facts, error))
            return false;
        if (phdr.p_type == PT_NOTE && !elf_read_notes(kernel, elf, &phdr, facts, error))
            return false;
    }
    if (facts->end == 0)
        return elf_damaged(kernel, "no segment to load", error);
    return true;
}

/* Open, load the segments, close. */
static bool elf_load_file(const struct boot_source *source, struct boot_image *image,
                          struct elf_facts *facts, struct error *error)
{
    const struct file *kernel = &source->kernel;
    Elf *elf;
    bool ok;

    *facts = (struct elf_facts){0};
    if (elf_version(EV_CURRENT) == EV_NONE)
        return error_set(error, "libelf: %s", elf_errmsg(-1));
    elf = elf_memory((char *)kernel->bytes, kernel->size);
    if (elf == NULL || elf_kind(elf) != ELF_K_ELF)
        ok = elf_damaged(kernel, "no valid ELF header", error);
    else
        ok = elf_load(source, image, elf, facts, error);
    if (elf != NULL)
        elf_end(elf);
    return ok;
}

/* ---- PVH ---- */

static bool pvh_info(const struct boot_source *source, struct boot_image *image,
                     const uint64_t module_at[], struct info *info, struct error *error)
{
    const uint64_t start_at = info_take(info, HSI_BYTES);
    const uint64_t mods_at = info_take(info, source->module_count * HSI_MODULE_BYTES);
    const uint64_t mmap_at = info_take(info, source->e820_count * HSI_MMAP_BYTES);
    const uint64_t cmdline_at = info_text(info, source->cmdline, "");
    uint8_t *start;

    if (start_at == 0 || mods_at == 0 || mmap_at == 0 || cmdline_at == 0)
        return info_full(source, error);
    for (size_t i = 0; i < source->module_count; i++) {
        uint8_t *entry = info_at(info, mods_at + i * HSI_MODULE_BYTES);

        boot_put(entry, 8, module_at[i]);
        boot_put(entry + 8, 8, source->modules[i].file.size);
    }
    for (size_t i = 0; i < source->e820_count; i++) {
        uint8_t *entry = info_at(info, mmap_at + i * HSI_MMAP_BYTES);

        boot_put(entry, 8, source->e820[i].base);
        boot_put(entry + 8, 8, source->e820[i].size);
        boot_put(entry + 16, 4, source->e820[i].type);
    }
    start = info_at(info, start_at);
    boot_put(start, 4, HSI_MAGIC);
    boot_put(start + 4, 4, 1); /* version: with memory map */
    boot_put(start + 12, 4, source->module_count);
    boot_put(start + 16, 8, source->module_count != 0 ? mods_at : 0);
    boot_put(start + 24, 8, cmdline_at);
    boot_put(start + 32, 8, source->rsdp);
    boot_put(start + 40, 8, mmap_at);
    boot_put(start + 48, 4, source->e820_count);
    image->ebx = (uint32_t)start_at;
    return true;
}

/* ---- which of them ---- */

/* The kernel itself must leave the boot information's place free. */
static bool check_overlap(const struct boot_source *source, const struct boot_image *image,
                          struct error *error)
{
    for (size_t i = 0; i < image->count; i++) {
        const struct boot_piece *piece = &image->pieces[i];

        if (piece->address < INFO_AT + INFO_ROOM &&
            piece->address + piece->size + piece->zero_bytes > GDT_AT)
            return error_set(error, "%s: it occupies 0x%x to 0x%x, where the boot information goes",
                             source->kernel.path, GDT_AT, INFO_AT + INFO_ROOM);
    }
    return true;
}

/* Modules, information block, GDT: what both protocols have after the kernel itself. */
static bool finish(const struct boot_source *source, struct boot_image *image, uint64_t kernel_end,
                   bool multiboot, struct error *error)
{
    struct info info = {.bytes = calloc(1, INFO_ROOM)};
    uint64_t module_at[BOOT_MODULES_MAX];
    bool ok;

    if (info.bytes == NULL)
        return error_set(error, "%s: not enough host memory", source->kernel.path);
    ok = check_overlap(source, image, error) &&
         place_modules(source, image, kernel_end, module_at, error) &&
         (multiboot ? multiboot_info : pvh_info)(source, image, module_at, &info, error);
    if (!ok) {
        free(info.bytes);
        return false;
    }
    return boot_image_add(image, source, "its boot information", INFO_AT, info.bytes, info.used, 0,
                          info.bytes, error) &&
           boot_image_add_gdt(image, source, GDT_AT, error);
}

static bool load_multiboot(const struct boot_source *source, struct boot_image *image,
                           size_t header_at, struct error *error)
{
    const struct file *kernel = &source->kernel;
    const uint32_t flags = boot_get(kernel->bytes + header_at + 4, 4);
    const uint32_t unknown =
        flags & MB_MANDATORY & ~(uint32_t)(MB_PAGE_ALIGN | MB_MEMORY_INFO | MB_VIDEO_MODE);
    struct elf_facts facts;
    uint64_t kernel_end;

    if (unknown != 0)
        return error_set(error, "%s: the multiboot header asks for unknown features (flags 0x%x)",
                         kernel->path, unknown);
    if (flags & MB_ADDRESS_FIELDS) {
        if (!multiboot_load_flat(source, image, header_at, &kernel_end, error))
            return false;
    } else {
        if (!elf_load_file(source, image, &facts, error))
            return false;
        if (facts.entry > UINT32_MAX)
            return error_set(error, "%s: its entry point lies above 4 GiB", kernel->path);
        image->eip = (uint32_t)facts.entry;
        kernel_end = facts.end;
    }
    return finish(source, image, kernel_end, true, error);
}

static bool load_pvh(const struct boot_source *source, struct boot_image *image,
                     struct error *error)
{
    struct elf_facts facts;

    if (!elf_load_file(source, image, &facts, error))
        return false;
    if (!facts.has_pvh)
        return error_set(error, "%s: an ELF file with neither a multiboot header nor a PVH entry",
                         source->kernel.path);
    if (source->module_count > HSI_MODULES_MAX)
        return error_set(error, "%s: a PVH kernel takes one -initrd", source->kernel.path);
    image->eip = (uint32_t)facts.pvh_entry;
    return finish(source, image, facts.end, false, error);
}

bool elf_image_load(const struct boot_source *source, struct boot_image *image, struct error *error)
{
    const struct file *kernel = &source->kernel;
    const long header_at = multiboot_find(kernel);
    bool ok;

    *image = (struct boot_image){0};
    if (header_at >= 0)
        ok = load_multiboot(source, image, (size_t)header_at, error);
    else if (kernel->size >= SELFMAG && memcmp(kernel->bytes, ELFMAG, SELFMAG) == 0)
        ok = load_pvh(source, image, error);
    else
        ok = error_set(error, "%s: neither a Linux bzImage nor a multiboot or PVH kernel",
                       kernel->path);
    if (!ok)
        boot_image_free(image);
    return ok;
}
