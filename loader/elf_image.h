/*
 * loader/elf_image.h -- kernels that are entered in 32-bit protected mode: multiboot 1 (ELF of
 * either class, or any file with the header's address fields) and ELF with a PVH entry note.
 */
#ifndef RINGER_LOADER_ELF_IMAGE_H
#define RINGER_LOADER_ELF_IMAGE_H

#include "loader/boot_image.h"

/* Fill *image; the error says when the file is none of these. */
bool elf_image_load(const struct boot_source *source, struct boot_image *image,
                    struct error *error);

#endif
