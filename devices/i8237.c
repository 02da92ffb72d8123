/*
 * devices/i8237.c -- two 8237A DMA controllers and the page registers.
 * Sources: Intel 8237A data sheet (231466-005), "Register Description", "Programming"; Intel
 * 82371SB (PIIX3) data sheet (290550-002), "DMA Register Description" for the second controller's
 * addresses and the pages.
 *
 *   ports         controller 0: 00-0F   controller 1: C0-DF, even and odd alike
 *   0 2 4 6       base and current address of a channel, low byte then high (shared flip-flop)
 *   1 3 5 7       base and current word count, the same way
 *   8   read      7..4 requests, 3..0 terminal counts, cleared by the read      write  command
 *   9 A B         write: request, one mask bit, mode
 *   C D E F       write: clear flip-flop, master clear, clear masks, all masks; F reads the masks
 *   80-8F         pages: address bits 23..16 (24..17 of channels 5..7); the rest is scratch
 *
 * Channels 0..3 move bytes, 5..7 words; 4 is the cascade.  A device moves its data itself, through
 * struct dma_channel, at the moment it has some: nothing here takes time, and DREQ only shows in
 * the status register.  Memory-to-memory transfers and software requests are not part of the PIIX3.
 */
#include "devices/i8237.h"

#include <stdlib.h>
#include <string.h>

enum {
    CONTROLLERS = 2,
    CHANNELS = 4, /* of a controller */
    PORT_PAGES = 0x80,
    PAGES = 16,

    REG_COMMAND = 0x8,
    REG_REQUEST = 0x9,
    REG_MASK_ONE = 0xA,
    REG_MODE = 0xB,
    REG_CLEAR_FLIP_FLOP = 0xC,
    REG_MASTER_CLEAR = 0xD,
    REG_CLEAR_MASKS = 0xE,
    REG_MASK_ALL = 0xF,

    COMMAND_DISABLE = 0x04,
    MODE_TYPE = 0x0C,
    MODE_WRITE = 0x04, /* device to memory */
    MODE_READ = 0x08,  /* memory to device */
    MODE_AUTO = 0x10,
    MODE_DOWN = 0x20,
    MODE_CASCADE = 0xC0,
    MASK_SET = 0x04,
};

struct channel {
    uint16_t base_address, base_count, address, count;
    uint8_t mode; /* as written, without the channel number */
};

struct controller {
    struct channel channel[CHANNELS];
    uint8_t command, masks, requests, terminal;
    bool high_byte; /* the flip-flop: the next access is to the high byte */
};

struct i8237 {
    struct bus *bus;
    struct controller controller[CONTROLLERS];
    uint8_t page[PAGES];
};

/* The page register of each channel, as an offset from 0x80. */
static const uint8_t page_index[CONTROLLERS * CHANNELS] = {0x7, 0x3, 0x1, 0x2, 0xF, 0xB, 0x9, 0xA};

/* -- Transfers --------------------------------------------------------------------------------- */

/* Move `count` units between buffer and memory, from the channel's current address on. */
static void move_units(struct i8237 *dev, unsigned index, uint8_t *buffer, size_t count)
{
    struct channel *ch = &dev->controller[index / CHANNELS].channel[index % CHANNELS];
    const struct bus_memory *memory = bus_memory(dev->bus);
    const unsigned shift = index / CHANNELS; /* 0: bytes, 1: words */
    const uint64_t page = (uint64_t)(dev->page[page_index[index]] & ~shift) << 16;
    const bool down = ch->mode & MODE_DOWN;

    while (count > 0) {
        /* Upwards as far as the 64 K page goes in one piece; downwards one unit at a time. */
        size_t units = down ? 1 : 0x10000u - ch->address;
        size_t bytes;
        const uint64_t address = page + ((uint64_t)ch->address << shift);

        if (units > count)
            units = count;
        bytes = units << shift;
        if ((ch->mode & MODE_TYPE) == MODE_WRITE && memory->dma_write != NULL)
            memory->dma_write(memory->ctx, address, buffer, bytes);
        else if ((ch->mode & MODE_TYPE) == MODE_READ && memory->dma_read != NULL)
            memory->dma_read(memory->ctx, address, buffer, bytes);
        ch->address = (uint16_t)(down ? ch->address - units : ch->address + units);
        buffer += bytes;
        count -= units;
    }
}

static size_t channel_transfer(void *ctx, unsigned index, uint8_t *buffer, size_t size,
                               bool *terminal_count)
{
    struct i8237 *dev = ctx;
    struct controller *ctl = &dev->controller[index / CHANNELS];
    struct channel *ch = &ctl->channel[index % CHANNELS];
    const uint8_t bit = (uint8_t)(1u << (index % CHANNELS));
    const unsigned shift = index / CHANNELS;
    const size_t left = (size_t)ch->count + 1;
    size_t units = size >> shift;

    *terminal_count = false;
    if (units == 0 || (ctl->masks & bit) || (ctl->command & COMMAND_DISABLE) ||
        (ch->mode & MODE_CASCADE) == MODE_CASCADE)
        return 0;
    if (units > left)
        units = left;
    move_units(dev, index, buffer, units);
    ch->count = (uint16_t)(ch->count - units);
    if (units == left) { /* the count rolled over to FFFF [8237A "Terminal Count"] */
        *terminal_count = true;
        ctl->terminal |= bit;
        if (ch->mode & MODE_AUTO) {
            ch->address = ch->base_address;
            ch->count = ch->base_count;
        } else {
            ctl->masks |= bit;
        }
    }
    return units << shift;
}

static void channel_request(void *ctx, unsigned index, bool level)
{
    struct i8237 *dev = ctx;
    struct controller *ctl = &dev->controller[index / CHANNELS];
    const uint8_t bit = (uint8_t)(1u << (index % CHANNELS));

    ctl->requests = level ? ctl->requests | bit : ctl->requests & ~bit;
}

struct dma_channel i8237_channel(struct i8237 *dev, unsigned channel)
{
    return (struct dma_channel){.ctx = dev,
                                .index = channel % (CONTROLLERS * CHANNELS),
                                .request = channel_request,
                                .transfer = channel_transfer};
}

/* -- Registers --------------------------------------------------------------------------------- */

static void master_clear(struct controller *ctl)
{
    ctl->command = 0;
    ctl->terminal = 0;
    ctl->high_byte = false;
    ctl->masks = 0x0f;
}

static uint8_t controller_read(struct i8237 *dev, struct controller *ctl, unsigned reg)
{
    uint8_t value;

    if (reg < REG_COMMAND) {
        const struct channel *ch = &ctl->channel[reg / 2];
        const uint16_t word = reg & 1 ? ch->count : ch->address;

        value = (uint8_t)(ctl->high_byte ? word >> 8 : word);
        ctl->high_byte = !ctl->high_byte;
        return value;
    }
    switch (reg) {
    case REG_COMMAND:
        value = (uint8_t)(ctl->requests << 4 | ctl->terminal);
        ctl->terminal = 0;
        return value;
    case REG_MASTER_CLEAR: /* the temporary register, of memory-to-memory transfers only */
        return 0;
    case REG_MASK_ALL:
        return ctl->masks | 0xf0;
    default:
        bus_log_once(dev->bus, "i8237", reg, "read of a write-only register");
        return 0xff;
    }
}

static void set_byte(uint16_t *word, bool high, uint8_t value)
{
    *word = (uint16_t)(high ? (*word & 0x00ff) | value << 8 : (*word & 0xff00) | value);
}

static void controller_write(struct i8237 *dev, struct controller *ctl, unsigned reg, uint8_t value)
{
    const uint8_t bit = (uint8_t)(1u << (value & 3));

    if (reg < REG_COMMAND) {
        struct channel *ch = &ctl->channel[reg / 2];

        set_byte(reg & 1 ? &ch->base_count : &ch->base_address, ctl->high_byte, value);
        set_byte(reg & 1 ? &ch->count : &ch->address, ctl->high_byte, value);
        ctl->high_byte = !ctl->high_byte;
        return;
    }
    switch (reg) {
    case REG_COMMAND:
        ctl->command = value;
        break;
    case REG_REQUEST:
        bus_log_once(dev->bus, "i8237", reg, "software requests are not there");
        break;
    case REG_MASK_ONE:
        ctl->masks = value & MASK_SET ? ctl->masks | bit : ctl->masks & ~bit;
        break;
    case REG_MODE:
        ctl->channel[value & 3].mode = value & ~3u;
        break;
    case REG_CLEAR_FLIP_FLOP:
        ctl->high_byte = false;
        break;
    case REG_MASTER_CLEAR:
        master_clear(ctl);
        break;
    case REG_CLEAR_MASKS:
        ctl->masks = 0;
        break;
    case REG_MASK_ALL:
        ctl->masks = value & 0x0f;
        break;
    }
}

static uint32_t bytes_read(void *ctx, uint16_t offset, unsigned size)
{
    struct i8237 *dev = ctx;

    (void)size;
    return controller_read(dev, &dev->controller[0], offset);
}

static void bytes_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8237 *dev = ctx;

    (void)size;
    controller_write(dev, &dev->controller[0], offset, (uint8_t)value);
}

static uint32_t words_read(void *ctx, uint16_t offset, unsigned size)
{
    struct i8237 *dev = ctx;

    (void)size;
    return controller_read(dev, &dev->controller[1], offset / 2u);
}

static void words_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8237 *dev = ctx;

    (void)size;
    controller_write(dev, &dev->controller[1], offset / 2u, (uint8_t)value);
}

static uint32_t page_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct i8237 *dev = ctx;

    (void)size;
    return dev->page[offset];
}

static void page_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct i8237 *dev = ctx;

    (void)size;
    dev->page[offset] = (uint8_t)value;
}

static const struct {
    uint16_t base, count;
    struct io_ops ops;
} ports[] = {
    {0x00, 16, {"i8237 bytes", 1, bytes_read, bytes_write}},
    {0xC0, 32, {"i8237 words", 1, words_read, words_write}},
    {PORT_PAGES, PAGES, {"DMA pages", 1, page_read, page_write}},
};

struct i8237 *i8237_create(struct bus *bus)
{
    struct i8237 *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (bus_map_io(bus, ports[i].base, ports[i].count, &ports[i].ops, dev) != 0) {
            while (i-- > 0)
                bus_unmap_io(bus, ports[i].base, ports[i].count);
            free(dev);
            return NULL;
        }
    }
    i8237_reset(dev);
    return dev;
}

void i8237_destroy(struct i8237 *dev)
{
    if (dev == NULL)
        return;
    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
        bus_unmap_io(dev->bus, ports[i].base, ports[i].count);
    free(dev);
}

void i8237_reset(struct i8237 *dev)
{
    memset(dev->controller, 0, sizeof(dev->controller));
    memset(dev->page, 0, sizeof(dev->page));
    for (unsigned i = 0; i < CONTROLLERS; i++)
        master_clear(&dev->controller[i]);
}
