/*
 * devices/i82077_internal.h -- the floppy controller's state, shared by the i82077*.c files only.
 *
 *   i82077.c           ports, command and result phases, the commands that move no data
 *   i82077_transfer.c  the execution phase of those that do
 *   i82077_drive.c     drives and media: geometry, data rate, disk change
 */
#ifndef RINGER_DEVICES_I82077_INTERNAL_H
#define RINGER_DEVICES_I82077_INTERNAL_H

#include "devices/i82077.h"

enum { FLOPPY_TRACKS_MAX = 84, FLOPPY_SECTORS_MAX = 48, FLOPPY_HEADS = 2 };
enum { FLOPPY_TRACK_BYTES = FLOPPY_SECTORS_MAX * BLOCK_SECTOR };

/* Digital output register */
enum { DOR_DRIVE = 0x03, DOR_RESET_N = 0x04, DOR_DMAGATE_N = 0x08 };

/* Status registers 0 to 3.  [82077AA 5.2 "Status Register Encoding"] */
enum {
    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_POLLING = 0xC0,
    ST0_SEEK_END = 0x20,
    ST0_EQUIPMENT = 0x10,
    ST0_HEAD = 0x04,

    ST1_END_OF_CYLINDER = 0x80,
    ST1_DATA_ERROR = 0x20,
    ST1_OVERRUN = 0x10,
    ST1_NO_DATA = 0x04,
    ST1_NOT_WRITABLE = 0x02,
    ST1_MISSING_MARK = 0x01,

    ST2_CONTROL_MARK = 0x40,
    ST2_DATA_ERROR = 0x20,
    ST2_WRONG_CYLINDER = 0x10,

    ST3_WRITE_PROTECT = 0x40,
    ST3_TRACK0 = 0x10,
    ST3_FIXED = 0x28, /* always 1 */
    ST3_HEAD = 0x04,
};

/* ---- drives ---- */

/* Data rates as DSR and CCR select them. */
enum floppy_rate { RATE_500K, RATE_300K, RATE_250K, RATE_1M };

struct floppy_medium {
    uint8_t cylinders, heads, sectors; /* all 0: no medium */
    enum floppy_rate rate;
};

struct floppy_drive {
    struct i82077 *controller;
    unsigned index;
    struct block_backend *backend; /* NULL: no drive */
    enum i82077_drive_type type;
    struct floppy_medium medium;
    uint8_t track; /* where the heads are */
    bool changed;  /* the disk change line */
};

/* i82077_drive.c */
void floppy_drive_init(struct floppy_drive *drive, struct i82077 *controller, unsigned index,
                       struct block_backend *backend);
void floppy_drive_close(struct floppy_drive *drive);
/* Step by `steps` cylinders, inwards when positive. */
void floppy_drive_step(struct floppy_drive *drive, int steps);
/* The cylinder number that the medium has where the heads are; -1 where it has none. */
int floppy_drive_cylinder(const struct floppy_drive *drive);
bool floppy_drive_write_protected(const struct floppy_drive *drive);

/* ---- controller ---- */

enum phase { PHASE_COMMAND, PHASE_EXECUTION, PHASE_RESULT };
enum operation {
    OP_READ,
    OP_READ_DELETED,
    OP_READ_TRACK,
    OP_READ_ID,
    OP_VERIFY,
    OP_WRITE,
    OP_FORMAT,
};
enum { COMMAND_MAX = 9, RESULT_MAX = 10, LOGICAL_DRIVES = 4 };

/* The execution phase of a data command: see the head of i82077_transfer.c. */
struct transfer {
    enum operation op;
    struct floppy_drive *drive;
    bool multi_track, skip;
    bool started;        /* the first ID has been looked for */
    bool ended;          /* terminal count */
    uint8_t c, h, r, n;  /* the sector that is next, as the result phase reports it */
    uint8_t head, eot;
    uint8_t st1, st2;    /* what has been noted on the way */
    unsigned left;       /* VERIFY with EC: sectors to go; FORMAT: sectors of the track */
    uint8_t fill;        /* FORMAT */
    unsigned first;      /* the first sector in the buffer */
    size_t run_bytes;    /* of the run that the image works on */
    size_t at, size;     /* the host's progress in the buffer, bytes */
    bool host;           /* the host is moving data now */
    unsigned burst;      /* PIO: bytes until INT falls for a moment */
    uint64_t give_up_ns; /* when a DMA channel that does not answer becomes an overrun */
    bool submitted;      /* the image has the request */
    struct block_request request;
    struct iovec iov;
};

struct i82077 {
    struct bus *bus;
    struct clock *clock;
    struct line *irq; /* owned by the board */
    struct dma_channel dma;
    struct clock_timer timer;      /* the execution phase's next step */
    struct clock_timer seek_timer; /* the seeks under way come to their end */
    struct floppy_drive drives[I82077_DRIVES];

    uint8_t dor, tape, rate;
    enum phase phase;
    bool interrupt;
    uint8_t command[COMMAND_MAX], result[RESULT_MAX];
    unsigned command_count, command_size, result_at, result_count;

    uint8_t srt_hut, hlt_nd;  /* SPECIFY */
    uint8_t config, precomp;  /* CONFIGURE */
    uint8_t perpendicular;    /* PERPENDICULAR MODE: D3..D0, GAP, WGATE */
    uint8_t last_count;       /* SC or EOT of the last command, for DUMPREG */
    bool locked;

    uint8_t pcn[LOGICAL_DRIVES];
    uint8_t seeking;                 /* a bit a drive */
    uint8_t sensed[LOGICAL_DRIVES];  /* ST0 for SENSE INTERRUPT STATUS, where `pending` says so */
    uint8_t pending;

    struct transfer transfer;
    uint8_t buffer[FLOPPY_TRACK_BYTES];
};

enum { CONFIG_EIS = 0x40, CONFIG_EFIFO = 0x20, CONFIG_POLL = 0x10, CONFIG_FIFOTHR = 0x0F };
enum { HLT_ND_NON_DMA = 0x01 };

/* i82077.c */
void i82077_interrupt(struct i82077 *dev, bool level);
void i82077_result(struct i82077 *dev, const uint8_t *bytes, unsigned count);
/* The drive that a command's second byte selects; NULL when there is none. */
struct floppy_drive *i82077_selected(struct i82077 *dev);
/* Ends the seeks that are under way. */
void i82077_end_seeks(struct i82077 *dev);

/* i82077_transfer.c */
void i82077_transfer_start(struct i82077 *dev, enum operation op);
void i82077_transfer_step(void *ctx, uint64_t now_ns); /* the timer */
/* Reset: nothing of the command is left, no result either. */
void i82077_transfer_cancel(struct i82077 *dev);
/* The drive's medium is taken away. */
void i82077_transfer_abort(struct i82077 *dev, const struct floppy_drive *drive);
/* Non-DMA mode: does the data register hold or take a byte; which direction; the access. */
bool i82077_transfer_pio(const struct i82077 *dev);
bool i82077_transfer_reads(const struct i82077 *dev);
uint8_t i82077_transfer_read(struct i82077 *dev);
void i82077_transfer_write(struct i82077 *dev, uint8_t value);

#endif
