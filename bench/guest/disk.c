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
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LARGE = 1 << 20, SMALL = 4096, MODULE_MAX = 4 << 20, WAIT_TRIES = 200, WAIT_US = 50000 };
enum { SPAN = 192 << 20 };
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

static void load_modules(void)
{
    static char image[MODULE_MAX], name[128], path[160];
    FILE *order = fopen("/mod/order", "r");

    if (order == NULL)
        stop("/mod/order");
    while (fgets(name, sizeof(name), order) != NULL) {
        ssize_t size;
        int fd;

        name[strcspn(name, "\n")] = '\0';
        snprintf(path, sizeof(path), "/mod/%s", name);
        fd = open(path, O_RDONLY);
        size = fd < 0 ? -1 : read(fd, image, sizeof(image));
        if (size <= 0 || syscall(SYS_init_module, image, (unsigned long)size, "") != 0)
            stop(path);
        close(fd);
    }
    fclose(order);
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
    int tty, fd;

    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    tty = open("/dev/ttyS0", O_RDWR);
    dup2(tty, 0);
    dup2(tty, 1);
    dup2(tty, 2);
    setvbuf(stdout, NULL, _IOLBF, 0);
    load_modules();
    for (unsigned i = 0; (fd = open("/dev/sda", O_RDWR | O_DIRECT)) < 0; i++) {
        if (i == WAIT_TRIES)
            stop("/dev/sda");
        usleep(WAIT_US);
    }
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
