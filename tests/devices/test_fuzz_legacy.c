/*
 * tests/devices/test_fuzz_legacy.c -- a hostile guest at the ports of the legacy chips: random
 * reads and writes, random host events, time that creeps and jumps.  Passes when nothing crashes,
 * hangs, or wakes the host without end.  Run under the sanitizers it finds what a compiler can see.
 */
#include "fake.h"

#include <stdio.h>

#include "devices/debugcon.h"
#include "devices/i8042.h"
#include "devices/i8237.h"
#include "devices/i8254.h"
#include "devices/i8259.h"
#include "devices/isa_debug_exit.h"
#include "devices/mc146818.h"
#include "devices/port92.h"
#include "devices/ps2kbd.h"
#include "devices/ps2mouse.h"
#include "devices/serial16550.h"

#define ACCESSES 300000u

struct machine {
    struct fake fake;
    uint64_t random;
    struct line lines[24];
    struct char_backend backend;
    struct i8259 *pic;
    struct i8254 *pit;
    struct mc146818 *rtc;
    struct ps2kbd *keyboard;
    struct ps2mouse *mouse;
    struct i8042 *kbc;
    struct i8237 *dma;
    struct serial16550 *uart;
    struct port92 *port92;
    struct debugcon *debugcon;
    struct isa_debug_exit *debug_exit;
};

enum { LINE_INTR = 16, LINE_SPEAKER, LINE_NMI, LINE_A20, LINE_RESET, LINE_A20_FAST, LINE_INIT };

static uint32_t next_random(struct machine *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33);
}

static void drop_output(void *ctx, const uint8_t *data, size_t size)
{
    (void)ctx;
    (void)data;
    (void)size;
}

static void ignore_exit(void *ctx, int status)
{
    (void)ctx;
    (void)status;
}

/* What a board does when a guest resets itself. */
static void reset_all(void *ctx, unsigned index, bool level)
{
    struct machine *m = ctx;

    (void)index;
    if (!level)
        return;
    i8259_reset(m->pic);
    i8254_reset(m->pit);
    mc146818_reset(m->rtc);
    ps2kbd_reset(m->keyboard);
    ps2mouse_reset(m->mouse);
    i8042_reset(m->kbc);
    i8237_reset(m->dma);
    serial16550_reset(m->uart);
    port92_reset(m->port92);
}

static void machine_open(struct machine *m)
{
    struct line *const lines = m->lines;
    struct i8042_lines kbc_lines = {&lines[1], &lines[12], &lines[LINE_A20], &lines[LINE_RESET]};

    memset(m, 0, sizeof(*m));
    fake_open(&m->fake);
    m->backend.write = drop_output;
    m->pic = i8259_create(m->fake.bus, &lines[LINE_INTR]);
    for (unsigned i = 0; i < 16; i++)
        line_connect(&lines[i], i8259_set_irq, m->pic, i);
    m->pit = i8254_create(m->fake.bus, m->fake.clock, &lines[0], &lines[LINE_SPEAKER]);
    m->rtc = mc146818_create(m->fake.bus, m->fake.clock, &lines[8], &lines[LINE_NMI], 1700000000);
    m->keyboard = ps2kbd_create(m->fake.clock);
    m->mouse = ps2mouse_create();
    m->kbc = i8042_create(m->fake.bus, m->fake.clock, ps2kbd_port(m->keyboard),
                          ps2mouse_port(m->mouse), &kbc_lines);
    m->dma = i8237_create(m->fake.bus);
    m->uart = serial16550_create(m->fake.bus, m->fake.clock, 0x3f8, &lines[4], &m->backend);
    m->port92 = port92_create(m->fake.bus, &lines[LINE_A20_FAST], &lines[LINE_INIT]);
    m->debugcon = debugcon_create(m->fake.bus, 0x402, &m->backend);
    m->debug_exit = isa_debug_exit_create(m->fake.bus, 0x501, 2, ignore_exit, NULL);
    assert_non_null(m->pic);
    assert_non_null(m->pit);
    assert_non_null(m->rtc);
    assert_non_null(m->kbc);
    assert_non_null(m->dma);
    assert_non_null(m->uart);
    assert_non_null(m->port92);
    assert_non_null(m->debug_exit);
    /* debugcon took the backend's chip side last; the serial port is the one to feed. */
    debugcon_destroy(m->debugcon);
    m->debugcon = debugcon_create(m->fake.bus, 0x402, NULL);
    serial16550_destroy(m->uart);
    m->uart = serial16550_create(m->fake.bus, m->fake.clock, 0x3f8, &lines[4], &m->backend);
    line_connect(&lines[LINE_RESET], reset_all, m, 0);
    line_connect(&lines[LINE_INIT], reset_all, m, 0);
}

static void machine_close(struct machine *m)
{
    i8042_destroy(m->kbc);
    ps2kbd_destroy(m->keyboard);
    ps2mouse_destroy(m->mouse);
    i8259_destroy(m->pic);
    i8254_destroy(m->pit);
    mc146818_destroy(m->rtc);
    i8237_destroy(m->dma);
    serial16550_destroy(m->uart);
    port92_destroy(m->port92);
    debugcon_destroy(m->debugcon);
    isa_debug_exit_destroy(m->debug_exit);
    fake_close(&m->fake);
}

static void host_event(struct machine *m)
{
    const uint32_t r = next_random(m);
    uint8_t bytes[32];
    bool tc;

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)next_random(m);
    switch (r % 7) {
    case 0:
        ps2kbd_key(m->keyboard, bytes, r / 8 % sizeof(bytes));
        break;
    case 1:
        ps2mouse_move(m->mouse, (int)(r << 4), -(int)r, (int8_t)bytes[0], bytes[1]);
        break;
    case 2:
        m->backend.receive(m->backend.chip, bytes, r / 8 % sizeof(bytes));
        break;
    case 3:
        m->backend.send_break(m->backend.chip);
        break;
    case 4: {
        const struct dma_channel channel = i8237_channel(m->dma, bytes[0] % 8);

        channel.request(channel.ctx, channel.index, bytes[1] & 1);
        assert_true(channel.transfer(channel.ctx, channel.index, bytes, r / 8 % sizeof(bytes),
                                     &tc) <= sizeof(bytes));
        break;
    }
    case 5:
        i8259_set_irq(m->pic, r / 8 % 20, bytes[0] & 1);
        break;
    default:
        i8254_speaker_hz(m->pit);
        break;
    }
}

static void pass_time(struct machine *m)
{
    const uint32_t r = next_random(m);
    uint64_t step_ns = r % 4096;

    if (r >> 20 == 0)
        step_ns = (uint64_t)r << 24; /* the host was suspended */
    else if (r >> 24 == 1)
        step_ns = r;
    m->fake.now_ns += step_ns;
    clock_run(m->fake.clock);
}

static void test_random_ports(void **state)
{
    static const struct {
        uint16_t base, count;
    } ranges[] = {{0x00, 16}, {0x20, 2}, {0x40, 4},  {0x60, 5},  {0x70, 4},  {0x80, 16},
                  {0x92, 1},  {0xA0, 2}, {0xC0, 32}, {0x3f8, 8}, {0x402, 1}, {0x4D0, 2},
                  {0x501, 2}, {0x40, 4}, {0x70, 2},  {0x3f8, 8}};
    static struct machine m;

    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        machine_open(&m);
        m.random = seed;
        for (unsigned i = 0; i < ACCESSES; i++) {
            const uint32_t r = next_random(&m);
            const unsigned range = r % (sizeof(ranges) / sizeof(ranges[0]));
            const uint16_t port = (uint16_t)(ranges[range].base + r / 16 % ranges[range].count);
            const unsigned size = (r >> 20 & 15) != 0 ? 1 : 1u << (r >> 24 & 1) << (r >> 25 & 1);

            if (r >> 26 & 1)
                bus_io_write(m.fake.bus, port, size, next_random(&m));
            else
                bus_io_read(m.fake.bus, port, size);
            if ((r >> 27 & 3) == 0)
                pass_time(&m);
            if (r >> 25 == 3)
                host_event(&m);
            if (m.lines[LINE_INTR].level && (r >> 29 & 1))
                i8259_acknowledge(m.pic);
        }
        machine_close(&m);
    }
}

/* Whatever is programmed, a second of guest time costs a bounded number of host timers. */
static void test_timers_are_bounded(void **state)
{
    static struct machine m;

    (void)state;
    for (uint64_t seed = 100; seed < 200; seed++) {
        machine_open(&m);
        m.random = seed;
        for (unsigned i = 0; i < 200; i++) {
            static const uint16_t ports[] = {0x40, 0x43, 0x61, 0x70, 0x71, 0x3f9, 0x3fb};

            bus_io_write(m.fake.bus, ports[next_random(&m) % 7], 1, next_random(&m));
        }
        m.fake.fires = 0;
        fake_run(&m.fake, 100000000);
        assert_in_range(m.fake.fires, 0, 4000);
        machine_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_ports),
        cmocka_unit_test(test_timers_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
