/*
 * loader/display_sdl.c -- the screen in a window, through SDL2.
 *
 * SDL has a thread of its own: it waits for events, of which a changed picture is one.  A click
 * gives mouse and keyboard to the guest; the keys of the host are Ctrl-Alt-G (take them back),
 * Ctrl-Alt-F (full screen) and Ctrl-Alt-U (a window of the guest's size).
 *
 * The window is painted by the CPU, and where nothing is scaled only what changed is: SDL's
 * renderers paint all of it each time, which for a host without a graphics processor is a lot of
 * work for a blinking cursor.
 */
#include <SDL.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/ps2mouse.h"
#include "loader/display_front.h"
#include "loader/display_link.h"
#include "loader/library.h"

enum { CODE_PICTURE, CODE_STOP };

/* SDL's own functions. */
struct sdl {
#define SYMBOL LIBRARY_POINTER
#include "loader/display_sdl.def"
#undef SYMBOL
};

static const char *const sdl_names[] = {
#define SYMBOL LIBRARY_NAME
#include "loader/display_sdl.def"
#undef SYMBOL
};

#define SDL_NAMES (sizeof(sdl_names) / sizeof(sdl_names[0]))
_Static_assert(sizeof(struct sdl) == SDL_NAMES * sizeof(void *), "one pointer a name");

struct display_sdl {
    struct sdl lib;
    struct display_link *link;
    pthread_t thread;
    sem_t started;
    bool failed; /* before `started` is posted */
    char why[128];
    int ready;    /* atomic: SDL takes events */
    Uint32 event; /* our own events' type */
    bool full_screen, show_cursor;

    /* SDL's thread only. */
    SDL_Window *window;
    SDL_Surface *picture; /* the guest's screen; NULL until it is known */
    bool grabbed, resized_by_user;
    unsigned buttons;
    bool held[256]; /* keys that the guest believes to be down, by scancode */
};

static void push(struct display_sdl *sdl, int code)
{
    SDL_Event event;

    memset(&event, 0, sizeof(event));
    event.type = sdl->event;
    event.user.code = code;
    sdl->lib.SDL_PushEvent(&event);
}

/* Machine's thread. */
static void wake(void *ctx)
{
    struct display_sdl *sdl = ctx;

    if (__atomic_load_n(&sdl->ready, __ATOMIC_ACQUIRE))
        push(sdl, CODE_PICTURE);
}

/* ---- SDL's thread: the window ---- */

static void set_title(struct display_sdl *sdl)
{
    sdl->lib.SDL_SetWindowTitle(sdl->window,
                                sdl->grabbed ? "Ringer - Ctrl-Alt-G releases the mouse" : "Ringer");
}

static void set_grab(struct display_sdl *sdl, bool grab)
{
    sdl->grabbed = grab;
    sdl->lib.SDL_SetRelativeMouseMode(grab ? SDL_TRUE : SDL_FALSE);
    sdl->lib.SDL_SetWindowGrab(sdl->window, grab ? SDL_TRUE : SDL_FALSE);
    sdl->lib.SDL_ShowCursor(sdl->show_cursor || !grab ? SDL_ENABLE : SDL_DISABLE);
    set_title(sdl);
}

static void set_full_screen(struct display_sdl *sdl, bool full)
{
    sdl->full_screen = full;
    sdl->lib.SDL_SetWindowFullscreen(sdl->window, full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

/* Where the picture is in a window of another size: as large as fits, in its proportions. */
static SDL_Rect fit(const SDL_Surface *picture, const SDL_Surface *window)
{
    SDL_Rect area = {0, 0, window->w, window->h};

    if ((int64_t)picture->w * window->h > (int64_t)window->w * picture->h)
        area.h = (int)((int64_t)window->w * picture->h / picture->w);
    else
        area.w = (int)((int64_t)window->h * picture->w / picture->h);
    area.x = (window->w - area.w) / 2;
    area.y = (window->h - area.h) / 2;
    return area;
}

/* Paint these parts of the picture; count 0: all of it, and what is beside it. */
static void show(struct display_sdl *sdl, const SDL_Rect *rects, int count)
{
    SDL_Surface *window = sdl->lib.SDL_GetWindowSurface(sdl->window);
    SDL_Rect area;

    if (window == NULL || sdl->picture == NULL)
        return; /* the window is just being resized: more events come */
    if (count != 0 && window->w == sdl->picture->w && window->h == sdl->picture->h) {
        for (int i = 0; i < count; i++) {
            area = rects[i];
            sdl->lib.SDL_BlitSurface(sdl->picture, &rects[i], window, &area);
        }
        sdl->lib.SDL_UpdateWindowSurfaceRects(sdl->window, rects, count);
        return;
    }
    area = fit(sdl->picture, window);
    sdl->lib.SDL_FillRect(window, NULL, 0);
    if (area.w == sdl->picture->w && area.h == sdl->picture->h)
        sdl->lib.SDL_BlitSurface(sdl->picture, NULL, window, &area);
    else
        sdl->lib.SDL_BlitScaled(sdl->picture, NULL, window, &area);
    sdl->lib.SDL_UpdateWindowSurface(sdl->window);
}

/* The guest's screen has another size. */
static void resize(struct display_sdl *sdl, int width, int height)
{
    if (sdl->picture != NULL)
        sdl->lib.SDL_FreeSurface(sdl->picture);
    sdl->picture =
        sdl->lib.SDL_CreateRGBSurfaceWithFormat(0, width, height, 32, SDL_PIXELFORMAT_RGB888);
    if (sdl->picture == NULL)
        return; /* not enough host memory: what is shown stays */
    sdl->lib.SDL_SetSurfaceBlendMode(sdl->picture, SDL_BLENDMODE_NONE);
    if (!sdl->full_screen && !sdl->resized_by_user)
        sdl->lib.SDL_SetWindowSize(sdl->window, width, height);
}

static void copy_part(SDL_Surface *to, const struct display_surface *from, const SDL_Rect *rect)
{
    for (int y = rect->y; y < rect->y + rect->h; y++)
        memcpy((uint8_t *)to->pixels + (size_t)y * (size_t)to->pitch + (size_t)rect->x * 4,
               from->pixels + (size_t)y * from->width + rect->x, (size_t)rect->w * 4);
}

static void take_picture(struct display_sdl *sdl)
{
    const struct display_frame *frame = display_link_take(sdl->link);
    const struct display_surface *surface = &frame->surface;
    const bool resized = frame->resized && surface->pixels != NULL;
    SDL_Rect rects[DISPLAY_RECTS_MAX];
    int count = 0;

    if (resized)
        resize(sdl, (int)surface->width, (int)surface->height);
    for (size_t i = 0; i < frame->rect_count && sdl->picture != NULL; i++) {
        const struct display_rect *rect = &frame->rects[i];

        rects[count] = (SDL_Rect){(int)rect->x, (int)rect->y, (int)rect->width, (int)rect->height};
        copy_part(sdl->picture, surface, &rects[count++]);
    }
    display_link_give_back(sdl->link);
    if (resized || count != 0)
        show(sdl, rects, resized ? 0 : count);
}

/* ---- SDL's thread: input ---- */

static void release_keys(struct display_sdl *sdl)
{
    for (unsigned i = 0; i < 256; i++) {
        if (sdl->held[i])
            display_link_key(sdl->link, key_by_usage(i), false);
        sdl->held[i] = false;
    }
}

/* The host's own keys; true when it was one. */
static bool host_key(struct display_sdl *sdl, const SDL_KeyboardEvent *key)
{
    if (!(key->keysym.mod & KMOD_CTRL) || !(key->keysym.mod & KMOD_ALT))
        return false;
    switch (key->keysym.scancode) {
    case SDL_SCANCODE_G:
        if (key->type == SDL_KEYDOWN && !key->repeat)
            set_grab(sdl, !sdl->grabbed);
        return true;
    case SDL_SCANCODE_F:
        if (key->type == SDL_KEYDOWN && !key->repeat)
            set_full_screen(sdl, !sdl->full_screen);
        return true;
    case SDL_SCANCODE_U:
        if (key->type == SDL_KEYDOWN && !key->repeat && !sdl->full_screen) {
            sdl->resized_by_user = false;
            if (sdl->picture != NULL)
                sdl->lib.SDL_SetWindowSize(sdl->window, sdl->picture->w, sdl->picture->h);
        }
        return true;
    default:
        return false;
    }
}

static void on_key(struct display_sdl *sdl, const SDL_KeyboardEvent *key)
{
    const unsigned scancode = key->keysym.scancode; /* a USB usage */
    const bool down = key->type == SDL_KEYDOWN;

    if (scancode >= 256 || host_key(sdl, key) || (!down && !sdl->held[scancode]))
        return;
    sdl->held[scancode] = down;
    display_link_key(sdl->link, key_by_usage(scancode), down);
}

static unsigned button_bit(unsigned button)
{
    switch (button) {
    case SDL_BUTTON_LEFT:
        return PS2MOUSE_LEFT;
    case SDL_BUTTON_RIGHT:
        return PS2MOUSE_RIGHT;
    case SDL_BUTTON_MIDDLE:
        return PS2MOUSE_MIDDLE;
    default:
        return 0;
    }
}

static void on_button(struct display_sdl *sdl, const SDL_MouseButtonEvent *button)
{
    const unsigned bit = button_bit(button->button);

    if (!sdl->grabbed) {
        if (button->type == SDL_MOUSEBUTTONUP && button->button == SDL_BUTTON_LEFT)
            set_grab(sdl, true);
        return;
    }
    sdl->buttons = button->type == SDL_MOUSEBUTTONDOWN ? sdl->buttons | bit : sdl->buttons & ~bit;
    display_link_motion(sdl->link, 0, 0, 0, sdl->buttons);
}

static void on_window(struct display_sdl *sdl, const SDL_WindowEvent *window)
{
    switch (window->event) {
    case SDL_WINDOWEVENT_RESIZED:
        if (!sdl->full_screen && sdl->picture != NULL &&
            (window->data1 != sdl->picture->w || window->data2 != sdl->picture->h))
            sdl->resized_by_user = true;
        show(sdl, NULL, 0);
        break;
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_EXPOSED:
        show(sdl, NULL, 0);
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        release_keys(sdl);
        if (sdl->grabbed)
            set_grab(sdl, false);
        break;
    case SDL_WINDOWEVENT_CLOSE:
        display_link_quit(sdl->link);
        break;
    default:
        break;
    }
}

/* False: the end. */
static bool on_event(struct display_sdl *sdl, const SDL_Event *event)
{
    if (event->type == sdl->event) {
        if (event->user.code == CODE_STOP)
            return false;
        take_picture(sdl);
        return true;
    }
    switch (event->type) {
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        on_key(sdl, &event->key);
        break;
    case SDL_MOUSEMOTION:
        if (sdl->grabbed)
            display_link_motion(sdl->link, event->motion.xrel, event->motion.yrel, 0, sdl->buttons);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        on_button(sdl, &event->button);
        break;
    case SDL_MOUSEWHEEL:
        if (sdl->grabbed)
            display_link_motion(sdl->link, 0, 0, -event->wheel.y, sdl->buttons);
        break;
    case SDL_WINDOWEVENT:
        on_window(sdl, &event->window);
        break;
    case SDL_QUIT:
        display_link_quit(sdl->link);
        break;
    default:
        break;
    }
    return true;
}

/* ---- SDL's thread: its life ---- */

/* Without a desktop SDL falls back on drivers that show nothing; only on purpose. */
static bool shows_nothing(const char *driver)
{
    return getenv("SDL_VIDEODRIVER") == NULL &&
           (driver == NULL || !strcmp(driver, "dummy") || !strcmp(driver, "offscreen"));
}

static bool start(struct display_sdl *sdl)
{
    /* Termination is loader/signals.c's business, and the screen saver the user's. */
    sdl->lib.SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    sdl->lib.SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    sdl->lib.SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    if (sdl->lib.SDL_Init(SDL_INIT_VIDEO) != 0)
        return false;
    if (shows_nothing(sdl->lib.SDL_GetCurrentVideoDriver())) {
        sdl->lib.SDL_SetError("there is no desktop to open a window on (DISPLAY, WAYLAND_DISPLAY)");
        return false;
    }
    sdl->event = sdl->lib.SDL_RegisterEvents(1);
    sdl->window = sdl->lib.SDL_CreateWindow(
        "Ringer", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, 720, 400, SDL_WINDOW_RESIZABLE);
    if (sdl->window == NULL)
        return false;
    if (sdl->full_screen)
        set_full_screen(sdl, true);
    return true;
}

static void stop(struct display_sdl *sdl)
{
    if (sdl->picture != NULL)
        sdl->lib.SDL_FreeSurface(sdl->picture);
    if (sdl->window != NULL)
        sdl->lib.SDL_DestroyWindow(sdl->window);
    sdl->lib.SDL_Quit();
}

static void *thread_main(void *arg)
{
    struct display_sdl *sdl = arg;
    SDL_Event event;

    sdl->failed = !start(sdl);
    if (sdl->failed) {
        snprintf(sdl->why, sizeof(sdl->why), "%s", sdl->lib.SDL_GetError());
        stop(sdl);
        sem_post(&sdl->started);
        return NULL;
    }
    __atomic_store_n(&sdl->ready, 1, __ATOMIC_RELEASE);
    sem_post(&sdl->started);
    take_picture(sdl); /* what came before anybody could be woken */
    while (sdl->lib.SDL_WaitEvent(&event) != 0 && on_event(sdl, &event))
        ;
    stop(sdl);
    return NULL;
}

static int thread_start(struct display_sdl *sdl)
{
    sigset_t all, old;
    int status;

    /* Signals are for the machine's thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    status = pthread_create(&sdl->thread, NULL, thread_main, sdl);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return status;
}

struct display_sdl *display_sdl_open(const struct display_spec *spec, struct pc *pc,
                                     const struct display_user *user, struct error *error)
{
    struct display_sdl *sdl = calloc(1, sizeof(*sdl));

    if (sdl == NULL) {
        (void)error_set(error, "-display sdl: not enough host memory");
        return NULL;
    }
    if (!library_load("-display sdl", RINGER_SDL_FILE, sdl_names, &sdl->lib, SDL_NAMES, error)) {
        free(sdl);
        return NULL;
    }
    sdl->full_screen = spec->full_screen;
    sdl->show_cursor = spec->show_cursor;
    sdl->link = display_link_open(pc, user, wake, sdl, error);
    if (sdl->link == NULL) {
        free(sdl);
        return NULL;
    }
    sem_init(&sdl->started, 0, 0);
    if (thread_start(sdl) != 0) {
        (void)error_set(error, "-display sdl: the host refuses another thread");
    } else {
        while (sem_wait(&sdl->started) != 0)
            ;
        if (!sdl->failed)
            return sdl;
        pthread_join(sdl->thread, NULL);
        (void)error_set(error, "-display sdl: %s", sdl->why);
    }
    display_link_close(sdl->link);
    sem_destroy(&sdl->started);
    free(sdl);
    return NULL;
}

void display_sdl_close(struct display_sdl *sdl)
{
    if (sdl == NULL)
        return;
    push(sdl, CODE_STOP);
    pthread_join(sdl->thread, NULL);
    display_link_close(sdl->link);
    sem_destroy(&sdl->started);
    free(sdl);
}
