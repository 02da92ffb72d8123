/*
 * tests/devices/fake.h -- what a chip's test plugs the chip into: a bus with 1 MiB of memory, a
 * clock that is turned by hand, and wires that count.
 */
#ifndef RINGER_TESTS_DEVICES_FAKE_H
#define RINGER_TESTS_DEVICES_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "devices/backend.h"
#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"

#define FAKE_MEMORY (1u << 20)

struct fake {
    struct bus *bus;
    struct clock *clock;
    uint64_t now_ns;
    unsigned fires; /* deadlines that fake_run_until() stopped at */
    uint8_t *memory;
};

/* A wire's listener. */
struct fake_wire {
    struct line line;
    unsigned rises, falls;
};

static inline uint64_t fake_now(void *ctx)
{
    return ((struct fake *)ctx)->now_ns;
}

static inline void fake_dma_read(void *ctx, uint64_t base, void *buffer, size_t size)
{
    const struct fake *fake = ctx;

    for (size_t i = 0; i < size; i++)
        ((uint8_t *)buffer)[i] = fake->memory[(base + i) % FAKE_MEMORY];
}

static inline void fake_dma_write(void *ctx, uint64_t base, const void *buffer, size_t size)
{
    struct fake *fake = ctx;

    for (size_t i = 0; i < size; i++)
        fake->memory[(base + i) % FAKE_MEMORY] = ((const uint8_t *)buffer)[i];
}

static inline void fake_open(struct fake *fake)
{
    const struct bus_memory memory = {
        .ctx = fake, .dma_read = fake_dma_read, .dma_write = fake_dma_write};

    memset(fake, 0, sizeof(*fake));
    fake->memory = calloc(1, FAKE_MEMORY);
    fake->bus = bus_create(&memory);
    fake->clock = clock_create(fake_now, fake, NULL);
    assert_non_null(fake->memory);
    assert_non_null(fake->bus);
    assert_non_null(fake->clock);
}

static inline void fake_close(struct fake *fake)
{
    assert_true(clock_next_ns(fake->clock) == UINT64_MAX); /* every chip took its timers along */
    clock_destroy(fake->clock);
    bus_destroy(fake->bus);
    free(fake->memory);
}

/* Let time pass, firing each timer exactly when it is due: a host that is never late. */
static inline void fake_run_until(struct fake *fake, uint64_t until_ns)
{
    while (clock_next_ns(fake->clock) <= until_ns) {
        if (clock_next_ns(fake->clock) > fake->now_ns)
            fake->now_ns = clock_next_ns(fake->clock);
        fake->fires++;
        clock_run(fake->clock);
    }
    if (until_ns > fake->now_ns)
        fake->now_ns = until_ns;
}

static inline void fake_run(struct fake *fake, uint64_t duration_ns)
{
    fake_run_until(fake, fake->now_ns + duration_ns);
}

static inline uint8_t in8(struct fake *fake, uint16_t port)
{
    return (uint8_t)bus_io_read(fake->bus, port, 1);
}

static inline void out8(struct fake *fake, uint16_t port, uint8_t value)
{
    bus_io_write(fake->bus, port, 1, value);
}

static inline void fake_wire_changed(void *ctx, unsigned index, bool level)
{
    struct fake_wire *wire = ctx;

    (void)index;
    wire->rises += level;
    wire->falls += !level;
}

static inline void fake_wire_init(struct fake_wire *wire)
{
    memset(wire, 0, sizeof(*wire));
    line_connect(&wire->line, fake_wire_changed, wire, 0);
}

#endif
