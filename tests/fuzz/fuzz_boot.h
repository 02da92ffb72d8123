/*
 * tests/fuzz/fuzz_boot.h -- what the fuzzers of the kernel loaders share.
 *
 * A loader must refuse, saying why, or produce pieces that lie in RAM and point into live memory;
 * every byte that would be copied to the guest is read (ASan sees what is not ours).
 */
#ifndef RINGER_TESTS_FUZZ_BOOT_H
#define RINGER_TESTS_FUZZ_BOOT_H

#include <stdlib.h>

#include "tests/loader/boot_fake.h"

typedef bool (*fuzz_boot_load_fn)(const struct boot_source *source, struct boot_image *image,
                                  struct error *error);

/* The bytes as a kernel, and as its initrd. */
static inline void fuzz_boot(fuzz_boot_load_fn load, uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;
    struct boot_source source;
    struct boot_image image;
    struct error error = {0};

    boot_fake_init(&source, bytes, size);
    source.modules[0] = (struct boot_module){{"initrd", bytes, size}, "initrd text"};
    source.module_count = size > 0;
    if (load(&source, &image, &error)) {
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
}

#endif
