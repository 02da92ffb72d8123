/*
 * devices/serial16550.c -- a PC16550D serial port.
 * Source: National Semiconductor PC16550D data sheet (June 1995), section 8 "Registers", 8.4 to 8.6
 * (FIFO control, interrupt identification and enable), "FIFO Interrupt Mode Operation".
 *
 *   offset  DLAB=0 read     DLAB=0 write     DLAB=1
 *   0       RBR             THR              divisor, low byte
 *   1       IER             IER              divisor, high byte
 *   2       IIR             FCR
 *   3 4 7   LCR, MCR, SCR
 *   5 6     LSR, MSR        -
 *
 * A byte written to THR has left at once, so the transmitter is always empty; the interrupt line
 * still falls and rises for it, as an edge-triggered controller needs.  A host that pays for each
 * write gets bytes together, see serial16550_gather().  Bytes from the host
 * come when the receive FIFO has room.  The modem lines say that somebody is there: CTS, DSR, DCD.
 *
 * Software that polls may look rarely and have little room for what it finds (a firmware that turns
 * characters into keys at its timer's ticks has 15).  So while the receiver's interrupt is off
 * characters arrive at the programmed rate, each when the one before has been read.
 *
 * Deviation: transmission takes no time, whatever the divisor, nor does reception while the
 * receiver's interrupt is on; the divisor times the receive timeout and what is polled for.
 */
#include "devices/serial16550.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORT_COUNT = 8,
    FIFO_SIZE = 16,
    GATHER_SIZE = 512,
    POLLED_UNREAD = 1, /* characters that wait for who polls */
    CLOCK_HZ = 115200, /* characters' bits at divisor 1: 1.8432 MHz / 16 */

    RBR_THR = 0,
    IER = 1,
    IIR_FCR = 2,
    LCR = 3,
    MCR = 4,
    LSR = 5,
    MSR = 6,
    SCR = 7,

    IER_ERBFI = 0x01,
    IER_ETBEI = 0x02,
    IER_ELSI = 0x04,
    IER_EDSSI = 0x08,
    IER_WRITABLE = 0x0f,

    IIR_NONE = 0x01,
    IIR_MODEM = 0x00,
    IIR_THRE = 0x02,
    IIR_RX = 0x04,
    IIR_RX_TIMEOUT = 0x0c,
    IIR_LINE = 0x06,
    IIR_FIFOS = 0xc0,

    FCR_ENABLE = 0x01,
    FCR_RX_RESET = 0x02,
    FCR_TRIGGER_SHIFT = 6,

    LCR_DLAB = 0x80,
    LCR_BREAK = 0x40,

    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    MCR_OUT1 = 0x04,
    MCR_OUT2 = 0x08,
    MCR_LOOP = 0x10,
    MCR_WRITABLE = 0x1f,

    LSR_DR = 0x01,
    LSR_OE = 0x02,
    LSR_PE = 0x04,
    LSR_FE = 0x08,
    LSR_BI = 0x10,
    LSR_THRE = 0x20,
    LSR_TEMT = 0x40,
    LSR_FIFO_ERROR = 0x80,
    LSR_ERRORS = LSR_OE | LSR_PE | LSR_FE | LSR_BI,

    MSR_DCTS = 0x01,
    MSR_DDSR = 0x02,
    MSR_TERI = 0x04,
    MSR_DDCD = 0x08,
    MSR_DELTAS = 0x0f,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    MSR_RI = 0x40,
    MSR_DCD = 0x80,
    MSR_CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD,
};

struct received {
    uint8_t value;
    uint8_t errors; /* PE, FE, BI of this character */
};

struct serial16550 {
    struct bus *bus;
    struct clock *clock;
    uint16_t base;
    struct line *irq;             /* owned by the board */
    struct char_backend *backend; /* may be NULL */
    struct clock_timer timeout;   /* characters wait in the FIFO and nobody comes */
    struct clock_timer pace;      /* the next characters may come */
    uint64_t next_ns;             /* when */
    struct clock_timer gather;    /* what was sent goes to the host */
    uint64_t gather_ns;           /* how long after its first byte; 0: at once */
    uint8_t sent[GATHER_SIZE];
    unsigned sent_count;
    struct received fifo[FIFO_SIZE];
    unsigned fifo_first, fifo_count;
    uint8_t ier, lcr, mcr, scr;
    uint8_t fcr;    /* enable bit and trigger level */
    uint8_t errors; /* LSR's OE, PE, FE, BI since it was read */
    uint8_t msr;
    uint16_t divisor;
    uint8_t last_value; /* what RBR holds when nothing is there */
    bool thre_pending;  /* the transmitter's interrupt source */
    bool timed_out;
};

/* -- Interrupts -------------------------------------------------------------------------------- */

static unsigned trigger_level(const struct serial16550 *dev)
{
    static const uint8_t levels[4] = {1, 4, 8, 14};

    return dev->fcr & FCR_ENABLE ? levels[dev->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The pending source of highest priority.  [PC16550D table IV "Interrupt Control Functions"] */
static uint8_t interrupt_id(const struct serial16550 *dev)
{
    if ((dev->ier & IER_ELSI) && dev->errors != 0)
        return IIR_LINE;
    if ((dev->ier & IER_ERBFI) && dev->fifo_count >= trigger_level(dev))
        return IIR_RX;
    if ((dev->ier & IER_ERBFI) && dev->timed_out)
        return IIR_RX_TIMEOUT;
    if ((dev->ier & IER_ETBEI) && dev->thre_pending)
        return IIR_THRE;
    if ((dev->ier & IER_EDSSI) && (dev->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

/* OUT2 gates the interrupt on every PC's serial port, in loopback too. */
static void irq_update(struct serial16550 *dev)
{
    line_set(dev->irq, interrupt_id(dev) != IIR_NONE && (dev->mcr & MCR_OUT2));
}

static uint64_t characters_ns(const struct serial16550 *dev, size_t count)
{
    const unsigned divisor = dev->divisor != 0 ? dev->divisor : 1;
    const unsigned bits = 7 + (dev->lcr & 3) + (dev->lcr & 4 ? 1 : 0) + (dev->lcr & 8 ? 1 : 0);

    return clock_scale((uint64_t)count * bits * divisor, 1000000000, CLOCK_HZ);
}

/* Four characters' time without a character coming or going. [PC16550D "FIFO Interrupt Mode"] */
static void timeout_restart(struct serial16550 *dev)
{
    const uint64_t wait_ns = characters_ns(dev, 4);

    dev->timed_out = false;
    if (!(dev->fcr & FCR_ENABLE) || dev->fifo_count == 0 || dev->fifo_count >= trigger_level(dev) ||
        !(dev->ier & IER_ERBFI))
        clock_cancel(dev->clock, &dev->timeout);
    else
        clock_arm(dev->clock, &dev->timeout, clock_now_ns(dev->clock) + wait_ns);
}

static void timeout_fire(void *ctx, uint64_t now_ns)
{
    struct serial16550 *dev = ctx;

    (void)now_ns;
    dev->timed_out = dev->fifo_count != 0;
    irq_update(dev);
}

/* -- Receiver ---------------------------------------------------------------------------------- */

static unsigned fifo_capacity(const struct serial16550 *dev)
{
    return dev->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

/* A character arrives at the top: now its errors are LSR's. */
static void fifo_show_errors(struct serial16550 *dev)
{
    if (dev->fifo_count != 0) {
        dev->errors |= dev->fifo[dev->fifo_first].errors;
        dev->fifo[dev->fifo_first].errors = 0;
    }
}

static void fifo_put(struct serial16550 *dev, uint8_t value, uint8_t errors)
{
    struct received *slot;

    if (dev->fifo_count >= fifo_capacity(dev)) {
        dev->errors |= LSR_OE;
        if (dev->fcr & FCR_ENABLE)
            return;          /* the FIFO keeps what it has */
        dev->fifo_count = 0; /* RBR is overwritten */
    }
    slot = &dev->fifo[(dev->fifo_first + dev->fifo_count) % FIFO_SIZE];
    slot->value = value;
    slot->errors = errors;
    dev->fifo_count++;
    if (dev->fifo_count == 1)
        fifo_show_errors(dev);
    if (!dev->timed_out)
        timeout_restart(dev);
}

static void backend_accept(struct serial16550 *dev)
{
    if (dev->backend != NULL && dev->backend->accept_input != NULL)
        dev->backend->accept_input(dev->backend->ctx);
}

static uint8_t rbr_read(struct serial16550 *dev)
{
    if (dev->fifo_count == 0)
        return dev->last_value;
    dev->last_value = dev->fifo[dev->fifo_first].value;
    dev->fifo_first = (dev->fifo_first + 1) % FIFO_SIZE;
    dev->fifo_count--;
    fifo_show_errors(dev);
    timeout_restart(dev);
    irq_update(dev);
    if (dev->fifo_count == 0)
        backend_accept(dev);
    return dev->last_value;
}

static bool is_polled(const struct serial16550 *dev)
{
    return !(dev->ier & IER_ERBFI);
}

static size_t serial_can_receive(void *chip)
{
    const struct serial16550 *dev = chip;
    unsigned most = fifo_capacity(dev);

    if (dev->mcr & MCR_LOOP)
        return 0;
    if (is_polled(dev)) {
        if (clock_now_ns(dev->clock) < dev->next_ns)
            return 0;
        most = most < POLLED_UNREAD ? most : POLLED_UNREAD;
    }
    return dev->fifo_count < most ? most - dev->fifo_count : 0;
}

static void pace_fire(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    backend_accept(ctx);
}

static void serial_receive(void *chip, const uint8_t *data, size_t size)
{
    struct serial16550 *dev = chip;

    if (dev->mcr & MCR_LOOP)
        return; /* the input pin is disconnected */
    for (size_t i = 0; i < size; i++)
        fifo_put(dev, data[i], 0);
    if (is_polled(dev)) {
        dev->next_ns = clock_now_ns(dev->clock) + characters_ns(dev, size);
        clock_arm(dev->clock, &dev->pace, dev->next_ns);
    }
    irq_update(dev);
}

/* A break is a zero character without a stop bit. */
static void serial_send_break(void *chip)
{
    struct serial16550 *dev = chip;

    if (dev->mcr & MCR_LOOP)
        return;
    fifo_put(dev, 0, LSR_BI | LSR_FE);
    irq_update(dev);
}

/* -- Transmitter ------------------------------------------------------------------------------- */

void serial16550_flush(struct serial16550 *dev)
{
    const unsigned count = dev->sent_count;

    if (count == 0)
        return;
    clock_cancel(dev->clock, &dev->gather);
    dev->sent_count = 0;
    dev->backend->write(dev->backend->ctx, dev->sent, count);
}

static void gather_fire(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    serial16550_flush(ctx);
}

void serial16550_gather(struct serial16550 *dev, uint64_t delay_ns)
{
    serial16550_flush(dev);
    dev->gather_ns = delay_ns;
}

static void send(struct serial16550 *dev, uint8_t value)
{
    if (dev->backend == NULL || dev->backend->write == NULL)
        return;
    if (dev->gather_ns == 0) {
        dev->backend->write(dev->backend->ctx, &value, 1);
        return;
    }
    dev->sent[dev->sent_count++] = value;
    if (dev->sent_count == GATHER_SIZE)
        serial16550_flush(dev);
    else if (dev->sent_count == 1)
        clock_arm(dev->clock, &dev->gather, clock_now_ns(dev->clock) + dev->gather_ns);
}

static void thr_write(struct serial16550 *dev, uint8_t value)
{
    dev->thre_pending = false;
    irq_update(dev);
    if (dev->mcr & MCR_LOOP)
        fifo_put(dev, value & (uint8_t)(0xff >> (3 - (dev->lcr & 3))), 0);
    else
        send(dev, value);
    dev->thre_pending = true;
    irq_update(dev);
}

/* -- Modem lines ------------------------------------------------------------------------------- */

/* In loopback the four outputs are the four inputs.  [PC16550D 8.7 "Modem Control Register"] */
static void modem_update(struct serial16550 *dev)
{
    const uint8_t old = dev->msr;
    uint8_t now = MSR_CONNECTED;

    if (dev->mcr & MCR_LOOP)
        now = (dev->mcr & MCR_RTS ? MSR_CTS : 0) | (dev->mcr & MCR_DTR ? MSR_DSR : 0) |
              (dev->mcr & MCR_OUT1 ? MSR_RI : 0) | (dev->mcr & MCR_OUT2 ? MSR_DCD : 0);
    dev->msr = now | (old & MSR_DELTAS);
    if ((old ^ now) & MSR_CTS)
        dev->msr |= MSR_DCTS;
    if ((old ^ now) & MSR_DSR)
        dev->msr |= MSR_DDSR;
    if (old & ~now & MSR_RI) /* the trailing edge only */
        dev->msr |= MSR_TERI;
    if ((old ^ now) & MSR_DCD)
        dev->msr |= MSR_DDCD;
}

/* -- Registers --------------------------------------------------------------------------------- */

static uint8_t lsr_read(struct serial16550 *dev)
{
    uint8_t value = LSR_THRE | LSR_TEMT | dev->errors | (dev->fifo_count != 0 ? LSR_DR : 0);

    if (dev->fcr & FCR_ENABLE) {
        bool bad = (dev->errors & (LSR_PE | LSR_FE | LSR_BI)) != 0;

        for (unsigned i = 0; i < dev->fifo_count; i++)
            bad |= dev->fifo[(dev->fifo_first + i) % FIFO_SIZE].errors != 0;
        value |= bad ? LSR_FIFO_ERROR : 0;
    }
    dev->errors = 0;
    irq_update(dev);
    return value;
}

static uint8_t iir_read(struct serial16550 *dev)
{
    const uint8_t id = interrupt_id(dev);

    if (id == IIR_THRE) { /* this read is its acknowledge */
        dev->thre_pending = false;
        irq_update(dev);
    }
    return id | (dev->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static void ier_write(struct serial16550 *dev, uint8_t value)
{
    const uint8_t rising = value & ~dev->ier;
    const uint8_t toggled = value ^ dev->ier;

    dev->ier = value & IER_WRITABLE;
    if (rising & IER_ETBEI) /* the transmitter is empty, which is news to who asks now */
        dev->thre_pending = true;
    if (toggled & IER_ERBFI) /* not for the others: the transmitter's traffic must not delay it */
        timeout_restart(dev);
    if ((rising & IER_ERBFI) &&
        (dev->fifo_count >= POLLED_UNREAD || clock_now_ns(dev->clock) < dev->next_ns)) {
        clock_cancel(dev->clock, &dev->pace); /* what was held back may come at once */
        dev->next_ns = 0;
        backend_accept(dev);
    }
}

static void fcr_write(struct serial16550 *dev, uint8_t value)
{
    const bool clear = ((dev->fcr ^ value) & FCR_ENABLE) || (value & FCR_RX_RESET);

    /* The other bits are not programmed unless FCR0 is set. */
    dev->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | 3 << FCR_TRIGGER_SHIFT) : 0;
    if (clear)
        dev->fifo_count = 0;
    if (clear || !dev->timed_out)
        timeout_restart(dev);
    if (clear)
        backend_accept(dev);
}

static void lcr_write(struct serial16550 *dev, uint8_t value)
{
    const bool break_starts = (value & ~dev->lcr & LCR_BREAK) != 0;

    dev->lcr = value;
    if (break_starts && (dev->mcr & MCR_LOOP))
        fifo_put(dev, 0, LSR_BI | LSR_FE);
}

static uint32_t serial16550_read(void *ctx, uint16_t offset, unsigned size)
{
    struct serial16550 *dev = ctx;
    uint8_t value;

    (void)size;
    switch (offset) {
    case RBR_THR:
        return dev->lcr & LCR_DLAB ? dev->divisor & 0xff : rbr_read(dev);
    case IER:
        return dev->lcr & LCR_DLAB ? dev->divisor >> 8 : dev->ier;
    case IIR_FCR:
        return iir_read(dev);
    case LCR:
        return dev->lcr;
    case MCR:
        return dev->mcr;
    case LSR:
        return lsr_read(dev);
    case MSR:
        value = dev->msr;
        dev->msr &= ~MSR_DELTAS;
        irq_update(dev);
        return value;
    default:
        return dev->scr;
    }
}

static void serial16550_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct serial16550 *dev = ctx;
    const uint8_t byte = (uint8_t)value;
    const bool dlab = dev->lcr & LCR_DLAB;
    const bool looped = dev->mcr & MCR_LOOP;

    (void)size;
    switch (offset) {
    case RBR_THR:
        if (dlab)
            dev->divisor = (uint16_t)((dev->divisor & 0xff00) | byte);
        else
            thr_write(dev, byte);
        break;
    case IER:
        if (dlab)
            dev->divisor = (uint16_t)((dev->divisor & 0x00ff) | byte << 8);
        else
            ier_write(dev, byte);
        break;
    case IIR_FCR:
        fcr_write(dev, byte);
        break;
    case LCR:
        lcr_write(dev, byte);
        break;
    case MCR:
        dev->mcr = byte & MCR_WRITABLE;
        modem_update(dev);
        if (looped && !(dev->mcr & MCR_LOOP))
            backend_accept(dev);
        break;
    case SCR:
        dev->scr = byte;
        break;
    default: /* LSR and MSR: for factory tests, says the data sheet */
        bus_log_once(dev->bus, "serial16550", offset, "write to a read-only register");
        break;
    }
    irq_update(dev);
}

static const struct io_ops serial16550_ops = {"serial16550", 1, serial16550_read,
                                              serial16550_write};

struct serial16550 *serial16550_create(struct bus *bus, struct clock *clock, uint16_t base,
                                       struct line *irq, struct char_backend *backend)
{
    struct serial16550 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->base = base;
    dev->irq = irq;
    dev->backend = backend;
    dev->timeout.fire = timeout_fire;
    dev->timeout.ctx = dev;
    dev->pace.fire = pace_fire;
    dev->pace.ctx = dev;
    dev->gather.fire = gather_fire;
    dev->gather.ctx = dev;
    if (bus_map_io(bus, base, PORT_COUNT, &serial16550_ops, dev) != 0) {
        free(dev);
        return NULL;
    }
    if (backend != NULL) {
        backend->chip = dev;
        backend->can_receive = serial_can_receive;
        backend->receive = serial_receive;
        backend->send_break = serial_send_break;
    }
    serial16550_reset(dev);
    return dev;
}

void serial16550_destroy(struct serial16550 *dev)
{
    if (dev == NULL)
        return;
    serial16550_flush(dev);
    clock_cancel(dev->clock, &dev->timeout);
    clock_cancel(dev->clock, &dev->pace);
    bus_unmap_io(dev->bus, dev->base, PORT_COUNT);
    free(dev);
}

/* [PC16550D table I "UART Reset Configuration"]; the divisor, undefined there, is 9600 baud's. */
void serial16550_reset(struct serial16550 *dev)
{
    serial16550_flush(dev);
    clock_cancel(dev->clock, &dev->timeout);
    clock_cancel(dev->clock, &dev->pace);
    dev->next_ns = 0;
    memset(dev->fifo, 0, sizeof(dev->fifo));
    dev->fifo_first = dev->fifo_count = 0;
    dev->ier = dev->lcr = dev->mcr = dev->scr = dev->fcr = 0;
    dev->errors = 0;
    dev->msr = MSR_CONNECTED;
    dev->divisor = 12;
    dev->last_value = 0;
    dev->thre_pending = false;
    dev->timed_out = false;
    irq_update(dev);
}
