/*
 * devices/vga_internal.h -- the display adapter's state, shared by the vga*.c files only.
 *
 *   vga.c         ports, registers, PCI function, reset
 *   vga_memory.c  the window at 0xA0000: planes, latches, write modes, banks
 *   vga_edid.c    what the monitor says of itself
 *   vga_screen.c  the picture: when it is drawn anew, and which parts of it changed
 *   vga_scan.c    one scan line of the VGA's own modes, text and graphics
 *   vga_linear.c  one line of a Bochs mode
 *   vga_text.c    text mode: as firmware sets it, and what is on the screen
 */
#ifndef RINGER_DEVICES_VGA_INTERNAL_H
#define RINGER_DEVICES_VGA_INTERNAL_H

#include <stdbool.h>

#include "devices/vga.h"

enum { VGA_SEQ_COUNT = 8, VGA_GFX_COUNT = 16, VGA_CRTC_COUNT = 25, VGA_ATTR_COUNT = 21 };
enum { VGA_PLANES = 4, VGA_BANK_SIZE = 0x10000, VGA_PLANE_SIZE = 0x10000 };

/* Sequencer */
enum { SEQ_CLOCKING = 1, SEQ_MAP_MASK = 2, SEQ_CHARACTER_MAP = 3, SEQ_MEMORY_MODE = 4 };
enum { SEQ_CLOCKING_8_DOTS = 1, SEQ_CLOCKING_HALF = 8, SEQ_CLOCKING_OFF = 0x20 };
enum { SEQ_MEMORY_SEQUENTIAL = 4, SEQ_MEMORY_CHAIN4 = 8 };
/* Graphics controller */
enum {
    GFX_SET_RESET = 0,
    GFX_ENABLE_SET_RESET = 1,
    GFX_COLOR_COMPARE = 2,
    GFX_ROTATE = 3,
    GFX_READ_MAP = 4,
    GFX_MODE = 5,
    GFX_MISC = 6,
    GFX_COLOR_DONT_CARE = 7,
    GFX_BIT_MASK = 8,
};
enum { GFX_MODE_READ1 = 8, GFX_MODE_ODD_EVEN = 0x10, GFX_MODE_INTERLEAVE = 0x20 };
enum { GFX_MODE_256 = 0x40, GFX_MISC_GRAPHICS = 1 };
/* CRTC */
enum {
    CRTC_H_DISPLAY_END = 0x01,
    CRTC_OVERFLOW = 0x07,
    CRTC_PRESET_ROW = 0x08,
    CRTC_MAX_SCAN_LINE = 0x09,
    CRTC_CURSOR_START = 0x0A,
    CRTC_CURSOR_END = 0x0B,
    CRTC_START_HIGH = 0x0C,
    CRTC_START_LOW = 0x0D,
    CRTC_CURSOR_HIGH = 0x0E,
    CRTC_CURSOR_LOW = 0x0F,
    CRTC_V_SYNC_END = 0x11,
    CRTC_V_DISPLAY_END = 0x12,
    CRTC_OFFSET = 0x13,
    CRTC_UNDERLINE = 0x14,
    CRTC_MODE = 0x17,
    CRTC_LINE_COMPARE = 0x18,
};
enum { CRTC_MAX_SCAN_DOUBLE = 0x80, CRTC_CURSOR_OFF = 0x20, CRTC_UNDERLINE_DWORD = 0x40 };
enum { CRTC_MODE_ROW0 = 1, CRTC_MODE_ROW1 = 2, CRTC_MODE_HALF = 4, CRTC_MODE_BYTE = 0x40 };
enum { CRTC_MODE_SYNC = 0x80 };
/* Attribute controller */
enum { ATTR_MODE = 0x10, ATTR_PLANES = 0x12, ATTR_PANNING = 0x13, ATTR_COLOR_SELECT = 0x14 };
enum { ATTR_MODE_LINE_GRAPHICS = 4, ATTR_MODE_BLINK = 8, ATTR_MODE_PAN_TOP = 0x20 };
enum { ATTR_MODE_256 = 0x40, ATTR_MODE_SELECT = 0x80, ATTR_CONNECTED = 0x20 };
/* Bochs display interface */
enum {
    DISPI_ID = 0,
    DISPI_XRES = 1,
    DISPI_YRES = 2,
    DISPI_BPP = 3,
    DISPI_ENABLE = 4,
    DISPI_BANK = 5,
    DISPI_VIRT_WIDTH = 6,
    DISPI_VIRT_HEIGHT = 7,
    DISPI_X_OFFSET = 8,
    DISPI_Y_OFFSET = 9,
    DISPI_MEMORY_64K = 10,
    DISPI_COUNT = 11,
};
enum { DISPI_ENABLED = 1, DISPI_GETCAPS = 2, DISPI_8BIT_DAC = 0x20, DISPI_NOCLEARMEM = 0x80 };

/* 720x400 at 70 Hz: only how the bits and the blinking come and go matters. */
#define VGA_FRAME_NS UINT64_C(14268000)

enum { VGA_EDID_SIZE = 128 };
enum { VGA_PAGE_SHIFT = 12, VGA_PAGES = VGA_MEMORY_SIZE >> VGA_PAGE_SHIFT };
enum { VGA_DOTS_MAX = 257 * 9 * 2 }; /* of a line of the VGA's own modes, with one for panning */

/* What the registers say about the picture. */
enum vga_kind { VGA_BLANK, VGA_TEXT, VGA_GRAPHICS, VGA_LINEAR };

struct vga_geometry {
    enum vga_kind kind;
    uint32_t width, height;   /* pixels */
    unsigned columns;         /* characters, or units of 8 dots, in a line */
    unsigned cell_width;      /* dots of a character: 8 or 9 */
    unsigned cell_height;     /* scan lines of a character row, before doubling */
    unsigned repeat;          /* each scan line is shown so often: 1 or 2 */
    unsigned pitch;           /* memory addresses from one row to the next */
    unsigned line_compare;    /* the last line before the split */
    bool double_dots;
};

struct vga_screen; /* vga_screen.c */

struct vga {
    struct bus *bus;
    struct pci_function pci;
    struct clock *clock;
    uint8_t *memory; /* VGA_MEMORY_SIZE bytes */

    uint8_t misc, feature;
    uint8_t seq_index, seq[VGA_SEQ_COUNT];
    uint8_t gfx_index, gfx[VGA_GFX_COUNT];
    uint8_t crtc_index, crtc[VGA_CRTC_COUNT];
    uint8_t attr_index, attr[VGA_ATTR_COUNT];
    bool attr_data; /* the next write to 0x3C0 is data */
    uint8_t dac_mask, dac_index, dac_sub, dac_state;
    uint8_t dac_latch[3];
    uint8_t dac[256][3];
    uint32_t latch; /* one byte per plane, plane 0 lowest */

    uint16_t dispi_index, dispi[DISPI_COUNT];
    uint8_t edid[VGA_EDID_SIZE];

    /* What the screen does not show yet. */
    uint64_t dirty[VGA_PAGES / 64]; /* pages of display memory that were stored to */
    bool font_stored;               /* plane 2 was, through the window */
    bool frame_buffer_stored;       /* something was, through BAR 0 */
    bool redraw;                    /* registers changed: every line may look different */
    bool touched;                   /* any of these, and the board knows */
    struct vga_board board;
    struct vga_screen *screen; /* NULL until somebody looks */
};

/* Something that may be visible changed. */
static inline void vga_touch(struct vga *dev)
{
    if (dev->touched)
        return;
    dev->touched = true;
    if (dev->board.changed != NULL)
        dev->board.changed(dev->board.ctx);
}

static inline void vga_touch_all(struct vga *dev)
{
    dev->redraw = true;
    vga_touch(dev);
}

static inline void vga_mark_dirty(struct vga *dev, uint32_t offset)
{
    const uint32_t page = offset >> VGA_PAGE_SHIFT;

    dev->dirty[page / 64] |= UINT64_C(1) << page % 64;
}

/* vga_screen.c */
struct vga_geometry vga_geometry(const struct vga *dev);
void vga_screen_destroy(struct vga_screen *screen);

/* vga_scan.c: where a scan line comes from */
struct vga_line {
    unsigned address; /* of the row's first character, as the CRTC counts */
    unsigned row;     /* scan line within the character row */
    bool split;       /* below the line compare */
};

/* The colours that pixels go through, made from the registers. */
struct vga_colors {
    uint32_t dac[256];  /* RGB */
    uint32_t attr[16];  /* RGB of a four-bit pixel */
};

/* Text cells as they look now: character, attribute, and the bits below. */
enum { VGA_CELL_CURSOR = 1 << 16, VGA_CELL_HIDDEN = 1 << 17 };

void vga_colors_make(const struct vga *dev, struct vga_colors *colors);
/* The cells of a row; out has room for columns + 1.  True: one of them blinks. */
bool vga_scan_cells(const struct vga *dev, const struct vga_geometry *geometry, unsigned address,
                    uint64_t now_ns, uint32_t *out);
/* Address of a graphics line's first unit in the planes. */
unsigned vga_scan_address(const struct vga *dev, const struct vga_line *line);
/* Pixels of one line; out has room for geometry->width. */
void vga_scan_text(const struct vga *dev, const struct vga_geometry *geometry,
                   const struct vga_colors *colors, const struct vga_line *line,
                   const uint32_t *cells, uint32_t *out);
void vga_scan_graphics(const struct vga *dev, const struct vga_geometry *geometry,
                       const struct vga_colors *colors, const struct vga_line *line,
                       uint32_t *out);

/* vga_linear.c */
uint32_t vga_linear_pitch(const struct vga *dev, uint32_t width); /* bytes of so many pixels */
/* Offset in display memory of line y's first byte, and how many bytes it has. */
uint32_t vga_linear_offset(const struct vga *dev, uint32_t y);
uint32_t vga_linear_bytes(const struct vga *dev);
void vga_linear_line(const struct vga *dev, const struct vga_colors *colors, uint32_t y,
                     uint32_t *out);

/* vga_edid.c */
void vga_edid_make(uint8_t edid[VGA_EDID_SIZE]);

/* vga_memory.c: the window's registers for bus_memory; context is the adapter. */
extern const struct bus_mmio_ops vga_window_ops;

#endif
