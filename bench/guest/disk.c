/*
 * bench/guest/disk.c -- the guest of disk.sh, as its first process: throughput of /dev/sda with
 * O_DIRECT, so that every request reaches the controller.
 *
 * Prints a line a row, `NAME NANOSECONDS` of one request: 1 MiB ones in sequence, 4 KiB ones at
 * random, written and read, each kind for ROW_SECONDS; then powers off.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/boot/first_process.h"

enum { LARGE = 1 << 20, SMALL = 4096, SPAN = 192 << 20 };
#define ROW_SECONDS 1.5

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void stop(const char *what)
{
    printf("BAD: ");
    fflush(stdout);
    perror(what);
    reboot(RB_POWER_OFF);
}

/* Nanoseconds a request. */
static void measure(const char *name, int fd, char *buffer, size_t size, int is_write)
{
    const double start = now();
    uint64_t state = 88172645463325252u, at = 0;
    unsigned done = 0;

    do {
        const off_t offset = (off_t)(at * size);
        const ssize_t moved =
            is_write ? pwrite(fd, buffer, size, offset) : pread(fd, buffer, size, offset);

        if (moved != (ssize_t)size)
            stop(name);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at = (size == SMALL ? state : at + 1) % (SPAN / size);
        done++;
    } while (done % 16 != 0 || now() - start < ROW_SECONDS);
    printf("%s %.0f -\n", name, (now() - start) / done * 1e9);
}

int main(void)
{
    char *buffer = NULL;
    const char *failed;
    int fd;

    if ((failed = first_console()) != NULL || (failed = first_modules()) != NULL ||
        (failed = first_device("/dev/sda")) != NULL)
        stop(failed);
    fd = open("/dev/sda", O_RDWR | O_DIRECT);
    if (fd < 0)
        stop("/dev/sda");
    if (posix_memalign((void **)&buffer, SMALL, LARGE) != 0)
        stop("memory");
    memset(buffer, 0x5A, LARGE);
    for (off_t at = 0; at < SPAN; at += LARGE) /* the host's page cache has it all */
        if (pread(fd, buffer, LARGE, at) != LARGE)
            stop("read");
    measure("write_1m", fd, buffer, LARGE, 1);
    measure("read_1m", fd, buffer, LARGE, 0);
    measure("random_write_4k", fd, buffer, SMALL, 1);
    measure("random_read_4k", fd, buffer, SMALL, 0);
    tcdrain(1);
    reboot(RB_POWER_OFF);
    return 0;
}
