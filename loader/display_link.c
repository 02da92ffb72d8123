/*
 * loader/display_link.c -- between the machine's thread and a front end with a thread of its own.
 */
#define _GNU_SOURCE
#include "loader/display_link.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { QUEUE_LENGTH = 512, MOTION_MAX = 10000 };

enum input_kind { INPUT_KEY, INPUT_KEYSYM, INPUT_MOTION, INPUT_LOOK, INPUT_QUIT };

struct input {
    enum input_kind kind;
    bool down;
    const struct key *key;
    uint32_t keysym;
    int dx, dy, dz;
    unsigned buttons;
};

struct display_link {
    struct pc *pc;
    struct display_user user;
    void (*wake)(void *ctx);
    void *wake_ctx;
    int event_fd; /* readable: there is input */

    pthread_mutex_t lock; /* of everything down to the next blank line */
    struct display_frame frame;
    bool announced; /* wake() was called and the picture not taken yet */
    struct input queue[QUEUE_LENGTH];
    size_t head, count;

    /* The front end's thread only. */
    bool pointer_known;
    int pointer_x, pointer_y;

    /* The machine's thread only. */
    bool shift_held[2];
    bool shift_added; /* by us, around a character */
    bool attached;
};

/* ---- the picture: machine's thread ---- */

static void rect_add(struct display_frame *frame, const struct display_rect *rect)
{
    struct display_rect *last = &frame->rects[DISPLAY_RECTS_MAX - 1];
    uint32_t end_x, end_y;

    if (frame->rect_count < DISPLAY_RECTS_MAX) {
        frame->rects[frame->rect_count++] = *rect;
        return;
    }
    end_x = last->x + last->width > rect->x + rect->width ? last->x + last->width
                                                          : rect->x + rect->width;
    end_y = last->y + last->height > rect->y + rect->height ? last->y + last->height
                                                            : rect->y + rect->height;
    last->x = last->x < rect->x ? last->x : rect->x;
    last->y = last->y < rect->y ? last->y : rect->y;
    last->width = end_x - last->x;
    last->height = end_y - last->y;
}

static void on_resized(void *ctx, const struct display_surface *surface)
{
    struct display_link *link = ctx;
    struct display_surface *copy = &link->frame.surface;
    uint32_t *pixels = calloc(surface->height, surface->width * sizeof(uint32_t));

    pthread_mutex_lock(&link->lock);
    free(copy->pixels);
    *copy = *surface;
    copy->pixels = pixels;
    if (pixels == NULL)
        copy->width = copy->height = 0; /* not enough host memory: nothing to show */
    link->frame.resized = true;
    link->frame.rect_count = 0;
    pthread_mutex_unlock(&link->lock);
}

static void on_updated(void *ctx, const struct display_surface *surface,
                       const struct display_rect *rects, size_t count)
{
    struct display_link *link = ctx;
    struct display_surface *copy = &link->frame.surface;
    bool announce;

    pthread_mutex_lock(&link->lock);
    for (size_t i = 0; i < count && copy->pixels != NULL; i++) {
        for (uint32_t y = rects[i].y; y < rects[i].y + rects[i].height; y++) {
            const size_t at = (size_t)y * surface->width + rects[i].x;

            memcpy(copy->pixels + at, surface->pixels + at, rects[i].width * sizeof(uint32_t));
        }
        rect_add(&link->frame, &rects[i]);
    }
    announce = !link->announced;
    link->announced = true;
    pthread_mutex_unlock(&link->lock);
    if (announce)
        link->wake(link->wake_ctx);
}

/* ---- input: machine's thread ---- */

static void press(struct display_link *link, const struct key *key, bool down)
{
    uint8_t bytes[KEY_BYTES_MAX];
    const size_t count = key_bytes(key, down, bytes);

    if (key->keysym == 0xFFE1 || key->keysym == 0xFFE2)
        link->shift_held[key->keysym - 0xFFE1] = down;
    pc_key(link->pc, bytes, count);
}

/* Caps lock turns letters over: then a capital needs no shift. */
static bool needs_shift(const struct display_link *link, uint32_t keysym)
{
    const bool letter = keysym >= 'A' && keysym <= 'Z';

    return !link->shift_held[0] && !link->shift_held[1] &&
           !(letter && (pc_keyboard_leds(link->pc) & 4));
}

static void press_keysym(struct display_link *link, uint32_t keysym, bool down)
{
    static const uint8_t shift_down = 0x2A, shift_up = 0xAA;
    bool shift;
    const struct key *key = key_by_keysym(keysym, &shift);

    if (key == NULL)
        return;
    if (down && shift && !link->shift_added && needs_shift(link, keysym)) {
        link->shift_added = true;
        pc_key(link->pc, &shift_down, 1);
    }
    press(link, key, down);
    if (!down && link->shift_added) {
        link->shift_added = false;
        pc_key(link->pc, &shift_up, 1);
    }
}

static int look(struct display_link *link, bool on)
{
    const struct display_client client = {link, on_resized, on_updated};
    int status = 0;

    if (on && !link->attached)
        status = pc_screen_attach(link->pc, &client);
    else if (!on && link->attached)
        pc_screen_detach(link->pc, link);
    link->attached = on && status == 0;
    return status;
}

static void handle(struct display_link *link, const struct input *input)
{
    switch (input->kind) {
    case INPUT_KEY:
        press(link, input->key, input->down);
        break;
    case INPUT_KEYSYM:
        press_keysym(link, input->keysym, input->down);
        break;
    case INPUT_MOTION:
        pc_mouse(link->pc, input->dx, -input->dy, input->dz, input->buttons);
        break;
    case INPUT_LOOK:
        (void)look(link, input->down); /* it worked before */
        break;
    case INPUT_QUIT:
        link->user.quit(link->user.ctx);
        break;
    }
}

static bool queue_take(struct display_link *link, struct input *input)
{
    bool any;

    pthread_mutex_lock(&link->lock);
    any = link->count != 0;
    if (any) {
        *input = link->queue[link->head];
        link->head = (link->head + 1) % QUEUE_LENGTH;
        link->count--;
    }
    pthread_mutex_unlock(&link->lock);
    return any;
}

static void on_input(void *ctx, int fd)
{
    struct display_link *link = ctx;
    struct input input;
    uint64_t counter;

    if (read(fd, &counter, sizeof(counter)) < 0)
        return; /* nothing new after all */
    while (queue_take(link, &input))
        handle(link, &input);
}

/* ---- open, close: machine's thread ---- */

struct display_link *display_link_open(struct pc *pc, const struct display_user *user,
                                       void (*wake)(void *ctx), void *ctx, struct error *error)
{
    struct display_link *link = calloc(1, sizeof(*link));
    int status;

    if (link == NULL) {
        (void)error_set(error, "-display: not enough host memory");
        return NULL;
    }
    link->pc = pc;
    link->user = *user;
    link->wake = wake;
    link->wake_ctx = ctx;
    pthread_mutex_init(&link->lock, NULL);
    link->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    status = link->event_fd >= 0 ? pc_watch_fd(pc, link->event_fd, on_input, NULL, link) : -errno;
    if (status == 0) {
        status = look(link, true);
        if (status == 0)
            return link;
        pc_unwatch_fd(pc, link->event_fd);
    }
    (void)error_set(error, "-display: %s",
                    status == -ENODEV ? "there is no screen with -vga none" : strerror(-status));
    if (link->event_fd >= 0)
        close(link->event_fd);
    free(link->frame.surface.pixels);
    pthread_mutex_destroy(&link->lock);
    free(link);
    return NULL;
}

void display_link_close(struct display_link *link)
{
    if (link == NULL)
        return;
    (void)look(link, false);
    pc_unwatch_fd(link->pc, link->event_fd);
    close(link->event_fd);
    pthread_mutex_destroy(&link->lock);
    free(link->frame.surface.pixels);
    free(link);
}

/* ---- for the front end's thread ---- */

const struct display_frame *display_link_take(struct display_link *link)
{
    pthread_mutex_lock(&link->lock);
    link->announced = false;
    return &link->frame;
}

void display_link_give_back(struct display_link *link)
{
    link->frame.resized = false;
    link->frame.rect_count = 0;
    pthread_mutex_unlock(&link->lock);
}

/* Motion with the same buttons is added to what still waits; a full queue loses the newest. */
static bool merge(struct display_link *link, const struct input *input)
{
    struct input *last = &link->queue[(link->head + link->count - 1) % QUEUE_LENGTH];

    if (link->count == 0 || input->kind != INPUT_MOTION || last->kind != INPUT_MOTION ||
        last->buttons != input->buttons)
        return false;
    if (abs(last->dx) > MOTION_MAX || abs(last->dy) > MOTION_MAX || abs(last->dz) > MOTION_MAX)
        return false;
    last->dx += input->dx;
    last->dy += input->dy;
    last->dz += input->dz;
    return true;
}

static void queue_put(struct display_link *link, const struct input *input)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&link->lock);
    if (!merge(link, input) && link->count < QUEUE_LENGTH)
        link->queue[(link->head + link->count++) % QUEUE_LENGTH] = *input;
    pthread_mutex_unlock(&link->lock);
    while (write(link->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

void display_link_key(struct display_link *link, const struct key *key, bool down)
{
    if (key != NULL)
        queue_put(link, &(struct input){.kind = INPUT_KEY, .key = key, .down = down});
}

void display_link_keysym(struct display_link *link, uint32_t keysym, bool down)
{
    queue_put(link, &(struct input){.kind = INPUT_KEYSYM, .keysym = keysym, .down = down});
}

static int clamp(int value)
{
    return value > MOTION_MAX ? MOTION_MAX : value < -MOTION_MAX ? -MOTION_MAX : value;
}

void display_link_motion(struct display_link *link, int dx, int dy, int dz, unsigned buttons)
{
    queue_put(link, &(struct input){.kind = INPUT_MOTION,
                                    .dx = clamp(dx),
                                    .dy = clamp(dy),
                                    .dz = clamp(dz),
                                    .buttons = buttons});
}

void display_link_pointer(struct display_link *link, int x, int y, int dz, unsigned buttons)
{
    const int dx = link->pointer_known ? x - link->pointer_x : 0;
    const int dy = link->pointer_known ? y - link->pointer_y : 0;

    link->pointer_known = true;
    link->pointer_x = x;
    link->pointer_y = y;
    display_link_motion(link, dx, dy, dz, buttons);
}

void display_link_look(struct display_link *link, bool on)
{
    queue_put(link, &(struct input){.kind = INPUT_LOOK, .down = on});
}

void display_link_quit(struct display_link *link)
{
    queue_put(link, &(struct input){.kind = INPUT_QUIT});
}
