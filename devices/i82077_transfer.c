/*
 * devices/i82077_transfer.c -- the floppy controller's execution phase: commands that look at the
 * medium.
 * Source: Intel 82077AA data sheet (290166), 5.1 "Data Transfer Commands", 5.2.1 "Read ID",
 * tables 5-4 to 5-8; 2.2 "Data Transfer Commands" for the non-DMA mode.
 *
 * A transfer is a list of runs: the sectors that follow each other on one side of one track.
 *
 *   transfer_start -(STEP_NS)-> run_begin: does the medium have sector C H R N here?
 *        reading    image -> buffer -> host     run by run, until TC, EOT or an error
 *        writing    host -> buffer -> image
 *   advance: R+1, at EOT the other side (MT) or the end
 *   finish: ST0 ST1 ST2 C H R N, interrupt
 *
 * The host is a DMA channel, or in non-DMA mode the guest at the data register, which has no TC and
 * so always runs to EOT.  Invariant: image and host never work on the buffer at the same time.
 *
 * An image holds sectors of 512 bytes in the order of their numbers, nothing else.  Deviation:
 * deleted data marks are not kept: WRITE DELETED writes like WRITE, and READ DELETED finds only
 * normal sectors.  Deviation: a track can be formatted only as it is already (in any order of
 * sectors); another format ends with an equipment check.
 */
#include "devices/i82077_internal.h"

#include <string.h>

#define STEP_NS      100000u
#define DMA_RETRY_NS 1000000u
#define DMA_WAIT_NS  UINT64_C(1000000000)

enum {
    FIFO_SIZE = 16,
    SECTOR_N = 2, /* 128 << N bytes */
    ID_BYTES = 4,
    COMMAND_MT = 0x80,
    COMMAND_MFM = 0x40,
    COMMAND_SK = 0x20,
    VERIFY_EC = 0x80,
    SELECT_HEAD = 4,
    SELECT = 7,
};

static void run_begin(struct i82077 *dev);

/* ---- the end ---- */

/* st0: IC and EC only.  [82077AA 5.2.4, table 5-7 "Result Phase"] */
static void finish(struct i82077 *dev, uint8_t st0)
{
    struct transfer *t = &dev->transfer;
    const uint8_t bytes[7] = {
        (uint8_t)(st0 | (dev->command[1] & (SELECT & ~SELECT_HEAD)) | (t->head ? ST0_HEAD : 0)),
        t->st1,
        t->st2,
        t->c,
        t->h,
        t->r,
        t->n,
    };

    clock_cancel(dev->clock, &dev->timer);
    t->host = false;
    if (dev->dma.request != NULL)
        dev->dma.request(dev->dma.ctx, dev->dma.index, false);
    i82077_result(dev, bytes, sizeof(bytes));
    i82077_interrupt(dev, true);
}

static void fail(struct i82077 *dev, uint8_t st1)
{
    dev->transfer.st1 |= st1;
    finish(dev, ST0_ABNORMAL);
}

/* ---- what is under the heads ---- */

static bool writes(const struct transfer *t)
{
    return t->op == OP_WRITE || t->op == OP_FORMAT;
}

/* Can IDs be read (or written) here at all?  ST1 of the failure, or 0. */
static uint8_t track_check(const struct i82077 *dev)
{
    const struct transfer *t = &dev->transfer;
    const struct floppy_drive *drive = t->drive;

    if (drive == NULL || drive->medium.cylinders == 0)
        return ST1_MISSING_MARK | ST1_NO_DATA;
    if (writes(t) && floppy_drive_write_protected(drive))
        return ST1_NOT_WRITABLE;
    if (drive->medium.rate != dev->rate || !(dev->command[0] & COMMAND_MFM) ||
        t->head >= drive->medium.heads || floppy_drive_cylinder(drive) < 0)
        return ST1_MISSING_MARK;
    return 0;
}

/* Is there the sector C H R N?  Fills ST1 and ST2 of a failure. */
static bool sector_find(struct transfer *t)
{
    const int cylinder = floppy_drive_cylinder(t->drive);

    if (t->c != cylinder) {
        t->st1 |= ST1_NO_DATA;
        t->st2 |= ST2_WRONG_CYLINDER;
        return false;
    }
    if (t->h != t->head || t->n != SECTOR_N || t->r == 0 || t->r > t->drive->medium.sectors) {
        t->st1 |= ST1_NO_DATA;
        return false;
    }
    return true;
}

static uint64_t sector_offset(const struct transfer *t, unsigned sector)
{
    const struct floppy_medium *medium = &t->drive->medium;
    const uint64_t track = (uint64_t)floppy_drive_cylinder(t->drive) * medium->heads + t->head;

    return (track * medium->sectors + sector - 1) * BLOCK_SECTOR;
}

/* To the sector after this one; false at the end of the cylinder.  [table 5-6] */
static bool advance(struct transfer *t)
{
    if (t->r != t->eot) {
        t->r++;
        return true;
    }
    t->r = 1;
    if (t->multi_track) {
        t->h ^= 1;
        if (t->head == 0) {
            t->head = 1;
            return true;
        }
    }
    t->c++;
    return false;
}

/* ---- between image and buffer ---- */

static void image_done(struct block_request *request, int error);
static void image_continue(struct i82077 *dev);
static void image_failed(struct i82077 *dev);

/* Past the end of an image that is shorter than its format there are zeros, which cannot change. */
static void image_submit(struct i82077 *dev, enum block_op op, unsigned sector, size_t size)
{
    struct transfer *t = &dev->transfer;
    const struct block_backend *image = t->drive->backend;
    const uint64_t offset = sector_offset(t, sector);
    const uint64_t left = offset < image->size_bytes ? image->size_bytes - offset : 0;

    t->host = false;
    t->run_bytes = size;
    if (op == BLOCK_WRITE && left < size) {
        image_failed(dev);
        return;
    }
    if (left < size) {
        memset(dev->buffer + left, 0, size - left);
        size = left;
    }
    if (size == 0) {
        image_continue(dev);
        return;
    }
    t->iov = (struct iovec){.iov_base = dev->buffer, .iov_len = size};
    t->request = (struct block_request){
        .op = op,
        .offset = offset,
        .size = size,
        .iov = &t->iov,
        .iov_count = 1,
        .done = image_done,
        .ctx = dev,
    };
    t->submitted = true;
    image->ops->submit(image->ctx, &t->request);
}

/* ---- the host's side ---- */

static bool non_dma(const struct i82077 *dev)
{
    return dev->hlt_nd & HLT_ND_NON_DMA;
}

/* Bytes between two interrupts. */
static unsigned pio_burst(const struct i82077 *dev)
{
    if (dev->config & CONFIG_EFIFO)
        return 1; /* the bit disables the FIFO */
    return FIFO_SIZE - (dev->config & CONFIG_FIFOTHR);
}

/* The host has moved `t->at` bytes of the run, or TC came: go on. */
static void host_done(struct i82077 *dev);

/* DMA: as much as the channel takes or gives now. */
static void dma_pump(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;
    const uint64_t now_ns = clock_now_ns(dev->clock);

    while (t->at < t->size && !t->ended) {
        const size_t left = BLOCK_SECTOR - t->at % BLOCK_SECTOR;
        const size_t want = left < t->size - t->at ? left : t->size - t->at;
        size_t moved = 0;

        if ((dev->dor & DOR_DMAGATE_N) && dev->dma.transfer != NULL)
            moved = dev->dma.transfer(dev->dma.ctx, dev->dma.index, dev->buffer + t->at, want,
                                      &t->ended);
        t->at += moved;
        if (moved != 0)
            t->give_up_ns = now_ns + DMA_WAIT_NS;
        if (moved != 0 || t->ended)
            continue;
        /* Not programmed yet?  A real drive would wait for the sector to come by. */
        if (now_ns >= t->give_up_ns)
            fail(dev, ST1_OVERRUN);
        else
            clock_arm(dev->clock, &dev->timer, now_ns + DMA_RETRY_NS);
        return;
    }
    host_done(dev);
}

/* The buffer is the host's: `size` bytes of it. */
static void host_begin(struct i82077 *dev, size_t size)
{
    struct transfer *t = &dev->transfer;

    t->at = 0;
    t->size = size;
    t->host = true;
    t->give_up_ns = clock_now_ns(dev->clock) + DMA_WAIT_NS;
    if (!non_dma(dev)) {
        dma_pump(dev);
        return;
    }
    t->burst = pio_burst(dev);
    i82077_interrupt(dev, true);
}

bool i82077_transfer_pio(const struct i82077 *dev)
{
    return dev->phase == PHASE_EXECUTION && dev->transfer.host && non_dma(dev);
}

bool i82077_transfer_reads(const struct i82077 *dev)
{
    return !writes(&dev->transfer);
}

static void pio_moved(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;

    t->at++;
    if (t->at == t->size) {
        i82077_interrupt(dev, false);
        host_done(dev);
    } else if (--t->burst == 0) {
        t->burst = pio_burst(dev);
        i82077_interrupt(dev, false);
        i82077_interrupt(dev, true);
    }
}

uint8_t i82077_transfer_read(struct i82077 *dev)
{
    const uint8_t value = dev->buffer[dev->transfer.at];

    pio_moved(dev);
    return value;
}

void i82077_transfer_write(struct i82077 *dev, uint8_t value)
{
    dev->buffer[dev->transfer.at] = value;
    pio_moved(dev);
}

/* ---- runs ---- */

/* How many sectors follow t->r on this side, this one included, and are asked for. */
static unsigned run_sectors(const struct transfer *t)
{
    const unsigned last =
        t->r <= t->eot && t->eot < t->drive->medium.sectors ? t->eot : t->drive->medium.sectors;

    return last - t->r + 1;
}

/* The run's sectors up to `last` are done: on to the next run, or the end. */
static void run_end(struct i82077 *dev, unsigned last)
{
    struct transfer *t = &dev->transfer;

    t->r = (uint8_t)last;
    if (!advance(t)) {
        if (!t->ended && t->op != OP_READ_TRACK && t->op != OP_VERIFY)
            t->st1 |= ST1_END_OF_CYLINDER;
        finish(dev, t->st1 & ST1_END_OF_CYLINDER ? ST0_ABNORMAL : 0);
        return;
    }
    if (t->ended)
        finish(dev, 0);
    else
        run_begin(dev);
}

/* The sector that byte `at - 1` of the buffer belongs to. */
static unsigned last_sector(const struct transfer *t)
{
    return t->first + (unsigned)((t->at - 1) / BLOCK_SECTOR);
}

/* READ TRACK ignores the number: it takes what comes after the index hole.  [5.1.6] */
static void run_begin_track(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;

    if (t->r != 1)
        t->st1 |= ST1_NO_DATA;
    t->r = t->first = 1;
    image_submit(dev, BLOCK_READ, 1, run_sectors(t) * (size_t)BLOCK_SECTOR);
}

static void run_begin(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;
    const uint8_t st1 = track_check(dev);
    unsigned count;

    if (st1 != 0 || !sector_find(t)) {
        fail(dev, st1);
        return;
    }
    count = run_sectors(t);
    if (t->op == OP_VERIFY && t->left != 0 && t->left < count)
        count = t->left;
    t->first = t->r;
    switch (t->op) {
    case OP_WRITE:
        host_begin(dev, count * (size_t)BLOCK_SECTOR);
        break;
    case OP_READ_DELETED: /* [table 5-5]: a normal sector is read, and the last; or skipped */
        t->st2 |= ST2_CONTROL_MARK;
        if (t->skip)
            run_end(dev, t->first + count - 1);
        else
            image_submit(dev, BLOCK_READ, t->first, BLOCK_SECTOR);
        break;
    default:
        image_submit(dev, BLOCK_READ, t->first, count * (size_t)BLOCK_SECTOR);
        break;
    }
}

/* ---- FORMAT TRACK ---- */

/* The host gave an ID for each sector: they must be the ones that the image has. */
static bool format_matches(const struct i82077 *dev)
{
    const struct transfer *t = &dev->transfer;
    bool seen[FLOPPY_SECTORS_MAX + 1] = {false};

    if (t->left != t->drive->medium.sectors)
        return false;
    for (unsigned i = 0; i < t->left; i++) {
        const uint8_t *id = dev->buffer + (size_t)i * ID_BYTES;

        if (id[0] != floppy_drive_cylinder(t->drive) || id[1] != t->head || id[2] == 0 ||
            id[2] > t->drive->medium.sectors || seen[id[2]] || id[3] != SECTOR_N)
            return false;
        seen[id[2]] = true;
    }
    return true;
}

static void format_write(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;
    const size_t size = (size_t)t->left * BLOCK_SECTOR;

    const uint8_t *last = dev->buffer + (size_t)(t->left - 1) * ID_BYTES;

    t->c = last[0];
    t->h = last[1];
    t->r = last[2];
    if (!format_matches(dev)) {
        finish(dev, ST0_ABNORMAL | ST0_EQUIPMENT);
        return;
    }
    memset(dev->buffer, t->fill, size);
    image_submit(dev, BLOCK_WRITE, 1, size);
}

static void format_begin(struct i82077 *dev)
{
    const uint8_t st1 = track_check(dev);

    if (st1 != 0)
        fail(dev, st1);
    else
        host_begin(dev, (size_t)dev->transfer.left * ID_BYTES);
}

/* ---- continuations ---- */

static void host_done(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;

    if (t->op == OP_FORMAT) {
        if (t->at < t->size) /* TC before the last ID */
            fail(dev, ST1_OVERRUN);
        else
            format_write(dev);
        return;
    }
    if (t->op == OP_WRITE) { /* what TC cuts off is filled with zeros */
        const size_t size = (t->at + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR;

        if (size == 0) {
            finish(dev, 0);
            return;
        }
        memset(dev->buffer + t->at, 0, size - t->at);
        image_submit(dev, BLOCK_WRITE, t->first, size);
        return;
    }
    if (t->at == 0) {
        finish(dev, 0);
        return;
    }
    t->r = (uint8_t)last_sector(t);
    if (t->op == OP_READ_DELETED) {
        finish(dev, 0);
        return;
    }
    run_end(dev, t->r);
}

/* The image has done a run. */
static void image_continue(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;
    const unsigned sectors = (unsigned)(t->run_bytes / BLOCK_SECTOR);

    switch (t->op) {
    case OP_FORMAT:
        finish(dev, 0);
        break;
    case OP_WRITE:
        run_end(dev, t->first + sectors - 1);
        break;
    case OP_VERIFY:
        if (t->left != 0 && (t->left -= sectors) == 0)
            t->ended = true;
        run_end(dev, t->first + sectors - 1);
        break;
    default:
        host_begin(dev, t->run_bytes);
        break;
    }
}

static void image_failed(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;

    t->r = (uint8_t)t->first;
    if (writes(t)) {
        finish(dev, ST0_ABNORMAL | ST0_EQUIPMENT);
        return;
    }
    t->st2 |= ST2_DATA_ERROR;
    fail(dev, ST1_DATA_ERROR);
}

static void image_done(struct block_request *request, int error)
{
    struct i82077 *dev = request->ctx;

    dev->transfer.submitted = false;
    if (error == 0)
        image_continue(dev);
    else
        image_failed(dev);
}

/* ---- READ ID ---- */

static void read_id(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;
    const uint8_t st1 = track_check(dev);

    if (st1 != 0) {
        fail(dev, st1);
        return;
    }
    t->c = (uint8_t)floppy_drive_cylinder(t->drive);
    t->h = t->head;
    t->r = 1;
    t->n = SECTOR_N;
    finish(dev, 0);
}

/* ---- start ---- */

static void parameters(struct i82077 *dev)
{
    struct transfer *t = &dev->transfer;
    const uint8_t *command = dev->command;

    switch (t->op) {
    case OP_READ_ID:
        return;
    case OP_FORMAT: /* N, SC, GPL, D */
        t->n = command[2];
        t->left = command[3] != 0 ? command[3] : 256;
        t->fill = command[5];
        dev->last_count = command[3];
        return;
    default: /* C, H, R, N, EOT, GPL, DTL or SC */
        t->multi_track = (command[0] & COMMAND_MT) && t->op != OP_READ_TRACK;
        t->skip = command[0] & COMMAND_SK;
        t->c = command[2];
        t->h = command[3];
        t->r = command[4];
        t->n = command[5];
        t->eot = command[6];
        if (t->op == OP_VERIFY && (command[1] & VERIFY_EC))
            t->left = command[8] != 0 ? command[8] : 256;
        dev->last_count = command[6];
        return;
    }
}

void i82077_transfer_start(struct i82077 *dev, enum operation op)
{
    struct transfer *t = &dev->transfer;
    const unsigned drive = dev->command[1] & (SELECT & ~SELECT_HEAD);

    i82077_end_seeks(dev);
    i82077_interrupt(dev, false);
    *t = (struct transfer){.op = op, .drive = i82077_selected(dev)};
    t->head = dev->command[1] & SELECT_HEAD ? 1 : 0;
    parameters(dev);
    dev->phase = PHASE_EXECUTION;
    if ((dev->config & CONFIG_EIS) && op != OP_READ_ID && op != OP_FORMAT) {
        if (t->drive != NULL)
            floppy_drive_step(t->drive, t->c - dev->pcn[drive]);
        dev->pcn[drive] = t->c;
    }
    clock_arm(dev->clock, &dev->timer, clock_now_ns(dev->clock) + STEP_NS);
}

void i82077_transfer_step(void *ctx, uint64_t now_ns)
{
    struct i82077 *dev = ctx;
    struct transfer *t = &dev->transfer;

    (void)now_ns;
    if (t->host) { /* DMA had nothing for us */
        dma_pump(dev);
        return;
    }
    if (dev->dma.request != NULL && !non_dma(dev) && t->op != OP_READ_ID && t->op != OP_VERIFY)
        dev->dma.request(dev->dma.ctx, dev->dma.index, true);
    switch (t->op) {
    case OP_READ_ID:
        read_id(dev);
        break;
    case OP_FORMAT:
        format_begin(dev);
        break;
    case OP_READ_TRACK: {
        const uint8_t st1 = track_check(dev);

        if (st1 != 0)
            fail(dev, st1);
        else
            run_begin_track(dev);
        break;
    }
    default:
        run_begin(dev);
        break;
    }
}

static void image_cancel(struct transfer *t)
{
    if (!t->submitted)
        return;
    t->drive->backend->ops->cancel(t->drive->backend->ctx, &t->request);
    t->submitted = false;
}

void i82077_transfer_cancel(struct i82077 *dev)
{
    clock_cancel(dev->clock, &dev->timer);
    image_cancel(&dev->transfer);
    dev->transfer.host = false;
    if (dev->dma.request != NULL)
        dev->dma.request(dev->dma.ctx, dev->dma.index, false);
}

void i82077_transfer_abort(struct i82077 *dev, const struct floppy_drive *drive)
{
    if (dev->phase != PHASE_EXECUTION || dev->transfer.drive != drive)
        return;
    image_cancel(&dev->transfer);
    fail(dev, ST1_MISSING_MARK | ST1_NO_DATA);
}
