/*
 * bench/guest/disk.c -- the guest of disk.sh, as its first process: throughput of /dev/sda with
 * O_DIRECT, so that every request reaches the controller.
 *
 * Prints `ROW MiB/s` or `ROW requests/s` for sequential and 4 KiB random requests, by turns written
 * and read, each with as much as takes a second or two, and powers off.
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

/* Requests a second. */
static double measure(int fd, char *buffer, size_t size, int is_write, int random)
{
    const double start = now();
    uint64_t state = 88172645463325252u, at = 0;
    unsigned done = 0;

    do {
        const off_t offset = (off_t)(at * size);
        const ssize_t moved =
            is_write ? pwrite(fd, buffer, size, offset) : pread(fd, buffer, size, offset);

        if (moved != (ssize_t)size)
            stop(is_write ? "write" : "read");
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at = (random ? state : at + 1) % (SPAN / size);
        done++;
    } while (done % 16 != 0 || now() - start < ROW_SECONDS);
    return done / (now() - start);
}

int main(void)
{
    char *buffer;
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
    printf("ROW seq-write %.1f\n", measure(fd, buffer, LARGE, 1, 0));
    printf("ROW seq-read %.1f\n", measure(fd, buffer, LARGE, 0, 0));
    printf("ROW 4k-random-write %.0f\n", measure(fd, buffer, SMALL, 1, 1));
    printf("ROW 4k-random-read %.0f\n", measure(fd, buffer, SMALL, 0, 1));
    printf("ROW 4k-seq-write %.0f\n", measure(fd, buffer, SMALL, 1, 0));
    printf("ROW 4k-seq-read %.0f\n", measure(fd, buffer, SMALL, 0, 0));
    reboot(RB_POWER_OFF);
    return 0;
}
