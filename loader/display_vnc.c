/*
 * loader/display_vnc.c -- the screen for VNC viewers, through libvncserver.
 *
 * The server has a thread of its own, which sleeps in poll() on its sockets and on an eventfd that
 * says that the picture changed.  While no viewer is connected nothing is drawn.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/ps2mouse.h"
#include "loader/display_front.h"
#include "loader/display_link.h"
#include "loader/library.h"

enum { PORT_BASE = 5900, PASSWORD_BYTES = 9, POLL_MAX = 128, CHALLENGE_BYTES = 16 };
enum { FIRST_PICTURE_MS = 300, HELD_MAX = 16 };
/* Buttons in a viewer's mask. */
enum { RFB_LEFT = 1, RFB_MIDDLE = 2, RFB_RIGHT = 4, RFB_WHEEL_UP = 8, RFB_WHEEL_DOWN = 16 };

/* libvncserver's functions, and two of its variables. */
struct vncserver {
#define SYMBOL LIBRARY_POINTER
#include "loader/display_vnc.def"
#undef SYMBOL
};

static const char *const vncserver_names[] = {
#define SYMBOL LIBRARY_NAME
#include "loader/display_vnc.def"
#undef SYMBOL
};

#define VNCSERVER_NAMES (sizeof(vncserver_names) / sizeof(vncserver_names[0]))
_Static_assert(sizeof(struct vncserver) == VNCSERVER_NAMES * sizeof(void *), "one pointer a name");

struct display_vnc {
    struct vncserver lib;
    struct display_link *link;
    pthread_t thread;
    int wake_fd; /* the picture changed, or the end */
    int stop;    /* atomic */

    pthread_mutex_t password_lock;
    char password[PASSWORD_BYTES]; /* "": nobody may come in, if one is asked for */

    /* The server's thread only, once that runs. */
    rfbScreenInfoPtr screen;
    uint32_t *pixels;
    unsigned viewers;
    bool stale;               /* the first viewer came, and the picture is from before */
    int buttons;              /* held, the viewer's bits */
    rfbKeySym held[HELD_MAX]; /* keys that the guest believes to be down */
    unsigned held_count;
};

static void wake(void *ctx)
{
    struct display_vnc *vnc = ctx;
    const uint64_t one = 1;

    while (write(vnc->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
}

/* ---- what viewers do ---- */

static void note_key(struct display_vnc *vnc, rfbKeySym keysym, bool down)
{
    unsigned i = 0;

    while (i < vnc->held_count && vnc->held[i] != keysym)
        i++;
    if (!down && i < vnc->held_count)
        vnc->held[i] = vnc->held[--vnc->held_count];
    else if (down && i == vnc->held_count && i < HELD_MAX)
        vnc->held[vnc->held_count++] = keysym;
}

static void on_key(rfbBool down, rfbKeySym keysym, rfbClientPtr client)
{
    struct display_vnc *vnc = client->screen->screenData;

    note_key(vnc, keysym, down);
    display_link_keysym(vnc->link, keysym, down);
}

/* A viewer that goes with a key down would leave it repeating. */
static void release_keys(struct display_vnc *vnc)
{
    while (vnc->held_count != 0)
        display_link_keysym(vnc->link, vnc->held[--vnc->held_count], false);
}

static void on_pointer(int mask, int x, int y, rfbClientPtr client)
{
    struct display_vnc *vnc = client->screen->screenData;
    const int pressed = mask & ~vnc->buttons;
    const int dz = (pressed & RFB_WHEEL_DOWN ? 1 : 0) - (pressed & RFB_WHEEL_UP ? 1 : 0);

    vnc->buttons = mask;
    display_link_pointer(vnc->link, x, y, dz,
                         (mask & RFB_LEFT ? PS2MOUSE_LEFT : 0u) |
                             (mask & RFB_MIDDLE ? PS2MOUSE_MIDDLE : 0u) |
                             (mask & RFB_RIGHT ? PS2MOUSE_RIGHT : 0u));
}

static void on_gone(rfbClientPtr client)
{
    struct display_vnc *vnc = client->screen->screenData;

    release_keys(vnc);
    if (--vnc->viewers == 0)
        display_link_look(vnc->link, false);
}

static enum rfbNewClientAction on_viewer(rfbClientPtr client)
{
    struct display_vnc *vnc = client->screen->screenData;

    client->clientGoneHook = on_gone;
    if (vnc->viewers++ == 0) {
        display_link_look(vnc->link, true);
        vnc->stale = true;
    }
    return RFB_CLIENT_ACCEPT;
}

/* The viewer has encrypted the challenge with the password: do the same. */
static rfbBool on_password(rfbClientPtr client, const char *response, int length)
{
    struct display_vnc *vnc = client->screen->screenData;
    uint8_t expected[CHALLENGE_BYTES];
    char password[PASSWORD_BYTES];

    pthread_mutex_lock(&vnc->password_lock);
    memcpy(password, vnc->password, sizeof(password));
    pthread_mutex_unlock(&vnc->password_lock);
    if (password[0] == '\0' || length != CHALLENGE_BYTES)
        return FALSE;
    memcpy(expected, client->authChallenge, sizeof(expected));
    vnc->lib.rfbEncryptBytes(expected, password);
    return memcmp(expected, response, sizeof(expected)) == 0;
}

/* ---- the picture ---- */

/* 0x00RRGGBB in host order, which libvncserver does not assume. */
static void set_format(struct display_vnc *vnc)
{
    rfbScreenInfoPtr screen = vnc->screen;
    rfbClientIteratorPtr iterator;
    rfbClientPtr client;

    screen->serverFormat.redShift = 16;
    screen->serverFormat.greenShift = 8;
    screen->serverFormat.blueShift = 0;
    iterator = vnc->lib.rfbGetClientIterator(screen);
    while ((client = vnc->lib.rfbClientIteratorNext(iterator)) != NULL)
        screen->setTranslateFunction(client);
    vnc->lib.rfbReleaseClientIterator(iterator);
}

/* The guest's screen has another size.  Without memory for it viewers keep the old picture. */
static bool resize(struct display_vnc *vnc, const struct display_surface *surface)
{
    uint32_t *pixels = calloc(surface->height, surface->width * sizeof(uint32_t));

    if (pixels == NULL)
        return false;
    vnc->lib.rfbNewFramebuffer(vnc->screen, (char *)pixels, (int)surface->width,
                               (int)surface->height, 8, 3, 4);
    set_format(vnc);
    free(vnc->pixels);
    vnc->pixels = pixels;
    return true;
}

static void take_picture(struct display_vnc *vnc)
{
    const struct display_frame *frame = display_link_take(vnc->link);
    const struct display_surface *surface = &frame->surface;
    struct display_rect rects[DISPLAY_RECTS_MAX];
    size_t count = frame->rect_count;

    if (frame->resized && (surface->pixels == NULL || !resize(vnc, surface)))
        count = 0;
    if ((int)surface->width != vnc->screen->width || (int)surface->height != vnc->screen->height)
        count = 0;
    for (size_t i = 0; i < count; i++) {
        rects[i] = frame->rects[i];
        for (uint32_t y = rects[i].y; y < rects[i].y + rects[i].height; y++) {
            const size_t at = (size_t)y * surface->width + rects[i].x;

            memcpy(vnc->pixels + at, surface->pixels + at, rects[i].width * sizeof(uint32_t));
        }
    }
    display_link_give_back(vnc->link);
    for (size_t i = 0; i < count; i++)
        vnc->lib.rfbMarkRectAsModified(vnc->screen, (int)rects[i].x, (int)rects[i].y,
                                       (int)(rects[i].x + rects[i].width),
                                       (int)(rects[i].y + rects[i].height));
}

/* ---- the server's thread ---- */

static void add_fd(struct pollfd *fds, nfds_t *count, int fd)
{
    if (fd >= 0 && *count < POLL_MAX)
        fds[(*count)++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void wait_for_something(struct display_vnc *vnc)
{
    struct pollfd fds[POLL_MAX];
    nfds_t count = 0;
    rfbClientIteratorPtr iterator;
    rfbClientPtr client;
    uint64_t counter;

    add_fd(fds, &count, vnc->wake_fd);
    if (vnc->stale) {
        /* Not every viewer can follow when the size changes: say nothing to it before the size is
         * known.  A machine that is paused does not answer. */
        vnc->stale = false;
        if (poll(fds, count, FIRST_PICTURE_MS) > 0 &&
            read(vnc->wake_fd, &counter, sizeof(counter)) > 0)
            take_picture(vnc);
    }
    add_fd(fds, &count, vnc->screen->listenSock);
    add_fd(fds, &count, vnc->screen->listen6Sock);
    iterator = vnc->lib.rfbGetClientIterator(vnc->screen);
    while ((client = vnc->lib.rfbClientIteratorNext(iterator)) != NULL)
        add_fd(fds, &count, client->sock);
    vnc->lib.rfbReleaseClientIterator(iterator);
    if (poll(fds, count, -1) > 0 && fds[0].revents != 0 &&
        read(vnc->wake_fd, &counter, sizeof(counter)) > 0)
        take_picture(vnc);
}

static void *thread_main(void *arg)
{
    struct display_vnc *vnc = arg;

    while (!__atomic_load_n(&vnc->stop, __ATOMIC_ACQUIRE)) {
        wait_for_something(vnc);
        vnc->lib.rfbProcessEvents(vnc->screen, 0);
    }
    vnc->lib.rfbShutdownServer(vnc->screen, TRUE);
    return NULL;
}

/* ---- life ---- */

static void quiet(const char *format, ...)
{
    (void)format;
}

/* Where to listen; false: not an address that the host knows. */
static bool set_address(struct display_vnc *vnc, const struct display_spec *spec)
{
    rfbScreenInfoPtr screen = vnc->screen;
    const int port = PORT_BASE + (int)spec->vnc_number;
    struct in6_addr address6;

    screen->autoPort = FALSE;
    screen->port = screen->ipv6port = 0;
    if (inet_pton(AF_INET6, spec->vnc_host, &address6) == 1) {
        screen->listen6Interface = (char *)spec->vnc_host;
        screen->ipv6port = port;
        return true;
    }
    screen->port = port;
    return vnc->lib.rfbStringToAddr((char *)spec->vnc_host, &screen->listenInterface) != 0;
}

static bool server_open(struct display_vnc *vnc, const struct display_spec *spec, int width,
                        int height, struct error *error)
{
    rfbScreenInfoPtr screen;

    *vnc->lib.rfbLog = *vnc->lib.rfbErr = quiet;
    screen = vnc->screen = vnc->lib.rfbGetScreen(NULL, NULL, width, height, 8, 3, 4);
    vnc->pixels = calloc((size_t)height, (size_t)width * sizeof(uint32_t));
    if (screen == NULL || vnc->pixels == NULL)
        return error_set(error, "-vnc: not enough host memory");
    if (!set_address(vnc, spec))
        return error_set(error, "-vnc: unknown address \"%s\"", spec->vnc_host);
    screen->frameBuffer = (char *)vnc->pixels;
    screen->screenData = vnc;
    screen->desktopName = "Ringer";
    screen->cursor = NULL; /* the guest draws its own */
    screen->alwaysShared = TRUE;
    screen->permitFileTransfer = FALSE;
    screen->deferUpdateTime = 0; /* the machine draws rarely enough */
    screen->deferPtrUpdateTime = 0;
    screen->kbdAddEvent = on_key;
    screen->ptrAddEvent = on_pointer;
    screen->newClientHook = on_viewer;
    if (spec->vnc_password) {
        screen->authPasswdData = vnc; /* anything: says that a password is asked for */
        screen->passwordCheck = on_password;
    }
    set_format(vnc);
    vnc->lib.rfbInitServer(screen);
    if (screen->listenSock < 0 && screen->listen6Sock < 0)
        return error_set(error, "-vnc: cannot listen at %s, port %u: is it in use?", spec->vnc_host,
                         PORT_BASE + spec->vnc_number);
    return true;
}

static bool read_password(struct display_vnc *vnc, const char *path, struct error *error)
{
    char line[PASSWORD_BYTES + 1] = "";
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return error_set(error, "-vnc: %s: %s", path, strerror(errno));
    if (fgets(line, sizeof(line), file) != NULL)
        line[strcspn(line, "\r\n")] = '\0';
    fclose(file);
    if (line[0] == '\0')
        return error_set(error, "-vnc: %s: there is no password in it", path);
    display_vnc_set_password(vnc, line);
    return true;
}

static int thread_start(struct display_vnc *vnc)
{
    sigset_t all, old;
    int status;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    status = pthread_create(&vnc->thread, NULL, thread_main, vnc);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return status;
}

static void destroy(struct display_vnc *vnc)
{
    if (vnc->screen != NULL) {
        vnc->screen->authPasswdData = NULL;
        vnc->screen->listen6Interface = NULL;
        vnc->lib.rfbScreenCleanup(vnc->screen);
    }
    display_link_close(vnc->link);
    if (vnc->wake_fd >= 0)
        close(vnc->wake_fd);
    pthread_mutex_destroy(&vnc->password_lock);
    free(vnc->pixels);
    free(vnc);
}

struct display_vnc *display_vnc_open(const struct display_spec *spec, struct pc *pc,
                                     const struct display_user *user, struct error *error)
{
    struct display_vnc *vnc = calloc(1, sizeof(*vnc));
    const struct display_frame *frame;
    int width, height;

    if (vnc == NULL) {
        (void)error_set(error, "-vnc: not enough host memory");
        return NULL;
    }
    if (!library_load("-vnc", RINGER_VNC_FILE, vncserver_names, &vnc->lib, VNCSERVER_NAMES,
                      error)) {
        free(vnc);
        return NULL;
    }
    pthread_mutex_init(&vnc->password_lock, NULL);
    vnc->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (vnc->wake_fd < 0) {
        (void)error_set(error, "-vnc: %s", strerror(errno));
        destroy(vnc);
        return NULL;
    }
    vnc->link = display_link_open(pc, user, wake, vnc, error);
    if (vnc->link == NULL) {
        destroy(vnc);
        return NULL;
    }
    frame = display_link_take(vnc->link);
    width = (int)frame->surface.width;
    height = (int)frame->surface.height;
    display_link_give_back(vnc->link);
    display_link_look(vnc->link, false); /* until there is a viewer */
    if (!server_open(vnc, spec, width, height, error) ||
        (spec->vnc_password_file[0] != '\0' &&
         !read_password(vnc, spec->vnc_password_file, error))) {
        destroy(vnc);
        return NULL;
    }
    if (thread_start(vnc) != 0) {
        (void)error_set(error, "-vnc: the host refuses another thread");
        destroy(vnc);
        return NULL;
    }
    return vnc;
}

void display_vnc_close(struct display_vnc *vnc)
{
    if (vnc == NULL)
        return;
    __atomic_store_n(&vnc->stop, 1, __ATOMIC_RELEASE);
    wake(vnc);
    pthread_join(vnc->thread, NULL);
    destroy(vnc);
}

void display_vnc_set_password(struct display_vnc *vnc, const char *password)
{
    pthread_mutex_lock(&vnc->password_lock);
    memset(vnc->password, 0, sizeof(vnc->password));
    memcpy(vnc->password, password, strnlen(password, sizeof(vnc->password) - 1));
    pthread_mutex_unlock(&vnc->password_lock);
}
