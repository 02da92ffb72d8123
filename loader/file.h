/*
 * loader/file.h -- reading a whole file that the user named, with a limit and a clear error.
 */
#ifndef RINGER_LOADER_FILE_H
#define RINGER_LOADER_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "loader/error.h"

struct file {
    const char *path; /* not owned */
    uint8_t *bytes;
    size_t size;
};

/*
 * Read `path`, at most max_bytes.  Devices and pipes are read to their end.  An empty file, a
 * directory, and one that is larger are errors.
 */
bool file_read(const char *path, size_t max_bytes, struct file *out, struct error *error);
void file_free(struct file *file);

#endif
