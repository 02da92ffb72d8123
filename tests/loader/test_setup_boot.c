/*
 * tests/loader/test_setup_boot.c -- when a Linux kernel is started by its own code, and with what.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpuid.h"
#include "loader/setup_boot.h"
#include "tests/loader/kernel_fake.h"

#define RAM_BYTES ((uint64_t)FAKE_RAM_MIB << 20)

/* 32-bit, compressed. */
static uint8_t *make_kernel(void)
{
    uint8_t *k = fake_kernel();

    boot_put(k + 0x24c, 4, 100);
    return k;
}

static bool wanted(uint8_t *kernel, const char *cpu, char *reason, size_t size)
{
    const struct file file = {.path = "kernel", .bytes = kernel, .size = KERNEL_BYTES};
    struct cpu_model model;
    char message[1536];

    if (!cpu_model_parse(cpu, 1000000000, &model, message, sizeof(message)))
        fail_msg("%s", message);
    return setup_boot_wanted(&file, &model, reason, size);
}

static void test_who_decides(void **state)
{
    static const struct {
        const char *cpu;
        bool is_64bit, wanted;
        const char *reason;
    } cases[] = {
        {"max", false, false, ""},
        {"max", true, false, ""},
        {"qemu64", true, false, ""},
        {"pentium3", false, false, ""},
        {"qemu32", false, false, ""},
        {"qemu32", true, true, "no long mode"},
        {"pentium3", true, true, "kernel is a 64-bit kernel, and -cpu pentium3 has no long mode"},
        {"max,-lm", true, true, "no long mode"},
        {"486", false, true, "tsc msr cx8 cmov pae"},
        {"max,-sse2", true, true, "(not there: sse2)"},
        {"max,-sse2", false, false, ""},
        {"max,-pae", false, true, "pae"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *kernel = make_kernel();
        char reason[256];

        boot_put(kernel + 0x236, 2, cases[i].is_64bit);
        if (wanted(kernel, cases[i].cpu, reason, sizeof(reason)) != cases[i].wanted)
            fail_msg("case %zu: %s", i, reason);
        if (strstr(reason, cases[i].reason) == NULL || (cases[i].reason[0] == '\0' && reason[0]))
            fail_msg("case %zu says \"%s\"", i, reason);
        test_free(kernel);
    }
}

/* What has no payload of a compressed Linux may have no 32-bit entry: nothing to warn of. */
static void test_other_users_of_the_format(void **state)
{
    uint8_t *kernel = make_kernel();
    char reason[256];

    (void)state;
    boot_put(kernel + 0x24c, 4, 0);
    assert_true(wanted(kernel, "max", reason, sizeof(reason)));
    assert_string_equal(reason, "");
    boot_put(kernel + 0x24c, 4, 100);
    boot_put(kernel + 0x206, 2, 0x0207);
    assert_true(wanted(kernel, "max", reason, sizeof(reason)));
    /* A file that is no kernel is for the loaders to refuse. */
    kernel[0x202] = 0;
    assert_false(wanted(kernel, "486", reason, sizeof(reason)));
    test_free(kernel);
}

static const struct pc_fw_item *item(const struct setup_boot *boot, uint16_t key)
{
    for (size_t i = 0; i < SETUP_ITEMS; i++)
        if (boot->items[i].file == NULL && boot->items[i].key == key)
            return &boot->items[i];
    fail_msg("no item %x", key);
    return NULL;
}

static uint32_t number(const struct setup_boot *boot, uint16_t key)
{
    assert_int_equal(item(boot, key)->size, 4);
    return boot_get(item(boot, key)->data, 4);
}

static const struct pc_fw_item *file_item(const struct setup_boot *boot, const char *name)
{
    for (size_t i = 0; i < SETUP_ITEMS; i++)
        if (boot->items[i].file != NULL && !strcmp(boot->items[i].file, name))
            return &boot->items[i];
    fail_msg("no file %s", name);
    return NULL;
}

static uint8_t sum(const uint8_t *bytes, size_t size)
{
    uint8_t total = 0;

    for (size_t i = 0; i < size; i++)
        total = (uint8_t)(total + bytes[i]);
    return total;
}

static void test_items(void **state)
{
    uint8_t *kernel = make_kernel(), initrd[5000] = "initrd";
    struct boot_source source;
    struct setup_boot boot;
    struct error error = {0};
    const uint8_t *setup, *rom;

    (void)state;
    boot_fake_init(&source, kernel, KERNEL_BYTES);
    source.cmdline = "console=ttyS0";
    source.modules[0].file = (struct file){.path = "initrd", .bytes = initrd, .size = 5000};
    source.module_count = 1;
    if (!setup_boot_make(&source, RAM_BYTES, &boot, &error))
        fail_msg("%s", error.text);
    assert_int_equal(number(&boot, 0x07), 0x100000);
    assert_int_equal(number(&boot, 0x08), CODE_BYTES);
    assert_memory_equal(item(&boot, 0x11)->data, kernel + SETUP_BYTES, CODE_BYTES);
    assert_int_equal(number(&boot, 0x0a), RAM_BYTES - (1 << 20) - 0x2000);
    assert_int_equal(number(&boot, 0x0b), 5000);
    assert_string_equal(item(&boot, 0x15)->data, "console=ttyS0");
    assert_int_equal(number(&boot, 0x14), sizeof("console=ttyS0"));
    setup = item(&boot, 0x18)->data;
    assert_int_equal(number(&boot, 0x17), SETUP_BYTES);
    assert_int_equal(setup[0x210], 0xff);
    assert_int_equal(setup[0x211], 0x81);
    assert_int_equal(boot_get(setup + 0x228, 4), number(&boot, 0x13));
    assert_int_equal(boot_get(setup + 0x218, 4), number(&boot, 0x0a));
    assert_int_equal(boot_get(setup + 0x21c, 4), 5000);
    assert_int_equal(boot_get(setup + 0x1fa, 2), 0xffff);
    rom = file_item(&boot, "genroms/linuxboot.bin")->data;
    assert_int_equal(rom[0] | rom[1] << 8, 0xaa55);
    assert_int_equal(rom[2] * 512u, file_item(&boot, "genroms/linuxboot.bin")->size);
    assert_int_equal(sum(rom, rom[2] * 512u), 0);
    assert_memory_equal(rom + boot_get(rom + 0x1a, 2), "$PnP", 4);
    assert_int_equal(sum(rom + 0x20, 32), 0);
    assert_memory_equal(file_item(&boot, "bootorder")->data, "/rom@genroms/linuxboot.bin\n", 27);
    setup_boot_free(&boot);
    test_free(kernel);
}

static void test_refusals(void **state)
{
    static const struct {
        unsigned offset, size;
        uint32_t value;
        uint64_t ram_bytes, initrd_bytes;
        const char *message;
    } cases[] = {
        {0x1f1, 1, 1, 16 << 20, 0, "MiB of RAM"},
        {0x1f1, 1, 1, 4096, 0, "MiB of RAM"},
        {0x22c, 4, 0x1ffffff, RAM_BYTES, 16 << 20, "initrd: 17 MiB do not fit"},
        {0x22c, 4, 0, RAM_BYTES, 100, "do not fit"},
        {0x238, 4, 3, RAM_BYTES, 0, "-append"},
        {0x1f1, 1, 255, RAM_BYTES, 0, "ends in its setup code"},
        {0x260, 4, 0xffffffff, RAM_BYTES, 0, "MiB of RAM"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *kernel = make_kernel();
        struct boot_source source;
        struct setup_boot boot;
        struct error error = {0};

        boot_put(kernel + cases[i].offset, cases[i].size, cases[i].value);
        boot_fake_init(&source, kernel, KERNEL_BYTES);
        source.cmdline = "quiet";
        source.modules[0].file = (struct file){.path = "initrd", .size = cases[i].initrd_bytes};
        source.module_count = cases[i].initrd_bytes != 0;
        if (setup_boot_make(&source, cases[i].ram_bytes, &boot, &error))
            fail_msg("case %zu (%s): accepted", i, cases[i].message);
        if (strstr(error.text, cases[i].message) == NULL)
            fail_msg("case %zu: says \"%s\"", i, error.text);
        setup_boot_free(&boot);
        test_free(kernel);
    }
}

/* 64 KiB of real-mode code do not leave room for a heap. */
static void test_video_mode(void **state)
{
    static const struct {
        const char *cmdline;
        uint16_t mode; /* 0xFFFF: none */
    } rows[] = {
        {"", 0xFFFF},
        {"quiet", 0xFFFF},
        {"vga=791 quiet", 791},
        {"a vga=0x317", 0x317},
        {"vga=normal", 0xFFFF},
        {"vga=ask", 0xFFFD},
        {"x vga=ext y", 0xFFFE},
        {"vga=791 vga=normal", 0xFFFF},
        {"vga=70000", 0xFFFF},
        {"vga=", 0xFFFF},
        {"vga=12x", 0xFFFF},
        {"novga=5", 0xFFFF},
        {"vga=1 vga=2", 2},
        {"vga=exte", 0xFFFF},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint16_t mode = 0;

        assert_int_equal(setup_boot_video_mode(rows[i].cmdline, &mode), rows[i].mode != 0xFFFF);
        assert_int_equal(mode, rows[i].mode);
    }
}

static void test_setup_too_long(void **state)
{
    enum { LONG_SETUP = (0x80 + 1) * 512 };
    uint8_t *small = make_kernel(), *kernel = test_calloc(1, LONG_SETUP + CODE_BYTES);
    struct boot_source source;
    struct setup_boot boot;
    struct error error = {0};

    (void)state;
    memcpy(kernel, small, SETUP_BYTES);
    kernel[0x1f1] = 0x80;
    boot_fake_init(&source, kernel, LONG_SETUP + CODE_BYTES);
    assert_false(setup_boot_make(&source, RAM_BYTES, &boot, &error));
    assert_non_null(strstr(error.text, "real-mode code"));
    setup_boot_free(&boot);
    test_free(small);
    test_free(kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_decides),    cmocka_unit_test(test_other_users_of_the_format),
        cmocka_unit_test(test_items),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_setup_too_long), cmocka_unit_test(test_video_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
