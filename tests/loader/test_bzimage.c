/*
 * tests/loader/test_bzimage.c -- the Linux boot protocol: what the kernel is told, and what is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "loader/bzimage.h"
#include "tests/loader/kernel_fake.h"

static void test_boot_parameters(void **state)
{
    uint8_t *kernel = fake_kernel(), initrd[5000] = "initrd";
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};
    const uint8_t *bp;
    uint32_t initrd_at;

    (void)state;
    boot_fake_init(&source, kernel, KERNEL_BYTES);
    source.cmdline = "console=ttyS0";
    source.modules[0].file = (struct file){.path = "initrd", .bytes = initrd, .size = 5000};
    source.module_count = 1;
    if (!bzimage_load(&source, &image, &error))
        fail_msg("%s", error.text);
    assert_int_equal(image.eip, 0x100000);
    bp = boot_fake_at(&image, image.esi);
    assert_non_null(bp);
    assert_memory_equal(bp + 0x202, "HdrS", 4);
    assert_int_equal(bp[0x210], 0xff);
    assert_int_equal(boot_get(bp + 0x1fa, 2), 0xffff);
    assert_string_equal((const char *)boot_fake_at(&image, boot_get(bp + 0x228, 4)),
                        "console=ttyS0");
    assert_int_equal(boot_get(bp + 0x070, 4), FAKE_RSDP);
    assert_int_equal(bp[0x1e8], 5);
    assert_int_equal(boot_get(bp + 0x2d0 + 3 * 20, 4), 0x100000);
    assert_int_equal(boot_get(bp + 0x2d0 + 4 * 20 + 16, 4), 3);
    /* The initrd is as high as RAM goes, on a page, below the ACPI tables. */
    initrd_at = boot_get(bp + 0x218, 4);
    assert_int_equal(boot_get(bp + 0x21c, 4), 5000);
    assert_int_equal(initrd_at, (FAKE_RAM_MIB << 20) - 0x20000 - 0x2000);
    assert_memory_equal(boot_fake_at(&image, initrd_at), "initrd", 6);
    assert_int_equal(boot_fake_piece(&image, 0x100000)->size, CODE_BYTES);
    assert_int_equal(boot_get(boot_fake_at(&image, image.gdt) + 0x10, 4), 0x0000ffff);
    assert_int_equal(boot_get(boot_fake_at(&image, image.gdt) + 0x14, 4), 0x00cf9b00);
    boot_image_free(&image);
    test_free(kernel);
}

/* initrd_addr_max and the kernel's own run area bound the initrd. */
static void test_initrd_limits(void **state)
{
    uint8_t *kernel = fake_kernel(), *initrd = test_calloc(1, 40 << 20);
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};

    (void)state;
    boot_fake_init(&source, kernel, KERNEL_BYTES);
    source.modules[0].file = (struct file){.path = "initrd", .bytes = initrd, .size = 8 << 20};
    source.module_count = 1;
    boot_put(kernel + 0x22c, 4, 0x2ffffff);
    assert_true(bzimage_load(&source, &image, &error));
    assert_int_equal(boot_get(boot_fake_at(&image, image.esi) + 0x218, 4), 0x2800000);
    boot_image_free(&image);
    source.modules[0].file.size = 40 << 20;
    assert_false(bzimage_load(&source, &image, &error));
    assert_non_null(strstr(error.text, "initrd: 41 MiB do not fit"));
    test_free(initrd);
    test_free(kernel);
}

static void test_refusals(void **state)
{
    static const struct {
        unsigned offset, size;
        uint32_t value;
        const char *message;
    } cases[] = {
        {0x202, 4, 0, "not a Linux kernel"},
        {0x1fe, 2, 0, "signature"},
        {0x206, 2, 0x0201, "2.01 is too old"},
        {0x206, 2, 0x1000, "is not known"},
        {0x1f1, 1, 255, "ends in its setup code"},
        {0x200, 2, 0x10eb, "no valid length"},
        {0x200, 2, 0xffe9, "no valid length"},
        {0x211, 1, 0, "a zImage"},
        {0x1f4, 4, 0xffffffff, "truncated"},
        {0x1f4, 4, CODE_BYTES / 16 + 1, "truncated"},
        {0x214, 4, 0x10000, "wants to be loaded at"},
        {0x214, 4, 0xfffff000, "needs"},
        {0x258, 4, 0xffffffff, "needs"},
        {0x25c, 4, 0xffffffff, "needs"},
        {0x260, 4, 0xffffffff, "needs"},
        {0x23c, 4, 1, "another machine"},
        {0x238, 4, 3, "-append"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *kernel = fake_kernel();
        struct boot_source source;
        struct boot_image image;
        struct error error = {0};

        boot_put(kernel + cases[i].offset, cases[i].size, cases[i].value);
        boot_fake_init(&source, kernel, KERNEL_BYTES);
        source.cmdline = "quiet";
        if (bzimage_load(&source, &image, &error))
            fail_msg("case %zu (%s): accepted", i, cases[i].message);
        if (strstr(error.text, cases[i].message) == NULL)
            fail_msg("case %zu: says \"%s\"", i, error.text);
        assert_int_equal(image.count, 0);
        test_free(kernel);
    }
}

/* Every truncation is an error or, at full length, a kernel; never a read past the end (ASan). */
static void test_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size <= KERNEL_BYTES; size += size < 0x300 ? 1 : 37) {
        uint8_t *whole = fake_kernel(), *kernel = test_malloc(size + !size);
        struct boot_source source;
        struct boot_image image;
        struct error error = {0};

        memcpy(kernel, whole, size);
        boot_fake_init(&source, kernel, size);
        if (bzimage_load(&source, &image, &error))
            boot_image_free(&image);
        else
            assert_true(error.text[0] != '\0');
        test_free(whole);
        test_free(kernel);
    }
}

/* iPXE's header has no code32_start: the code goes where all bzImages go. */
static void test_no_code32_start(void **state)
{
    uint8_t *kernel = fake_kernel();
    const struct file file = {.path = "kernel", .bytes = kernel, .size = KERNEL_BYTES};
    struct bzimage_header header;
    struct error error = {0};

    (void)state;
    boot_put(kernel + 0x214, 4, 0);
    assert_true(bzimage_check(&file, &header, &error));
    assert_int_equal(header.load_at, 0x100000);
    test_free(kernel);
}

/* Protocol 2.02: no initrd_addr_max, no cmdline_size, 16-bit syssize. */
static void test_old_protocol(void **state)
{
    uint8_t *kernel = fake_kernel();
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};

    (void)state;
    boot_put(kernel + 0x206, 2, 0x0202);
    kernel[0x201] = 0x2c - 2;
    boot_put(kernel + 0x1f6, 2, 0xffff);
    boot_fake_init(&source, kernel, KERNEL_BYTES);
    assert_true(bzimage_load(&source, &image, &error));
    assert_int_equal(boot_fake_piece(&image, 0x100000)->size, CODE_BYTES);
    boot_image_free(&image);
    test_free(kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boot_parameters), cmocka_unit_test(test_initrd_limits),
        cmocka_unit_test(test_refusals),        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_old_protocol),    cmocka_unit_test(test_no_code32_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
