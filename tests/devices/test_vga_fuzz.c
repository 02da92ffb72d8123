/*
 * tests/devices/test_vga_fuzz.c -- a hostile guest at the display adapter: random port and window
 * accesses, and the picture after each handful of them.
 *
 * With an argument it runs that many rounds from a seed of the time: `devices_vga_fuzz 1000000`.
 */
#include <stdio.h>
#include <time.h>

#include "vga_modes.h"

enum { ROUNDS = 1500, OPERATIONS = 24 };

static uint64_t rng;

static uint32_t next(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 16);
}

/* Registers that matter are more likely than chance has it. */
static void operate(struct rig *rig)
{
    static const uint16_t ports[] = {0x3B4, 0x3B5, 0x3BA, 0x3C0, 0x3C1, 0x3C2, 0x3C4,
                                     0x3C5, 0x3C6, 0x3C7, 0x3C8, 0x3C9, 0x3CE, 0x3CF,
                                     0x3D4, 0x3D5, 0x3DA, 0x1CE, 0x1CF, 0x1D0};
    static const struct mode *const modes[] = {&mode_text, &mode_text40, &mode_4, &mode_6,
                                               &mode_12,   &mode_13,     &mode_x};
    const uint16_t port = ports[next() % (sizeof(ports) / sizeof(ports[0]))];
    const unsigned size = 1u << next() % 3;

    switch (next() % 16) {
    case 0:
        if (next() % 8 == 0)
            mode_set(rig, modes[next() % (sizeof(modes) / sizeof(modes[0]))]);
        break;
    case 1:
    case 2:
        crtc(rig, (uint8_t)(next() % 25), (uint8_t)next());
        break;
    case 3:
        seq(rig, (uint8_t)(next() % 5), (uint8_t)next());
        break;
    case 4:
        gfx(rig, (uint8_t)(next() % 9), (uint8_t)next());
        break;
    case 5:
        attr(rig, (uint8_t)(next() % 21), (uint8_t)next());
        break;
    case 6:
        dispi_set(rig, (uint16_t)(next() % 11), (uint16_t)(next() >> next() % 16));
        break;
    case 7:
        /* large modes take long to draw: mostly small ones */
        dispi_set(rig, DISPI_XRES, (uint16_t)(next() % 1024));
        dispi_set(rig, DISPI_YRES, (uint16_t)(next() % 512));
        dispi_set(rig, DISPI_BPP, (uint16_t)(next() % 5 * 8));
        dispi_set(rig, DISPI_ENABLE, (uint16_t)(next() & (next() % 4 ? 0xC0E1 : 0xFFFF)));
        break;
    case 8:
        dispi_set(rig, DISPI_ENABLE, 0);
        break;
    case 9:
        bus_io_write(rig->fake.bus, port, size, next());
        break;
    case 10:
        (void)bus_io_read(rig->fake.bus, port, size);
        break;
    case 11:
        (void)peek(rig, next() % (VGA_WINDOW_SIZE - 8), 1u << next() % 4);
        break;
    case 12:
        vga_stored(rig->vga, next() % 5000);
        break;
    case 13:
        fake_run(&rig->fake, next());
        break;
    default:
        poke(rig, next() % (VGA_WINDOW_SIZE - 8), 1u << next() % 4, next() * UINT64_C(0x100000001));
        break;
    }
}

static void test_hostile_guest(void **state)
{
    static struct display_text text;
    static char characters[1 << 16];
    const unsigned rounds = *state != NULL ? *(unsigned *)*state : ROUNDS;
    struct rig rig;

    rig_open(&rig);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < OPERATIONS; i++)
            operate(&rig);
        /* 64 MB pictures are drawn, but not all day */
        if (vga_geometry(rig.vga).width * vga_geometry(rig.vga).height > 1u << 21 &&
            round % 64 != 0)
            dispi_set(&rig, DISPI_ENABLE, 0);
        (void)refresh(&rig);
        if (round % 4 == 0) { /* everything drawn anew looks the same: no change was missed */
            vga_stored_all(rig.vga);
            assert_int_equal(refresh(&rig)->rect_count, 0);
        }
        vga_text_cells(rig.vga, &text);
        assert_true(vga_text(rig.vga, characters, sizeof(characters)) <= sizeof(characters));
        if (next() % 512 == 0)
            vga_reset(rig.vga);
    }
    rig_close(&rig);
}

int main(int argc, char *argv[])
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : ROUNDS;
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_hostile_guest, &rounds)};

    rng = argc > 1 ? (uint64_t)time(NULL) * UINT64_C(0x9E3779B97F4A7C15) + 1 : 20221114;
    if (argc > 1)
        print_message("seed %llu\n", (unsigned long long)rng);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
