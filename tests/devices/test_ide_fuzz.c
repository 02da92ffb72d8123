/*
 * tests/devices/test_ide_fuzz.c -- a hostile guest at the IDE interface: random registers,
 * commands, packets, descriptor tables and resets, on images that are slow, fail, and change.
 *
 * The fake images check what reaches them: ranges inside the image, pieces that add up, one request
 * at a time, nothing for a drive without a medium.  Under the sanitizers every access outside the
 * buffers and outside guest memory is found as well.
 *
 * RINGER_FUZZ_ROUNDS=N runs N rounds (default 6; a thousand take a quarter of an hour),
 * RINGER_FUZZ_SEED the first round's seed.
 */
#include "ide_rig.h"

enum { OPERATIONS = 250000 };

struct fuzz {
    struct rig rig;
    uint64_t random;
    uint64_t completed; /* requests that images finished */
};

static uint32_t next(struct fuzz *f)
{
    f->random = f->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(f->random >> 33);
}

static uint32_t below(struct fuzz *f, uint32_t limit)
{
    return next(f) % limit;
}

static uint16_t channel(struct fuzz *f)
{
    return below(f, 2) ? PRIMARY : SECONDARY;
}

/* ---- the guest ---- */

static void random_register(struct fuzz *f)
{
    const uint16_t base = channel(f);
    const unsigned reg = below(f, 8);

    if (below(f, 3) == 0)
        bus_io_read(f->rig.fake.bus, (uint16_t)(base + reg), 1u << below(f, 3));
    else if (reg != REG_STATUS)
        bus_io_write(f->rig.fake.bus, (uint16_t)(base + reg), 1u << below(f, 3), next(f));
}

static void random_command(struct fuzz *f)
{
    static const uint8_t opcodes[] = {
        0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0xC4, 0xC5, 0xC6, 0xC8,
        0xCA, 0xE4, 0xE8, 0xE7, 0xEA, 0xEC, 0xEF, 0xF8, 0x27, 0x91, 0x90, 0x08, 0x06, 0xA1,
    };
    const uint16_t base = channel(f);
    const uint8_t opcode = below(f, 8) ? opcodes[below(f, sizeof(opcodes))] : (uint8_t)next(f);
    const uint32_t lba = below(f, 8) ? below(f, DISK_SECTORS) : next(f);
    const uint32_t count = below(f, 4) ? below(f, 20) : next(f);

    put(&f->rig, base, REG_ERROR, (uint8_t)below(f, 4) ? 1 : (uint8_t)next(f));
    if (below(f, 4) == 0) {
        command48(&f->rig, base, opcode, lba, (uint16_t)count);
        return;
    }
    command(&f->rig, base, opcode, lba & 0x0FFFFFFF, (uint8_t)count);
    if (below(f, 4) == 0) { /* the slave, which is small, or CHS, or anybody */
        put(&f->rig, base, REG_LOW, (uint8_t)below(f, 110));
        put(&f->rig, base, REG_MID, 0);
        put(&f->rig, base, REG_HIGH, 0);
        put(&f->rig, base, REG_DEVICE, below(f, 2) ? 0xF0 : (uint8_t)next(f));
        put(&f->rig, base, REG_STATUS, opcode);
    }
}

/* Ranges that exist, mostly, and the engine on its way to them. */
static void random_trim(struct fuzz *f)
{
    const uint32_t at = 0x30000;

    for (unsigned i = 0; i < SECTOR / 8; i++) {
        put32(&f->rig, at + 8 * i, below(f, below(f, 64) ? DISK_SECTORS : UINT32_MAX));
        put32(&f->rig, at + 8 * i + 4, below(f, 4) ? 0 : below(f, 20) << 16);
    }
    descriptor(&f->rig, 0, at, SECTOR, LAST);
    dma_prepare(&f->rig, PRIMARY);
    put(&f->rig, PRIMARY, REG_ERROR, 1);
    command48(&f->rig, PRIMARY, 0x06, 0, 1);
    dma_stop(&f->rig, PRIMARY);
    dma_start(&f->rig, PRIMARY, false);
}

static void random_packet(struct fuzz *f)
{
    static const uint8_t opcodes[] = {0x00, 0x03, 0x12, 0x1A, 0x1B, 0x1E, 0x25, 0x28,
                                      0x2B, 0x43, 0x46, 0x4A, 0x51, 0x52, 0x5A, 0xA8,
                                      0xAD, 0xB9, 0xBB, 0xBD, 0xBE, 0x28, 0xA8, 0xBE};
    uint8_t bytes[12];

    for (unsigned i = 0; i < 12; i++)
        bytes[i] = below(f, 3) ? 0 : (uint8_t)next(f);
    bytes[0] = below(f, 16) ? opcodes[below(f, sizeof(opcodes))] : (uint8_t)next(f);
    if (below(f, 2)) { /* a range that exists */
        bytes[2] = bytes[3] = bytes[6] = bytes[7] = 0;
        bytes[4] = (uint8_t)below(f, 3);
        bytes[8] = (uint8_t)below(f, 80);
    }
    if (bytes[0] == 0x1B && below(f, 8)) /* mostly load, or nothing is ever read */
        bytes[4] = 3;
    put(&f->rig, SECONDARY, REG_DEVICE, 0xA0);
    put(&f->rig, SECONDARY, REG_ERROR, (uint8_t)below(f, 2));
    put(&f->rig, SECONDARY, REG_MID, (uint8_t)next(f));
    put(&f->rig, SECONDARY, REG_HIGH, (uint8_t)below(f, 2) ? 8 : (uint8_t)next(f));
    put(&f->rig, SECONDARY, REG_STATUS, 0xA0);
    data_out(&f->rig, SECONDARY, bytes, below(f, 16) ? 12 : 2 * below(f, 6));
}

static void random_data(struct fuzz *f)
{
    static uint8_t buffer[65536];
    const uint16_t base = channel(f);
    const unsigned size = below(f, 3), count = below(f, 8) ? below(f, 600) : below(f, 16384);

    if (below(f, 4) == 0) {
        for (unsigned i = 0; i < count % 64; i++) {
            if (below(f, 2))
                bus_io_write(f->rig.fake.bus, base, 1u << size, next(f));
            else
                bus_io_read(f->rig.fake.bus, base, 1u << size);
        }
        return;
    }
    for (unsigned i = 0; i < 40; i++) {
        assert_true(bus_io_write_block(f->rig.fake.bus, base, 1u << size, buffer, count) <= count);
        assert_true(bus_io_read_block(f->rig.fake.bus, base, 1u << size, buffer, count) <= count);
    }
}

static void random_table(struct fuzz *f)
{
    const unsigned entries = 1 + (below(f, 32) ? below(f, 24) : below(f, 9000));
    const uint16_t base = channel(f);

    for (unsigned i = 0; i < entries; i++) {
        const uint32_t address = below(f, 8) ? below(f, FAKE_MEMORY) : next(f) << 1;
        const uint32_t size = below(f, 4) ? below(f, 16) * SECTOR : below(f, 65536);

        descriptor(&f->rig, i, address, size, below(f, 24) == 0 || i == entries - 1 ? LAST : 0);
    }
    bus_io_write(f->rig.fake.bus, engine(base) + 4, 4, below(f, 16) ? TABLE : next(f));
}

static void random_engine(struct fuzz *f)
{
    const uint16_t base = channel(f);

    switch (below(f, 4)) {
    case 0:
        dma_stop(&f->rig, base);
        break;
    case 1:
        bus_io_write(f->rig.fake.bus, (uint16_t)(engine(base) + below(f, 8)), 1u << below(f, 3),
                     next(f));
        break;
    default:
        dma_start(&f->rig, base, below(f, 2));
        break;
    }
    dma_status(&f->rig, base);
}

static void random_control(struct fuzz *f)
{
    const uint16_t base = channel(f);

    if (below(f, 16) == 0)
        put(&f->rig, base, CONTROL, 4);
    put(&f->rig, base, CONTROL, (uint8_t)(below(f, 4) ? 0 : next(f) & 0x82));
    if (below(f, 64) == 0)
        rig_config(&f->rig, PCI_COMMAND, 2, below(f, 4) ? 5 : next(f) & 7);
    if (below(f, 64) == 0)
        pci_config_write(f->rig.pci, PCI_DEVFN(1, 1), below(f, 64) * 4, 4, next(f));
    if (below(f, 8) == 0) { /* and put things in order */
        rig_config(&f->rig, PCI_BAR0 + 16, 4, BUS_MASTER);
        rig_config(&f->rig, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    }
    if (below(f, 512) == 0)
        piix3_ide_reset(f->rig.ide);
}

/* ---- the host ---- */

static struct image *random_image(struct fuzz *f)
{
    struct image *const images[] = {&f->rig.disk, &f->rig.cd, &f->rig.second};

    return images[below(f, 3)];
}

static void random_host_event(struct fuzz *f)
{
    struct image *image = random_image(f);
    const struct block_drive_ops *ops = f->rig.cd.backend.drive_ops;
    void *drive = f->rig.cd.backend.drive;

    switch (below(f, 8)) {
    case 0:
        image->delayed = below(f, 2);
        break;
    case 1:
        image->bad_read = below(f, 2) ? NO_SECTOR : (long)below(f, DISK_SECTORS);
        image->bad_write = below(f, 2) ? NO_SECTOR : (long)below(f, DISK_SECTORS);
        image->bad_flush = below(f, 4) == 0;
        break;
    case 2:
        f->rig.no_map = below(f, 8) == 0;
        break;
    case 3:
        if (below(f, 8) == 0)
            ops->eject_pressed(drive);
        break;
    case 4:
        if (below(f, 16) != 0)
            break;
        ops->medium_leaving(drive);
        f->rig.cd.backend.inserted = below(f, 8) != 0;
        f->rig.cd.backend.size_bytes =
            below(f, 2) ? CD_SECTORS * CD_SECTOR_SIZE : below(f, CD_SECTORS * 4) * SECTOR;
        ops->medium_changed(drive);
        break;
    default:
        break;
    }
    if (image->waiting != NULL && below(f, 2)) {
        image_finish(image);
        f->completed++;
    }
}

static void run_round(uint64_t seed)
{
    static const struct {
        void (*act)(struct fuzz *f);
        uint8_t weight;
    } acts[] = {
        {random_register, 24}, {random_command, 10},    {random_packet, 10},
        {random_data, 14},     {random_table, 4},       {random_engine, 12},
        {random_control, 8},   {random_host_event, 18}, {random_trim, 1},
    };
    static struct fuzz f;
    unsigned total = 0;

    memset(&f, 0, sizeof(f));
    f.random = seed;
    for (unsigned i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
        total += acts[i].weight;
    rig_open(&f.rig);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned pick = below(&f, total), act = 0;

        for (; pick >= acts[act].weight; act++)
            pick -= acts[act].weight;
        acts[act].act(&f);
    }
    /* The fuzzer must get somewhere, or it tests nothing. */
    assert_true(f.completed > 100);
    assert_true(f.rig.disk.reads > 100 && f.rig.disk.writes > 100 && f.rig.cd.reads > 100);
    assert_true(f.rig.second.reads > 20 && f.rig.disk.discards > 100);
    assert_true(f.rig.disk.cancels > 10 && f.rig.disk.flushes > 10 && f.rig.maps > 100);
    rig_close(&f.rig);
}

static void test_random_guest(void **state)
{
    const char *rounds_text = getenv("RINGER_FUZZ_ROUNDS"), *seed = getenv("RINGER_FUZZ_SEED");
    const unsigned long rounds = rounds_text != NULL ? strtoul(rounds_text, NULL, 10) : 6;
    const uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 1;

    (void)state;
    for (unsigned long i = 0; i < rounds; i++) {
        if (rounds > 6)
            print_message("round with seed %llu\n", (unsigned long long)(first + i));
        run_round(first + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_guest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
