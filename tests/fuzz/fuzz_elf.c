/*
 * tests/fuzz/fuzz_elf.c -- libFuzzer: any bytes as -kernel through the multiboot/PVH loader.
 *
 * tests/fuzz/fuzz_boot.h says what must hold.
 */
#include <stdlib.h>

#include "loader/elf_image.h"
#include "tests/fuzz/fuzz_boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);

    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    fuzz_boot(elf_image_load, copy, size);
    free(copy);
    return 0;
}
