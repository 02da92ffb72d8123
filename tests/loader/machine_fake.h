/*
 * tests/loader/machine_fake.h -- a struct machine around a real board with a few bytes of ROM, and
 * a byte stream whose other end is the test.  For files that include cmocka.h first.
 *
 * The guest, in real mode, CS base F0000h:
 *   09  xor cx, cx
 *   0B  inc cx            <- LOOP
 *   0C  inc word [500h]
 *   10  mov [502h], cx
 *   14  mov ax, [504h]
 *   17  jmp LOOP
 */
#ifndef RINGER_TESTS_LOADER_MACHINE_FAKE_H
#define RINGER_TESTS_LOADER_MACHINE_FAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/physmem.h"
#include "loader/machine.h"
#include "tests/devices/board.h"

enum { FAKE_OUTPUT_BYTES = 1 << 20 };
enum {
    FAKE_LOOP = 0xF000B,
    FAKE_INC = 0xF000C,
    FAKE_STORE = 0xF0010,
    FAKE_LOAD = 0xF0014,
    FAKE_JUMP = 0xF0017
};

struct fake {
    struct options options;
    struct machine m;
    struct chardev dev;
    char out[FAKE_OUTPUT_BYTES];
    size_t size;
    const char *stop_at; /* when this has been written since the last look, pc_run() is to return */
    struct rom rom;
};

static void fake_write(void *ctx, const uint8_t *data, size_t size)
{
    struct fake *f = ((struct chardev *)ctx)->quit_ctx;

    for (size_t i = 0; i < size && f->size + 1 < sizeof(f->out); i++)
        f->out[f->size++] = (char)data[i];
    f->out[f->size] = '\0';
    if (f->stop_at != NULL && strstr(f->out, f->stop_at) != NULL)
        pc_stop(f->m.pc);
}

static struct fake *fake_open(const char *model, enum pc_accel accel)
{
    struct fake *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    rom_init(&f->rom);
    EMIT(&f->rom, 0x31, 0xC9, 0x41, 0xFF, 0x06, 0x00, 0x05);
    EMIT(&f->rom, 0x89, 0x0E, 0x02, 0x05, 0xA1, 0x04, 0x05, 0xEB, 0xF2);
    f->m.options = &f->options;
    f->m.log = stderr;
    f->m.config = board_config(&f->rom, model, accel);
    f->m.model = f->m.config.model;
    f->m.pc = board_create(&f->m.config);
    chardev_init(&f->dev, fake_write);
    f->dev.out_fd = 1; /* somebody is there */
    f->dev.quit_ctx = f;
    return f;
}

static inline void fake_close(struct fake *f)
{
    pc_destroy(f->m.pc);
    free(f);
}

/* What has been written since the last time. */
static inline const char *fake_output(struct fake *f)
{
    static char copy[FAKE_OUTPUT_BYTES];

    memcpy(copy, f->out, f->size + 1);
    copy[f->size] = '\0';
    f->size = 0;
    f->out[0] = '\0';
    return copy;
}

static inline void fake_type(struct fake *f, const char *text, size_t size)
{
    f->dev.backend.receive(f->dev.backend.chip, (const uint8_t *)text, size);
}

#endif
