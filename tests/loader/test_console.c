/*
 * tests/loader/test_console.c -- host ends of serial ports: the queue, the Ctrl-A keys, pty, file.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "loader/chardev.h"

/* A chip that takes a few bytes at a time. */
struct chip {
    size_t room;
    uint8_t got[8192];
    size_t count;
    unsigned breaks;
    unsigned quits;
};

static size_t chip_can_receive(void *ctx)
{
    const struct chip *chip = ctx;

    return chip->room;
}
static void chip_receive(void *ctx, const uint8_t *data, size_t size)
{
    struct chip *chip = ctx;

    assert_true(size <= chip->room);
    assert_true(chip->count + size <= sizeof(chip->got));
    memcpy(chip->got + chip->count, data, size);
    chip->count += size;
    chip->room -= size;
}
static void chip_break(void *ctx)
{
    ((struct chip *)ctx)->breaks++;
}
static void on_quit(void *ctx)
{
    ((struct chip *)ctx)->quits++;
}

static struct chardev *open_on(enum chardev_kind kind, bool mux, const char *path,
                               struct chip *chip)
{
    const struct chardev_spec spec = {.kind = kind, .mux = mux, .path = path};
    struct chardev *dev = NULL;
    struct error error = {0};

    if (!chardev_open(&spec, "serial0", &dev, &error))
        fail_msg("%s", error.text);
    if (dev != NULL) {
        dev->backend.chip = chip;
        dev->backend.can_receive = chip_can_receive;
        dev->backend.receive = chip_receive;
        dev->backend.send_break = chip_break;
        dev->quit = on_quit;
        dev->quit_ctx = chip;
    }
    return dev;
}

/* Standard input and output become pipes for the length of a test. */
struct pipes {
    int saved[2], to[2], from[2];
};

static void pipes_open(struct pipes *p)
{
    assert_int_equal(pipe(p->to), 0);
    assert_int_equal(pipe(p->from), 0);
    p->saved[0] = dup(STDIN_FILENO);
    p->saved[1] = dup(STDOUT_FILENO);
    fflush(stdout);
    dup2(p->to[0], STDIN_FILENO);
    dup2(p->from[1], STDOUT_FILENO);
    fcntl(p->from[0], F_SETFL, O_NONBLOCK);
}
static void pipes_close(struct pipes *p)
{
    for (int fd = 0; fd < 2; fd++) {
        dup2(p->saved[fd], fd);
        close(p->saved[fd]);
        close(p->to[fd]);
        close(p->from[fd]);
    }
}

static void say(struct chardev *dev, struct pipes *p, const char *text)
{
    assert_int_equal(write(p->to[1], text, strlen(text)), (ssize_t)strlen(text));
    assert_true(chardev_wants_input(dev));
    chardev_ready(dev, dev->in_fd);
}

static void test_control_a_keys(void **state)
{
    struct chip chip = {.room = 1000};
    struct pipes p;
    struct chardev *dev;
    char shown[2000];
    ssize_t size;

    (void)state;
    pipes_open(&p);
    dev = open_on(CHARDEV_STDIO, true, NULL, &chip);
    say(dev, &p, "ab\001\001c\003");
    say(dev, &p, "\001"); /* the key comes in a later read */
    say(dev, &p, "b\001h\001c\001zd");
    say(dev, &p, "\001xlost");
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"out", 3);
    chardev_close(dev);
    size = read(p.from[0], shown, sizeof(shown) - 1);
    pipes_close(&p);
    assert_int_equal(chip.count, 6);
    assert_memory_equal(chip.got, "ab\001c\003d", 6);
    assert_int_equal(chip.breaks, 1);
    assert_int_equal(chip.quits, 1);
    assert_true(size > 0);
    shown[size] = '\0';
    assert_non_null(strstr(shown, "Ctrl-A x    quit"));
    assert_non_null(strstr(shown, "no monitor on this terminal"));
}

static void test_plain_stdio_has_no_keys(void **state)
{
    struct chip chip = {.room = 1000};
    struct pipes p;
    struct chardev *dev;

    (void)state;
    pipes_open(&p);
    dev = open_on(CHARDEV_STDIO, false, NULL, &chip);
    say(dev, &p, "\001x");
    chardev_close(dev);
    pipes_close(&p);
    assert_int_equal(chip.count, 2);
    assert_int_equal(chip.quits, 0);
}

/* A slow chip: nothing is lost, nothing is read beyond the queue, the end is noticed. */
static void test_queue_and_end(void **state)
{
    static uint8_t sent[6000];
    struct chip chip = {.room = 0};
    struct pipes p;
    struct chardev *dev;

    (void)state;
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (uint8_t)(i * 7 % 251 + 2); /* no Ctrl-A */
    pipes_open(&p);
    dev = open_on(CHARDEV_STDIO, true, NULL, &chip);
    assert_int_equal(write(p.to[1], sent, sizeof(sent)), sizeof(sent));
    while (chardev_wants_input(dev))
        chardev_ready(dev, dev->in_fd);
    assert_int_equal(dev->count, CHARDEV_QUEUE_BYTES);
    while (chip.count < sizeof(sent)) {
        chip.room = 13;
        dev->backend.accept_input(dev->backend.ctx);
        if (chardev_wants_input(dev) && chip.count + dev->count < sizeof(sent))
            chardev_ready(dev, dev->in_fd);
    }
    assert_memory_equal(chip.got, sent, sizeof(sent));
    close(p.to[1]);
    chardev_ready(dev, dev->in_fd);
    assert_true(dev->at_end);
    assert_false(chardev_wants_input(dev));
    chardev_close(dev);
    p.to[1] = dup(STDERR_FILENO);
    pipes_close(&p);
}

/* Nobody reads our output: dropped, the machine goes on. */
static void test_reader_gone(void **state)
{
    struct chip chip = {.room = 1000};
    struct pipes p;
    struct chardev *dev;

    (void)state;
    pipes_open(&p);
    dev = open_on(CHARDEV_STDIO, true, NULL, &chip);
    close(p.from[0]);
    p.from[0] = dup(STDERR_FILENO);
    for (unsigned i = 0; i < 100; i++)
        dev->backend.write(dev->backend.ctx, (const uint8_t *)"nobody", 6);
    chardev_close(dev);
    pipes_close(&p);
}

static void test_file_and_null(void **state)
{
    struct chip chip = {0};
    char path[] = "/tmp/ringer-console-XXXXXX", text[16] = {0};
    const int fd = mkstemp(path);
    struct chardev *dev = open_on(CHARDEV_FILE, false, path, &chip);

    (void)state;
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"to a file", 9);
    chardev_close(dev);
    assert_int_equal(read(fd, text, sizeof(text)), 9);
    assert_string_equal(text, "to a file");
    close(fd);
    unlink(path);
    dev = open_on(CHARDEV_NULL, false, NULL, &chip);
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"x", 1);
    assert_int_equal(dev->in_fd, -1);
    chardev_close(dev);
    assert_null(open_on(CHARDEV_NONE, false, NULL, &chip));
}

/* A pty carries bytes both ways, and a machine that talks to nobody does not block. */
static void test_pty(void **state)
{
    struct chip chip = {.room = 1000};
    struct chardev *dev = open_on(CHARDEV_PTY, false, NULL, &chip);
    const int user = open(ptsname(dev->in_fd), O_RDWR | O_NOCTTY);
    char text[16] = {0};

    (void)state;
    assert_true(user >= 0);
    dev->backend.write(dev->backend.ctx, (const uint8_t *)"hello\n", 6);
    assert_int_equal(read(user, text, sizeof(text)), 6);
    assert_string_equal(text, "hello\n");
    assert_int_equal(write(user, "\003q", 2), 2);
    chardev_ready(dev, dev->in_fd);
    assert_memory_equal(chip.got, "\003q", 2);
    close(user);
    for (unsigned i = 0; i < 100000; i++)
        dev->backend.write(dev->backend.ctx, (const uint8_t *)"unheard", 7);
    chardev_ready(dev, dev->in_fd); /* nothing to read: no end, no error */
    assert_false(dev->at_end);
    chardev_close(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_a_keys), cmocka_unit_test(test_plain_stdio_has_no_keys),
        cmocka_unit_test(test_queue_and_end),  cmocka_unit_test(test_reader_gone),
        cmocka_unit_test(test_file_and_null),  cmocka_unit_test(test_pty),
    };

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
