/*
 * tests/fuzz/fuzz_bzimage.c -- libFuzzer: any bytes as a Linux kernel.
 *
 * The loader must refuse or produce pieces that lie in RAM and point into live memory; every byte
 * that would be copied to the guest is read (ASan sees what is not ours).
 */
#include <stdlib.h>

#include "loader/bzimage.h"
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
    /* Half of the inputs get past the first checks, which random bytes hardly ever do. */
    if (size > 0x300 && !(data[0] & 1)) {
        boot_put(copy + 0x1fe, 2, 0xaa55);
        copy[0x200] = 0xeb;
        memcpy(copy + 0x202, "HdrS", 4);
        copy[0x207] = 2;
        copy[0x211] |= 1;
    }
    boot_fake_init(&source, copy, size);
    source.modules[0] = (struct boot_module){{"initrd", copy, size}, "initrd text"};
    source.module_count = size > 0;
    if (bzimage_load(&source, &image, &error)) {
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
