/*
 * tests/loader/test_image_nbd.c -- images behind NBD servers, against the real ones: qemu-nbd and
 * nbdkit (each test is skipped where its program is not installed).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/loader/image_fake.h"

enum { SIZE = 1 << 20, WAIT_STEPS = 500, STEP_NS = 20000000 };

static uint8_t model[SIZE];

static bool have(const char *program)
{
    char command[128];

    snprintf(command, sizeof(command), "command -v %s > /dev/null 2>&1", program);
    return system(command) == 0;
}

static void need(const char *program)
{
    struct image_host *host = image_host_create(false);
    const struct image_spec spec = fake_spec("nbd+unix:///?socket=/nonexistent", "");
    struct error error = {0};

    assert_null(image_open(host, "x", &spec, false, &error));
    image_host_destroy(host);
    if (!have(program) || strstr(error.text, "without which this program was built") != NULL)
        skip();
}

static void run(const char *format, ...)
{
    char command[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("%s: failed", command);
}

static void pause_step(void)
{
    const struct timespec step = {.tv_nsec = STEP_NS};

    nanosleep(&step, NULL);
}

/* Does somebody listen?  A socket's file is there a little before that; another file is enough. */
static bool answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    bool ok;
    int fd;

    if (stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return stat(path, &st) == 0;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return ok;
}

/* Start a server and wait until it serves; a --persistent one, since that is a client already. */
static pid_t serve(const char *socket_path, char *const argv[])
{
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    for (unsigned i = 0; !answers(socket_path); i++) {
        if (i == WAIT_STEPS)
            fail_msg("%s does not serve %s", argv[0], socket_path);
        pause_step();
    }
    return pid;
}

static void stop(pid_t pid, int with)
{
    kill(pid, with);
    waitpid(pid, NULL, 0);
}

static void random_test(struct image_host *host, struct image *image, uint64_t size)
{
    assert_int_equal(image_backend(image)->size_bytes, size);
    fake_random(host, image, model, size, 100, 5);
}

/* A file behind qemu-nbd, and a request for its first bytes. */
struct served {
    struct image_host *host;
    char file[128], socket[128];
    pid_t pid;
    struct image_spec spec; /* of the socket */
    uint8_t bytes[4096];
    struct iovec iov;
    int status;
    struct block_request request;
};

static void served_start(struct served *s)
{
    char *const argv[] = {
        "qemu-nbd", "--persistent", "--format=raw", "--socket", s->socket, s->file, NULL};

    s->pid = serve(s->socket, argv);
}

static void served_open(struct served *s)
{
    char uri[256];

    need("qemu-nbd");
    *s = (struct served){
        .host = image_host_create(false),
        .status = FAKE_PENDING,
        .iov = {.iov_base = s->bytes, .iov_len = sizeof(s->bytes)},
        .request = {.op = BLOCK_READ,
                    .size = sizeof(s->bytes),
                    .iov = &s->iov,
                    .iov_count = 1,
                    .done = fake_done,
                    .ctx = &s->status},
    };
    snprintf(s->file, sizeof(s->file), "%s", fake_file("served", SIZE, 3));
    snprintf(s->socket, sizeof(s->socket), "%s", fake_path("socket"));
    unlink(s->socket);
    served_start(s);
    snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", s->socket);
    s->spec = fake_spec(uri, "");
}

/* Ends the server if that has not been done. */
static void served_close(struct served *s, int with)
{
    image_host_destroy(s->host);
    if (with != 0)
        stop(s->pid, with);
}

static void test_unix_socket(void **state)
{
    static struct served s;
    struct image *image;
    char uri[256];

    (void)state;
    served_open(&s);
    fake_fill(model, SIZE, 3);
    image = fake_open(s.host, &s.spec);
    random_test(s.host, image, SIZE);
    image_close(image);
    fake_compare(s.file, model, SIZE);
    /* QEMU's own spelling; and a snapshot, which writes nothing. */
    snprintf(uri, sizeof(uri), "nbd:unix:%s:exportname=", s.socket);
    s.spec = fake_spec(uri, "raw");
    s.spec.snapshot = true;
    image = fake_open(s.host, &s.spec);
    random_test(s.host, image, SIZE);
    served_close(&s, SIGTERM);
}

static void test_tcp(void **state)
{
    struct image_host *host = image_host_create(false);
    char port[16], uri[64], pid_file[128];
    char *const argv[] = {"nbdkit", "--foreground", "-i",     "127.0.0.1", "-p", port,
                          "-P",     pid_file,       "memory", "1M",        NULL};
    struct image_spec spec;
    pid_t pid;

    (void)state;
    need("nbdkit");
    snprintf(port, sizeof(port), "%d", 20000 + (int)getpid() % 20000);
    snprintf(pid_file, sizeof(pid_file), "%s", fake_path("pid"));
    pid = serve(pid_file, argv);
    memset(model, 0, SIZE);
    snprintf(uri, sizeof(uri), "nbd://127.0.0.1:%s", port);
    spec = fake_spec(uri, "");
    random_test(host, fake_open(host, &spec), SIZE);
    image_host_destroy(host);
    host = image_host_create(true); /* the server keeps its memory */
    snprintf(uri, sizeof(uri), "nbd:127.0.0.1:%s", port);
    spec = fake_spec(uri, "");
    random_test(host, fake_open(host, &spec), SIZE);
    image_host_destroy(host);
    stop(pid, SIGTERM);
}

/* A server that hangs does not freeze the guest; one that dies is a device error. */
static void test_server_hangs_and_dies(void **state)
{
    static struct served s;
    struct block_backend *backend;
    struct image *image;

    (void)state;
    served_open(&s);
    image = fake_open(s.host, &s.spec);
    backend = image_backend(image);
    kill(s.pid, SIGSTOP);
    backend->ops->submit(backend->ctx, &s.request); /* returns at once */
    for (unsigned i = 0; i < 5; i++) {
        pause_step();
        image_host_ready(s.host, image_host_fd(s.host));
    }
    assert_int_equal(s.status, FAKE_PENDING);
    kill(s.pid, SIGCONT);
    fake_wait(s.host, &s.status);
    assert_int_equal(s.status, 0);
    assert_int_equal(s.bytes[5], fake_byte(5, 3));
    stop(s.pid, SIGKILL);
    assert_true(fake_io(s.host, image, BLOCK_READ, 0, s.bytes, sizeof(s.bytes)) < 0);
    assert_true(fake_io(s.host, image, BLOCK_WRITE, 0, s.bytes, sizeof(s.bytes)) < 0);
    assert_true(fake_io(s.host, image, BLOCK_FLUSH, 0, NULL, 0) < 0);
    served_close(&s, 0);
}

/* A reset cancels what a dead server will never answer: that must end, and the drive stays dead. */
static void test_cancel_gives_a_hanging_server_up(void **state)
{
    static struct served s;
    struct block_backend *backend;
    struct image *image;

    (void)state;
    served_open(&s);
    image_host_set_patience(s.host, 200);
    image = fake_open(s.host, &s.spec);
    backend = image_backend(image);
    kill(s.pid, SIGSTOP);
    backend->ops->submit(backend->ctx, &s.request);
    pause_step();
    backend->ops->cancel(backend->ctx, &s.request);
    assert_int_equal(s.status, FAKE_PENDING);
    assert_true(fake_io(s.host, image, BLOCK_READ, 0, s.bytes, sizeof(s.bytes)) < 0);
    served_close(&s, SIGKILL);
}

static void go_on_later(void *ctx)
{
    ++*(unsigned *)ctx;
}

/* A server that was started again: requests reach it; what was written and not flushed before may
 * be lost, which the next flush says, once.  With werror=stop the machine waits for the server. */
static void test_server_comes_back(void **state)
{
    static struct served s;
    static uint8_t found[sizeof(s.bytes)];
    unsigned stops = 0;
    struct block_backend *backend;
    struct image *image;

    (void)state;
    served_open(&s);
    s.spec.on_write_error = ON_ERROR_STOP;
    image = fake_open(s.host, &s.spec);
    backend = image_backend(image);
    memset(s.bytes, 0x5C, sizeof(s.bytes));
    assert_int_equal(fake_io(s.host, image, BLOCK_WRITE, 0, s.bytes, sizeof(s.bytes)), 0);
    assert_int_equal(fake_io(s.host, image, BLOCK_FLUSH, 0, NULL, 0), 0);
    stop(s.pid, SIGKILL);
    unlink(s.socket);
    served_start(&s);
    assert_int_equal(fake_io(s.host, image, BLOCK_READ, 0, found, sizeof(found)), 0);
    assert_memory_equal(s.bytes, found, sizeof(found));
    assert_int_equal(fake_io(s.host, image, BLOCK_FLUSH, 0, NULL, 0), 0); /* nothing was lost */
    assert_int_equal(fake_io(s.host, image, BLOCK_WRITE, 4096, s.bytes, sizeof(s.bytes)), 0);
    stop(s.pid, SIGKILL);
    unlink(s.socket);
    image_host_on_stop(s.host, go_on_later, &stops);
    s.request.op = BLOCK_WRITE;
    s.request.offset = 8192;
    backend->ops->submit(backend->ctx, &s.request);
    fake_wait_until(s.host, &stops, 1);
    served_start(&s);
    image_host_retry(s.host);
    fake_wait(s.host, &s.status);
    assert_int_equal(s.status, 0);
    image_host_on_stop(s.host, NULL, NULL);
    assert_int_equal(fake_io(s.host, image, BLOCK_FLUSH, 0, NULL, 0), -EIO);
    assert_int_equal(fake_io(s.host, image, BLOCK_FLUSH, 0, NULL, 0), 0);
    served_close(&s, SIGTERM);
}

static void test_read_only_server(void **state)
{
    struct image_host *host = image_host_create(false);
    const char *file = fake_file("served", 1000, 3);
    char socket[128], uri[256];
    char *const argv[] = {"nbdkit", "--foreground",          "--readonly", "-U", socket,
                          "file",   (char *)(uintptr_t)file, NULL};
    struct image_spec spec;
    struct image *image;
    uint8_t bytes[1024];
    pid_t pid;

    (void)state;
    need("nbdkit");
    snprintf(socket, sizeof(socket), "%s", fake_path("sock3"));
    pid = serve(socket, argv);
    snprintf(uri, sizeof(uri), "nbd+unix:///?socket=%s", socket);
    spec = fake_spec(uri, "");
    fake_refused(host, &spec, "the server allows no writing");
    spec.read_only = true;
    image = fake_open(host, &spec);
    /* It ends inside a sector, whose rest reads as zeros. */
    assert_int_equal(image_backend(image)->size_bytes, 1024);
    assert_int_equal(fake_io(host, image, BLOCK_READ, 0, bytes, 1024), 0);
    for (unsigned i = 0; i < 1024; i++)
        assert_int_equal(bytes[i], i < 1000 ? fake_byte(i, 3) : 0);
    image_host_destroy(host);
    stop(pid, SIGTERM);
}

/* Are there processes of ours called qemu-nbd? */
static bool server_lives(const char *image)
{
    char command[256];

    snprintf(command, sizeof(command), "pgrep -f '[q]emu-nbd .*%s' > /dev/null", image);
    return system(command) == 0;
}

static void test_foreign_formats(void **state)
{
    static const char *const formats[] = {"qcow2", "vmdk", "vdi", "vpc", "qed"};

    (void)state;
    need("qemu-nbd");
    if (!have("qemu-img"))
        skip();
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct image_host *host = image_host_create(false);
        const bool is_vpc = !strcmp(formats[i], "vpc"); /* rounds its size to a geometry */
        const char *raw = fake_file("raw", SIZE, 3), *name = fake_path("im,age:1");
        struct image_spec spec = fake_spec(name, "");
        struct image *image;

        run("rm -f '%s' %s/plain; qemu-img convert -q -f raw -O %s %s %s/plain && mv %s/plain '%s'",
            name, fake_dir, formats[i], raw, fake_dir, fake_dir, name);
        fake_fill(model, SIZE, 3);
        image = fake_open(host, &spec); /* probed */
        if (!is_vpc)
            assert_int_equal(image_backend(image)->size_bytes, SIZE);
        assert_true(server_lives("im,,age"));
        fake_random(host, image, model, SIZE, 60, 9);
        image_close(image);
        image = fake_open(host, &spec); /* what was written is there */
        fake_random(host, image, model, SIZE, 30, 10);
        image_host_destroy(host);
        assert_false(server_lives("im,,age"));
        run("mv '%s' %s/plain; qemu-img check -q %s/plain > /dev/null 2>&1 || [ %s != qcow2 ]",
            name, fake_dir, fake_dir, formats[i]);
        run("qemu-img convert -q -f %s -O raw %s/plain %s", formats[i], fake_dir, raw);
        fake_compare(raw, model, SIZE);
    }
}

/* The header of one format with nothing behind it. */
static void test_damaged_foreign_image(void **state)
{
    struct image_host *host = image_host_create(false);
    const char *path = fake_path("damaged");
    FILE *file = fopen(path, "w");
    struct image_spec spec = fake_spec(path, "");

    (void)state;
    need("qemu-nbd");
    assert_non_null(file);
    fwrite("QFI\xfb\0\0\0\3", 1, 8, file);
    fclose(file);
    fake_refused(host, &spec, "damaged: qemu-nbd cannot serve it as qcow2");
    spec = fake_spec(fake_path("none"), "vmdk");
    fake_refused(host, &spec, "none: No such file");
    image_host_destroy(host);
}

static void test_no_server_installed(void **state)
{
    struct image_host *host = image_host_create(false);
    const char *path = fake_path("alone");
    char *old = strdup(getenv("PATH"));
    FILE *file = fopen(path, "w");
    struct image_spec spec = fake_spec(path, "");

    (void)state;
    need("true");
    assert_non_null(file);
    fwrite("QFI\xfb\0\0\0\3", 1, 8, file);
    fclose(file);
    setenv("PATH", fake_dir, 1);
    fake_refused(host, &spec,
                 "a qcow2 image needs an NBD server: qemu-nbd (package qemu-utils) is");
    setenv("PATH", old, 1);
    free(old);
    image_host_destroy(host);
}

static void test_nobody_answers(void **state)
{
    struct image_host *host = image_host_create(false);
    struct image_spec spec = fake_spec("nbd+unix:///?socket=/nonexistent/socket", "");

    (void)state;
    need("true");
    fake_refused(host, &spec, "/nonexistent/socket: ");
    spec = fake_spec("nbd://127.0.0.1:1/", "");
    fake_refused(host, &spec, "nbd://127.0.0.1:1/: ");
    image_host_destroy(host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_server_hangs_and_dies),
        cmocka_unit_test(test_cancel_gives_a_hanging_server_up),
        cmocka_unit_test(test_server_comes_back),
        cmocka_unit_test(test_read_only_server),
        cmocka_unit_test(test_foreign_formats),
        cmocka_unit_test(test_damaged_foreign_image),
        cmocka_unit_test(test_no_server_installed),
        cmocka_unit_test(test_nobody_answers),
    };

    return cmocka_run_group_tests(tests, fake_setup, fake_teardown);
}
