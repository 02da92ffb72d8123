/*
 * tests/boot/kill/writer.c -- the guest of kill.sh: writes files to an ext4 disk for ever, and says
 * on the serial line what has been flushed.  The same program checks the files on the host.
 *
 *   /init                      as a guest's first process: modules, mount, check, write
 *   writer check DIR < LINES   on the host: does DIR hold what the console's lines promise?
 *   writer list DIR            the HAVE lines of a directory
 *
 * Lines:  HAVE n generation  at the start: what is there
 *         ACK n generation   file n has that generation
 *         GONE n             file n is not there
 * ACK and GONE are printed, and have left the serial port, when fsync() of the file, then of its
 * directory, has returned and before the next operation; so one file at most may be ahead.
 *
 * A file holds a header and numbers that follow from it, so that it says itself whether it is
 * whole.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/boot/first_process.h"

enum { FILES = 200, WORDS_MAX = 12 << 10, NOISE_CHUNK = 64 << 10 };
enum { MISSING = -1, DAMAGED = -2 };
enum { LIVES = 8 }; /* a file is removed after so many generations */
enum { NOISE_CHUNKS = 128 };
#define MAGIC UINT64_C(0x72656c6c6972574b)

struct content {
    uint64_t magic, number, generation, words;
    uint64_t data[WORDS_MAX];
};

static struct content content;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t content_size(void)
{
    return offsetof(struct content, data) + content.words * sizeof(uint64_t);
}

static void content_make(uint64_t number, uint64_t generation)
{
    uint64_t state = (number + 1) * UINT64_C(0x9E3779B97F4A7C15) + generation;

    content = (struct content){.magic = MAGIC, .number = number, .generation = generation};
    /* Many small ones, some large. */
    content.words = next_random(&state) % (generation % 4 == 0 ? WORDS_MAX : 1000);
    for (uint64_t i = 0; i < content.words; i++)
        content.data[i] = next_random(&state);
}

/* Its generation, MISSING or DAMAGED. */
static int64_t file_check(const char *dir, uint64_t number)
{
    static struct content found;
    char path[512];
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "%s/f%" PRIu64, dir, number);
    fd = open(path, O_RDONLY);
    if (fd < 0)
        return errno == ENOENT ? MISSING : DAMAGED;
    memset(&found, 0, sizeof(found));
    got = read(fd, &found, sizeof(found));
    close(fd);
    if (got < (ssize_t)offsetof(struct content, data) || found.magic != MAGIC ||
        found.number != number)
        return DAMAGED;
    content_make(number, found.generation);
    if ((size_t)got != content_size() || memcmp(&found, &content, content_size()) != 0)
        return DAMAGED;
    return (int64_t)found.generation;
}

static void list_files(const char *dir, int64_t generations[FILES])
{
    for (uint64_t i = 0; i < FILES; i++) {
        generations[i] = file_check(dir, i);
        if (generations[i] >= 0)
            printf("HAVE %" PRIu64 " %" PRId64 "\n", i, generations[i]);
        else if (generations[i] == DAMAGED)
            printf("BAD: f%" PRIu64 " is damaged\n", i);
    }
}

/* ---- on the host ---- */

/* Is that what one more operation would have left? */
static bool is_next(int64_t found, int64_t promised, int64_t last)
{
    if (promised == MISSING)
        return found == last + 1;
    return promised % LIVES == LIVES - 1 ? found == MISSING : found == promised + 1;
}

static int check_main(const char *dir)
{
    static int64_t promised[FILES], last[FILES];
    unsigned flushed = 0, ahead = 0, bad = 0;
    char line[128];

    for (unsigned i = 0; i < FILES; i++)
        promised[i] = last[i] = MISSING;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        uint64_t number;
        int64_t generation;

        if (strchr(line, '\n') == NULL)
            break; /* cut off: it promises nothing */
        if (sscanf(line, "HAVE %" SCNu64 " %" SCNd64, &number, &generation) == 2 &&
            number < FILES) {
            promised[number] = last[number] = generation;
        } else if (sscanf(line, "ACK %" SCNu64 " %" SCNd64, &number, &generation) == 2 &&
                   number < FILES) {
            promised[number] = last[number] = generation;
            flushed++;
        } else if (sscanf(line, "GONE %" SCNu64, &number) == 1 && number < FILES) {
            promised[number] = MISSING;
            flushed++;
        }
    }
    for (uint64_t i = 0; i < FILES; i++) {
        const int64_t found = file_check(dir, i);

        if (found == promised[i])
            continue;
        /* The one operation that was under way may have reached the disk. */
        if (found != DAMAGED && is_next(found, promised[i], last[i]) && ahead++ == 0)
            continue;
        bad++;
        printf("f%" PRIu64 ": promised %" PRId64 ", found %" PRId64 "\n", i, promised[i], found);
    }
    printf("%u operations flushed, %u under way, %u files wrong\n", flushed, ahead, bad);
    return bad != 0;
}

/* ---- in the guest ---- */

static void stop(const char *what)
{
    printf("BAD: %s: %s\n", what, strerror(errno));
    for (;;)
        pause();
}

/* Writes that nobody waits for, so that the disk is never idle. */
static void noise(void)
{
    static char chunk[NOISE_CHUNK];
    uint64_t state = 1;

    for (unsigned round = 0;; round++) {
        const int fd = open(round % 2 != 0 ? "/mnt/noise1" : "/mnt/noise0",
                            O_WRONLY | O_CREAT | O_TRUNC, 0600);

        if (fd < 0)
            stop("noise");
        for (unsigned i = 0; i < NOISE_CHUNKS; i++) {
            memset(chunk, (int)next_random(&state), sizeof(chunk));
            if (write(fd, chunk, sizeof(chunk)) != sizeof(chunk))
                stop("noise");
            usleep(1000);
        }
        close(fd);
    }
}

/* Replace the file, as a careful program does. */
static void replace(int dir, uint64_t number, uint64_t generation)
{
    char path[64];
    int fd = open("/mnt/d/new", O_WRONLY | O_CREAT | O_TRUNC, 0600);

    content_make(number, generation);
    snprintf(path, sizeof(path), "/mnt/d/f%" PRIu64, number);
    if (fd < 0 || write(fd, &content, content_size()) != (ssize_t)content_size() ||
        fsync(fd) != 0 || rename("/mnt/d/new", path) != 0 || fsync(dir) != 0)
        stop(path);
    close(fd);
    printf("ACK %" PRIu64 " %" PRIu64 "\n", number, generation);
}

static void remove_file(int dir, uint64_t number)
{
    char path[64];

    snprintf(path, sizeof(path), "/mnt/d/f%" PRIu64, number);
    if (unlink(path) != 0 || fsync(dir) != 0)
        stop(path);
    printf("GONE %" PRIu64 "\n", number);
}

static void init_main(void)
{
    static int64_t generation[FILES];
    static bool removed[FILES];
    uint64_t state = (uint64_t)time(NULL) * 2654435761u | 1;
    const char *failed;
    int dir;

    if ((failed = first_console()) != NULL || (failed = first_modules()) != NULL ||
        (failed = first_device("/dev/sda")) != NULL)
        stop(failed);
    mkdir("/mnt", 0755);
    if (mount("/dev/sda", "/mnt", "ext4", 0, "errors=panic") != 0)
        stop("mount");
    mkdir("/mnt/d", 0755);
    dir = open("/mnt/d", O_RDONLY | O_DIRECTORY);
    list_files("/mnt/d", generation);
    puts("WRITING");
    if (fork() == 0)
        noise();
    for (uint64_t i = 0; i < FILES; i++) {
        removed[i] = generation[i] == MISSING;
        if (generation[i] == DAMAGED)
            pause();
    }
    for (;;) {
        const uint64_t number = next_random(&state) % FILES;

        if (!removed[number] && generation[number] % LIVES == LIVES - 1) {
            remove_file(dir, number);
            removed[number] = true;
        } else {
            replace(dir, number, (uint64_t)++generation[number]);
            removed[number] = false;
        }
        tcdrain(1);
    }
}

int main(int argc, char **argv)
{
    static int64_t generation[FILES];

    if (argc == 3 && !strcmp(argv[1], "check"))
        return check_main(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "list")) {
        list_files(argv[2], generation);
        return 0;
    }
    if (getpid() != 1)
        return 2;
    init_main();
    return 0;
}
