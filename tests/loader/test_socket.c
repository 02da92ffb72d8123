/*
 * tests/loader/test_socket.c -- sockets as host ends of byte streams: addresses, one client at a
 * time, telnet, permissions, clients that do not read.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loader/chardev_socket.h"
#include "tests/loader/machine_fake.h"

struct chip {
    char got[4096];
    size_t count;
    unsigned breaks, opens, closes;
};

static size_t can_receive(void *ctx)
{
    const struct chip *chip = ctx;

    return sizeof(chip->got) - 1 - chip->count;
}
static void receive(void *ctx, const uint8_t *data, size_t size)
{
    struct chip *chip = ctx;

    memcpy(chip->got + chip->count, data, size);
    chip->count += size;
    chip->got[chip->count] = '\0';
}
static void send_break(void *ctx)
{
    ((struct chip *)ctx)->breaks++;
}
static void connected(void *ctx, bool open)
{
    struct chip *chip = ctx;

    *(open ? &chip->opens : &chip->closes) += 1;
}

static struct chardev *open_socket(const char *text, struct chip *chip)
{
    struct error error = {0};
    struct chardev *dev = NULL;

    if (!chardev_socket_open(text, false, "test", &dev, &error))
        fail_msg("%s", error.text);
    dev->backend.chip = chip;
    dev->backend.can_receive = can_receive;
    dev->backend.receive = receive;
    dev->backend.send_break = send_break;
    dev->connected = connected;
    dev->connected_ctx = chip;
    return dev;
}

/* The machine, paused, serves its descriptors for some milliseconds. */
static void stop_machine(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    pc_stop(ctx);
}

static void serve(struct fake *f)
{
    struct clock_timer timer = {.fire = stop_machine, .ctx = f->m.pc};

    clock_arm(pc_clock(f->m.pc), &timer, clock_now_ns(pc_clock(f->m.pc)) + 20000000);
    assert_int_equal(pc_run(f->m.pc, UINT64_MAX), PC_STOPPED);
}

static int client_of(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(name.sun_path, path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    return fd;
}

static bool is_readable(int fd)
{
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    return poll(&entry, 1, 0) == 1;
}

static void socket_path(char *path)
{
    snprintf(path, 100, "/tmp/ringer-test-socket.%d", (int)getpid());
}

/* ---- addresses ---- */

static void test_bad_addresses(void **state)
{
    static const char *const bad[] = {
        "unix:",
        "unix:,server",
        "tcp:",
        "tcp::",
        "tcp:host",
        "tcp:::",
        "unix:x,telnet",
        "unix:x,nodelay",
        "tcp::1,foo",
        "tcp::1,server=perhaps",
        "tcp::99999999",
        "telnet:127.0.0.1:port,server",
        "tcp:[::1:80",
        "unix:/nowhere/at/all/socket,server,nowait",
        "unix:/nowhere/at/all",
    };
    char longest[400] = "unix:";

    (void)state;
    memset(longest + 5, 'a', 300);
    for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
        const char *text = i < sizeof(bad) / sizeof(bad[0]) ? bad[i] : longest;
        struct error error = {0};
        struct chardev *dev = NULL;

        assert_true(chardev_socket_probe(text));
        if (chardev_socket_open(text, false, "test", &dev, &error))
            fail_msg("%s: accepted", text);
        assert_null(dev);
        assert_memory_equal(error.text, "test: ", 6);
    }
    assert_false(chardev_socket_probe("udp::1"));
}

/* Nobody but the loopback is served unless an address is named. */
static void test_loopback_is_the_default(void **state)
{
    struct chip chip = {0};
    struct chardev *dev = open_socket("tcp::0,server,nowait", &chip);
    char line[256];
    unsigned all = 0;
    FILE *table = fopen("/proc/net/tcp", "r");

    (void)state;
    assert_non_null(table);
    while (fgets(line, sizeof(line), table) != NULL)
        all += strstr(line, " 0100007F:") != NULL; /* 127.0.0.1 */
    fclose(table);
    assert_true(all > 0);
    chardev_close(dev);
}

/* ---- clients ---- */

static void test_clients(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct chip chip = {0};
    char path[100], text[200];
    struct chardev *dev;
    struct stat status;
    int first, second;
    char got[10];

    (void)state;
    socket_path(path);
    snprintf(text, sizeof(text), "unix:%s,server=on,wait=off", path);
    dev = open_socket(text, &chip);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(chardev_attach(dev, f->m.pc));
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"lost", 4); /* nobody is there */
    first = client_of(path);
    serve(f);
    assert_int_equal(chip.opens, 1);
    second = client_of(path); /* waits its turn */
    assert_int_equal(write(first, "one", 3), 3);
    assert_int_equal(write(second, "two", 3), 3);
    serve(f);
    assert_string_equal(chip.got, "one");
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"yes", 3);
    assert_int_equal(read(first, got, sizeof(got)), 3);
    assert_false(is_readable(second));
    close(first);
    serve(f);
    serve(f);
    assert_int_equal(chip.closes, 1);
    assert_int_equal(chip.opens, 2);
    assert_string_equal(chip.got, "onetwo");
    close(second);
    serve(f);
    assert_int_equal(chip.closes, 2);
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"lost", 4);
    pc_destroy(f->m.pc);
    chardev_close(dev);
    free(f);
    assert_int_equal(stat(path, &status), -1); /* removed */
}

/* A client that does not read is dropped, and does not stop the machine for long. */
static void test_a_client_that_does_not_read(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct chip chip = {0};
    static uint8_t data[1 << 20];
    char path[100], text[200];
    struct chardev *dev;
    int client;

    (void)state;
    socket_path(path);
    snprintf(text, sizeof(text), "unix:%s,server,nowait", path);
    dev = open_socket(text, &chip);
    assert_true(chardev_attach(dev, f->m.pc));
    client = client_of(path);
    serve(f);
    dev->backend.write(dev->backend.ctx, data, sizeof(data));
    assert_int_equal(chip.closes, 1);
    assert_int_equal(dev->out_fd, -1);
    close(client);
    client = client_of(path); /* the next one is served */
    serve(f);
    assert_int_equal(chip.opens, 2);
    close(client);
    pc_destroy(f->m.pc);
    chardev_close(dev);
    free(f);
}

/* ---- telnet ---- */

static void test_telnet(void **state)
{
    static const uint8_t sent[] = {'a',  255, 251,  1,   'b', 255, 255, 'c',  255,  250, 24,
                                   1,    255, 255,  'x', 255, 240, 'd', '\r', '\0', 'e', '\r',
                                   '\n', 'f', '\r', 'g', 255, 243, 255, 241,  'h'};
    static const char wanted[] = "ab\xff"
                                 "cd\re\rf\rgh";
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct chip chip = {0};
    struct chardev *dev = NULL;
    uint8_t got[100];
    char text[64];
    int client = -1;
    unsigned port;

    (void)state;
    for (port = 20000 + (unsigned)getpid() % 20000; dev == NULL; port++) {
        struct error error = {0};

        snprintf(text, sizeof(text), "telnet:127.0.0.1:%u,server,nowait", port);
        (void)chardev_socket_open(text, false, "test", &dev, &error);
    }
    chardev_close(dev);
    dev = open_socket(text, &chip);
    assert_true(chardev_attach(dev, f->m.pc));
    {
        struct chip other = {0};
        struct chardev *end;

        snprintf(text, sizeof(text), "tcp:localhost:%u", port - 1); /* a client of ours */
        end = open_socket(text, &other);
        client = dup(end->in_fd);
        chardev_close(end);
    }
    serve(f);
    assert_int_equal(chip.opens, 1);
    assert_int_equal(read(client, got, sizeof(got)), 9); /* WILL ECHO, WILL SGA, DO SGA */
    assert_int_equal(got[0], 255);
    for (size_t i = 0; i < sizeof(sent); i++) { /* byte by byte: the state is kept */
        assert_int_equal(write(client, &sent[i], 1), 1);
        if (i % 3 == 0)
            serve(f);
    }
    serve(f);
    assert_int_equal(chip.count, sizeof(wanted) - 1);
    assert_memory_equal(chip.got, wanted, sizeof(wanted) - 1);
    assert_int_equal(chip.breaks, 1);
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"x\xffy", 3);
    assert_int_equal(read(client, got, sizeof(got)), 4);
    assert_memory_equal(got, "x\xff\xffy", 4);
    close(client);
    pc_destroy(f->m.pc);
    chardev_close(dev);
    free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_addresses), cmocka_unit_test(test_loopback_is_the_default),
        cmocka_unit_test(test_clients),       cmocka_unit_test(test_a_client_that_does_not_read),
        cmocka_unit_test(test_telnet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
