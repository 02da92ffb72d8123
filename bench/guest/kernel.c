/*
 * bench/guest/kernel.c -- what programs ask of a kernel, each timed; runs on the host, and as a
 * process of a guest.
 *
 *   kernel [ROW]...         all rows without arguments
 *
 * Prints a line a row: name (as the row starts), nanoseconds of one operation, operations.  What
 * prepares a row (the processes of a ring) is not timed.  Build as 32- and 64-bit, static:
 * `cc -O2 -static [-m32] -o kernel kernel.c`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *self; /* this program, to be executed again */

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t row_started, row_ended; /* set by main(), and by rows that prepare and tidy up */

static void need(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void null_syscall(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        syscall(SYS_getppid);
}

/* One byte there and back between two processes. */
static void pipe_round_trip(unsigned count)
{
    int there[2], back[2];
    char byte = 0;
    pid_t child;

    need(pipe(there) == 0 && pipe(back) == 0, "pipe");
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        close(there[1]);
        while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
            ;
        _exit(0);
    }
    close(there[0]);
    for (unsigned i = 0; i < count; i++)
        need(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
    close(there[1]);
    close(back[0]);
    close(back[1]);
    waitpid(child, NULL, 0);
}

static void fork_wait(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const pid_t child = fork();

        need(child >= 0, "fork");
        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
}

static void fork_exec(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const pid_t child = fork();

        need(child >= 0, "fork");
        if (child == 0) {
            execl(self, self, "nothing", (char *)NULL);
            _exit(1);
        }
        waitpid(child, NULL, 0);
    }
}

enum { TOUCH_PAGES = 256, PAGE = 4096 };

/* count: pages, each touched for the first time. */
static void first_touch(unsigned count)
{
    for (unsigned done = 0; done < count; done += TOUCH_PAGES) {
        volatile char *p = mmap(NULL, TOUCH_PAGES * PAGE, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        need(p != MAP_FAILED, "mmap");
        for (unsigned i = 0; i < TOUCH_PAGES; i++)
            p[i * PAGE] = 1;
        munmap((void *)(uintptr_t)p, TOUCH_PAGES * PAGE);
    }
}

static void map_unmap(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        void *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        need(p != MAP_FAILED, "mmap");
        munmap(p, 16 * PAGE);
    }
}

/* count: blocks of 4 KiB, written to a file in memory (tmpfs) and read again. */
static void file_write_read(unsigned count)
{
    static char block[PAGE];
    enum { BLOCKS = 256 };
    const int fd = memfd_create("bench", 0);

    need(fd >= 0, "memfd_create");
    for (unsigned done = 0; done < count; done += BLOCKS) {
        for (unsigned i = 0; i < BLOCKS; i++)
            need(pwrite(fd, block, PAGE, (off_t)i * PAGE) == PAGE, "write");
        for (unsigned i = 0; i < BLOCKS; i++)
            need(pread(fd, block, PAGE, (off_t)i * PAGE) == PAGE, "read");
    }
    close(fd);
}

enum { RING_BYTES = 64 << 10, LINE = 64 };

static void walk(volatile char *own)
{
    for (unsigned at = 0; at < RING_BYTES; at += LINE)
        own[at]++;
}

/* Sends the token around, takes it back. */
static unsigned once_around(int (*pipes)[2], unsigned processes, unsigned token, volatile char *own)
{
    need(write(pipes[1 % processes][1], &token, sizeof(token)) == sizeof(token) &&
             read(pipes[0][0], &token, sizeof(token)) == sizeof(token),
         "pipe");
    walk(own);
    return token != 0 ? token - 1 : 0;
}

/* A token goes around a ring of processes, each of which walks over 64 KiB of its own and counts
 * it down. */
static void ring(unsigned processes, unsigned count)
{
    int(*pipes)[2] = calloc(processes, sizeof(*pipes));
    volatile char *own;
    unsigned token;

    need(pipes != NULL, "memory");
    for (unsigned i = 0; i < processes; i++)
        need(pipe(pipes[i]) == 0, "pipe");
    for (unsigned i = 1; i < processes; i++) {
        const pid_t child = fork();

        need(child >= 0, "fork");
        if (child != 0)
            continue;
        for (unsigned j = 0; j < processes; j++) {
            if (j != i)
                close(pipes[j][0]);
            if (j != (i + 1) % processes)
                close(pipes[j][1]);
        }
        own = calloc(1, RING_BYTES);
        need(own != NULL, "memory");
        while (read(pipes[i][0], &token, sizeof(token)) == sizeof(token)) {
            walk(own);
            if (token != 0)
                token--;
            if (write(pipes[(i + 1) % processes][1], &token, sizeof(token)) != sizeof(token))
                break;
        }
        _exit(0);
    }
    own = calloc(1, RING_BYTES);
    need(own != NULL, "memory");
    for (token = processes; token != 0;) /* until every process has run once */
        token = once_around(pipes, processes, token, own);
    row_started = now_ns();
    for (token = count; token != 0;)
        token = once_around(pipes, processes, token, own);
    row_ended = now_ns();
    for (unsigned i = 0; i < processes; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
    while (wait(NULL) > 0)
        ;
    free((void *)(uintptr_t)own);
    free(pipes);
}

static void switch_2(unsigned count)
{
    ring(2, count);
}

static void switch_16(unsigned count)
{
    ring(16, count);
}

static void switch_64(unsigned count)
{
    ring(64, count);
}

static volatile sig_atomic_t signals_seen;

static void on_signal(int number)
{
    (void)number;
    signals_seen = 1;
}

static void signal_delivery(unsigned count)
{
    const struct sigaction action = {.sa_handler = on_signal};

    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    for (unsigned i = 0; i < count; i++)
        kill(getpid(), SIGUSR1);
}

static const struct row {
    const char *name;
    void (*run)(unsigned count);
    unsigned count;
} rows[] = {
    {"null_syscall", null_syscall, 1000000},
    {"pipe_round_trip", pipe_round_trip, 20000},
    {"fork_wait", fork_wait, 500},
    {"fork_exec", fork_exec, 300},
    {"first_touch", first_touch, 50000},
    {"map_unmap", map_unmap, 50000},
    {"file_write_read", file_write_read, 50000},
    {"switch_2", switch_2, 20000},
    {"switch_16", switch_16, 20000},
    {"switch_64", switch_64, 20000},
    {"signal_delivery", signal_delivery, 50000},
};

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc == 1;
}

int main(int argc, char **argv)
{
    self = argv[0];
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (!wanted(rows[i].name, argc, argv))
            continue;
        printf("%s", rows[i].name);
        fflush(stdout);
        row_ended = 0;
        row_started = now_ns();
        rows[i].run(rows[i].count);
        if (row_ended == 0)
            row_ended = now_ns();
        printf(" %.1f %u\n", (double)(row_ended - row_started) / rows[i].count, rows[i].count);
        fflush(stdout);
    }
    return 0;
}
