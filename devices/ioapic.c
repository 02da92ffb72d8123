/*
 * devices/ioapic.c -- Intel 82093AA I/O APIC.
 * Source: Intel 82093AA data sheet (290566), 3.0 "Register Description".
 *
 *   +0x00 IOREGSEL   +0x10 IOWIN (the selected register)
 *   0x00 ID (27:24)  0x01 version  0x02 arbitration  0x10 + 2n, 0x11 + 2n redirection entry n:
 *   63:56 destination | 16 mask | 15 level | 14 remote IRR (ro) | 13 active low | 12 status (ro)
 *   | 11 logical | 10:8 delivery mode | 7:0 vector
 *
 * Remote IRR is set when a level-triggered message has been sent and cleared by its EOI; while it
 * is set the pin is not sent again.  Edges on a masked pin are lost, as on the chip. Deviation: the
 * polarity bit is kept but ignored: the board's wires say "asserted".
 */
#include "devices/ioapic.h"

#include <stdlib.h>

#define IOREGSEL    0x00
#define IOWIN       0x10
#define REG_ID      0x00
#define REG_VERSION 0x01
#define REG_ARB     0x02
#define REG_REDIR   0x10
#define VERSION     (0x11 | (IOAPIC_PIN_COUNT - 1) << 16)
#define ID_MASK     0x0F000000u

#define REDIR_VECTOR     0xFFu
#define REDIR_DELIVERY   8
#define REDIR_LOGICAL    (1u << 11)
#define REDIR_REMOTE_IRR (1u << 14)
#define REDIR_LEVEL      (1u << 15)
#define REDIR_MASK       (1u << 16)
#define REDIR_WRITABLE   UINT64_C(0xFF0000000001AFFF)
#define REDIR_DEST       56

struct ioapic {
    struct bus *bus;
    struct apic_bus apics;
    uint64_t redirection[IOAPIC_PIN_COUNT];
    bool pins[IOAPIC_PIN_COUNT];
    uint32_t id;
    uint8_t select;
};

static void message_send(struct ioapic *dev, unsigned pin)
{
    const uint64_t entry = dev->redirection[pin];
    const struct apic_message message = {
        .destination = (uint32_t)(entry >> REDIR_DEST),
        .delivery = (enum apic_delivery)(entry >> REDIR_DELIVERY & 7),
        .vector = (uint8_t)(entry & REDIR_VECTOR),
        .logical = entry & REDIR_LOGICAL,
        .level = entry & REDIR_LEVEL,
    };

    dev->apics.send(dev->apics.ctx, &message, 0);
}

/* A level-triggered pin that is asserted, unmasked and not being serviced is sent. */
static void level_service(struct ioapic *dev, unsigned pin)
{
    uint64_t *entry = &dev->redirection[pin];

    if (!dev->pins[pin] || !(*entry & REDIR_LEVEL) || (*entry & (REDIR_MASK | REDIR_REMOTE_IRR)))
        return;
    *entry |= REDIR_REMOTE_IRR;
    message_send(dev, pin);
}

void ioapic_set_pin(void *ctx, unsigned index, bool level)
{
    struct ioapic *dev = ctx;
    const bool rising = level && !dev->pins[index];

    dev->pins[index] = level;
    if (dev->redirection[index] & REDIR_LEVEL)
        level_service(dev, index);
    else if (rising && !(dev->redirection[index] & REDIR_MASK))
        message_send(dev, index);
}

bool ioapic_sends(const struct ioapic *dev, unsigned pin, uint8_t vector)
{
    const uint64_t entry = dev->redirection[pin];

    return !(entry & REDIR_MASK) && (entry & REDIR_VECTOR) == vector;
}

void ioapic_eoi(struct ioapic *dev, uint8_t vector)
{
    for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
        uint64_t *entry = &dev->redirection[pin];

        if (!(*entry & REDIR_REMOTE_IRR) || (*entry & REDIR_VECTOR) != vector)
            continue;
        *entry &= ~(uint64_t)REDIR_REMOTE_IRR;
        level_service(dev, pin);
    }
}

static uint32_t register_read(struct ioapic *dev)
{
    const unsigned pin = (dev->select - REG_REDIR) / 2u;

    if (dev->select == REG_ID || dev->select == REG_ARB)
        return dev->id;
    if (dev->select == REG_VERSION)
        return VERSION;
    if (dev->select < REG_REDIR || pin >= IOAPIC_PIN_COUNT)
        return UINT32_MAX;
    return (uint32_t)(dev->redirection[pin] >> (dev->select % 2 * 32));
}

static void register_write(struct ioapic *dev, uint32_t value)
{
    const unsigned pin = (dev->select - REG_REDIR) / 2u;
    const unsigned shift = dev->select % 2 * 32;
    uint64_t mask, *entry;

    if (dev->select == REG_ID)
        dev->id = value & ID_MASK;
    if (dev->select < REG_REDIR || pin >= IOAPIC_PIN_COUNT)
        return;
    entry = &dev->redirection[pin];
    mask = (UINT64_C(0xFFFFFFFF) << shift) & REDIR_WRITABLE;
    *entry = (*entry & ~mask) | ((uint64_t)value << shift & mask);
    /* An entry that becomes edge-triggered has nothing outstanding: guests rely on switching to
     * edge and back to get rid of a stuck remote IRR. */
    if (!(*entry & REDIR_LEVEL))
        *entry &= ~(uint64_t)REDIR_REMOTE_IRR;
    level_service(dev, pin);
}

static uint64_t mmio_read(void *ctx, uint64_t offset, unsigned size)
{
    struct ioapic *dev = ctx;
    uint32_t value = 0;

    if ((offset & ~UINT64_C(3)) == IOREGSEL)
        value = dev->select;
    else if ((offset & ~UINT64_C(3)) == IOWIN)
        value = register_read(dev);
    else
        bus_log_once(dev->bus, "ioapic", offset, "read of unimplemented register");
    value >>= (offset & 3) * 8;
    return size < 4 ? value & ((1u << (8 * size)) - 1) : value;
}

static void mmio_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct ioapic *dev = ctx;

    (void)size;
    if (offset == IOREGSEL)
        dev->select = (uint8_t)value;
    else if (offset == IOWIN)
        register_write(dev, (uint32_t)value);
    else
        bus_log_once(dev->bus, "ioapic", offset, "write to unimplemented register");
}

const struct bus_mmio_ops ioapic_mmio = {.name = "ioapic", .read = mmio_read, .write = mmio_write};

void ioapic_reset(struct ioapic *dev)
{
    for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++)
        dev->redirection[pin] = REDIR_MASK;
    dev->id = 0;
    dev->select = 0;
}

struct ioapic *ioapic_create(struct bus *bus, const struct apic_bus *apics)
{
    struct ioapic *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->apics = *apics;
    ioapic_reset(dev);
    return dev;
}

void ioapic_destroy(struct ioapic *dev)
{
    free(dev);
}

void ioapic_describe(const struct ioapic *dev, FILE *out)
{
    fprintf(out, "ioapic: ID=0x%02x SEL=0x%02x\n", (unsigned)(dev->id >> 24 & 15), dev->select);
    for (unsigned pin = 0; pin < IOAPIC_PIN_COUNT; pin++) {
        const uint64_t entry = dev->redirection[pin];

        fprintf(out, "  pin %-2u 0x%016llx dest=%u vec=%u %s%s%s%s\n", pin,
                (unsigned long long)entry, (unsigned)(entry >> 56), (unsigned)(entry & 0xff),
                entry & REDIR_LEVEL ? "level" : "edge", entry & REDIR_MASK ? " masked" : "",
                entry & REDIR_REMOTE_IRR ? " remote-irr" : "", dev->pins[pin] ? " asserted" : "");
    }
}
