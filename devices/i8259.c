/*
 * devices/i8259.c -- two 8259A programmable interrupt controllers, the slave on the master's IR2.
 * Sources: Intel 8259A data sheet (231468-003), "Operation Command Words", "Interrupt Sequence",
 * "Edge and Level Triggered Modes"; Intel 82371SB (PIIX3) data sheet (290550-002), "ELCR".
 *
 *   port         read                   write
 *   20, A0       IRR, ISR or poll word  ICW1, OCW2, OCW3
 *   21, A1       IMR or poll word       ICW2..ICW4 in sequence, else OCW1
 *   4D0, 4D1     ELCR                   ELCR: a set bit makes the input level triggered
 *
 * Each chip computes its INT output from what is in `lines`, `edge`, IMR and ISR; pair_update()
 * runs after every change and carries the slave's INT to the master's IR2 and the master's to the
 * CPU.
 *
 * A request lives only while its input is high: one that goes low before it is acknowledged is
 * gone, and if the CPU had begun to acknowledge it, it gets vector 7 of that chip without an ISR
 * bit.
 */
#include "devices/i8259.h"

#include <stddef.h>
#include <stdlib.h>

enum { MASTER, SLAVE, CHIPS };

enum {
    CASCADE_IR = 2,
    SPURIOUS_IR = 7,

    ICW1_IC4 = 0x01,
    ICW1_SNGL = 0x02,
    ICW1_SELECT = 0x10, /* told from OCW2 and OCW3 by this bit */
    ICW4_AEOI = 0x02,
    ICW4_SFNM = 0x10,

    OCW2_EOI = 0x20,
    OCW2_SL = 0x40,
    OCW2_R = 0x80,
    OCW3_SELECT = 0x08,
    OCW3_RIS = 0x01,
    OCW3_RR = 0x02,
    OCW3_P = 0x04,
    OCW3_SMM = 0x20,
    OCW3_ESMM = 0x40,

    POLL_REQUEST = 0x80,
};

/* Which word a write to the odd port is. */
enum init_state { READY, WANT_ICW2, WANT_ICW3, WANT_ICW4 };

struct chip {
    uint8_t lines; /* the inputs' levels */
    uint8_t edge;  /* latched rising edges, not yet acknowledged */
    uint8_t imr, isr, elcr, elcr_mask;
    uint8_t vector_base; /* ICW2, bits 7..3 */
    uint8_t icw1, icw4;
    uint8_t lowest; /* the input with the lowest priority */
    enum init_state state;
    bool rotate_aeoi, special_mask, poll, read_isr;
};

struct i8259 {
    struct bus *bus;
    struct line *intr; /* owned by the board */
    struct chip chip[CHIPS];
};

static uint8_t chip_irr(const struct chip *chip)
{
    return (chip->edge & ~chip->elcr) | (chip->lines & chip->elcr);
}

/* The set bit of highest priority, -1 when bits is 0. */
static int chip_highest(const struct chip *chip, uint8_t bits)
{
    for (unsigned i = 1; i <= 8; i++) {
        const unsigned ir = (chip->lowest + i) & 7;

        if (bits & (1u << ir))
            return (int)ir;
    }
    return -1;
}

/* 0 for the highest priority, 7 for the lowest. */
static unsigned chip_rank(const struct chip *chip, unsigned ir)
{
    return (ir - chip->lowest - 1) & 7;
}

/*
 * The input that INT stands for now, -1 when INT is low: the highest unmasked request, if its
 * priority is above everything in service.  [8259A "Fully Nested Mode", "Special Mask Mode",
 * "Special Fully Nested Mode"]
 */
static int chip_request(const struct chip *chip, bool master)
{
    const int ir = chip_highest(chip, chip_irr(chip) & ~chip->imr);
    uint8_t in_service = chip->isr;
    int blocking;

    if (ir < 0 || chip->state != READY)
        return -1;
    if (chip->special_mask)
        in_service &= ~chip->imr;
    if (master && (chip->icw4 & ICW4_SFNM))
        in_service &= ir == CASCADE_IR ? ~(1u << CASCADE_IR) : 0xff;
    blocking = chip_highest(chip, in_service);
    if (blocking >= 0 && chip_rank(chip, (unsigned)blocking) <= chip_rank(chip, (unsigned)ir))
        return -1;
    return ir;
}

static void chip_set_line(struct chip *chip, unsigned ir, bool level)
{
    const uint8_t bit = (uint8_t)(1u << ir);

    if (!level) {
        chip->lines &= ~bit;
        chip->edge &= ~bit;
    } else if (!(chip->lines & bit)) {
        chip->lines |= bit;
        chip->edge |= bit;
    }
}

static void pair_update(struct i8259 *dev)
{
    struct chip *master = &dev->chip[MASTER];

    chip_set_line(master, CASCADE_IR, chip_request(&dev->chip[SLAVE], false) >= 0);
    line_set(dev->intr, chip_request(master, true) >= 0);
}

/* INTA for one chip: the request moves into ISR.  [8259A "Interrupt Sequence"] */
static void chip_acknowledge(struct chip *chip, unsigned ir)
{
    const uint8_t bit = (uint8_t)(1u << ir);

    chip->edge &= ~bit;
    if (!(chip->icw4 & ICW4_AEOI))
        chip->isr |= bit;
    else if (chip->rotate_aeoi)
        chip->lowest = (uint8_t)ir;
}

uint8_t i8259_acknowledge(struct i8259 *dev)
{
    struct chip *chip = &dev->chip[MASTER];
    int ir = chip_request(chip, true);

    if (ir >= 0)
        chip_acknowledge(chip, (unsigned)ir);
    if (ir == CASCADE_IR) {
        chip = &dev->chip[SLAVE];
        ir = chip_request(chip, false);
        if (ir >= 0)
            chip_acknowledge(chip, (unsigned)ir);
        /* INT drops during INTA, so a further request of the slave is a new edge. */
        chip_set_line(&dev->chip[MASTER], CASCADE_IR, false);
    }
    pair_update(dev);
    return chip->vector_base | (ir >= 0 ? (uint8_t)ir : SPURIOUS_IR);
}

bool i8259_sends(const struct i8259 *dev, unsigned irq, uint8_t vector)
{
    return vector == (dev->chip[irq / 8].vector_base | irq % 8);
}

void i8259_set_irq(void *ctx, unsigned index, bool level)
{
    struct i8259 *dev = ctx;

    if (index >= 16 || index == CASCADE_IR)
        return;
    chip_set_line(&dev->chip[index / 8], index % 8, level);
    pair_update(dev);
}

/*
 * ICW1 starts the initialisation sequence.  [8259A "Initialization Command Words"]
 * Deviation: LTIM (bit 3) is ignored, as on the PIIX3, where ELCR has taken its place.
 */
static void chip_write_icw1(struct chip *chip, uint8_t value)
{
    chip->icw1 = value;
    chip->edge = 0;
    chip->imr = 0;
    chip->isr = 0;
    chip->lowest = 7;
    chip->special_mask = false;
    chip->rotate_aeoi = false;
    chip->poll = false;
    chip->read_isr = false;
    if (!(value & ICW1_IC4))
        chip->icw4 = 0;
    chip->state = WANT_ICW2;
}

static void chip_write_ocw2(struct chip *chip, uint8_t value)
{
    const bool specific = value & OCW2_SL;
    const bool rotate = value & OCW2_R;
    int ir = value & 7;

    if (!(value & OCW2_EOI)) {
        if (specific && rotate)
            chip->lowest = (uint8_t)ir; /* set priority */
        else if (!specific)
            chip->rotate_aeoi = rotate;
        return;
    }
    if (!specific) {
        /* A masked bit is hidden from this command in special mask mode. */
        ir = chip_highest(chip, chip->special_mask ? chip->isr & ~chip->imr : chip->isr);
        if (ir < 0)
            return;
    }
    chip->isr &= ~(1u << ir);
    if (rotate)
        chip->lowest = (uint8_t)ir;
}

static void chip_write_ocw3(struct chip *chip, uint8_t value)
{
    if (value & OCW3_ESMM)
        chip->special_mask = value & OCW3_SMM;
    if (value & OCW3_P)
        chip->poll = true;
    else if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
}

static void chip_write_data(struct chip *chip, uint8_t value)
{
    switch (chip->state) {
    case WANT_ICW2:
        chip->vector_base = value & 0xf8;
        if (!(chip->icw1 & ICW1_SNGL))
            chip->state = WANT_ICW3;
        else
            chip->state = chip->icw1 & ICW1_IC4 ? WANT_ICW4 : READY;
        break;
    case WANT_ICW3: /* the cascade is soldered: what the guest says of it changes nothing */
        chip->state = chip->icw1 & ICW1_IC4 ? WANT_ICW4 : READY;
        break;
    case WANT_ICW4:
        chip->icw4 = value;
        chip->state = READY;
        break;
    case READY:
        chip->imr = value;
        break;
    }
}

/* The poll command: the read is the acknowledge.  [8259A "Poll Command"] */
static uint8_t chip_poll(struct chip *chip, bool master)
{
    const int ir = chip_request(chip, master);

    chip->poll = false;
    if (ir < 0)
        return 0;
    chip_acknowledge(chip, (unsigned)ir);
    return POLL_REQUEST | (uint8_t)ir;
}

static uint32_t pair_read(struct i8259 *dev, unsigned which, uint16_t offset)
{
    struct chip *chip = &dev->chip[which];
    uint8_t value;

    if (chip->poll) {
        value = chip_poll(chip, which == MASTER);
        if (which == SLAVE)
            chip_set_line(&dev->chip[MASTER], CASCADE_IR, false);
        pair_update(dev);
        return value;
    }
    if (offset == 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip_irr(chip);
}

static void pair_write(struct i8259 *dev, unsigned which, uint16_t offset, uint8_t value)
{
    struct chip *chip = &dev->chip[which];

    if (offset == 1)
        chip_write_data(chip, value);
    else if (value & ICW1_SELECT)
        chip_write_icw1(chip, value);
    else if (value & OCW3_SELECT)
        chip_write_ocw3(chip, value);
    else
        chip_write_ocw2(chip, value);
    pair_update(dev);
}

static uint32_t master_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)size;
    return pair_read(ctx, MASTER, offset);
}

static void master_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)size;
    pair_write(ctx, MASTER, offset, (uint8_t)value);
}

static uint32_t slave_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)size;
    return pair_read(ctx, SLAVE, offset);
}

static void slave_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)size;
    pair_write(ctx, SLAVE, offset, (uint8_t)value);
}

static uint32_t elcr_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct i8259 *dev = ctx;

    (void)size;
    return dev->chip[offset].elcr;
}

static void elcr_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8259 *dev = ctx;

    (void)size;
    dev->chip[offset].elcr = value & dev->chip[offset].elcr_mask;
    pair_update(dev);
}

static const struct {
    uint16_t base;
    struct io_ops ops;
} ports[] = {
    {0x20, {"i8259 master", 1, master_read, master_write}},
    {0xA0, {"i8259 slave", 1, slave_read, slave_write}},
    {0x4D0, {"ELCR", 1, elcr_read, elcr_write}},
};

struct i8259 *i8259_create(struct bus *bus, struct line *intr)
{
    struct i8259 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->intr = intr;
    /* IRQ 0, 1, 2, 8 and 13 belong to the board's own chips and stay edge triggered. */
    dev->chip[MASTER].elcr_mask = 0xF8;
    dev->chip[SLAVE].elcr_mask = 0xDE;
    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (bus_map_io(bus, ports[i].base, 2, &ports[i].ops, dev) != 0) {
            while (i-- > 0)
                bus_unmap_io(bus, ports[i].base, 2);
            free(dev);
            return NULL;
        }
    }
    i8259_reset(dev);
    return dev;
}

void i8259_destroy(struct i8259 *dev)
{
    if (dev == NULL)
        return;
    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        bus_unmap_io(dev->bus, ports[i].base, 2);
    free(dev);
}

/* The data sheet leaves the state before ICW1 open; everything masked is the quiet choice. */
void i8259_reset(struct i8259 *dev)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        const struct chip old = dev->chip[i];

        dev->chip[i] =
            (struct chip){.lines = old.lines, .elcr_mask = old.elcr_mask, .imr = 0xff, .lowest = 7};
    }
    pair_update(dev);
}

void i8259_describe(const struct i8259 *dev, FILE *out)
{
    for (unsigned i = 0; i < CHIPS; i++) {
        const struct chip *chip = &dev->chip[i];

        fprintf(out, "pic%u: irr=%02x imr=%02x isr=%02x elcr=%02x lines=%02x base=%02x aeoi=%d\n",
                i, chip_irr(chip), chip->imr, chip->isr, chip->elcr, chip->lines, chip->vector_base,
                (chip->icw4 & ICW4_AEOI) != 0);
    }
}
