/*
 * loader/image_iov.c -- pieces of memory: slices of them, copies from and to them.
 */
#include <string.h>

#include "loader/image_store.h"

unsigned iov_slice(const struct iovec *iov, unsigned iov_count, uint64_t skip, uint64_t size,
                   struct iovec *out, unsigned max, uint64_t *covered)
{
    unsigned used = 0;

    *covered = 0;
    for (unsigned i = 0; i < iov_count && used < max && *covered < size; i++) {
        uint64_t length = iov[i].iov_len;

        if (skip >= length) {
            skip -= length;
            continue;
        }
        length -= skip;
        if (length > size - *covered)
            length = size - *covered;
        out[used++] =
            (struct iovec){.iov_base = (uint8_t *)iov[i].iov_base + skip, .iov_len = length};
        skip = 0;
        *covered += length;
    }
    return used;
}

/* Copy between `buffer` and bytes [skip, skip + size) of the pieces; returns how many there were.
 */
static uint64_t copy(const struct iovec *iov, unsigned iov_count, uint64_t skip, uint8_t *buffer,
                     uint64_t size, bool to_buffer)
{
    uint64_t done = 0;

    for (unsigned i = 0; i < iov_count && done < size; i++) {
        uint64_t length = iov[i].iov_len;
        uint8_t *piece = iov[i].iov_base;

        if (skip >= length) {
            skip -= length;
            continue;
        }
        piece += skip;
        length -= skip;
        if (length > size - done)
            length = size - done;
        memcpy(to_buffer ? buffer + done : piece, to_buffer ? piece : buffer + done, length);
        skip = 0;
        done += length;
    }
    return done;
}

void iov_gather(const struct iovec *iov, unsigned iov_count, uint64_t skip, void *to, uint64_t size)
{
    const uint64_t done = copy(iov, iov_count, skip, to, size, true);

    memset((uint8_t *)to + done, 0, size - done); /* in case the pieces are shorter than was said */
}

void iov_scatter(const struct iovec *iov, unsigned iov_count, uint64_t skip, const void *from,
                 uint64_t size)
{
    copy(iov, iov_count, skip, (uint8_t *)(uintptr_t)from, size, false);
}
