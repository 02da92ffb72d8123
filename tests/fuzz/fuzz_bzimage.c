/*
 * tests/fuzz/fuzz_bzimage.c -- libFuzzer: any bytes as a Linux kernel.
 *
 * tests/fuzz/fuzz_boot.h says what must hold.
 */
#include <stdlib.h>

#include "loader/bzimage.h"
#include "tests/fuzz/fuzz_boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    /* Half of the inputs get past the first checks, which random bytes hardly ever do. */
    if (size > 0x300 && !(data[0] & 1)) {
        boot_put(copy + 0x1fe, 2, 0xaa55);
        copy[0x200] = 0xeb;
        memcpy(copy + 0x202, "HdrS", 4);
        copy[0x207] = 2;
        copy[0x211] |= 1;
    }
    fuzz_boot(bzimage_load, copy, size);
    free(copy);
    return 0;
}
