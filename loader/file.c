/*
 * loader/file.c -- reading a whole file that the user named.
 */
#include "loader/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_READ_BYTES = 64 * 1024 };

/* Append until the end of the file.  One byte more than the limit is asked for, to notice it. */
static bool read_all(int fd, size_t hint_bytes, size_t max_bytes, struct file *out,
                     struct error *error)
{
    size_t room = hint_bytes;

    out->bytes = malloc(room);
    while (out->bytes != NULL) {
        ssize_t got;

        if (out->size == room) {
            const size_t larger = room > max_bytes / 2 ? max_bytes + 1 : room * 2;
            uint8_t *moved = realloc(out->bytes, larger);

            if (moved == NULL)
                break;
            out->bytes = moved;
            room = larger;
        }
        got = read(fd, out->bytes + out->size, room - out->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, "%s: %s", out->path, strerror(errno));
        if (got == 0)
            return out->size > 0 || error_set(error, "%s: the file is empty", out->path);
        out->size += (size_t)got;
        if (out->size > max_bytes)
            return error_set(error, "%s: larger than the %zu MiB that are accepted here", out->path,
                             max_bytes >> 20);
    }
    return error_set(error, "%s: not enough host memory to read it", out->path);
}

bool file_read(const char *path, size_t max_bytes, struct file *out, struct error *error)
{
    struct stat st;
    size_t hint_bytes = FIRST_READ_BYTES;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok;

    *out = (struct file){.path = path};
    if (fd < 0)
        return error_set(error, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0) {
        ok = error_set(error, "%s: %s", path, strerror(errno));
    } else if (S_ISDIR(st.st_mode)) {
        ok = error_set(error, "%s: is a directory", path);
    } else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max_bytes) {
        ok = error_set(error, "%s: %lld MiB, larger than the %zu MiB that are accepted here", path,
                       (long long)st.st_size >> 20, max_bytes >> 20);
    } else {
        if (S_ISREG(st.st_mode) && st.st_size > 0)
            hint_bytes = (size_t)st.st_size + 1;
        if (hint_bytes > max_bytes + 1)
            hint_bytes = max_bytes + 1;
        ok = read_all(fd, hint_bytes, max_bytes, out, error);
    }
    close(fd);
    if (!ok)
        file_free(out);
    return ok;
}

void file_free(struct file *file)
{
    free(file->bytes);
    file->bytes = NULL;
    file->size = 0;
}
