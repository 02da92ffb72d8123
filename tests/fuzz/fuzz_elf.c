/*
 * tests/fuzz/fuzz_elf.c -- libFuzzer: any bytes as -kernel through the multiboot/PVH loader.
 *
 * The loader must refuse or produce pieces that lie in RAM and point into live memory; every byte
 * that would be copied to the guest is read (ASan sees what is not ours).
 */
#include <stdlib.h>

#include "loader/elf_image.h"
#include "tests/loader/boot_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    uint8_t sum = 0;
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};

    if (copy == NULL)
        return 0;
    memcpy(copy, data, size);
    boot_fake_init(&source, copy, size);
    source.modules[0] = (struct boot_module){{"initrd", copy, size}, "initrd text"};
    source.module_count = size > 0;
    if (elf_image_load(&source, &image, &error)) {
        for (size_t i = 0; i < image.count; i++) {
            const struct boot_piece *piece = &image.pieces[i];

            if (!boot_image_is_ram(&source, piece->address, piece->size + piece->zero_bytes))
                abort();
            for (uint64_t at = 0; at < piece->size; at++)
                sum ^= piece->data[at];
        }
        __asm__ volatile("" : : "r"(sum)); /* the reads must happen */
        boot_image_free(&image);
    } else if (error.text[0] == '\0') {
        abort();
    }
    free(copy);
    return 0;
}
