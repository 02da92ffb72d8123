/*
 * devices/vga_screen.c -- the picture: what the registers say about its shape, which lines have to
 * be drawn anew, and which parts of it changed.
 * Source: IBM Personal System/2 Hardware Interface Technical Reference, "Video Subsystem", CRT
 * Controller Registers; Bochs "VBE Display API".
 *
 * Every scan line that the monitor would show is a line of the surface: mode 13h is 640x400, as its
 * pixels are two dots and two lines large.  A line is drawn anew when a register changed, when its
 * text cells differ from those drawn last, or when a page of memory it comes from was stored to;
 * then it is compared with what is there, so that only real changes are passed on.
 * Overscan is not shown.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/vga_internal.h"

#define BLANK_WIDTH  720
#define BLANK_HEIGHT 400
#define BLINK_NS     (8 * VGA_FRAME_NS) /* the cursor goes on or off */

struct vga_screen {
    struct vga_geometry geometry;
    struct display_surface surface;
    struct vga_colors colors;
    uint32_t *line;    /* one line, before it is compared */
    uint32_t *cells;   /* text: the rows drawn last, columns + 1 each */
    size_t cells_room; /* rows that fit */
    bool blinks;
};

/* ---- shape ---- */

static unsigned crtc_bits(const struct vga *dev, unsigned low, unsigned bit8, unsigned bit9)
{
    const uint8_t overflow = dev->crtc[CRTC_OVERFLOW];

    return dev->crtc[low] | (overflow >> bit8 & 1u) << 8 | (overflow >> bit9 & 1u) << 9;
}

static bool is_blank(const struct vga *dev)
{
    return !(dev->attr_index & ATTR_CONNECTED) || (dev->seq[SEQ_CLOCKING] & SEQ_CLOCKING_OFF) ||
           !(dev->crtc[CRTC_MODE] & CRTC_MODE_SYNC) || (dev->seq[0] & 3) != 3;
}

static struct vga_geometry linear_geometry(const struct vga *dev)
{
    return (struct vga_geometry){
        .kind = dev->attr_index & ATTR_CONNECTED ? VGA_LINEAR : VGA_BLANK,
        .width = dev->dispi[DISPI_XRES],
        .height = dev->dispi[DISPI_YRES],
    };
}

struct vga_geometry vga_geometry(const struct vga *dev)
{
    const uint8_t *crtc = dev->crtc;
    const unsigned scans = crtc_bits(dev, CRTC_V_DISPLAY_END, 1, 6) + 1;
    struct vga_geometry g = {.kind = VGA_BLANK};
    unsigned dots;

    if (dev->dispi[DISPI_ENABLE] & DISPI_ENABLED)
        return linear_geometry(dev);
    if (crtc[CRTC_H_DISPLAY_END] == 0 || scans < 2) {
        g.width = BLANK_WIDTH; /* no mode was ever set */
        g.height = BLANK_HEIGHT;
        return g;
    }
    if (!is_blank(dev))
        g.kind = dev->gfx[GFX_MISC] & GFX_MISC_GRAPHICS ? VGA_GRAPHICS : VGA_TEXT;
    g.columns = crtc[CRTC_H_DISPLAY_END] + 1u;
    g.cell_width = 8;
    if (!(dev->gfx[GFX_MISC] & GFX_MISC_GRAPHICS) &&
        !(dev->seq[SEQ_CLOCKING] & SEQ_CLOCKING_8_DOTS))
        g.cell_width = 9;
    g.double_dots = dev->seq[SEQ_CLOCKING] & SEQ_CLOCKING_HALF;
    dots = g.columns * g.cell_width;
    g.width = g.double_dots ? 2 * dots : dots;
    g.height = crtc[CRTC_MODE] & CRTC_MODE_HALF ? 2 * scans : scans;
    g.cell_height = (crtc[CRTC_MAX_SCAN_LINE] & 0x1Fu) + 1;
    g.repeat = crtc[CRTC_MAX_SCAN_LINE] & CRTC_MAX_SCAN_DOUBLE ? 2 : 1;
    g.pitch = crtc[CRTC_OFFSET] * 2u;
    g.line_compare = crtc[CRTC_LINE_COMPARE] | (crtc[CRTC_OVERFLOW] >> 4 & 1u) << 8 |
                     (crtc[CRTC_MAX_SCAN_LINE] >> 6 & 1u) << 9;
    if (crtc[CRTC_MODE] & CRTC_MODE_HALF)
        g.line_compare = 2 * g.line_compare + 1;
    return g;
}

/* ---- the surface ---- */

void vga_screen_destroy(struct vga_screen *screen)
{
    if (screen == NULL)
        return;
    free(screen->surface.pixels);
    free(screen->line);
    free(screen->cells);
    free(screen);
}

/* False: not enough host memory; then there is no picture until the next try. */
static bool surface_resize(struct vga_screen *screen, const struct vga_geometry *geometry)
{
    const size_t rows = geometry->columns != 0 ? geometry->height : 0;
    const size_t cells = geometry->columns + 1;

    free(screen->surface.pixels);
    free(screen->line);
    free(screen->cells);
    screen->surface =
        (struct display_surface){.width = geometry->width, .height = geometry->height};
    screen->surface.pixels = calloc(geometry->height, geometry->width * sizeof(uint32_t));
    screen->line = calloc(geometry->width, sizeof(uint32_t));
    screen->cells = calloc(rows * cells + 1, sizeof(uint32_t));
    screen->cells_room = rows;
    if (screen->surface.pixels != NULL && screen->line != NULL && screen->cells != NULL)
        return true;
    free(screen->surface.pixels);
    free(screen->line);
    free(screen->cells);
    *screen = (struct vga_screen){0};
    return false;
}

static void picture_add(struct vga_picture *picture, uint32_t x, uint32_t end, uint32_t y)
{
    struct display_rect *last;

    if (picture->rect_count != 0) {
        last = &picture->rects[picture->rect_count - 1];
        if (last->y + last->height == y || picture->rect_count == DISPLAY_RECTS_MAX) {
            const uint32_t last_end = last->x + last->width;

            last->x = x < last->x ? x : last->x;
            last->width = (end > last_end ? end : last_end) - last->x;
            last->height = y + 1 - last->y;
            return;
        }
    }
    picture->rects[picture->rect_count++] =
        (struct display_rect){.x = x, .y = y, .width = end - x, .height = 1};
}

/* screen->line is what line y looks like now. */
static void line_commit(struct vga_screen *screen, struct vga_picture *picture, uint32_t y)
{
    const uint32_t *line = screen->line;
    uint32_t *shown = screen->surface.pixels + (size_t)y * screen->surface.width;
    uint32_t first = 0, end = screen->surface.width;

    if (memcmp(shown, line, end * sizeof(*line)) == 0)
        return;
    while (shown[first] == line[first])
        first++;
    while (shown[end - 1] == line[end - 1])
        end--;
    memcpy(shown + first, line + first, (end - first) * sizeof(*line));
    picture_add(picture, first, end, y);
}

/* ---- what was stored to ---- */

static bool page_test(const uint64_t *pages, uint32_t page)
{
    return pages[page / 64] >> page % 64 & 1;
}

/* Take the dirty marks of [first, last] over into `taken`, and ask to hear of the next stores.
 * First ask, then read: what is stored in between is drawn twice, not lost. */
static void pages_take(struct vga *dev, uint32_t first, uint32_t last, bool all, uint64_t *taken)
{
    for (uint32_t page = first; page <= last && page < VGA_PAGES; page++) {
        const bool dirty = page_test(dev->dirty, page);

        if (!dirty && !all)
            continue;
        taken[page / 64] |= UINT64_C(1) << page % 64;
        dev->dirty[page / 64] &= ~(UINT64_C(1) << page % 64);
        if (dev->board.watch != NULL)
            dev->board.watch(dev->board.ctx, page);
    }
}

static bool bytes_taken(const uint64_t *taken, uint32_t offset, uint32_t size)
{
    const uint32_t last = (offset + size - 1) >> VGA_PAGE_SHIFT;

    for (uint32_t page = offset >> VGA_PAGE_SHIFT; page <= last && page < VGA_PAGES; page++)
        if (page_test(taken, page))
            return true;
    return false;
}

/* ---- drawing ---- */

static void draw_blank(struct vga_screen *screen, struct vga_picture *picture)
{
    memset(screen->line, 0, screen->surface.width * sizeof(uint32_t));
    for (uint32_t y = 0; y < screen->surface.height; y++)
        line_commit(screen, picture, y);
}

static void draw_linear(struct vga *dev, struct vga_screen *screen, struct vga_picture *picture,
                        bool all)
{
    const uint32_t bytes = vga_linear_bytes(dev), height = screen->surface.height;
    uint64_t taken[VGA_PAGES / 64] = {0};

    pages_take(dev, vga_linear_offset(dev, 0) >> VGA_PAGE_SHIFT,
               (vga_linear_offset(dev, height - 1) + bytes - 1) >> VGA_PAGE_SHIFT, all, taken);
    for (uint32_t y = 0; y < height; y++) {
        if (!all && !bytes_taken(taken, vga_linear_offset(dev, y), bytes))
            continue;
        vga_linear_line(dev, &screen->colors, y, screen->line);
        line_commit(screen, picture, y);
    }
}

/* Are the cells other than those drawn in this row last?  Keeps them if so. */
static bool cells_changed(struct vga *dev, struct vga_screen *screen, unsigned address,
                          uint64_t now_ns, uint32_t *row)
{
    uint32_t cells[VGA_DOTS_MAX];
    const size_t size = (screen->geometry.columns + 1) * sizeof(cells[0]);

    screen->blinks |= vga_scan_cells(dev, &screen->geometry, address, now_ns, cells);
    if (memcmp(row, cells, size) == 0)
        return false;
    memcpy(row, cells, size);
    return true;
}

/* Does this graphics line come from a page that was stored to?  It may wrap at the planes' end. */
static bool units_taken(const struct vga *dev, const struct vga_screen *screen,
                        const struct vga_line *line, const uint64_t *taken)
{
    const unsigned units = screen->geometry.columns + 1, address = vga_scan_address(dev, line);

    return bytes_taken(taken, VGA_PLANES * address, VGA_PLANES * units) ||
           (address + units > VGA_PLANE_SIZE &&
            bytes_taken(taken, 0, VGA_PLANES * (address + units - VGA_PLANE_SIZE)));
}

/* The CRTC's walk over the lines: rows of cell_height lines, each shown `repeat` times; below the
 * line compare it starts over at address 0. */
static void draw_scans(struct vga *dev, struct vga_screen *screen, struct vga_picture *picture,
                       bool all, uint64_t now_ns)
{
    const struct vga_geometry *g = &screen->geometry;
    const uint8_t *crtc = dev->crtc;
    struct vga_line line = {
        .address = ((unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW]) +
                   (crtc[CRTC_PRESET_ROW] >> 5 & 3u),
        .row = crtc[CRTC_PRESET_ROW] & 0x1Fu,
    };
    uint64_t taken[VGA_PAGES / 64] = {0};
    unsigned shown = 0; /* times this line was shown */
    size_t band = 0;    /* text rows so far */
    bool row_begins = true, row_changed = false;
    uint32_t *cells = screen->cells;

    pages_take(dev, 0, (VGA_PLANES * VGA_PLANE_SIZE - 1) >> VGA_PAGE_SHIFT, all, taken);
    for (uint32_t y = 0; y < g->height; y++) {
        if (g->kind == VGA_TEXT && row_begins) {
            cells = screen->cells + band++ * (g->columns + 1);
            row_changed = cells_changed(dev, screen, line.address, now_ns, cells);
        }
        row_begins = false;
        if (g->kind == VGA_TEXT) {
            if (all || row_changed) {
                vga_scan_text(dev, g, &screen->colors, &line, cells, screen->line);
                line_commit(screen, picture, y);
            }
        } else if (all || units_taken(dev, screen, &line, taken)) {
            vga_scan_graphics(dev, g, &screen->colors, &line, screen->line);
            line_commit(screen, picture, y);
        }
        if (y == g->line_compare) {
            line = (struct vga_line){.split = true};
            shown = 0;
            row_begins = true;
        } else if (++shown >= g->repeat) {
            shown = 0;
            if (++line.row >= g->cell_height) {
                line.row = 0;
                line.address += g->pitch;
                row_begins = true;
            }
        }
    }
}

/* Stores through BAR 0 may have gone to the font as well as to cells: the pages are the same. */
static bool text_stored(const struct vga *dev)
{
    for (unsigned i = 0; i < VGA_PLANES * VGA_PLANE_SIZE >> VGA_PAGE_SHIFT >> 6; i++)
        if (dev->dirty[i] != 0)
            return true;
    return false;
}

static bool same_shape(const struct vga_screen *screen, const struct vga_geometry *geometry)
{
    return screen->surface.pixels != NULL && screen->surface.width == geometry->width &&
           screen->surface.height == geometry->height &&
           screen->cells_room >= (geometry->columns != 0 ? geometry->height : 0) &&
           screen->geometry.columns == geometry->columns;
}

static bool screen_prepare(struct vga *dev, struct vga_picture *picture)
{
    const struct vga_geometry geometry = vga_geometry(dev);

    if (dev->screen == NULL) {
        dev->screen = calloc(1, sizeof(*dev->screen));
        if (dev->screen == NULL)
            return false;
    }
    if (!same_shape(dev->screen, &geometry)) {
        if (!surface_resize(dev->screen, &geometry))
            return false;
        picture->resized = true;
        dev->redraw = true;
    }
    dev->screen->geometry = geometry;
    return true;
}

void vga_refresh(struct vga *dev, struct vga_picture *picture)
{
    const uint64_t now_ns = clock_now_ns(dev->clock);
    struct vga_screen *screen;
    bool all;

    picture->surface = NULL;
    picture->resized = false;
    picture->rect_count = 0;
    picture->again_ns = UINT64_MAX;
    dev->touched = false;
    if (!screen_prepare(dev, picture))
        return;
    screen = dev->screen;
    all = dev->redraw;
    if (screen->geometry.kind == VGA_TEXT)
        all |= dev->font_stored || (dev->frame_buffer_stored && text_stored(dev));
    dev->redraw = dev->font_stored = dev->frame_buffer_stored = false;
    if (all)
        vga_colors_make(dev, &screen->colors);
    screen->blinks = false;
    switch (screen->geometry.kind) {
    case VGA_BLANK:
        if (all)
            draw_blank(screen, picture);
        break;
    case VGA_LINEAR:
        draw_linear(dev, screen, picture, all);
        break;
    default:
        draw_scans(dev, screen, picture, all, now_ns);
        break;
    }
    picture->surface = &screen->surface;
    if (picture->resized) {
        picture->rect_count = 1;
        picture->rects[0] =
            (struct display_rect){0, 0, screen->surface.width, screen->surface.height};
    }
    if (screen->blinks)
        picture->again_ns = (now_ns / BLINK_NS + 1) * BLINK_NS;
}

/* ---- the board's side ---- */

void vga_set_board(struct vga *dev, const struct vga_board *board)
{
    dev->board = *board;
}

void vga_stored(struct vga *dev, uint32_t page)
{
    if (page >= VGA_PAGES)
        return;
    vga_mark_dirty(dev, page << VGA_PAGE_SHIFT);
    dev->frame_buffer_stored = true;
    vga_touch(dev);
}

void vga_stored_all(struct vga *dev)
{
    memset(dev->dirty, 0xFF, sizeof(dev->dirty));
    dev->frame_buffer_stored = true;
    vga_touch_all(dev);
}

bool vga_frame_buffer(const struct vga *dev, uint64_t *base)
{
    const struct pci_bar *bar = &dev->pci.bars[0];

    *base = bar->address;
    return bar->mapped;
}
