/*
 * tests/loader/image_fake.h -- a drive on an image, without a machine: it submits and waits.
 */
#ifndef RINGER_TESTS_LOADER_IMAGE_FAKE_H
#define RINGER_TESTS_LOADER_IMAGE_FAKE_H

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/image.h"

enum { FAKE_PENDING = 1, FAKE_WAIT_MS = 20000 };

static char fake_dir[64]; /* each test program's own */

static inline const char *fake_path(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *at = path[next++ % 4];

    snprintf(at, sizeof(path[0]), "%s/%s", fake_dir, name);
    return at;
}

static inline int fake_setup(void **state)
{
    (void)state;
    strcpy(fake_dir, "/tmp/ringer-test-XXXXXX");
    return mkdtemp(fake_dir) != NULL ? 0 : -1;
}

static inline int fake_teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", fake_dir);
    return system(command);
}

/* A file of `size` bytes; contents by position and seed. */
static inline uint8_t fake_byte(uint64_t position, unsigned seed)
{
    return (uint8_t)(position * 7 + position / 251 + seed);
}

static inline const char *fake_file(const char *name, size_t size, unsigned seed)
{
    const char *path = fake_path(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        fputc(fake_byte(i, seed), file);
    assert_int_equal(fclose(file), 0);
    return path;
}

static inline struct image_spec fake_spec(const char *path, const char *format)
{
    struct image_spec spec = {0};

    snprintf(spec.file, sizeof(spec.file), "%s", path);
    snprintf(spec.format, sizeof(spec.format), "%s", format);
    return spec;
}

static inline struct image *fake_open(struct image_host *host, const struct image_spec *spec)
{
    struct error error = {0};
    struct image *image = image_open(host, "drive", spec, false, &error);

    if (image == NULL)
        fail_msg("%s", error.text);
    return image;
}

static inline void fake_refused(struct image_host *host, const struct image_spec *spec,
                                const char *message)
{
    struct error error = {0};

    if (image_open(host, "drive", spec, false, &error) != NULL)
        fail_msg("%s: accepted", message);
    if (strstr(error.text, message) == NULL)
        fail_msg("wanted \"%s\", got \"%s\"", message, error.text);
}

static inline void fake_done(struct block_request *request, int error)
{
    *(int *)request->ctx = error;
}

/* Serve completions until *status is no longer FAKE_PENDING. */
static inline void fake_wait(struct image_host *host, const int *status)
{
    struct pollfd entry = {.fd = image_host_fd(host), .events = POLLIN};

    while (*status == FAKE_PENDING) {
        if (poll(&entry, 1, FAKE_WAIT_MS) != 1)
            fail_msg("a request did not end");
        image_host_ready(host, entry.fd);
    }
}

/* Serve completions until *count has come up to `wanted`. */
static inline void fake_wait_until(struct image_host *host, const unsigned *count, unsigned wanted)
{
    struct pollfd entry = {.fd = image_host_fd(host), .events = POLLIN};

    while (*count < wanted) {
        if (poll(&entry, 1, FAKE_WAIT_MS) != 1)
            fail_msg("a request did not fail");
        image_host_ready(host, entry.fd);
    }
}

static inline int fake_io_pieces(struct image_host *host, struct image *image, enum block_op op,
                                 uint64_t offset, uint64_t size, const struct iovec *iov,
                                 unsigned count)
{
    struct block_backend *backend = image_backend(image);
    int status = FAKE_PENDING;
    struct block_request request = {.op = op,
                                    .offset = offset,
                                    .size = size,
                                    .iov = iov,
                                    .iov_count = count,
                                    .done = fake_done,
                                    .ctx = &status};

    backend->ops->submit(backend->ctx, &request);
    fake_wait(host, &status);
    return status;
}

static inline int fake_io(struct image_host *host, struct image *image, enum block_op op,
                          uint64_t offset, void *buffer, uint64_t size)
{
    const struct iovec iov = {.iov_base = buffer, .iov_len = size};

    return fake_io_pieces(host, image, op, offset, size, &iov, 1);
}

/* Random requests against a copy in memory: `model` has the image's bytes. */
static inline void fake_random(struct image_host *host, struct image *image, uint8_t *model,
                               uint64_t size, unsigned rounds, unsigned seed)
{
    enum { SECTORS_MAX = 700, PIECES_MAX = 40 };
    static uint8_t buffer[SECTORS_MAX * BLOCK_SECTOR + 64];

    srand(seed);
    for (unsigned round = 0; round < rounds; round++) {
        const uint64_t sectors = size / BLOCK_SECTOR;
        const uint64_t first = (uint64_t)rand() % sectors;
        const uint64_t most = sectors - first < SECTORS_MAX ? sectors - first : SECTORS_MAX;
        const uint64_t count = 1 + (uint64_t)rand() % most;
        const uint64_t offset = first * BLOCK_SECTOR, bytes = count * BLOCK_SECTOR;
        uint8_t *at = buffer + rand() % 64; /* aligned to nothing */
        struct iovec iov[PIECES_MAX];
        unsigned pieces = 0;
        int error;

        for (uint64_t done = 0; done < bytes; pieces++) {
            uint64_t part = 1 + (uint64_t)rand() % bytes;

            if (part > bytes - done || pieces == PIECES_MAX - 1)
                part = bytes - done;
            iov[pieces] = (struct iovec){.iov_base = at + done, .iov_len = part};
            done += part;
        }
        switch (rand() % 5) {
        case 0:
        case 1:
            for (uint64_t i = 0; i < bytes; i++)
                at[i] = (uint8_t)rand();
            memcpy(model + offset, at, bytes);
            error = fake_io_pieces(host, image, BLOCK_WRITE, offset, bytes, iov, pieces);
            break;
        case 2:
            error = fake_io(host, image, BLOCK_FLUSH, 0, NULL, 0);
            break;
        default:
            memset(at, 0xee, bytes);
            error = fake_io_pieces(host, image, BLOCK_READ, offset, bytes, iov, pieces);
            if (error == 0 && memcmp(at, model + offset, bytes) != 0)
                fail_msg("round %u: what is read at %llu is not what was written", round,
                         (unsigned long long)offset);
            break;
        }
        if (error != 0)
            fail_msg("round %u: %s", round, strerror(-error));
    }
}

/* Does the file hold `size` bytes of the model? */
static inline void fake_compare(const char *path, const uint8_t *model, size_t size)
{
    uint8_t *bytes = malloc(size);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, size), size);
    assert_memory_equal(bytes, model, size);
    close(fd);
    free(bytes);
}

static inline void fake_fill(uint8_t *model, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        model[i] = fake_byte(i, seed);
}

#endif
