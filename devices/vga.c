/*
 * devices/vga.c -- standard VGA registers and the Bochs display interface (PCI 1234:1111).
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem"; QEMU
 * documentation, "QEMU Standard VGA"; Bochs "VBE Display API".
 *
 *   0x3C0/1 attribute   0x3C2/CC misc output   0x3C4/5 sequencer   0x3C6..9 DAC
 *   0x3CE/F graphics    0x3B4/5 or 0x3D4/5 CRTC   0x3BA or 0x3DA status 1, feature control
 *   0x1CE index, 0x1CF or 0x1D0 data (words)   Bochs display interface
 *   BAR 0  display memory   BAR 2  +0 EDID, +0x400 ports 0x3C0..0x3DF, +0x500 display interface
 *
 * Misc output bit 0 chooses the 0x3Dx ports (1) or the 0x3Bx ports (0); the others do not answer.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/vga_internal.h"

#define PORT_MONO        0x3B0
#define PORT_MONO_COUNT  12 /* 0x3BC.. is a parallel port's */
#define PORT_COLOR       0x3C0
#define PORT_COLOR_COUNT 32
#define PORT_DISPI       0x1CE
#define PORT_DISPI_COUNT 4

#define MISC_COLOR       0x01
#define CRTC_PROTECT     0x80 /* in CRTC_V_SYNC_END: registers 0..7 are read-only */
#define OVERFLOW_COMPARE 0x10 /* the bit of CRTC_OVERFLOW that is exempt from CRTC_PROTECT */
#define STATUS0_SENSE    0x10
#define STATUS1_BLANK    0x01
#define STATUS1_RETRACE  0x08
#define DAC_WRITE_MODE   0x00
#define DAC_READ_MODE    0x03

#define RETRACE_NS  13200000u /* from here to the end of the frame */
#define LINE_NS     31778u
#define LINE_END_NS 25422u

#define BAR_REGISTERS      2
#define REGISTERS_SIZE     4096
#define REGISTERS_PORTS    0x400
#define REGISTERS_DISPI    0x500
#define REGISTERS_EXTENDED 0x600

#define DISPI_ID_FIRST 0xB0C0
#define DISPI_ID_LAST  0xB0C5
#define DISPI_MAX_XRES 16000
#define DISPI_MAX_YRES 12000
#define DISPI_MAX_BPP  32

static const uint8_t seq_mask[VGA_SEQ_COUNT] = {0x03, 0x3D, 0x0F, 0x3F, 0x0E};
static const uint8_t gfx_mask[VGA_GFX_COUNT] = {0x0F, 0x0F, 0x0F, 0x1F, 0x03,
                                                0x7B, 0x0F, 0x0F, 0xFF};
static const uint8_t attr_mask[VGA_ATTR_COUNT] = {
    0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0x3F,
    0x3F, 0x3F, 0x3F, 0x3F, 0x3F, 0xEF, 0xFF, 0x3F, 0x0F, 0x0F,
};

/* ---- Bochs display interface ---- */

static uint16_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
    return (uint16_t)(value < low ? low : value > high ? high : value);
}

/* Make the mode's numbers agree with each other and with the memory there is. */
static void dispi_fit(struct vga *dev)
{
    static const uint8_t depths[] = {4, 8, 15, 16, 24, 32};
    uint16_t *regs = dev->dispi;
    uint32_t line, lines;
    bool known = false;

    for (unsigned i = 0; i < sizeof(depths); i++)
        known |= regs[DISPI_BPP] == depths[i];
    if (!known)
        regs[DISPI_BPP] = 8;
    regs[DISPI_XRES] = clamp(regs[DISPI_XRES] & ~7u, 8, DISPI_MAX_XRES);
    regs[DISPI_YRES] = clamp(regs[DISPI_YRES], 1, DISPI_MAX_YRES);
    regs[DISPI_VIRT_WIDTH] = clamp(regs[DISPI_VIRT_WIDTH] & ~7u, regs[DISPI_XRES], DISPI_MAX_XRES);
    line = vga_linear_pitch(dev, regs[DISPI_VIRT_WIDTH]);
    lines = VGA_MEMORY_SIZE / line;
    regs[DISPI_YRES] = clamp(regs[DISPI_YRES], 1, lines);
    regs[DISPI_VIRT_HEIGHT] = clamp(lines, 1, UINT16_MAX);
    regs[DISPI_X_OFFSET] =
        clamp(regs[DISPI_X_OFFSET], 0, (uint32_t)regs[DISPI_VIRT_WIDTH] - regs[DISPI_XRES]);
    regs[DISPI_Y_OFFSET] = clamp(regs[DISPI_Y_OFFSET], 0, lines - regs[DISPI_YRES]);
}

static void dispi_enable(struct vga *dev, uint16_t value)
{
    uint16_t *regs = dev->dispi;
    const bool was_enabled = regs[DISPI_ENABLE] & DISPI_ENABLED;

    regs[DISPI_BANK] = 0;
    if ((value & DISPI_ENABLED) && !was_enabled) {
        regs[DISPI_VIRT_WIDTH] = regs[DISPI_XRES];
        regs[DISPI_X_OFFSET] = regs[DISPI_Y_OFFSET] = 0;
        dispi_fit(dev);
        if (!(value & DISPI_NOCLEARMEM))
            memset(dev->memory, 0,
                   (size_t)vga_linear_pitch(dev, regs[DISPI_VIRT_WIDTH]) * regs[DISPI_YRES]);
        memset(dev->dirty, 0xFF, sizeof(dev->dirty));
    }
    regs[DISPI_ENABLE] = value;
}

static uint16_t dispi_read(const struct vga *dev, unsigned index)
{
    if (dev->dispi[DISPI_ENABLE] & DISPI_GETCAPS) {
        if (index == DISPI_XRES)
            return DISPI_MAX_XRES;
        if (index == DISPI_YRES)
            return DISPI_MAX_YRES;
        if (index == DISPI_BPP)
            return DISPI_MAX_BPP;
    }
    if (index == DISPI_MEMORY_64K)
        return VGA_MEMORY_SIZE / VGA_BANK_SIZE;
    return index < DISPI_COUNT ? dev->dispi[index] : 0;
}

static void dispi_write(struct vga *dev, unsigned index, uint16_t value)
{
    if (index != DISPI_BANK)
        vga_touch_all(dev);
    switch (index) {
    case DISPI_ID:
        if (value >= DISPI_ID_FIRST && value <= DISPI_ID_LAST)
            dev->dispi[DISPI_ID] = value;
        break;
    case DISPI_ENABLE:
        dispi_enable(dev, value);
        break;
    case DISPI_BANK:
        dev->dispi[DISPI_BANK] = value % (VGA_MEMORY_SIZE / VGA_BANK_SIZE);
        break;
    case DISPI_XRES:
    case DISPI_YRES:
    case DISPI_BPP:
    case DISPI_VIRT_WIDTH:
    case DISPI_X_OFFSET:
    case DISPI_Y_OFFSET:
        dev->dispi[index] = value;
        if (dev->dispi[DISPI_ENABLE] & DISPI_ENABLED)
            dispi_fit(dev);
        break;
    default:
        break; /* the height of the virtual screen follows from its width */
    }
}

static uint32_t dispi_port_read(void *ctx, uint16_t offset, unsigned size)
{
    const struct vga *dev = ctx;

    (void)size;
    return offset == 0 ? dev->dispi_index : dispi_read(dev, dev->dispi_index);
}

static void dispi_port_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    struct vga *dev = ctx;

    (void)size;
    if (offset == 0)
        dev->dispi_index = (uint16_t)value;
    else
        dispi_write(dev, dev->dispi_index, (uint16_t)value);
}

static const struct io_ops dispi_ports = {
    .name = "vga-dispi", .max_size = 2, .read = dispi_port_read, .write = dispi_port_write};

/* ---- DAC ---- */

static uint8_t dac_read(struct vga *dev)
{
    const uint8_t value = dev->dac[dev->dac_index][dev->dac_sub];

    if (++dev->dac_sub == 3) {
        dev->dac_sub = 0;
        dev->dac_index++;
    }
    return value;
}

static void dac_write(struct vga *dev, uint8_t value)
{
    const uint8_t mask = dev->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC ? 0xFF : 0x3F;

    dev->dac_latch[dev->dac_sub++] = value & mask;
    if (dev->dac_sub == 3) {
        if (memcmp(dev->dac[dev->dac_index], dev->dac_latch, 3) != 0)
            vga_touch_all(dev);
        memcpy(dev->dac[dev->dac_index], dev->dac_latch, 3);
        dev->dac_sub = 0;
        dev->dac_index++;
    }
}

/* ---- the VGA's ports ---- */

static uint8_t status1_read(struct vga *dev)
{
    const uint64_t now_ns = clock_now_ns(dev->clock);
    const uint64_t in_frame = now_ns % VGA_FRAME_NS;

    dev->attr_data = false;
    if (in_frame >= RETRACE_NS)
        return STATUS1_BLANK | STATUS1_RETRACE;
    return in_frame % LINE_NS >= LINE_END_NS ? STATUS1_BLANK : 0;
}

static void attr_write(struct vga *dev, uint8_t value)
{
    const unsigned index = dev->attr_index & 0x1F;

    if (!dev->attr_data) {
        if ((dev->attr_index ^ value) & ATTR_CONNECTED)
            vga_touch_all(dev);
        dev->attr_index = value & (ATTR_CONNECTED | 0x1F);
    } else if (index < VGA_ATTR_COUNT) {
        if (dev->attr[index] != (value & attr_mask[index]))
            vga_touch_all(dev);
        dev->attr[index] = value & attr_mask[index];
    }
    dev->attr_data = !dev->attr_data;
}

static void crtc_write(struct vga *dev, uint8_t value)
{
    const unsigned index = dev->crtc_index;

    if (index >= VGA_CRTC_COUNT)
        return;
    if (index <= CRTC_OVERFLOW && (dev->crtc[CRTC_V_SYNC_END] & CRTC_PROTECT)) {
        if (index != CRTC_OVERFLOW)
            return;
        value = (dev->crtc[index] & ~OVERFLOW_COMPARE) | (value & OVERFLOW_COMPARE);
    }
    if (value == dev->crtc[index])
        return;
    dev->crtc[index] = value;
    /* Where the cursor is shows in the cells that are compared anyway. */
    if (index == CRTC_CURSOR_HIGH || index == CRTC_CURSOR_LOW)
        vga_touch(dev);
    else
        vga_touch_all(dev);
}

static void seq_write(struct vga *dev, uint8_t value)
{
    const unsigned index = dev->seq_index;

    value &= seq_mask[index];
    if (index != SEQ_MAP_MASK && value != dev->seq[index])
        vga_touch_all(dev);
    dev->seq[index] = value;
}

static void gfx_write(struct vga *dev, uint8_t value)
{
    const unsigned index = dev->gfx_index;

    value &= gfx_mask[index];
    if ((index == GFX_MODE || index == GFX_MISC) && value != dev->gfx[index])
        vga_touch_all(dev);
    dev->gfx[index] = value;
}

/* CRTC and status ports are at 0x3Bx or 0x3Dx; give both as 0x3Dx.  False: not these now. */
static bool port_answers(const struct vga *dev, uint16_t *port)
{
    const bool color = dev->misc & MISC_COLOR;

    if (*port >= 0x3D0)
        return color;
    if (*port < 0x3C0) {
        *port += 0x20;
        return !color;
    }
    return true;
}

static uint8_t vga_port_read(struct vga *dev, uint16_t port)
{
    if (!port_answers(dev, &port))
        return 0xFF;
    switch (port) {
    case 0x3C0:
        return dev->attr_data ? 0 : dev->attr_index;
    case 0x3C1:
        return (dev->attr_index & 0x1F) < VGA_ATTR_COUNT ? dev->attr[dev->attr_index & 0x1F] : 0;
    case 0x3C2:
        return STATUS0_SENSE;
    case 0x3C4:
        return dev->seq_index;
    case 0x3C5:
        return dev->seq[dev->seq_index];
    case 0x3C6:
        return dev->dac_mask;
    case 0x3C7:
        return dev->dac_state;
    case 0x3C8:
        return dev->dac_index;
    case 0x3C9:
        return dac_read(dev);
    case 0x3CA:
        return dev->feature;
    case 0x3CC:
        return dev->misc;
    case 0x3CE:
        return dev->gfx_index;
    case 0x3CF:
        return dev->gfx[dev->gfx_index];
    case 0x3D4:
        return dev->crtc_index;
    case 0x3D5:
        return dev->crtc_index < VGA_CRTC_COUNT ? dev->crtc[dev->crtc_index] : 0;
    case 0x3DA:
        return status1_read(dev);
    default:
        return 0xFF;
    }
}

static void vga_port_write(struct vga *dev, uint16_t port, uint8_t value)
{
    if (!port_answers(dev, &port))
        return;
    switch (port) {
    case 0x3C0:
        attr_write(dev, value);
        break;
    case 0x3C2:
        dev->misc = value & 0xEF;
        break;
    case 0x3C4:
        dev->seq_index = value % VGA_SEQ_COUNT;
        break;
    case 0x3C5:
        seq_write(dev, value);
        break;
    case 0x3C6:
        if (value != dev->dac_mask)
            vga_touch_all(dev);
        dev->dac_mask = value;
        break;
    case 0x3C7:
        dev->dac_index = value;
        dev->dac_sub = 0;
        dev->dac_state = DAC_READ_MODE;
        break;
    case 0x3C8:
        dev->dac_index = value;
        dev->dac_sub = 0;
        dev->dac_state = DAC_WRITE_MODE;
        break;
    case 0x3C9:
        dac_write(dev, value);
        break;
    case 0x3CE:
        dev->gfx_index = value % VGA_GFX_COUNT;
        break;
    case 0x3CF:
        gfx_write(dev, value);
        break;
    case 0x3D4:
        dev->crtc_index = value;
        break;
    case 0x3D5:
        crtc_write(dev, value);
        break;
    case 0x3DA:
        dev->feature = value & 0x10;
        break;
    default:
        break;
    }
}

static uint32_t mono_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)size;
    return vga_port_read(ctx, PORT_MONO + offset);
}

static void mono_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)size;
    vga_port_write(ctx, PORT_MONO + offset, (uint8_t)value);
}

static uint32_t color_read(void *ctx, uint16_t offset, unsigned size)
{
    (void)size;
    return vga_port_read(ctx, PORT_COLOR + offset);
}

static void color_write(void *ctx, uint16_t offset, unsigned size, uint32_t value)
{
    (void)size;
    vga_port_write(ctx, PORT_COLOR + offset, (uint8_t)value);
}

static const struct io_ops mono_ports = {
    .name = "vga-mono", .max_size = 1, .read = mono_read, .write = mono_write};
static const struct io_ops color_ports = {
    .name = "vga", .max_size = 1, .read = color_read, .write = color_write};

/* ---- BAR 2: the same registers in memory ---- */

static uint64_t registers_read(void *ctx, uint64_t offset, unsigned size)
{
    struct vga *dev = ctx;
    uint64_t value = 0;

    if (offset >= REGISTERS_DISPI && offset < REGISTERS_DISPI + 2 * DISPI_COUNT)
        return dispi_read(dev, (unsigned)(offset - REGISTERS_DISPI) / 2);
    if (offset == REGISTERS_EXTENDED)
        return 8; /* size of the extended registers: this one and byte order */
    if (offset == REGISTERS_EXTENDED + 4)
        return 0x1E1E1E1E; /* little-endian */
    for (unsigned i = 0; i < size; i++) {
        const uint64_t at = offset + i;

        if (at < VGA_EDID_SIZE)
            value |= (uint64_t)dev->edid[at] << (8 * i);
        if (at >= REGISTERS_PORTS && at < REGISTERS_PORTS + PORT_COLOR_COUNT)
            value |= (uint64_t)vga_port_read(dev, (uint16_t)(PORT_COLOR + at - REGISTERS_PORTS))
                     << (8 * i);
    }
    return value;
}

static void registers_write(void *ctx, uint64_t offset, unsigned size, uint64_t value)
{
    struct vga *dev = ctx;

    if (offset >= REGISTERS_DISPI && offset < REGISTERS_DISPI + 2 * DISPI_COUNT) {
        dispi_write(dev, (unsigned)(offset - REGISTERS_DISPI) / 2, (uint16_t)value);
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        const uint64_t at = offset + i;

        if (at >= REGISTERS_PORTS && at < REGISTERS_PORTS + PORT_COLOR_COUNT)
            vga_port_write(dev, (uint16_t)(PORT_COLOR + at - REGISTERS_PORTS),
                           (uint8_t)(value >> (8 * i)));
    }
}

static const struct bus_mmio_ops registers_ops = {
    .name = "vga-registers", .read = registers_read, .write = registers_write};

/* ---- life ---- */

void vga_reset(struct vga *dev)
{
    pci_function_reset(&dev->pci);
    dev->misc = dev->feature = 0;
    dev->seq_index = dev->gfx_index = dev->crtc_index = dev->attr_index = 0;
    dev->attr_data = false;
    memset(dev->seq, 0, sizeof(dev->seq));
    memset(dev->gfx, 0, sizeof(dev->gfx));
    memset(dev->crtc, 0, sizeof(dev->crtc));
    memset(dev->attr, 0, sizeof(dev->attr));
    memset(dev->dac, 0, sizeof(dev->dac));
    dev->dac_mask = 0xFF;
    dev->dac_index = dev->dac_sub = dev->dac_state = 0;
    dev->latch = 0;
    memset(dev->dispi, 0, sizeof(dev->dispi));
    dev->dispi[DISPI_ID] = DISPI_ID_LAST;
    dev->dispi_index = 0; /* display memory keeps what it holds */
    vga_stored_all(dev);
}

static void function_init(struct vga *dev, uint64_t memory, uint64_t rom, uint32_t rom_size)
{
    pci_init(&dev->pci, "vga", dev, 0x1234, 0x1111, 2, 0x030000);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_VENDOR_ID, 0x1AF4);
    pci_set16(&dev->pci, PCI_SUBSYSTEM_ID, 0x1100);
    pci_bar_backing(&dev->pci, 0, VGA_MEMORY_SIZE, memory);
    pci_bar_mmio(&dev->pci, BAR_REGISTERS, REGISTERS_SIZE, &registers_ops);
    if (rom_size != 0)
        pci_bar_backing(&dev->pci, PCI_BAR_ROM, rom_size, rom);
}

struct vga *vga_create(struct bus *bus, struct pci_bus *pci, struct clock *clock, uint64_t memory,
                       uint64_t rom, uint32_t rom_size)
{
    const struct bus_memory *map = bus_memory(bus);
    struct vga *dev = calloc(1, sizeof(*dev));

    if (dev == NULL)
        return NULL;
    dev->bus = bus;
    dev->clock = clock;
    dev->memory = map->backing(map->ctx, memory);
    vga_edid_make(dev->edid);
    function_init(dev, memory, rom, rom_size);
    if (bus_map_io(bus, PORT_MONO, PORT_MONO_COUNT, &mono_ports, dev) != 0)
        goto fail;
    if (bus_map_io(bus, PORT_COLOR, PORT_COLOR_COUNT, &color_ports, dev) != 0)
        goto fail_mono;
    if (bus_map_io(bus, PORT_DISPI, PORT_DISPI_COUNT, &dispi_ports, dev) != 0)
        goto fail_color;
    if (map->map_mmio(map->ctx, VGA_WINDOW_BASE, VGA_WINDOW_SIZE, &vga_window_ops, dev) != 0)
        goto fail_dispi;
    if (pci_add(pci, &dev->pci, PCI_DEVFN(2, 0)) != 0)
        goto fail_window;
    return dev;
fail_window:
    map->unmap(map->ctx, VGA_WINDOW_BASE, VGA_WINDOW_SIZE);
fail_dispi:
    bus_unmap_io(bus, PORT_DISPI, PORT_DISPI_COUNT);
fail_color:
    bus_unmap_io(bus, PORT_COLOR, PORT_COLOR_COUNT);
fail_mono:
    bus_unmap_io(bus, PORT_MONO, PORT_MONO_COUNT);
fail:
    free(dev);
    return NULL;
}

void vga_destroy(struct vga *dev)
{
    const struct bus_memory *map;

    if (dev == NULL)
        return;
    map = bus_memory(dev->bus);
    map->unmap(map->ctx, VGA_WINDOW_BASE, VGA_WINDOW_SIZE);
    bus_unmap_io(dev->bus, PORT_DISPI, PORT_DISPI_COUNT);
    bus_unmap_io(dev->bus, PORT_COLOR, PORT_COLOR_COUNT);
    bus_unmap_io(dev->bus, PORT_MONO, PORT_MONO_COUNT);
    vga_screen_destroy(dev->screen);
    free(dev);
}
