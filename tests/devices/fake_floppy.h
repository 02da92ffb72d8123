/*
 * tests/devices/fake_floppy.h -- floppy images in memory, and a guest that drives the controller.
 */
#ifndef RINGER_TESTS_DEVICES_FAKE_FLOPPY_H
#define RINGER_TESTS_DEVICES_FAKE_FLOPPY_H

#include "fake.h"

#include "devices/block.h"
#include "devices/i8237.h"
#include "devices/i82077.h"

enum { FLOPPY_144 = 80 * 2 * 18 * 512, FLOPPY_72 = 80 * 2 * 9 * 512, IMAGE_MAX = 80 * 2 * 36 * 512 };

struct fake_image {
    struct block_backend backend;
    uint8_t *bytes;
    int error;                      /* what the next requests end with */
    bool later;                     /* requests wait for fake_image_finish() */
    struct block_request *waiting;  /* one at a time */
    unsigned cancelled, reads, writes;
};

static inline void fake_image_do(struct fake_image *image, struct block_request *request)
{
    uint64_t at = request->offset;

    assert_true(request->size != 0 && request->size % BLOCK_SECTOR == 0);
    assert_true(at % BLOCK_SECTOR == 0 && at + request->size <= image->backend.size_bytes);
    assert_true(request->op == BLOCK_READ || !image->backend.read_only);
    image->reads += request->op == BLOCK_READ;
    image->writes += request->op == BLOCK_WRITE;
    for (unsigned i = 0; image->error == 0 && i < request->iov_count; i++) {
        if (request->op == BLOCK_READ)
            memcpy(request->iov[i].iov_base, image->bytes + at, request->iov[i].iov_len);
        else
            memcpy(image->bytes + at, request->iov[i].iov_base, request->iov[i].iov_len);
        at += request->iov[i].iov_len;
    }
    request->done(request, image->error);
}

static inline void fake_image_submit(void *ctx, struct block_request *request)
{
    struct fake_image *image = ctx;

    assert_true(image->backend.inserted);
    assert_null(image->waiting);
    if (image->later)
        image->waiting = request;
    else
        fake_image_do(image, request);
}

static inline void fake_image_cancel(void *ctx, struct block_request *request)
{
    struct fake_image *image = ctx;

    assert_ptr_equal(image->waiting, request);
    image->waiting = NULL;
    image->cancelled++;
}

static inline void fake_image_finish(struct fake_image *image)
{
    struct block_request *request = image->waiting;

    image->waiting = NULL;
    if (request != NULL)
        fake_image_do(image, request);
}

static inline void fake_image_drain(void *ctx)
{
    fake_image_finish(ctx);
}

static const struct block_ops fake_image_ops = {
    .submit = fake_image_submit, .cancel = fake_image_cancel, .drain = fake_image_drain};

/* Another medium, or none (size 0).  Its sectors carry their number in each byte pair. */
static inline void fake_image_insert(struct fake_image *image, uint64_t size_bytes, bool read_only)
{
    if (image->backend.drive_ops != NULL)
        image->backend.drive_ops->medium_leaving(image->backend.drive);
    image->backend.inserted = size_bytes != 0;
    image->backend.size_bytes = size_bytes;
    image->backend.read_only = read_only;
    for (uint64_t i = 0; i < size_bytes; i++)
        image->bytes[i] = (uint8_t)(i % 2 == 0 ? i / 512 : i / 512 >> 8);
    if (image->backend.drive_ops != NULL)
        image->backend.drive_ops->medium_changed(image->backend.drive);
}

static inline void fake_image_open(struct fake_image *image, uint64_t size_bytes)
{
    memset(image, 0, sizeof(*image));
    image->bytes = calloc(1, IMAGE_MAX);
    assert_non_null(image->bytes);
    image->backend.ops = &fake_image_ops;
    image->backend.ctx = image;
    fake_image_insert(image, size_bytes, false);
}

static inline void fake_image_close(struct fake_image *image)
{
    assert_null(image->backend.drive_ops); /* the drive has let go */
    free(image->bytes);
}

#endif
