/*
 * loader/bzimage.h -- the Linux kernel's bzImage, by the x86 boot protocol.
 */
#ifndef RINGER_LOADER_BZIMAGE_H
#define RINGER_LOADER_BZIMAGE_H

#include "loader/boot_image.h"

/* Does the file carry a Linux setup header? */
bool bzimage_probe(const struct file *kernel);
/* Fill *image.  On failure the error names the file and what is wrong with it. */
bool bzimage_load(const struct boot_source *source, struct boot_image *image, struct error *error);

#endif
