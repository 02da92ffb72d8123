/*
 * tests/loader/kernel_fake.h -- a bzImage that is all header; for test files that include cmocka.h
 * first.
 */
#ifndef RINGER_TESTS_LOADER_KERNEL_FAKE_H
#define RINGER_TESTS_LOADER_KERNEL_FAKE_H

#include <string.h>

#include "tests/loader/boot_fake.h"

enum { SETUP_BYTES = 2 * 512, CODE_BYTES = 4096, KERNEL_BYTES = SETUP_BYTES + CODE_BYTES };

/* A minimal valid bzImage of protocol 2.15; free with test_free(). */
static inline uint8_t *fake_kernel(void)
{
    uint8_t *k = test_calloc(1, KERNEL_BYTES);

    k[0x1f1] = 1;
    boot_put(k + 0x1f4, 4, CODE_BYTES / 16);
    boot_put(k + 0x1fe, 2, 0xaa55);
    k[0x200] = 0xeb;
    k[0x201] = 0x6c - 2;
    memcpy(k + 0x202, "HdrS", 4);
    boot_put(k + 0x206, 2, 0x020f);
    k[0x211] = 1;
    boot_put(k + 0x214, 4, 0x100000);
    boot_put(k + 0x22c, 4, 0x7fffffff);
    boot_put(k + 0x230, 4, 0x200000);
    k[0x234] = 1;
    boot_put(k + 0x238, 4, 2047);
    boot_put(k + 0x258, 8, 0x1000000);
    boot_put(k + 0x260, 4, 0x800000);
    memset(k + SETUP_BYTES, 0x90, CODE_BYTES);
    return k;
}

#endif
