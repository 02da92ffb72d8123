/*
 * devices/i82077.c -- Intel 82077AA floppy disk controller in a PC/AT: ports and control commands.
 * Source: Intel 82077AA data sheet (290166), 2.1 "Status, Data and Control Registers", 3 "Reset",
 * 5 "Command Set/Descriptions".
 *
 *   port  read                                        write
 *   3F2   DOR: 7..4 motors, 3 DMAGATE#, 2 RESET#, 1..0 drive
 *   3F3   TDR: 1..0 tape select
 *   3F4   MSR: 7 RQM, 6 DIO, 5 NON DMA, 4 CMD BUSY,   DSR: 7 reset, 1..0 data rate
 *         3..0 drives that seek
 *   3F5   data (FIFO)
 *   3F7   DIR: 7 disk change                          CCR: 1..0 data rate
 *
 * 3F0 and 3F1 are not driven in AT mode.  A command is written byte by byte, executed, and its
 * results are read byte by byte; seeks end in a SENSE INTERRUPT STATUS instead.
 *
 * Deviation: no motor, no rotation, no head to load: each execution takes a moment (STEP_NS), long
 * enough for software that prepares for the interrupt after the last command byte.
 * Deviation: a drive without disk, which has no index pulses, ends a command instead of hanging it.
 * The 82077AA has no PART ID command: like every other opcode it does not know, it is answered 80h.
 */
#include "devices/i82077_internal.h"

#include <stdlib.h>
#include <string.h>

#define STEP_NS 100000u

enum {
    PORT_BASE = 0x3F0,
    PORT_COUNT = 6,
    PORT_DIR = 0x3F7,

    REG_DOR = 2,
    REG_TDR = 3,
    REG_MSR = 4,
    REG_FIFO = 5,

    MSR_RQM = 0x80,
    MSR_DIO = 0x40,
    MSR_NON_DMA = 0x20,
    MSR_BUSY = 0x10,
    DSR_RESET = 0x80,
    DIR_CHANGED = 0x80,
    RATE_MASK = 3,
    RATE_RESET = RATE_250K,

    SELECT_DRIVE = 3, /* in a command's second byte */
    SELECT_HEAD = 4,
    RELATIVE_INWARDS = 0x40,
    LOCK_BIT = 0x80,
    PERPENDICULAR_OW = 0x80,
    PERPENDICULAR_DRIVES = 0x3C,
    PERPENDICULAR_GAP_WGATE = 3,
    VERSION_82077 = 0x90,
    RECALIBRATE_STEPS = 79,
};

/* ---- interrupt and result phase ---- */

static void irq_update(struct i82077 *dev)
{
    line_set(dev->irq, dev->interrupt && (dev->dor & DOR_DMAGATE_N));
}

void i82077_interrupt(struct i82077 *dev, bool level)
{
    dev->interrupt = level;
    irq_update(dev);
}

static void command_phase(struct i82077 *dev)
{
    dev->phase = PHASE_COMMAND;
    dev->command_count = 0;
    dev->result_at = dev->result_count = 0;
}

void i82077_result(struct i82077 *dev, const uint8_t *bytes, unsigned count)
{
    memcpy(dev->result, bytes, count);
    dev->result_at = 0;
    dev->result_count = count;
    dev->phase = PHASE_RESULT;
}

static void result_byte(struct i82077 *dev, uint8_t value)
{
    i82077_result(dev, &value, 1);
}

struct floppy_drive *i82077_selected(struct i82077 *dev)
{
    const unsigned index = dev->command[1] & SELECT_DRIVE;

    if (index >= I82077_DRIVES || dev->drives[index].backend == NULL)
        return NULL;
    return &dev->drives[index];
}

/* ---- seeks ---- */

static void sense_add(struct i82077 *dev, unsigned drive, uint8_t st0)
{
    dev->sensed[drive] = st0;
    dev->pending |= (uint8_t)(1u << drive);
}

void i82077_end_seeks(struct i82077 *dev)
{
    if (dev->seeking == 0)
        return;
    clock_cancel(dev->clock, &dev->seek_timer);
    dev->seeking = 0;
    i82077_interrupt(dev, false); /* an edge for each end */
    i82077_interrupt(dev, true);
}

static void seek_fired(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    i82077_end_seeks(ctx);
}

/* The heads are where they shall be; the guest hears of it a moment later. */
static void seek_done(struct i82077 *dev, uint8_t st0)
{
    const unsigned drive = dev->command[1] & SELECT_DRIVE;

    sense_add(dev, drive, st0 | ST0_SEEK_END | (uint8_t)drive);
    dev->seeking |= (uint8_t)(1u << drive);
    clock_arm(dev->clock, &dev->seek_timer, clock_now_ns(dev->clock) + STEP_NS);
    command_phase(dev);
}

static void run_seek(struct i82077 *dev)
{
    uint8_t *pcn = &dev->pcn[dev->command[1] & SELECT_DRIVE];
    struct floppy_drive *drive = i82077_selected(dev);

    if (drive != NULL)
        floppy_drive_step(drive, dev->command[2] - *pcn);
    *pcn = dev->command[2];
    seek_done(dev, 0);
}

static void run_relative_seek(struct i82077 *dev)
{
    uint8_t *pcn = &dev->pcn[dev->command[1] & SELECT_DRIVE];
    struct floppy_drive *drive = i82077_selected(dev);
    const int steps = dev->command[0] & RELATIVE_INWARDS ? dev->command[2] : -dev->command[2];

    if (drive != NULL)
        floppy_drive_step(drive, steps);
    *pcn = (uint8_t)(*pcn + steps);
    seek_done(dev, 0);
}

static void run_recalibrate(struct i82077 *dev)
{
    struct floppy_drive *drive = i82077_selected(dev);
    bool at_track0 = false;

    if (drive != NULL) {
        floppy_drive_step(drive,
                          drive->track < RECALIBRATE_STEPS ? -drive->track : -RECALIBRATE_STEPS);
        at_track0 = drive->track == 0;
    }
    dev->pcn[dev->command[1] & SELECT_DRIVE] = 0;
    seek_done(dev, at_track0 ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT);
}

/* [82077AA 5.2.4 "Sense Interrupt Status"] */
static void run_sense_interrupt(struct i82077 *dev)
{
    uint8_t bytes[2];

    for (unsigned i = 0; i < LOGICAL_DRIVES; i++) {
        if (!(dev->pending & ~dev->seeking & 1u << i))
            continue;
        dev->pending &= (uint8_t) ~(1u << i);
        bytes[0] = dev->sensed[i];
        bytes[1] = dev->pcn[i];
        i82077_interrupt(dev, false);
        /* Another seek has ended as well.  (After a reset the one interrupt stands for four.) */
        if ((dev->pending & ~dev->seeking) && (bytes[0] & ST0_POLLING) != ST0_POLLING)
            i82077_interrupt(dev, true);
        i82077_result(dev, bytes, sizeof(bytes));
        return;
    }
    i82077_interrupt(dev, false);
    result_byte(dev, ST0_INVALID);
}

/* ---- other control commands ---- */

static void run_specify(struct i82077 *dev)
{
    dev->srt_hut = dev->command[1];
    dev->hlt_nd = dev->command[2];
    command_phase(dev);
}

static void run_sense_drive(struct i82077 *dev)
{
    const struct floppy_drive *drive = i82077_selected(dev);
    uint8_t st3 = ST3_FIXED | (dev->command[1] & (SELECT_DRIVE | SELECT_HEAD));

    if (drive != NULL && drive->track == 0)
        st3 |= ST3_TRACK0;
    if (drive != NULL && floppy_drive_write_protected(drive))
        st3 |= ST3_WRITE_PROTECT;
    result_byte(dev, st3);
}

static void run_configure(struct i82077 *dev)
{
    dev->config = dev->command[2] & (CONFIG_EIS | CONFIG_EFIFO | CONFIG_POLL | CONFIG_FIFOTHR);
    dev->precomp = dev->command[3];
    command_phase(dev);
}

static void run_version(struct i82077 *dev)
{
    result_byte(dev, VERSION_82077);
}

static void run_dumpreg(struct i82077 *dev)
{
    const uint8_t bytes[RESULT_MAX] = {
        dev->pcn[0],     dev->pcn[1],
        dev->pcn[2],     dev->pcn[3],
        dev->srt_hut,    dev->hlt_nd,
        dev->last_count, dev->perpendicular | (dev->locked ? LOCK_BIT : 0),
        dev->config,     dev->precomp,
    };

    i82077_result(dev, bytes, sizeof(bytes));
}

/* D3..D0 change only with OW.  [82077AA 5.2.8 "Perpendicular Mode"] */
static void run_perpendicular(struct i82077 *dev)
{
    const uint8_t value = dev->command[1];
    const uint8_t mask =
        PERPENDICULAR_GAP_WGATE | (value & PERPENDICULAR_OW ? PERPENDICULAR_DRIVES : 0);

    dev->perpendicular = (uint8_t)((dev->perpendicular & ~mask) | (value & mask));
    command_phase(dev);
}

static void run_lock(struct i82077 *dev)
{
    dev->locked = dev->command[0] & LOCK_BIT;
    result_byte(dev, dev->locked ? 0x10 : 0);
}

static void run_invalid(struct i82077 *dev)
{
    result_byte(dev, ST0_INVALID);
}

/* ---- commands that move data ---- */

static void run_read(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_READ);
}

static void run_read_deleted(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_READ_DELETED);
}

static void run_read_track(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_READ_TRACK);
}

static void run_read_id(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_READ_ID);
}

static void run_verify(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_VERIFY);
}

static void run_write(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_WRITE);
}

static void run_format(struct i82077 *dev)
{
    i82077_transfer_start(dev, OP_FORMAT);
}

/* clang-format off */
static const struct command {
    uint8_t mask, opcode, size;
    void (*run)(struct i82077 *dev);
} commands[] = { /* [82077AA table 5-1 "82077AA Command Set"] */
    {0x1F, 0x06, 9, run_read},              /* MT MFM SK */
    {0x1F, 0x0C, 9, run_read_deleted},
    {0x3F, 0x05, 9, run_write},             /* MT MFM */
    {0x3F, 0x09, 9, run_write},             /* WRITE DELETED */
    {0xBF, 0x02, 9, run_read_track},        /* MFM */
    {0x1F, 0x16, 9, run_verify},
    {0xFF, 0x10, 1, run_version},
    {0xBF, 0x0D, 6, run_format},
    {0xFF, 0x07, 2, run_recalibrate},
    {0xFF, 0x08, 1, run_sense_interrupt},
    {0xFF, 0x03, 3, run_specify},
    {0xFF, 0x04, 2, run_sense_drive},
    {0xFF, 0x0F, 3, run_seek},
    {0xFF, 0x13, 4, run_configure},
    {0xBF, 0x8F, 3, run_relative_seek},     /* DIR */
    {0xFF, 0x0E, 1, run_dumpreg},
    {0xBF, 0x0A, 2, run_read_id},
    {0xFF, 0x12, 2, run_perpendicular},
    {0x7F, 0x14, 1, run_lock},              /* LOCK */
    {0x00, 0x00, 1, run_invalid},
};
/* clang-format on */

static const struct command *command_find(uint8_t opcode)
{
    const struct command *command = commands;

    while ((opcode & command->mask) != command->opcode)
        command++;
    return command;
}

static void command_byte(struct i82077 *dev, uint8_t value)
{
    const struct command *command;

    if (dev->command_count == 0) {
        dev->command_size = command_find(value)->size;
        /* What nobody asked for is forgotten, or the next interrupt would be no edge. */
        if (command_find(value)->run != run_sense_interrupt)
            i82077_interrupt(dev, false);
    }
    dev->command[dev->command_count++] = value;
    if (dev->command_count < dev->command_size)
        return;
    command = command_find(dev->command[0]);
    command->run(dev);
}

/* ---- resets ---- */

/* In reset, and nothing of what was under way is left. */
static void enter_reset(struct i82077 *dev)
{
    i82077_transfer_cancel(dev);
    clock_cancel(dev->clock, &dev->seek_timer);
    command_phase(dev);
    dev->seeking = dev->pending = 0;
    i82077_interrupt(dev, false);
    if (!dev->locked) { /* [82077AA 5.2.9 "Lock"] */
        dev->config = (dev->config & (CONFIG_EIS | CONFIG_POLL)) | CONFIG_EFIFO;
        dev->precomp = 0;
    }
    dev->perpendicular &= PERPENDICULAR_DRIVES;
}

/*
 * Polling finds that all four drives have changed their state.  [82077AA 3.3 "Reset"]  Drivers that
 * have switched polling off with CONFIGURE wait for this interrupt all the same.
 */
static void leave_reset(struct i82077 *dev)
{
    for (unsigned i = 0; i < LOGICAL_DRIVES; i++)
        sense_add(dev, i, ST0_POLLING | (uint8_t)i);
    i82077_interrupt(dev, true);
}

/* ---- registers ---- */

static bool in_reset(const struct i82077 *dev)
{
    return !(dev->dor & DOR_RESET_N);
}

static uint8_t main_status(const struct i82077 *dev)
{
    uint8_t value = dev->seeking;

    if (in_reset(dev))
        return 0;
    switch (dev->phase) {
    case PHASE_COMMAND:
        return value | MSR_RQM | (dev->command_count != 0 ? MSR_BUSY : 0);
    case PHASE_RESULT:
        return value | MSR_RQM | MSR_DIO | MSR_BUSY;
    default:
        value |= MSR_BUSY | (dev->hlt_nd & HLT_ND_NON_DMA ? MSR_NON_DMA : 0);
        if (i82077_transfer_pio(dev))
            value |= MSR_RQM | (i82077_transfer_reads(dev) ? MSR_DIO : 0);
        return value;
    }
}

static uint8_t fifo_read(struct i82077 *dev)
{
    uint8_t value;

    if (in_reset(dev))
        return 0xFF;
    if (i82077_transfer_pio(dev) && i82077_transfer_reads(dev))
        return i82077_transfer_read(dev);
    if (dev->phase != PHASE_RESULT)
        return 0xFF;
    /* The first result byte that is read serves a data command's interrupt. */
    if (dev->result_at == 0 && (dev->pending & ~dev->seeking) == 0)
        i82077_interrupt(dev, false);
    value = dev->result[dev->result_at++];
    if (dev->result_at == dev->result_count)
        command_phase(dev);
    return value;
}

static void fifo_write(struct i82077 *dev, uint8_t value)
{
    if (in_reset(dev))
        return;
    if (i82077_transfer_pio(dev) && !i82077_transfer_reads(dev))
        i82077_transfer_write(dev, value);
    else if (dev->phase == PHASE_COMMAND)
        command_byte(dev, value);
}

static void dor_write(struct i82077 *dev, uint8_t value)
{
    const uint8_t changed = dev->dor ^ value;

    dev->dor = value;
    irq_update(dev);
    if (!(changed & DOR_RESET_N))
        return;
    if (value & DOR_RESET_N)
        leave_reset(dev);
    else
        enter_reset(dev);
}

static uint32_t ports_read(void *ctx, uint16_t offset, unsigned size)
{
    struct i82077 *dev = ctx;

    (void)size;
    switch (offset) {
    case REG_DOR:
        return dev->dor;
    case REG_TDR:
        return dev->tape;
    case REG_MSR:
        return main_status(dev);
    case REG_FIFO:
        return fifo_read(dev);
    default:
        return 0xFF; /* SRA, SRB */
    }
}

static void ports_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i82077 *dev = ctx;

    (void)size;
    switch (offset) {
    case REG_DOR:
        dor_write(dev, (uint8_t)value);
        break;
    case REG_TDR:
        dev->tape = value & 3;
        break;
    case REG_MSR: /* DSR */
        dev->rate = value & RATE_MASK;
        if ((value & DSR_RESET) && !in_reset(dev)) {
            enter_reset(dev);
            leave_reset(dev);
        }
        break;
    case REG_FIFO:
        fifo_write(dev, (uint8_t)value);
        break;
    default:
        bus_log_once(dev->bus, "i82077", offset, "write to a read-only register");
        break;
    }
}

static uint32_t dir_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct i82077 *dev = ctx;
    const unsigned drive = dev->dor & DOR_DRIVE;

    (void)offset;
    (void)size;
    if (drive >= I82077_DRIVES || dev->drives[drive].backend == NULL)
        return 0;
    return dev->drives[drive].changed || dev->drives[drive].medium.cylinders == 0 ? DIR_CHANGED : 0;
}

static void ccr_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i82077 *dev = ctx;

    (void)offset;
    (void)size;
    dev->rate = value & RATE_MASK;
}

static const struct io_ops ports_ops = {
    .name = "i82077", .max_size = 1, .read = ports_read, .write = ports_write};
static const struct io_ops dir_ops = {
    .name = "i82077 DIR", .max_size = 1, .read = dir_read, .write = ccr_write};

/* ---- life ---- */

struct i82077 *i82077_create(struct bus *bus, struct clock *clock, struct line *irq,
                             struct dma_channel dma,
                             struct block_backend *const drives[I82077_DRIVES])
{
    struct i82077 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->irq = irq;
    dev->dma = dma;
    dev->timer.fire = i82077_transfer_step;
    dev->timer.ctx = dev;
    dev->seek_timer.fire = seek_fired;
    dev->seek_timer.ctx = dev;
    if (bus_map_io(bus, PORT_BASE, PORT_COUNT, &ports_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    if (bus_map_io(bus, PORT_DIR, 1, &dir_ops, dev) != 0) {
        bus_unmap_io(bus, PORT_BASE, PORT_COUNT);
        free(dev);
        return NULL;
    }
    for (unsigned i = 0; i < I82077_DRIVES; i++)
        floppy_drive_init(&dev->drives[i], dev, i, drives[i]);
    i82077_reset(dev);
    return dev;
}

void i82077_destroy(struct i82077 *dev)
{
    if (dev == NULL)
        return;
    i82077_transfer_cancel(dev);
    clock_cancel(dev->clock, &dev->seek_timer);
    for (unsigned i = 0; i < I82077_DRIVES; i++)
        floppy_drive_close(&dev->drives[i]);
    bus_unmap_io(dev->bus, PORT_BASE, PORT_COUNT);
    bus_unmap_io(dev->bus, PORT_DIR, 1);
    free(dev);
}

/* The reset pin: in reset, with the defaults of every register.  The drives know nothing of it. */
void i82077_reset(struct i82077 *dev)
{
    dev->locked = false;
    dev->config = 0;
    enter_reset(dev);
    dev->dor = 0;
    dev->tape = 0;
    dev->rate = RATE_RESET;
    dev->srt_hut = dev->hlt_nd = 0;
    dev->perpendicular = 0;
    dev->last_count = 0;
    memset(dev->pcn, 0, sizeof(dev->pcn));
    irq_update(dev);
}

enum i82077_drive_type i82077_drive_type(const struct i82077 *dev, unsigned drive)
{
    return drive < I82077_DRIVES ? dev->drives[drive].type : FLOPPY_NONE;
}
