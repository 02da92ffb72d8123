/*
 * devices/pc_screen.c -- who looks at the screen, when it is drawn, and how stores to the frame
 * buffer are noticed.
 *
 * Nothing is drawn unless a front end is attached and the adapter says that something changed; then
 * once, at the earliest PERIOD_NS after the last time.  A blinking cursor is the only thing that
 * comes by itself.
 *
 * The frame buffer is memory that the CPU stores to without anybody noticing.  Pages of it that are
 * shown are marked for physmem as if they held code: the first store to such a page takes the slow
 * path and is reported here, the mark is dropped, and further stores are as fast as any until the
 * picture was drawn and the page is marked again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/pc_internal.h"

#define PERIOD_NS  (NS_PER_SECOND / 30)
#define PAGE_BYTES UINT64_C(4096)

enum { CLIENTS_MAX = 4, FRAME_PAGES = VGA_MEMORY_SIZE / 4096 };

struct pc_screen {
    struct pc *pc;
    struct display_client clients[CLIENTS_MAX];
    unsigned client_count;
    struct clock_timer timer;
    uint64_t drawn_ns; /* last time */
    bool drawn;
    /* Marks of the frame buffer's pages, at guest-physical base + 4096 * page. */
    bool mapped;
    uint64_t base;
    uint64_t watched[FRAME_PAGES / 64];
};

/* ---- stores to the frame buffer ---- */

static void unwatch(struct pc_screen *screen, uint32_t page)
{
    screen->watched[page / 64] &= ~(UINT64_C(1) << page % 64);
    physmem_code_release(screen->pc->mem, screen->base + page * PAGE_BYTES, PAGE_BYTES);
}

static void unwatch_all(struct pc_screen *screen)
{
    for (uint32_t word = 0; word < FRAME_PAGES / 64; word++) {
        while (screen->watched[word] != 0)
            unwatch(screen, word * 64 + (uint32_t)__builtin_ctzll(screen->watched[word]));
    }
}

/* The adapter wants to hear of the next store to a page.  Only where the CPU can reach it. */
static void watch(void *ctx, uint32_t page)
{
    struct pc_screen *screen = ctx;
    const uint64_t gpa = screen->base + page * PAGE_BYTES, bit = UINT64_C(1) << page % 64;
    const uint64_t offset = screen->pc->vga_offset + page * PAGE_BYTES;

    if (screen->client_count == 0 || !screen->mapped || (screen->watched[page / 64] & bit) ||
        physmem_page(screen->pc->mem, gpa)->host != physmem_backing(screen->pc->mem, offset))
        return;
    screen->watched[page / 64] |= bit;
    physmem_code_mark(screen->pc->mem, gpa, PAGE_BYTES);
}

/* physmem: a marked page was stored to, by the CPU or by a device. */
static void on_store(void *ctx, physaddr_t gpa, size_t size)
{
    struct pc_screen *screen = ctx;
    const uint32_t page = (uint32_t)((gpa - screen->base) / PAGE_BYTES);

    (void)size; /* never across pages */
    if (!screen->mapped || gpa - screen->base >= VGA_MEMORY_SIZE ||
        !(screen->watched[page / 64] >> page % 64 & 1))
        return;
    unwatch(screen, page);
    vga_stored(screen->pc->vga, page);
}

/* physmem: something else answers at these addresses; what was stored there meanwhile is unknown.
 */
static void on_map_changed(void *ctx, physaddr_t gpa, uint64_t size)
{
    struct pc_screen *screen = ctx;

    if (!screen->mapped || gpa >= screen->base + VGA_MEMORY_SIZE || screen->base >= gpa + size)
        return;
    unwatch_all(screen);
    screen->mapped = false; /* until frame_buffer_find() looks again */
    vga_stored_all(screen->pc->vga);
}

static void frame_buffer_find(struct pc_screen *screen)
{
    uint64_t base;
    const bool mapped = vga_frame_buffer(screen->pc->vga, &base);

    if (mapped == screen->mapped && (!mapped || base == screen->base))
        return;
    if (screen->mapped)
        unwatch_all(screen);
    screen->mapped = mapped;
    screen->base = base;
    vga_stored_all(screen->pc->vga);
}

/* ---- drawing ---- */

static void tell(const struct display_client *client, const struct vga_picture *picture)
{
    if (picture->resized)
        client->resized(client->ctx, picture->surface);
    if (picture->rect_count != 0)
        client->updated(client->ctx, picture->surface, picture->rects, picture->rect_count);
}

static const struct display_surface *draw(struct pc_screen *screen)
{
    struct pc *pc = screen->pc;
    struct vga_picture picture;

    frame_buffer_find(screen);
    vga_refresh(pc->vga, &picture);
    screen->drawn_ns = clock_now_ns(pc->clock);
    screen->drawn = true;
    if (picture.surface == NULL)
        return NULL;
    for (unsigned i = 0; i < screen->client_count; i++)
        tell(&screen->clients[i], &picture);
    if (screen->client_count != 0 && picture.again_ns != UINT64_MAX)
        clock_arm(pc->clock, &screen->timer, picture.again_ns);
    return picture.surface;
}

static void timer_fired(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    draw(ctx);
}

/* The adapter has something to draw; it says so once, until it was asked to draw. */
static void changed(void *ctx)
{
    struct pc_screen *screen = ctx;
    uint64_t when_ns = clock_now_ns(screen->pc->clock);

    if (screen->client_count == 0)
        return;
    if (screen->drawn && when_ns < screen->drawn_ns + PERIOD_NS)
        when_ns = screen->drawn_ns + PERIOD_NS;
    clock_arm(screen->pc->clock, &screen->timer, when_ns);
}

/* ---- life ---- */

int pc_screen_create(struct pc *pc)
{
    struct pc_screen *screen = calloc(1, sizeof(*screen));
    const struct vga_board board = {.ctx = screen, .changed = changed, .watch = watch};

    if (screen == NULL)
        return -ENOMEM;
    screen->pc = pc;
    screen->timer = (struct clock_timer){.fire = timer_fired, .ctx = screen};
    if (physmem_add_code_listener(pc->mem, on_store, NULL, screen) != 0) {
        free(screen);
        return -ENOMEM;
    }
    if (physmem_add_map_listener(pc->mem, on_map_changed, screen) != 0) {
        physmem_remove_code_listener(pc->mem, screen);
        free(screen);
        return -ENOMEM;
    }
    vga_set_board(pc->vga, &board);
    pc->screen = screen;
    return 0;
}

void pc_screen_destroy(struct pc *pc)
{
    struct pc_screen *screen = pc->screen;
    static const struct vga_board nobody;

    if (screen == NULL)
        return;
    pc->screen = NULL;
    vga_set_board(pc->vga, &nobody);
    clock_cancel(pc->clock, &screen->timer);
    unwatch_all(screen);
    physmem_remove_map_listener(pc->mem, screen);
    physmem_remove_code_listener(pc->mem, screen);
    free(screen);
}

/* ---- what callers ask for ---- */

int pc_screen_attach(struct pc *pc, const struct display_client *client)
{
    struct pc_screen *screen = pc->screen;
    const struct display_surface *surface;

    if (screen == NULL)
        return -ENODEV;
    if (screen->client_count == CLIENTS_MAX)
        return -ENOSPC;
    vga_stored_all(pc->vga); /* nothing was watched while nobody looked */
    surface = draw(screen);
    if (surface == NULL)
        return -ENOMEM;
    screen->clients[screen->client_count++] = *client;
    client->resized(client->ctx, surface);
    client->updated(client->ctx, surface,
                    &(struct display_rect){0, 0, surface->width, surface->height}, 1);
    vga_stored_all(pc->vga); /* draws again soon, and watches from then on */
    return 0;
}

void pc_screen_detach(struct pc *pc, const void *ctx)
{
    struct pc_screen *screen = pc->screen;
    unsigned kept = 0;

    if (screen == NULL)
        return;
    for (unsigned i = 0; i < screen->client_count; i++) {
        if (screen->clients[i].ctx != ctx)
            screen->clients[kept++] = screen->clients[i];
    }
    screen->client_count = kept;
    if (kept != 0)
        return;
    unwatch_all(screen);
    clock_cancel(pc->clock, &screen->timer);
}

const struct display_surface *pc_screen_surface(struct pc *pc)
{
    if (pc->screen == NULL)
        return NULL;
    if (pc->screen->client_count == 0)
        vga_stored_all(pc->vga);
    return draw(pc->screen);
}

bool pc_screen_cells(const struct pc *pc, struct display_text *text)
{
    text->columns = text->rows = 0;
    if (pc->vga != NULL)
        vga_text_cells(pc->vga, text);
    return text->columns != 0;
}

size_t pc_screen_text(const struct pc *pc, char *buffer, size_t size)
{
    return pc->vga != NULL ? vga_text(pc->vga, buffer, size) : 0;
}

void pc_key(struct pc *pc, const uint8_t *scancodes, size_t count)
{
    ps2kbd_key(pc->keyboard, scancodes, count);
}

size_t pc_keyboard_room(const struct pc *pc)
{
    return ps2kbd_room(pc->keyboard);
}

unsigned pc_keyboard_leds(const struct pc *pc)
{
    return ps2kbd_leds(pc->keyboard);
}

void pc_mouse(struct pc *pc, int dx, int dy, int dz, unsigned buttons)
{
    ps2mouse_move(pc->mouse, dx, dy, dz, buttons);
}
