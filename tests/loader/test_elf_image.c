/*
 * tests/loader/test_elf_image.c -- multiboot and PVH kernels: what they are told, what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/elf_image.h"
#include "tests/loader/boot_fake.h"

#include <elf.h> /* last: its macros have names that the manual gives to other things */

enum {
    FILE_BYTES = 4096,
    TEXT_OFFSET = 0x200, /* the one PT_LOAD segment: multiboot header first */
    TEXT_BYTES = 0x400,
    NOTE_OFFSET = 0x800,
    NOTE_BYTES = 12 + 4 + 4,
    PHYS = 0x200000,
    MEMORY_BYTES = 0x3000,
};
#define VIRT UINT64_C(0xc0200000)

static void put_multiboot(uint8_t *p, uint32_t flags)
{
    boot_put(p, 4, 0x1badb002);
    boot_put(p + 4, 4, flags);
    boot_put(p + 8, 4, -(0x1badb002u + flags));
}

/* An ELF file of either class: one segment at PHYS, a note segment with a PVH entry. */
static uint8_t *make_elf(bool is64, bool with_note)
{
    uint8_t *f = test_calloc(1, FILE_BYTES);
    const unsigned phnum = with_note ? 2 : 1;

    memcpy(f, ELFMAG, SELFMAG);
    f[EI_CLASS] = is64 ? ELFCLASS64 : ELFCLASS32;
    f[EI_DATA] = ELFDATA2LSB;
    f[EI_VERSION] = EV_CURRENT;
    if (is64) {
        const Elf64_Phdr phdrs[2] = {
            {PT_LOAD, 5, TEXT_OFFSET, VIRT, PHYS, TEXT_BYTES, MEMORY_BYTES, 4096},
            {PT_NOTE, 4, NOTE_OFFSET, 0, 0, NOTE_BYTES, NOTE_BYTES, 4},
        };
        Elf64_Ehdr *ehdr = (Elf64_Ehdr *)f;

        ehdr->e_type = ET_EXEC;
        ehdr->e_machine = EM_X86_64;
        ehdr->e_version = EV_CURRENT;
        ehdr->e_entry = PHYS + 0x40;
        ehdr->e_phoff = ehdr->e_ehsize = sizeof(*ehdr);
        ehdr->e_phentsize = sizeof(Elf64_Phdr);
        ehdr->e_phnum = (uint16_t)phnum;
        memcpy(f + sizeof(*ehdr), phdrs, sizeof(phdrs[0]) * phnum);
    } else {
        const Elf32_Phdr phdrs[2] = {
            {PT_LOAD, TEXT_OFFSET, (uint32_t)VIRT, PHYS, TEXT_BYTES, MEMORY_BYTES, 5, 4096},
            {PT_NOTE, NOTE_OFFSET, 0, 0, NOTE_BYTES, NOTE_BYTES, 4, 4},
        };
        Elf32_Ehdr *ehdr = (Elf32_Ehdr *)f;

        ehdr->e_type = ET_EXEC;
        ehdr->e_machine = EM_386;
        ehdr->e_version = EV_CURRENT;
        ehdr->e_entry = (uint32_t)VIRT + 0x40; /* virtual, as some kernels have it */
        ehdr->e_phoff = ehdr->e_ehsize = sizeof(*ehdr);
        ehdr->e_phentsize = sizeof(Elf32_Phdr);
        ehdr->e_phnum = (uint16_t)phnum;
        memcpy(f + sizeof(*ehdr), phdrs, sizeof(phdrs[0]) * phnum);
    }
    boot_put(f + NOTE_OFFSET, 4, 4);
    boot_put(f + NOTE_OFFSET + 4, 4, 4);
    boot_put(f + NOTE_OFFSET + 8, 4, 18);
    memcpy(f + NOTE_OFFSET + 12, "Xen", 4);
    boot_put(f + NOTE_OFFSET + 16, 4, PHYS + 0x80);
    return f;
}

static void test_multiboot_elf(void **state)
{
    (void)state;
    for (int is64 = 0; is64 < 2; is64++) {
        uint8_t *kernel = make_elf(is64, false);
        uint8_t first[100] = "first", second[9000] = "second";
        struct boot_source source;
        struct boot_image image;
        struct error error = {0};
        const uint8_t *mbi, *mods, *map;

        put_multiboot(kernel + TEXT_OFFSET, 3);
        boot_fake_init(&source, kernel, FILE_BYTES);
        source.cmdline = "root=ram";
        source.modules[0].file = (struct file){"first", first, sizeof(first)};
        source.modules[0].text = "first -v";
        source.modules[1].file = (struct file){"second", second, sizeof(second)};
        source.modules[1].text = "second";
        source.module_count = 2;
        if (!elf_image_load(&source, &image, &error))
            fail_msg("%s", error.text);
        assert_int_equal(image.eax, 0x2badb002);
        assert_int_equal(image.eip, PHYS + 0x40);
        assert_int_equal(image.pieces[0].address, PHYS);
        assert_int_equal(image.pieces[0].size, TEXT_BYTES);
        assert_int_equal(image.pieces[0].zero_bytes, MEMORY_BYTES - TEXT_BYTES);
        mbi = boot_fake_at(&image, image.ebx);
        assert_non_null(mbi);
        assert_int_equal(boot_get(mbi, 4), 1 | 4 | 8 | 64 | 512);
        assert_int_equal(boot_get(mbi + 4, 4), 639);
        assert_int_equal(boot_get(mbi + 8, 4), FAKE_RAM_MIB * 1024 - 1024 - 128);
        assert_string_equal((const char *)boot_fake_at(&image, boot_get(mbi + 16, 4)),
                            "kernel root=ram");
        assert_int_equal(boot_get(mbi + 20, 4), 2);
        mods = boot_fake_at(&image, boot_get(mbi + 24, 4));
        for (unsigned i = 0; i < 2; i++) {
            const uint32_t start = boot_get(mods + 16 * i, 4), end = boot_get(mods + 16 * i + 4, 4);

            assert_int_equal(start % 4096, 0);
            assert_int_equal(end - start, source.modules[i].file.size);
            assert_ptr_equal(boot_fake_at(&image, start), source.modules[i].file.bytes);
            assert_string_equal((const char *)boot_fake_at(&image, boot_get(mods + 16 * i + 8, 4)),
                                source.modules[i].text);
        }
        assert_int_equal(boot_get(mbi + 44, 4), 5 * 24);
        map = boot_fake_at(&image, boot_get(mbi + 48, 4));
        assert_int_equal(boot_get(map, 4), 20);
        assert_int_equal(boot_get(map + 12, 4), 0x9fc00);
        boot_image_free(&image);
        test_free(kernel);
    }
}

/* The address fields make any file loadable; bss is zeroed. */
static void test_multiboot_flat(void **state)
{
    uint8_t *kernel = test_calloc(1, FILE_BYTES);
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};

    (void)state;
    put_multiboot(kernel + 64, 0x10000);
    boot_put(kernel + 64 + 12, 4, 0x300040); /* header */
    boot_put(kernel + 64 + 16, 4, 0x300020); /* load: file offset 32 */
    boot_put(kernel + 64 + 20, 4, 0x300420);
    boot_put(kernel + 64 + 24, 4, 0x301000);
    boot_put(kernel + 64 + 28, 4, 0x300100);
    boot_fake_init(&source, kernel, FILE_BYTES);
    assert_true(elf_image_load(&source, &image, &error));
    assert_int_equal(image.eip, 0x300100);
    assert_ptr_equal(boot_fake_at(&image, 0x300020), kernel + 32);
    assert_int_equal(image.pieces[0].size, 0x400);
    assert_int_equal(image.pieces[0].zero_bytes, 0x301000 - 0x300420);
    boot_image_free(&image);
    boot_put(kernel + 64 + 20, 4, 0);
    assert_true(elf_image_load(&source, &image, &error));
    assert_int_equal(image.pieces[0].size, FILE_BYTES - 32);
    boot_image_free(&image);
    boot_put(kernel + 64 + 20, 4, 0x302000);
    assert_false(elf_image_load(&source, &image, &error));
    assert_non_null(strstr(error.text, "truncated multiboot kernel"));
    boot_put(kernel + 64 + 12, 4, 0x400000);
    assert_false(elf_image_load(&source, &image, &error));
    assert_non_null(strstr(error.text, "from before the file"));
    test_free(kernel);
}

static void test_pvh(void **state)
{
    (void)state;
    for (int is64 = 0; is64 < 2; is64++) {
        uint8_t *kernel = make_elf(is64, true), initrd[300] = "initrd";
        struct boot_source source;
        struct boot_image image;
        struct error error = {0};
        const uint8_t *start, *module;

        boot_fake_init(&source, kernel, FILE_BYTES);
        source.cmdline = "quiet";
        source.modules[0].file = (struct file){"initrd", initrd, sizeof(initrd)};
        source.module_count = 1;
        if (!elf_image_load(&source, &image, &error))
            fail_msg("%s", error.text);
        assert_int_equal(image.eip, PHYS + 0x80);
        start = boot_fake_at(&image, image.ebx);
        assert_int_equal(boot_get(start, 4), 0x336ec578);
        assert_int_equal(boot_get(start + 4, 4), 1);
        assert_int_equal(boot_get(start + 12, 4), 1);
        module = boot_fake_at(&image, boot_get(start + 16, 4));
        assert_ptr_equal(boot_fake_at(&image, boot_get(module, 4)), initrd);
        assert_string_equal((const char *)boot_fake_at(&image, boot_get(start + 24, 4)), "quiet");
        assert_int_equal(boot_get(start + 32, 4), FAKE_RSDP);
        assert_int_equal(boot_get(start + 48, 4), 5);
        boot_image_free(&image);
        test_free(kernel);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        unsigned offset, size;
        uint32_t value;
        const char *message;
    } cases[] = {
        {0, 1, 0, "neither a Linux bzImage nor"},
        {EI_CLASS, 1, 9, "damaged ELF"},
        {EI_DATA, 1, ELFDATA2MSB, "ELF"},
        {offsetof(Elf32_Ehdr, e_machine), 2, EM_ARM, "another processor (machine 40)"},
        {offsetof(Elf32_Ehdr, e_type), 2, ET_REL, "not executable"},
        {offsetof(Elf32_Ehdr, e_phoff), 4, 0xfffff000, "damaged ELF"},
        {offsetof(Elf32_Ehdr, e_phnum), 2, 500, "damaged ELF"},
        {offsetof(Elf32_Ehdr, e_phnum), 2, 0, "damaged ELF"},
        {52 + offsetof(Elf32_Phdr, p_offset), 4, 0x10000, "outside the file"},
        {52 + offsetof(Elf32_Phdr, p_filesz), 4, 0x7fffffff, "larger in the file"},
        {52 + offsetof(Elf32_Phdr, p_memsz), 4, 0x7fffffff, "does not fit"},
        {52 + offsetof(Elf32_Phdr, p_paddr), 4, 0xfffff000, "does not fit"},
        {52 + offsetof(Elf32_Phdr, p_paddr), 4, 0xa0000, "does not fit"},
        {52 + offsetof(Elf32_Phdr, p_paddr), 4, 0x8f000, "where the boot information goes"},
        {52 + offsetof(Elf32_Phdr, p_type), 4, PT_NULL, "no segment to load"},
        {84 + offsetof(Elf32_Phdr, p_offset), 4, 0x10000, "notes lie outside"},
        {84 + offsetof(Elf32_Phdr, p_type), 4, PT_NULL, "neither a multiboot header nor a PVH"},
        {NOTE_OFFSET + 4, 4, 2, "wrong size"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *kernel = make_elf(false, true);
        struct boot_source source;
        struct boot_image image;
        struct error error = {0};

        boot_put(kernel + cases[i].offset, cases[i].size, cases[i].value);
        boot_fake_init(&source, kernel, FILE_BYTES);
        if (elf_image_load(&source, &image, &error))
            fail_msg("case %zu (%s): accepted", i, cases[i].message);
        if (strstr(error.text, cases[i].message) == NULL)
            fail_msg("case %zu: says \"%s\"", i, error.text);
        assert_int_equal(image.count, 0);
        test_free(kernel);
    }
}

static void test_unknown_multiboot_flags(void **state)
{
    uint8_t *kernel = make_elf(false, false);
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};

    (void)state;
    put_multiboot(kernel + TEXT_OFFSET, 0x8001);
    boot_fake_init(&source, kernel, FILE_BYTES);
    assert_false(elf_image_load(&source, &image, &error));
    assert_non_null(strstr(error.text, "flags 0x8000"));
    test_free(kernel);
}

static void test_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < FILE_BYTES; size += 3) {
        uint8_t *whole = make_elf(size & 1, true), *kernel = test_malloc(size + !size);
        struct boot_source source;
        struct boot_image image;
        struct error error = {0};

        if (size % 2 == 0)
            put_multiboot(whole + TEXT_OFFSET, 3);
        memcpy(kernel, whole, size);
        boot_fake_init(&source, kernel, size);
        if (elf_image_load(&source, &image, &error))
            boot_image_free(&image);
        else
            assert_true(error.text[0] != '\0');
        test_free(whole);
        test_free(kernel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiboot_elf), cmocka_unit_test(test_multiboot_flat),
        cmocka_unit_test(test_pvh),           cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_truncation),    cmocka_unit_test(test_unknown_multiboot_flags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
