/*
 * tests/loader/test_image.c -- disk images: raw files, snapshots, errors of the host, the queue,
 * changes of the medium.
 */
#define _GNU_SOURCE /* unshare */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "tests/loader/image_fake.h"

enum { SIZE = 1 << 20 };

static uint8_t model[SIZE];

static void random_test(const struct image_spec *spec, bool synchronous, bool changes_file)
{
    struct image_host *host = image_host_create(synchronous);
    struct image *image;

    fake_fill(model, SIZE, 3);
    image = fake_open(host, spec);
    assert_int_equal(image_backend(image)->size_bytes, SIZE);
    fake_random(host, image, model, SIZE, 120, 11);
    image_close(image);
    if (!changes_file)
        fake_fill(model, SIZE, 3);
    fake_compare(spec->file, model, SIZE);
    image_host_destroy(host);
}

static void test_raw(void **state)
{
    const struct image_spec spec = fake_spec(fake_file("raw", SIZE, 3), "raw");

    (void)state;
    random_test(&spec, false, true);
}

static void test_raw_synchronous(void **state)
{
    const struct image_spec spec = fake_spec(fake_file("raw", SIZE, 3), "raw");

    (void)state;
    random_test(&spec, true, true);
}

static void test_guessed_raw(void **state)
{
    const struct image_spec spec = fake_spec(fake_file("raw", SIZE, 3), "");

    (void)state;
    random_test(&spec, false, true);
}

static void test_cache_modes(void **state)
{
    static const enum image_cache modes[] = {CACHE_WRITETHROUGH, CACHE_UNSAFE};

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct image_spec spec = fake_spec(fake_file("raw", SIZE, 3), "raw");

        spec.cache = modes[i];
        random_test(&spec, false, true);
    }
}

/* O_DIRECT: buffers and pieces at any address still work.  Not every file system has it. */
static void test_direct(void **state)
{
    struct image_spec spec = fake_spec(fake_file("raw", SIZE, 3), "raw");
    const int fd = open(spec.file, O_RDONLY | __O_DIRECT);

    (void)state;
    if (fd < 0)
        skip();
    close(fd);
    spec.cache = CACHE_NONE;
    random_test(&spec, false, true);
}

static void test_snapshot_leaves_the_file_alone(void **state)
{
    struct image_spec spec = fake_spec(fake_file("raw", SIZE, 3), "raw");

    (void)state;
    spec.snapshot = true;
    assert_int_equal(chmod(spec.file, 0400), 0); /* it need not be writable */
    random_test(&spec, false, false);
}

/* A file that ends inside a sector: the sector is there, its rest reads as zeros, and can be
 * written. */
static void test_last_sector_is_whole(void **state)
{
    struct image_host *host = image_host_create(false);
    const struct image_spec spec = fake_spec(fake_file("odd", 1000, 3), "raw");
    struct image *image = fake_open(host, &spec);
    uint8_t sector[BLOCK_SECTOR];
    struct stat st;

    (void)state;
    assert_int_equal(image_backend(image)->size_bytes, 1024);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 512, sector, 512), 0);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(sector[i], 512 + i < 1000 ? fake_byte(512 + i, 3) : 0);
    memset(sector, 0x5a, sizeof(sector));
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 512, sector, 512), 0);
    assert_int_equal(stat(spec.file, &st), 0);
    assert_int_equal(st.st_size, 1024);
    image_host_destroy(host);
}

static void test_file_cut_short_meanwhile(void **state)
{
    struct image_host *host = image_host_create(false);
    const struct image_spec spec = fake_spec(fake_file("cut", 8192, 3), "raw");
    struct image *image = fake_open(host, &spec);
    uint8_t bytes[8192];

    (void)state;
    assert_int_equal(truncate(spec.file, 700), 0);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 0, bytes, sizeof(bytes)), 0);
    for (unsigned i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], i < 700 ? fake_byte(i, 3) : 0);
    image_host_destroy(host);
}

static void test_requests_that_cannot_be(void **state)
{
    struct image_host *host = image_host_create(false);
    struct image_spec spec = fake_spec(fake_file("small", 4096, 3), "raw");
    struct image *image = fake_open(host, &spec), *empty, *read_only;
    const struct image_spec nothing = {0};
    struct error error = {0};
    uint8_t bytes[1024] = {0};

    (void)state;
    assert_int_equal(fake_io(host, image, BLOCK_READ, 4096, bytes, 512), -EINVAL);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 3584, bytes, 1024), -EINVAL);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, UINT64_MAX - 511, bytes, 512), -EINVAL);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 100, bytes, 512), -EINVAL);
    assert_int_equal(fake_io(host, image, BLOCK_DISCARD, 512, NULL, UINT64_MAX - 511), -EINVAL);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 0, bytes, 0), 0);
    /* Pieces shorter than the size that is promised. */
    assert_int_equal(fake_io_pieces(host, image, BLOCK_WRITE, 0, 1024,
                                    &(struct iovec){.iov_base = bytes, .iov_len = 512}, 1),
                     -EINVAL);
    image_close(image);
    spec.read_only = true;
    read_only = fake_open(host, &spec);
    assert_true(image_backend(read_only)->read_only);
    assert_int_equal(fake_io(host, read_only, BLOCK_WRITE, 0, bytes, 512), -EROFS);
    assert_int_equal(fake_io(host, read_only, BLOCK_FLUSH, 0, NULL, 0), 0);
    empty = image_open(host, "cd", &nothing, true, &error);
    assert_non_null(empty);
    assert_false(image_backend(empty)->inserted);
    assert_int_equal(fake_io(host, empty, BLOCK_READ, 0, bytes, 512), -ENOMEDIUM);
    assert_null(image_open(host, "hd", &nothing, false, &error));
    assert_non_null(strstr(error.text, "needs an image"));
    image_host_destroy(host);
}

/* The host's disk is full (here: files may not grow): the guest gets an error, what was
 * acknowledged before is there, and the drive goes on. */
static void test_full_disk(void **state)
{
    struct image_host *host = image_host_create(false);
    const struct image_spec spec = fake_spec(fake_path("sparse"), "raw");
    struct rlimit limit, old;
    struct image *image;
    uint8_t bytes[4096];
    FILE *file = fopen(spec.file, "w");

    (void)state;
    signal(SIGXFSZ, SIG_IGN); /* as signals.c does */
    assert_non_null(file);
    fclose(file);
    assert_int_equal(truncate(spec.file, 1 << 20), 0);
    image = fake_open(host, &spec);
    assert_int_equal(truncate(spec.file, 4096), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 64 << 10;
    memset(bytes, 0x11, sizeof(bytes));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 512 << 10, bytes, sizeof(bytes)), -EFBIG);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 512 << 10, bytes, sizeof(bytes)), -EFBIG);
    assert_int_equal(fake_io(host, image, BLOCK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 512 << 10, bytes, sizeof(bytes)), 0);
    image_close(image);
    fake_compare(spec.file, bytes, sizeof(bytes));
    image_host_destroy(host);
}

/* werror=ignore: the guest sees success. */
static void test_ignored_errors(void **state)
{
    struct image_host *host = image_host_create(true);
    struct image_spec spec = fake_spec(fake_file("ignored", 4096, 3), "raw");
    struct rlimit limit, old;
    struct image *image;
    uint8_t bytes[512] = {0};

    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    spec.on_write_error = ON_ERROR_IGNORE;
    image = fake_open(host, &spec);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    image_host_destroy(host);
}

/* ---- a machine that stops for errors ---- */

static void count_stop(void *ctx)
{
    ++*(unsigned *)ctx;
}

/* Files may not grow (on), or may again. */
static void limit_files(bool on)
{
    static struct rlimit old;
    struct rlimit none;

    signal(SIGXFSZ, SIG_IGN);
    if (on)
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    none = old;
    none.rlim_cur = on ? 0 : old.rlim_cur;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
}

/* werror=stop: the request waits for the machine to go on, as often as it fails again; neither a
 * flush nor a read is in its way. */
static void stopping(bool synchronous, bool worker)
{
    struct image_host *host = image_host_create(synchronous);
    struct image_spec spec = fake_spec(fake_file("stopping", 8192, 3), "raw");
    static uint8_t bytes[512], found[512];
    const struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    int status = FAKE_PENDING;
    struct block_request request = {.op = BLOCK_WRITE,
                                    .offset = 4096,
                                    .size = sizeof(bytes),
                                    .iov = &iov,
                                    .iov_count = 1,
                                    .done = fake_done,
                                    .ctx = &status};
    unsigned stops = 0;
    struct image *image;
    struct block_backend *backend;

    spec.on_write_error = ON_ERROR_STOP;
    if (worker)
        spec.cache = CACHE_WRITETHROUGH;
    image = fake_open(host, &spec);
    backend = image_backend(image);
    image_host_on_stop(host, count_stop, &stops);
    memset(bytes, 0x77, sizeof(bytes));
    limit_files(true);
    backend->ops->submit(backend->ctx, &request);
    for (unsigned round = 1; round <= 3; round++) {
        fake_wait_until(host, &stops, round);
        assert_int_equal(status, FAKE_PENDING);
        if (round < 3)
            image_host_retry(host);
    }
    assert_int_equal(fake_io(host, image, BLOCK_READ, 4096, found, sizeof(found)), 0);
    assert_int_equal(found[0], fake_byte(4096, 3));
    assert_int_equal(image_flush(image), 0); /* does not give it up */
    assert_int_equal(status, FAKE_PENDING);
    limit_files(false);
    image_host_retry(host);
    fake_wait(host, &status);
    assert_int_equal(status, 0);
    image_host_retry(host); /* nothing left */
    assert_int_equal(stops, 3);
    /* Cancelled, as by a reset: it does not come back. */
    limit_files(true);
    status = FAKE_PENDING;
    memset(bytes, 0x78, sizeof(bytes));
    backend->ops->submit(backend->ctx, &request);
    fake_wait_until(host, &stops, 4);
    backend->ops->cancel(backend->ctx, &request);
    limit_files(false);
    image_host_retry(host);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 4096, found, sizeof(found)), 0);
    assert_int_equal(found[0], 0x77);
    assert_int_equal(status, FAKE_PENDING);
    /* Whoever waits for the end gets the error. */
    limit_files(true);
    backend->ops->submit(backend->ctx, &request);
    fake_wait_until(host, &stops, 5);
    backend->ops->drain(backend->ctx);
    assert_int_equal(status, -EFBIG);
    limit_files(false);
    image_host_destroy(host);
}

static void test_stop_at_errors(void **state)
{
    (void)state;
    stopping(false, false);
    stopping(false, true);
    stopping(true, false);
}

/* What only the guest has done wrong, and other errors than the one that stops, do not stop. */
static void test_what_does_not_stop(void **state)
{
    struct image_host *host = image_host_create(true);
    struct image_spec spec = fake_spec(fake_file("no-stop", 8192, 3), "raw");
    uint8_t bytes[512] = {0};
    unsigned stops = 0;
    struct image *image;

    (void)state;
    spec.on_write_error = ON_ERROR_ENOSPC;
    image = fake_open(host, &spec);
    image_host_on_stop(host, count_stop, &stops);
    limit_files(true);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 0, bytes, sizeof(bytes)), -EFBIG);
    limit_files(false);
    image_close(image);
    spec.on_write_error = ON_ERROR_STOP;
    image = fake_open(host, &spec);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 8192, bytes, sizeof(bytes)), -EINVAL);
    image_close(image);
    spec.read_only = true;
    image = fake_open(host, &spec);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 0, bytes, sizeof(bytes)), -EROFS);
    image_host_on_stop(host, NULL, NULL);
    assert_int_equal(stops, 0);
    image_host_destroy(host);
}

/* ---- the queue ---- */

enum { MANY = 64 };

/* A write that waits for storage is the worker's. */
static struct image_spec with_worker(struct image_spec spec)
{
    spec.cache = CACHE_WRITETHROUGH;
    return spec;
}

static void test_completions_wait_for_the_machine(void **state)
{
    struct image_host *host = image_host_create(false);
    const struct image_spec spec = with_worker(fake_spec(fake_file("queue", SIZE, 3), "raw"));
    struct image *image = fake_open(host, &spec);
    struct block_backend *backend = image_backend(image);
    static uint8_t bytes[MANY][4096];
    struct block_request requests[MANY];
    struct iovec iov[MANY];
    int status[MANY];

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        status[i] = FAKE_PENDING;
        memset(bytes[i], (int)i, sizeof(bytes[i]));
        iov[i] = (struct iovec){.iov_base = bytes[i], .iov_len = sizeof(bytes[i])};
        requests[i] = (struct block_request){.op = BLOCK_WRITE,
                                             .offset = i * sizeof(bytes[i]),
                                             .size = sizeof(bytes[i]),
                                             .iov = &iov[i],
                                             .iov_count = 1,
                                             .done = fake_done,
                                             .ctx = &status[i]};
        backend->ops->submit(backend->ctx, &requests[i]);
    }
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(status[i], FAKE_PENDING); /* never from the worker's thread */
    backend->ops->cancel(backend->ctx, &requests[MANY - 1]);
    backend->ops->cancel(backend->ctx, &requests[0]);
    backend->ops->cancel(backend->ctx, &requests[MANY / 2]);
    backend->ops->drain(backend->ctx);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(status[i], i == 0 || i == MANY / 2 || i == MANY - 1 ? FAKE_PENDING : 0);
    backend->ops->cancel(backend->ctx, &requests[1]); /* long done: nothing happens */
    /* The queue still works after its last element was taken out of it. */
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 0, bytes[7], 4096), 0);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 0, bytes[8], 4096), 0);
    assert_memory_equal(bytes[7], bytes[8], 4096);
    image_host_destroy(host);
}

/* What the host's page cache takes or has does not go through the worker; what waits does. */
static void test_quick_requests_end_within_submit(void **state)
{
    static const struct {
        enum image_cache cache;
        bool snapshot, quick;
    } cases[] = {{CACHE_WRITEBACK, false, true},
                 {CACHE_UNSAFE, false, true},
                 {CACHE_WRITEBACK, true, true},
                 {CACHE_WRITETHROUGH, false, false}};
    static uint8_t bytes[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct image_host *host = image_host_create(false);
        struct image_spec spec = fake_spec(fake_file("quick", SIZE, 3), "raw");
        const struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
        int status = FAKE_PENDING;
        struct block_request request = {.op = BLOCK_WRITE,
                                        .size = sizeof(bytes),
                                        .iov = &iov,
                                        .iov_count = 1,
                                        .done = fake_done,
                                        .ctx = &status};
        struct image *image;
        struct block_backend *backend;

        spec.cache = cases[i].cache;
        spec.snapshot = cases[i].snapshot;
        image = fake_open(host, &spec);
        backend = image_backend(image);
        memset(bytes, 0x42, sizeof(bytes));
        backend->ops->submit(backend->ctx, &request);
        assert_int_equal(status, cases[i].quick ? 0 : FAKE_PENDING);
        fake_wait(host, &status);
        /* Half of it from the write, half from the file. */
        request.op = BLOCK_READ;
        request.offset = sizeof(bytes) / 2;
        status = FAKE_PENDING;
        backend->ops->submit(backend->ctx, &request);
        fake_wait(host, &status); /* may have left the cache: no promise */
        assert_int_equal(status, 0);
        assert_int_equal(bytes[0], 0x42);
        assert_int_equal(bytes[sizeof(bytes) / 2], fake_byte(sizeof(bytes), 3));
        request.op = BLOCK_FLUSH;
        request.offset = request.size = 0;
        status = FAKE_PENDING;
        backend->ops->submit(backend->ctx, &request);
        assert_int_equal(status, FAKE_PENDING); /* a flush waits for the disk */
        fake_wait(host, &status);
        image_host_destroy(host);
    }
}

/* What is under way when the image is closed is finished and flushed first. */
static void test_close_finishes(void **state)
{
    struct image_host *host = image_host_create(false);
    const struct image_spec spec = with_worker(fake_spec(fake_file("close", SIZE, 3), "raw"));
    struct image *image = fake_open(host, &spec);
    struct block_backend *backend = image_backend(image);
    static uint8_t bytes[4096];
    const struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
    int status = FAKE_PENDING;
    struct block_request request = {.op = BLOCK_WRITE,
                                    .size = sizeof(bytes),
                                    .iov = &iov,
                                    .iov_count = 1,
                                    .done = fake_done,
                                    .ctx = &status};

    (void)state;
    memset(bytes, 0x77, sizeof(bytes));
    backend->ops->submit(backend->ctx, &request);
    image_close(image);
    assert_int_equal(status, 0);
    fake_compare(spec.file, bytes, sizeof(bytes));
    image_host_destroy(host);
}

/* ---- formats, locks ---- */

/* A guest must not turn its raw disk into a qcow2 whose backing file is one of the host's. */
static void test_guessed_raw_cannot_become_another_format(void **state)
{
    static const char magic[8] = "QFI\xfb\0\0\0\3";
    struct image_host *host = image_host_create(false);
    struct image_spec spec = fake_spec(fake_file("guard", 8192, 3), "");
    struct image *image = fake_open(host, &spec);
    uint8_t bytes[2048] = {0};
    const struct iovec pieces[] = {{bytes, 4}, {bytes + 4, 700}, {bytes + 704, 1344}};

    (void)state;
    memcpy(bytes, magic, sizeof(magic));
    assert_int_equal(fake_io_pieces(host, image, BLOCK_WRITE, 0, 2048, pieces, 3), -EPERM);
    fake_fill(model, 8192, 3);
    fake_compare(spec.file, model, 8192);
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 512, bytes, 512), 0);
    memcpy(bytes, "\xeb\x3c\x90", 3); /* a boot sector */
    bytes[1500] = 9;
    assert_int_equal(fake_io_pieces(host, image, BLOCK_WRITE, 0, 2048, pieces, 3), 0);
    image_close(image);
    fake_compare(spec.file, bytes, 2048);
    strcpy(spec.format, "raw"); /* who names the format gets every write */
    image = fake_open(host, &spec);
    memcpy(bytes, magic, sizeof(magic));
    assert_int_equal(fake_io(host, image, BLOCK_WRITE, 0, bytes, 512), 0);
    image_host_destroy(host);
}

static void test_locks(void **state)
{
    struct image_host *host = image_host_create(false);
    struct image_spec spec = fake_spec(fake_file("locked", 4096, 3), "raw");
    struct image *writer = fake_open(host, &spec), *reader;

    (void)state;
    fake_refused(host, &spec, "in use by another process");
    spec.read_only = true;
    fake_refused(host, &spec, "another process is writing to it");
    image_close(writer);
    reader = fake_open(host, &spec);
    fake_open(host, &spec); /* two readers */
    spec.read_only = false;
    spec.snapshot = true;
    fake_open(host, &spec); /* it only reads, too */
    spec.snapshot = false;
    fake_refused(host, &spec, "in use by another process");
    (void)reader;
    image_host_destroy(host);
}

static void test_refusals(void **state)
{
    struct image_host *host = image_host_create(false);
    struct image_spec spec;
    struct error error = {0};

    (void)state;
    spec = fake_spec(fake_path("none"), "");
    fake_refused(host, &spec, "none: No such file");
    spec = fake_spec(fake_path("none"), "raw");
    fake_refused(host, &spec, "none: No such file");
    spec = fake_spec(fake_dir, "");
    fake_refused(host, &spec, "is a directory");
    spec = fake_spec(fake_file("empty", 0, 0), "");
    fake_refused(host, &spec, "the image is empty");
    spec = fake_spec("/dev/full", "raw");
    fake_refused(host, &spec, "neither a file nor a block device");
    assert_int_equal(mkfifo(fake_path("fifo"), 0600), 0);
    spec = fake_spec(fake_path("fifo"), "raw");
    fake_refused(host, &spec, "neither a file nor a block device"); /* and it does not hang */
    spec = fake_spec(fake_file("some", 512, 0), "gif");
    fake_refused(host, &spec, "unknown image format 'gif'; known: raw qcow2");
    spec = fake_spec("nbd://localhost/x", "qcow2");
    fake_refused(host, &spec, "inside of a remote image");
    setenv("TMPDIR", fake_path("nowhere"), 1);
    spec = fake_spec(fake_path("some"), "raw");
    spec.snapshot = true;
    assert_null(image_open(host, "x", &spec, false, &error));
    assert_non_null(strstr(error.text, "cannot make a temporary file in"));
    unsetenv("TMPDIR");
    image_host_destroy(host);
}

/* ---- removable media ---- */

struct fake_tray {
    bool locked, open;
    unsigned pressed, left, changed;
};

static void tray_leaving(void *ctx)
{
    ((struct fake_tray *)ctx)->left++;
}

static void tray_changed(void *ctx)
{
    ((struct fake_tray *)ctx)->changed++;
}

static bool tray_pressed(void *ctx)
{
    struct fake_tray *tray = ctx;

    tray->pressed++;
    tray->open = !tray->locked;
    return tray->open;
}

static const struct block_drive_ops tray_ops = {
    .medium_leaving = tray_leaving, .medium_changed = tray_changed, .eject_pressed = tray_pressed};

static void test_media_change(void **state)
{
    struct image_host *host = image_host_create(false);
    struct image_spec first = fake_spec(fake_file("first", 2048, 1), "raw");
    struct image_spec second = fake_spec(fake_file("second", 4096, 2), "raw");
    const struct image_spec none = fake_spec(fake_path("none"), "");
    struct fake_tray tray = {.locked = true};
    struct error error = {0};
    struct image *image = image_open(host, "cd", &first, true, &error);
    struct block_backend *backend = image_backend(image);
    uint8_t sector[512];
    char text[256];

    (void)state;
    backend->drive_ops = &tray_ops;
    backend->drive = &tray;
    assert_ptr_equal(image_find(host, "cd"), image);
    assert_null(image_find(host, "dvd"));
    /* Locked: the guest is asked, nothing changes. */
    assert_false(image_eject(image, false, &error));
    assert_non_null(strstr(error.text, "cd is locked"));
    assert_int_equal(tray.pressed, 1);
    assert_true(backend->inserted && tray.left == 0);
    /* Cannot be opened: nothing changes either. */
    assert_false(image_change(image, &none, true, &error));
    assert_int_equal(tray.pressed, 1);
    assert_true(backend->inserted && tray.left == 0);
    assert_true(image_change(image, &second, true, &error));
    assert_true(tray.left == 1 && tray.changed == 1);
    assert_int_equal(backend->size_bytes, 4096);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 2048, sector, 512), 0);
    assert_int_equal(sector[0], fake_byte(2048, 2));
    tray.locked = false;
    assert_true(image_eject(image, false, &error));
    assert_false(backend->inserted);
    assert_int_equal(backend->size_bytes, 0);
    assert_true(tray.left == 2 && tray.changed == 2);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 0, sector, 512), -ENOMEDIUM);
    image_describe(image, text, sizeof(text));
    assert_string_equal(text, "cd: [not inserted]");
    backend->ops->tray_moved(backend->ctx, true);
    assert_true(image_change(image, &first, false, &error));
    image_describe(image, text, sizeof(text));
    assert_non_null(strstr(text, "first (raw), 2048 bytes, cache=writeback, tray open"));
    image_close(image);
    image = image_open(host, "hd", &first, false, &error);
    assert_false(image_eject(image, true, &error));
    assert_non_null(strstr(error.text, "not removable"));
    image_host_destroy(host);
}

static void test_walk(void **state)
{
    static const char *const names[] = {"one", "two", "three"};
    struct image_host *host = image_host_create(true);
    const struct image_spec nothing = {0};
    struct image *image = NULL;
    struct error error = {0};

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_non_null(image_open(host, names[i], &nothing, true, &error));
    for (unsigned i = 0; i < 3; i++) {
        image = image_next(host, image);
        assert_string_equal(image_name(image), names[i]);
    }
    assert_null(image_next(host, image));
    image_host_destroy(host);
}

static void test_discard(void **state)
{
    struct image_host *host = image_host_create(false);
    struct image_spec spec = fake_spec(fake_file("discard", SIZE, 3), "raw");
    struct image *image = fake_open(host, &spec);
    uint8_t sector[512];

    (void)state;
    assert_false(image_backend(image)->can_discard);
    assert_int_equal(fake_io(host, image, BLOCK_DISCARD, 0, NULL, SIZE), 0);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 4096, sector, 512), 0);
    assert_int_equal(sector[1], fake_byte(4097, 3)); /* ignored unless asked for */
    image_close(image);
    spec.unmap = true;
    image = fake_open(host, &spec);
    assert_true(image_backend(image)->can_discard);
    assert_int_equal(fake_io(host, image, BLOCK_DISCARD, 8192, NULL, 4096), 0);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 4096, sector, 512), 0);
    assert_int_equal(sector[1], fake_byte(4097, 3));
    image_host_destroy(host);
}

/* A file system without room, made for this process; false where that is not allowed. */
static bool mount_small(const char *path)
{
    char file[512];
    int fd;

    if (mkdir(path, 0700) != 0 ||
        (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0))
        return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", path, "tmpfs", 0, "size=128k") != 0)
        return false;
    /* Without a user's identity in a name space of its own nobody may create a file. */
    snprintf(file, sizeof(file), "%s/file", path);
    fd = open(file, O_CREAT | O_WRONLY, 0600);
    if (fd < 0) {
        umount(path);
        return false;
    }
    close(fd);
    return unlink(file) == 0;
}

/* A user who frees space and types "cont". */
static unsigned room_made;

static void make_room(void *ctx)
{
    room_made++;
    assert_int_equal(unlink(fake_path("full/ballast")), 0);
    image_host_retry(ctx);
}

/* The host's disk is full: an error for the guest, what was acknowledged stays, and once there is
 * room again the same request succeeds. */
static void no_space(bool snapshot)
{
    struct image_host *host = image_host_create(false);
    struct image_spec spec = fake_spec(fake_path("full/sparse"), "raw");
    struct image *image;
    FILE *file = fopen(fake_path("full/ballast"), "w");
    static uint8_t bytes[4096], found[4096];
    unsigned written = 0;
    int error;

    assert_non_null(file);
    for (unsigned i = 0; i < 32 << 10; i++)
        fputc(1, file);
    assert_int_equal(fclose(file), 0);
    file = fopen(spec.file, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(truncate(spec.file, SIZE), 0);
    spec.snapshot = snapshot;
    image = fake_open(host, &spec);
    for (;; written++) {
        memset(bytes, 0x40 + (int)written, sizeof(bytes));
        error = fake_io(host, image, BLOCK_WRITE, written * sizeof(bytes), bytes, sizeof(bytes));
        if (error != 0)
            break;
        assert_in_range(written, 0, 64);
    }
    assert_int_equal(error, -ENOSPC);
    assert_true(written >= 8);
    assert_int_equal(fake_io(host, image, BLOCK_FLUSH, 0, NULL, 0), 0);
    for (unsigned i = 0; i < written; i++) {
        assert_int_equal(fake_io(host, image, BLOCK_READ, i * sizeof(found), found, sizeof(found)),
                         0);
        assert_int_equal(found[0], 0x40 + i);
        assert_int_equal(found[4095], 0x40 + i);
    }
    /* werror=enospc: the machine stops until the user has made room. */
    image_close(image);
    spec.on_write_error = ON_ERROR_ENOSPC;
    image = fake_open(host, &spec);
    image_host_on_stop(host, make_room, host);
    room_made = 0;
    for (unsigned i = 0; room_made == 0; i++) {
        assert_in_range(i, 0, 64);
        assert_int_equal(fake_io(host, image, BLOCK_WRITE, i * sizeof(bytes), bytes, sizeof(bytes)),
                         0);
    }
    assert_int_equal(room_made, 1);
    image_host_destroy(host);
    assert_int_equal(unlink(spec.file), 0);
}

static void test_no_space_left(void **state)
{
    const char *old = getenv("TMPDIR");
    char path[128], kept[512];

    (void)state;
    snprintf(path, sizeof(path), "%s", fake_path("full"));
    if (!mount_small(path))
        skip();
    no_space(false);
    snprintf(kept, sizeof(kept), "%s", old != NULL ? old : "");
    setenv("TMPDIR", path, 1); /* where snapshots are */
    no_space(true);
    if (old != NULL)
        setenv("TMPDIR", kept, 1);
    else
        unsetenv("TMPDIR");
    assert_int_equal(umount(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_raw_synchronous),
        cmocka_unit_test(test_guessed_raw),
        cmocka_unit_test(test_cache_modes),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_snapshot_leaves_the_file_alone),
        cmocka_unit_test(test_last_sector_is_whole),
        cmocka_unit_test(test_file_cut_short_meanwhile),
        cmocka_unit_test(test_requests_that_cannot_be),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_ignored_errors),
        cmocka_unit_test(test_stop_at_errors),
        cmocka_unit_test(test_what_does_not_stop),
        cmocka_unit_test(test_completions_wait_for_the_machine),
        cmocka_unit_test(test_quick_requests_end_within_submit),
        cmocka_unit_test(test_close_finishes),
        cmocka_unit_test(test_guessed_raw_cannot_become_another_format),
        cmocka_unit_test(test_locks),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_media_change),
        cmocka_unit_test(test_walk),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_no_space_left), /* last: in a name space of its own */
    };

    return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
