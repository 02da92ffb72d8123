/*
 * loader/chardev_socket.c -- stream sockets.  See loader/chardev_socket.h.
 *
 * Output to a client that does not read stops the machine for SEND_WAIT_MS at the most, then the
 * client is dropped.  Telnet: RFC 854, character at a time (RFC 857 ECHO, RFC 858
 * SUPPRESS-GO-AHEAD), which is what a line editor or a serial port at the other end wants.
 */
#define _GNU_SOURCE
#include "loader/chardev_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "loader/signals.h"

enum { SEND_WAIT_MS = 1000, READ_BYTES = 1024, WAIT_SLICE_MS = 200 };

/* Telnet commands and options. [RFC 854, 857, 858] */
enum { SE = 240, BREAK = 243, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254, IAC = 255 };
enum { OPTION_ECHO = 1, OPTION_SGA = 3 };

struct address {
    bool is_unix, server, wait, telnet;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* or the host */
    char port[16];
};

struct socket_dev {
    struct chardev dev; /* in_fd = out_fd = the client */
    struct address address;
    struct pc *pc;
    int listen_fd;
    bool bound; /* the unix socket's file is ours to remove */
    enum { TEXT, AFTER_CR, COMMAND, OPTION, SUB, SUB_COMMAND } telnet;
};

/* ---- the specification ---- */

static bool starts_with(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

bool chardev_socket_probe(const char *text)
{
    return starts_with(text, "unix:") || starts_with(text, "tcp:") || starts_with(text, "telnet:");
}

static bool copy_part(char *to, size_t room, const char *from, size_t length)
{
    if (length >= room)
        return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

/* One ",word" or ",word=on|off". */
static bool take_word(struct address *a, const char *word, size_t length)
{
    const char *equals = memchr(word, '=', length);
    const size_t name = equals != NULL ? (size_t)(equals - word) : length;
    const size_t value = equals != NULL ? length - name - 1 : 0;
    bool on = true;
#define IS(text, from, size) (strlen(text) == (size) && !memcmp(text, from, size))

    if (equals != NULL && (IS("off", equals + 1, value) || IS("no", equals + 1, value)))
        on = false;
    else if (equals != NULL && !IS("on", equals + 1, value) && !IS("yes", equals + 1, value))
        return false;
    if (IS("server", word, name))
        a->server = on;
    else if (IS("nowait", word, name))
        a->wait = !on;
    else if (IS("wait", word, name))
        a->wait = on;
    else if (IS("telnet", word, name) && !a->is_unix)
        a->telnet = on;
    else
        return (IS("nodelay", word, name) || IS("delay", word, name)) && !a->is_unix;
    return true;
#undef IS
}

static bool parse(const char *text, bool server, struct address *a)
{
    const char *rest = strchr(text, ':') + 1;
    size_t length = strcspn(rest, ",");

    *a = (struct address){.is_unix = starts_with(text, "unix:"),
                          .telnet = starts_with(text, "telnet:"),
                          .server = server,
                          .wait = !server};
    if (a->is_unix) {
        if (length == 0 || !copy_part(a->path, sizeof(a->path), rest, length))
            return false;
    } else {
        const char *colon = memrchr(rest, ':', length);
        const char *host = rest;
        size_t host_length, port_length;

        if (colon == NULL)
            return false;
        host_length = (size_t)(colon - rest);
        port_length = length - host_length - 1;
        if (host_length > 1 && host[0] == '[' && host[host_length - 1] == ']') {
            host++;
            host_length -= 2;
        }
        if (port_length == 0 || !copy_part(a->path, sizeof(a->path), host, host_length) ||
            !copy_part(a->port, sizeof(a->port), colon + 1, port_length))
            return false;
        if (a->path[0] == '\0')
            strcpy(a->path, "127.0.0.1");
    }
    for (rest += length; *rest == ','; rest += length) {
        length = strcspn(++rest, ",");
        if (!take_word(a, rest, length))
            return false;
    }
    return true;
}

/* ---- clients ---- */

static void say_connected(struct socket_dev *s, bool open)
{
    if (s->dev.connected != NULL)
        s->dev.connected(s->dev.connected_ctx, open);
}

static void on_client(void *ctx, int fd);
static void on_accept(void *ctx, int fd);

static void drop_client(struct socket_dev *s)
{
    const int fd = s->dev.in_fd;

    if (fd < 0)
        return;
    if (s->pc != NULL)
        pc_unwatch_fd(s->pc, fd);
    close(fd);
    s->dev.in_fd = s->dev.out_fd = -1;
    s->dev.count = 0;
    if (s->pc != NULL && s->listen_fd >= 0)
        (void)pc_watch_fd(s->pc, s->listen_fd, on_accept, NULL, s);
    say_connected(s, false);
}

static void send_bytes(struct socket_dev *s, const uint8_t *data, size_t size)
{
    while (size > 0 && s->dev.out_fd >= 0) {
        const ssize_t put = send(s->dev.out_fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd entry = {.fd = s->dev.out_fd, .events = POLLOUT};

        if (put > 0) {
            data += put;
            size -= (size_t)put;
        } else if (put < 0 && errno == EINTR) {
            continue;
        } else if (put < 0 && errno == EAGAIN && poll(&entry, 1, SEND_WAIT_MS) > 0 &&
                   !(entry.revents & (POLLERR | POLLHUP))) {
            continue;
        } else {
            drop_client(s);
        }
    }
}

static void write_socket(void *ctx, const uint8_t *data, size_t size)
{
    struct socket_dev *s = ctx;

    while (s->address.telnet && size > 0) {
        const uint8_t *iac = memchr(data, IAC, size);
        const size_t part = iac != NULL ? (size_t)(iac - data) + 1 : size;

        send_bytes(s, data, part);
        if (iac != NULL)
            send_bytes(s, iac, 1); /* doubled */
        data += part;
        size -= part;
    }
    send_bytes(s, data, size);
}

/* Take the protocol out of `data`; what is left is in its place. */
static size_t strip_telnet(struct socket_dev *s, uint8_t *data, size_t size)
{
    size_t kept = 0;

    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = data[i];

        switch (s->telnet) {
        case AFTER_CR:
            s->telnet = TEXT;
            if (byte == '\0' || byte == '\n')
                break; /* an end of line is CR LF or CR NUL, and CR to us */
            /* fall through */
        case TEXT:
            if (byte == IAC) {
                s->telnet = COMMAND;
            } else {
                data[kept++] = byte;
                s->telnet = byte == '\r' ? AFTER_CR : TEXT;
            }
            break;
        case COMMAND:
            s->telnet = byte == SB ? SUB : byte >= WILL && byte <= DONT ? OPTION : TEXT;
            if (byte == IAC)
                data[kept++] = byte;
            else if (byte == BREAK && s->dev.backend.send_break != NULL)
                s->dev.backend.send_break(s->dev.backend.chip);
            break;
        case OPTION:
            s->telnet = TEXT;
            break;
        case SUB:
            s->telnet = byte == IAC ? SUB_COMMAND : SUB;
            break;
        case SUB_COMMAND:
            s->telnet = byte == SE ? TEXT : SUB;
            break;
        }
    }
    return kept;
}

static void on_client(void *ctx, int fd)
{
    struct socket_dev *s = ctx;
    uint8_t buffer[READ_BYTES];
    size_t room = CHARDEV_QUEUE_BYTES - s->dev.count;
    ssize_t got;

    if (room > sizeof(buffer))
        room = sizeof(buffer);
    got = recv(fd, buffer, room, MSG_DONTWAIT);
    if (got > 0)
        s->dev.input(&s->dev, buffer,
                     s->address.telnet ? strip_telnet(s, buffer, (size_t)got) : (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        drop_client(s);
}

static bool take_client(struct socket_dev *s, int fd)
{
    static const uint8_t hello[] = {IAC,        WILL, OPTION_ECHO, IAC,       WILL,
                                    OPTION_SGA, IAC,  DO,          OPTION_SGA};
    const int one = 1;

    if (!s->address.is_unix)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    s->dev.in_fd = s->dev.out_fd = fd;
    s->dev.count = 0;
    s->telnet = TEXT;
    if (pc_watch_fd(s->pc, fd, on_client, chardev_wants_input, &s->dev) != 0) {
        close(fd);
        s->dev.in_fd = s->dev.out_fd = -1;
        return false;
    }
    if (s->address.telnet)
        send_bytes(s, hello, sizeof(hello));
    if (s->dev.out_fd >= 0)
        say_connected(s, true);
    return true;
}

static void on_accept(void *ctx, int fd)
{
    struct socket_dev *s = ctx;
    const int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client < 0)
        return;
    pc_unwatch_fd(s->pc, s->listen_fd);
    if (!take_client(s, client))
        (void)pc_watch_fd(s->pc, s->listen_fd, on_accept, NULL, s);
}

/* ---- opening ---- */

static bool fail(const char *label, const struct address *a, int why, struct error *error)
{
    if (a->is_unix)
        return error_set(error, "%s: unix:%s: %s", label, a->path, strerror(why));
    return error_set(error, "%s: %s:%s: %s", label, a->path, a->port, strerror(why));
}

/* A socket that a process has left behind is nobody's. */
static void remove_stale(const struct sockaddr_un *name)
{
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat status;

    if (probe < 0)
        return;
    if (lstat(name->sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
        connect(probe, (const struct sockaddr *)name, sizeof(*name)) != 0 && errno == ECONNREFUSED)
        unlink(name->sun_path);
    close(probe);
}

/* Returns a descriptor, or -errno. */
static int open_unix(struct socket_dev *s)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int why;

    if (fd < 0)
        return -errno;
    memcpy(name.sun_path, s->address.path, sizeof(name.sun_path));
    if (!s->address.server) {
        if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
            return fd;
    } else {
        remove_stale(&name);
        /* The file gets the socket's own mode, less the process's mask. */
        if (fchmod(fd, 0600) == 0 && bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0) {
            s->bound = true;
            if (listen(fd, 1) == 0)
                return fd;
        }
    }
    why = errno;
    close(fd);
    return -why;
}

/* The same; *unknown when the address means nothing. */
static int open_tcp(struct socket_dev *s, const char **unknown)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list;
    const int bad = getaddrinfo(s->address.path, s->address.port, &hints, &list), one = 1;
    int why = EADDRNOTAVAIL;

    if (bad != 0) {
        *unknown = gai_strerror(bad);
        return -EINVAL;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);

        if (fd < 0) {
            why = errno;
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (s->address.server ? bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1) == 0
                              : connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            freeaddrinfo(list);
            return fd;
        }
        why = errno;
        close(fd);
    }
    freeaddrinfo(list);
    return -why;
}

/* ",server" without ",nowait": the machine starts when somebody is there. */
static int wait_for_client(const struct socket_dev *s)
{
    struct pollfd entry = {.fd = s->listen_fd, .events = POLLIN};

    fprintf(stderr, "ringer: waiting for a connection on %s%s%s\n", s->address.path,
            s->address.is_unix ? "" : ":", s->address.port);
    while (signals_pending() == 0)
        if (poll(&entry, 1, WAIT_SLICE_MS) > 0)
            return accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return -1;
}

static bool attach_socket(struct chardev *dev, struct pc *pc)
{
    struct socket_dev *s = (struct socket_dev *)dev;
    int client = -1;

    s->pc = pc;
    if (s->listen_fd < 0) { /* a client of ours is connected */
        client = dev->in_fd;
        dev->in_fd = dev->out_fd = -1;
        return take_client(s, client);
    }
    if (s->address.wait)
        client = wait_for_client(s);
    return client >= 0 ? take_client(s, client)
                       : pc_watch_fd(pc, s->listen_fd, on_accept, NULL, s) == 0;
}

static void close_socket(struct chardev *dev)
{
    struct socket_dev *s = (struct socket_dev *)dev;

    s->pc = NULL; /* it is gone */
    dev->connected = NULL;
    if (dev->in_fd >= 0)
        close(dev->in_fd);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    if (s->bound)
        unlink(s->address.path);
    free(s);
}

bool chardev_socket_open(const char *text, bool server, const char *label, struct chardev **out,
                         struct error *error)
{
    struct socket_dev *s = calloc(1, sizeof(*s));
    const char *unknown = NULL;
    int fd;

    if (s == NULL)
        return error_set(error, "%s: not enough host memory", label);
    if (!parse(text, server, &s->address)) {
        free(s);
        return error_set(error,
                         "%s: %s: not unix:PATH, tcp:[HOST]:PORT or telnet:[HOST]:PORT, "
                         "then ,server ,nowait",
                         label, text);
    }
    chardev_init(&s->dev, write_socket);
    s->dev.attach = attach_socket;
    s->dev.close = close_socket;
    s->listen_fd = -1;
    fd = s->address.is_unix ? open_unix(s) : open_tcp(s, &unknown);
    if (fd < 0) {
        (void)fail(label, &s->address, -fd, error);
        if (unknown != NULL)
            (void)error_set(error, "%s: %s:%s: %s", label, s->address.path, s->address.port,
                            unknown);
        close_socket(&s->dev);
        return false;
    }
    if (s->address.server)
        s->listen_fd = fd;
    else
        s->dev.in_fd = s->dev.out_fd = fd;
    *out = &s->dev;
    return true;
}
