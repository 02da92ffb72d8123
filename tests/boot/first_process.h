/*
 * tests/boot/first_process.h -- what a guest's only program does before its own work, as process 1
 * of an initrd with the kernel's modules in /mod: console, modules, disk.
 *
 * Each function returns NULL, or the name of what failed with errno set.
 */
#ifndef RINGER_TESTS_BOOT_FIRST_PROCESS_H
#define RINGER_TESTS_BOOT_FIRST_PROCESS_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The first serial port is standard input, output and error, a line at a time. */
static inline const char *first_console(void)
{
    int tty;

    mkdir("/dev", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    tty = open("/dev/ttyS0", O_RDWR);
    if (tty < 0)
        return "/dev/ttyS0";
    for (int fd = 0; fd < 3; fd++)
        dup2(tty, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    return NULL;
}

/* Load the files that /mod/order names, one a line. */
static inline const char *first_modules(void)
{
    enum { MODULE_MAX = 4 << 20 };
    static char image[MODULE_MAX], name[128], path[160];
    FILE *order = fopen("/mod/order", "r");

    if (order == NULL)
        return "/mod/order";
    while (fgets(name, sizeof(name), order) != NULL) {
        ssize_t size;
        int fd;

        name[strcspn(name, "\n")] = '\0';
        snprintf(path, sizeof(path), "/mod/%s", name);
        fd = open(path, O_RDONLY);
        size = fd < 0 ? -1 : read(fd, image, sizeof(image));
        if (size <= 0 || syscall(SYS_init_module, image, (unsigned long)size, "") != 0)
            return path;
        close(fd);
    }
    fclose(order);
    return NULL;
}

/* Wait for a device to appear. */
static inline const char *first_device(const char *path)
{
    enum { TRIES = 200, PAUSE_US = 50000 };

    for (unsigned i = 0; access(path, F_OK) != 0; i++) {
        if (i == TRIES)
            return path;
        usleep(PAUSE_US);
    }
    return NULL;
}

#endif
