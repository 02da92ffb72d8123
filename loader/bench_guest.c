/*
 * loader/bench_guest.c -- the guest of `ringer bench`, in the program.
 *
 * CMakeLists.txt assembles it and says where it is: RINGER_BENCH_GUEST, undefined without nasm.
 */
#define _GNU_SOURCE
#include "loader/bench_guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef RINGER_BENCH_GUEST
__asm__(".pushsection .rodata\n"
        ".global bench_guest_begin, bench_guest_end\n"
        "bench_guest_begin:\n"
        ".incbin \"" RINGER_BENCH_GUEST "\"\n"
        "bench_guest_end:\n"
        ".popsection\n");
extern const char bench_guest_begin[], bench_guest_end[];

static size_t image_bytes(void)
{
    return (size_t)(bench_guest_end - bench_guest_begin);
}
#else
static const char bench_guest_begin[1];

static size_t image_bytes(void)
{
    return 0;
}
#endif

bool bench_guest_is_built_in(void)
{
    return image_bytes() != 0;
}

int bench_guest_open(char path[BENCH_GUEST_PATH_BYTES], struct error *error)
{
    const size_t size = image_bytes();
    int fd;

    if (size == 0) {
        (void)error_set(error, "this ringer was built without its bench guest, as nasm was missing;"
                               " name one: ringer bench -kernel FILE ...");
        return -1;
    }
    fd = memfd_create("ringer-bench-guest", MFD_CLOEXEC);
    if (fd < 0 || write(fd, bench_guest_begin, size) != (ssize_t)size) {
        (void)error_set(error, "cannot make the guest's file: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    snprintf(path, BENCH_GUEST_PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}
