/*
 * tests/devices/test_fuzz_floppy.c -- a hostile guest at the floppy controller, the DMA
 * controllers, the HPET and the test device: random ports and registers, commands that are valid to
 * the last byte but one, images that are slow, fail, change and vanish meanwhile.  Passes when
 * nothing crashes, hangs or reaches outside of what belongs to it.
 */
#include "fake_floppy.h"

#include "devices/hpet.h"
#include "devices/pc_testdev.h"

#define ACCESSES 300000u
#define SEEDS    3u

enum { LINE_COUNT = 24 };

struct machine {
    struct fake fake;
    uint64_t random;
    struct line irq[LINE_COUNT], pins[HPET_PIN_COUNT], legacy, testdev[TESTDEV_IRQ_COUNT];
    struct i8237 *dma;
    struct i82077 *fdc;
    struct hpet *hpet;
    struct pc_testdev *testdev_chip;
    struct fake_image image[2];
    unsigned results; /* commands that came to a result phase */
};

static uint32_t next_random(struct machine *m)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33);
}

static void machine_open(struct machine *m, uint64_t seed)
{
    struct block_backend *drives[2] = {&m->image[0].backend, NULL};
    const struct hpet_lines lines = {
        .irq0 = &m->irq[0], .irq8 = &m->irq[8], .legacy = &m->legacy, .pins = m->pins};

    memset(m, 0, sizeof(*m));
    m->random = seed;
    fake_open(&m->fake);
    fake_image_open(&m->image[0], FLOPPY_144);
    fake_image_open(&m->image[1], FLOPPY_72);
    if (seed % 2 != 0)
        drives[1] = &m->image[1].backend;
    m->dma = i8237_create(m->fake.bus);
    m->fdc =
        i82077_create(m->fake.bus, m->fake.clock, &m->irq[6], i8237_channel(m->dma, 2), drives);
    m->hpet = hpet_create(m->fake.bus, m->fake.clock, &lines);
    m->testdev_chip = pc_testdev_create(m->fake.bus, m->testdev);
    assert_non_null(m->dma);
    assert_non_null(m->fdc);
    assert_non_null(m->hpet);
    assert_non_null(m->testdev_chip);
}

static void machine_close(struct machine *m)
{
    i82077_destroy(m->fdc);
    i8237_destroy(m->dma);
    hpet_destroy(m->hpet);
    pc_testdev_destroy(m->testdev_chip);
    fake_image_close(&m->image[0]);
    fake_image_close(&m->image[1]);
    fake_close(&m->fake);
}

/* ---- what the guest does ---- */

/* Most bytes are small: cylinders, sectors and sizes that exist. */
static uint8_t parameter(struct machine *m)
{
    const uint32_t r = next_random(m);

    switch (r & 7) {
    case 0:
        return (uint8_t)(r >> 8);
    case 1:
        return 2;
    case 2:
        return 0;
    default:
        return (uint8_t)(r >> 8) % 20;
    }
}

static void floppy_command(struct machine *m)
{
    static const uint8_t opcodes[] = {0xE6, 0x46, 0xC5, 0x45, 0x4D, 0x4A, 0x42, 0x56, 0xD6,
                                      0x4C, 0xEC, 0x49, 0x07, 0x0F, 0x8F, 0xCF, 0x08, 0x08,
                                      0x03, 0x04, 0x13, 0x12, 0x0E, 0x94, 0x14, 0x10};
    const uint32_t r = next_random(m);

    out8(&m->fake, 0x3F5, r & 15 ? opcodes[(r >> 4) % sizeof(opcodes)] : (uint8_t)(r >> 4));
    for (unsigned i = 0; i < 9 && (in8(&m->fake, 0x3F4) & 0xD0) == 0x90; i++)
        out8(&m->fake, 0x3F5, parameter(m));
    m->results += (in8(&m->fake, 0x3F4) & 0xD0) == 0xD0;
    for (unsigned i = 0; i < 10 && (r >> 20 & 1) && (in8(&m->fake, 0x3F4) & 0xC0) == 0xC0; i++)
        in8(&m->fake, 0x3F5);
}

/* A driver's read, write, format or verify, right but for a byte now and then. */
static void floppy_driver(struct machine *m)
{
    static const uint8_t opcodes[] = {0xC6, 0x46, 0xC5, 0x45, 0x4D, 0x42, 0x56, 0x4C};
    const uint32_t r = next_random(m), q = next_random(m);
    const uint8_t drive = r & 1, head = r >> 1 & 1, sectors = drive ? 9 : 18;
    uint8_t command[9] = {opcodes[r >> 2 & 7],
                          (uint8_t)(head << 2 | drive),
                          r >> 8 & 3,
                          head,
                          (uint8_t)(1 + (r >> 10) % sectors),
                          2,
                          sectors,
                          0x1B,
                          0xFF};
    unsigned size = 9;

    if ((q >> 24 & 3) == 0) { /* a disk that works */
        m->image[drive].later = false;
        m->image[drive].error = 0;
        fake_image_finish(&m->image[drive]);
        if (m->image[drive].backend.size_bytes == 0)
            fake_image_insert(&m->image[drive], drive ? FLOPPY_72 : FLOPPY_144, false);
    }
    out8(&m->fake, 0x3F2, 0x1C | drive);
    out8(&m->fake, 0x3F7, m->image[drive].backend.size_bytes == FLOPPY_72 ? 2 : 0);
    while ((in8(&m->fake, 0x3F4) & 0xD0) == 0xD0)
        in8(&m->fake, 0x3F5);
    if ((in8(&m->fake, 0x3F4) & 0xD0) != 0x80)
        return;
    out8(&m->fake, 0x3F5, 0x03); /* SPECIFY: sometimes PIO */
    out8(&m->fake, 0x3F5, 0xAF);
    out8(&m->fake, 0x3F5, (q & 7) == 0 ? 3 : 2);
    out8(&m->fake, 0x3F5, 0x13); /* CONFIGURE: implied seek */
    out8(&m->fake, 0x3F5, 0);
    out8(&m->fake, 0x3F5, 0x40 | (q >> 3 & 0x2F));
    out8(&m->fake, 0x3F5, 0);
    if (command[0] == 0x4D) {
        size = 6;
        command[2] = 2;
        command[3] = (q & 0x700) == 0 ? (uint8_t)q : sectors;
        command[5] = 0xF6;
        for (unsigned i = 0; i < 18; i++) {
            const uint8_t id[4] = {0, head, (uint8_t)(i + 1), 2};

            memcpy(m->fake.memory + (size_t)i * 4, id, 4);
        }
        out8(&m->fake, 0x0B, 0x4A);
        out8(&m->fake, 0x81, 0);
        for (unsigned i = 0; i < 2; i++) {
            out8(&m->fake, 0x04, 0);
            out8(&m->fake, 0x05, 0xFF);
        }
        out8(&m->fake, 0x0A, 2);
    }
    if ((q & 0x7000) == 0)
        command[(q >> 16) % size] = parameter(m);
    for (unsigned i = 0; i < size; i++)
        out8(&m->fake, 0x3F5, command[i]);
    m->fake.now_ns += 200000;
    clock_run(m->fake.clock);
}

static void dma_program(struct machine *m)
{
    const uint32_t r = next_random(m);

    out8(&m->fake, 0x0B, (uint8_t)((r & 0xFC) | 2));
    out8(&m->fake, 0x0C, 0);
    out8(&m->fake, 0x04, (uint8_t)(r >> 8));
    out8(&m->fake, 0x04, (uint8_t)(r >> 16));
    out8(&m->fake, 0x05, (uint8_t)next_random(m));
    out8(&m->fake, 0x05, (uint8_t)next_random(m) % 40);
    out8(&m->fake, 0x81, (uint8_t)next_random(m));
    out8(&m->fake, 0x0A, 2);
}

static void hpet_access(struct machine *m)
{
    const uint32_t r = next_random(m);
    const unsigned size = 1u << (r & 3);
    const uint64_t offset =
        r & 4 ? (r >> 3) % HPET_SIZE : (r >> 3) % 12 * 0x10 + (r >> 20 & 8) + 0xF0;
    uint64_t value = (uint64_t)next_random(m) << 33 ^ next_random(m);

    if (r >> 29 == 0)
        value &= 0xFFFF;
    if (r >> 30 == 1)
        hpet_mmio.read(m->hpet, offset % HPET_SIZE, size);
    else
        hpet_mmio.write(m->hpet, offset % HPET_SIZE, size, value);
}

static void port_access(struct machine *m)
{
    static const struct {
        uint16_t base, count;
    } ranges[] = {{0x3F0, 8}, {0x3F0, 8}, {0x3F5, 1}, {0x00, 16},
                  {0x80, 16}, {0xC0, 32}, {0xE0, 12}, {0x2000, 24}};
    const uint32_t r = next_random(m);
    const unsigned range = r % (sizeof(ranges) / sizeof(ranges[0]));
    const uint16_t port = (uint16_t)(ranges[range].base + r / 16 % ranges[range].count);
    const unsigned size = (r >> 20 & 15) != 0 ? 1 : 1u << (r >> 24 & 1) << (r >> 25 & 1);

    if (r >> 26 & 1)
        bus_io_write(m->fake.bus, port, size, next_random(m));
    else
        bus_io_read(m->fake.bus, port, size);
}

/* ---- what happens beside it ---- */

static void host_event(struct machine *m)
{
    static const uint64_t sizes[] = {0,         FLOPPY_144,       FLOPPY_72,         512,
                                     100 * 512, 40 * 2 * 9 * 512, 80 * 2 * 15 * 512, IMAGE_MAX};
    struct fake_image *image = &m->image[next_random(m) & 1];
    const uint32_t r = next_random(m);

    switch (r & 7) {
    case 0:
        fake_image_insert(image, sizes[(r >> 8) % (sizeof(sizes) / sizeof(sizes[0]))], r >> 16 & 1);
        break;
    case 1:
        image->later = r >> 8 & 1;
        if (!image->later)
            fake_image_finish(image);
        break;
    case 2:
        image->error = r >> 8 & 3 ? 0 : -5;
        break;
    case 3:
        if (r >> 8 & 1)
            i82077_reset(m->fdc);
        break;
    case 4:
        if (r >> 8 & 1)
            hpet_reset(m->hpet);
        break;
    default:
        fake_image_finish(image);
        break;
    }
}

static void pass_time(struct machine *m)
{
    const uint32_t r = next_random(m);
    uint64_t step_ns = r % 200000;

    if (r >> 22 == 0)
        step_ns = (uint64_t)r << 26; /* the host was suspended */
    m->fake.now_ns += step_ns;
    clock_run(m->fake.clock);
}

static void test_random_accesses(void **state)
{
    static struct machine m;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        unsigned reads = 0, writes = 0;

        machine_open(&m, seed);
        out8(&m.fake, 0x3F2, 0x1C);
        for (unsigned i = 0; i < ACCESSES; i++) {
            const uint32_t r = next_random(&m);

            switch (r & 15) {
            case 0:
                floppy_command(&m);
                break;
            case 1:
                if (r >> 8 & 1)
                    dma_program(&m);
                else
                    floppy_driver(&m);
                break;
            case 2:
            case 3:
            case 4:
                hpet_access(&m);
                break;
            case 5:
                out8(&m.fake, 0x3F7, (uint8_t)(r >> 8) % 4);
                break;
            default:
                port_access(&m);
                break;
            }
            if (r >> 29 == 0)
                pass_time(&m);
            if (r >> 25 == 3)
                host_event(&m);
        }
        reads = m.image[0].reads + m.image[1].reads;
        writes = m.image[0].writes + m.image[1].writes;
        if (reads < 100 || writes < 10 || m.results < 1000) /* else the fuzzer tests nothing */
            fail_msg("seed %llu: %u reads, %u writes, %u results", (unsigned long long)seed, reads,
                     writes, m.results);
        machine_close(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_accesses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
