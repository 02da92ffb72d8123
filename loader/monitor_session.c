/*
 * loader/monitor_session.c -- a monitor's line editor on a byte stream.
 *
 * Characters are echoed, as QEMU's monitor does on every kind of stream, so that a raw terminal at
 * the other end of a socket is usable.  Keys: backspace, Ctrl-U (the line), Ctrl-W (a word), Ctrl-C
 * (give up the line), arrows up and down (earlier lines), Tab (complete the command's name).
 */
#include <stdlib.h>
#include <string.h>

#include "loader/monitor_internal.h"

enum { HISTORY = 32, RECEIVE_BYTES = 4096 };

struct monitor {
    struct machine *m;
    struct chardev *dev;
    bool mux, greeted;
    bool after_cr; /* a line feed that follows belongs to it */
    enum { TEXT, ESCAPE, BRACKET } keys;
    char line[MONITOR_LINE_BYTES];
    size_t length;
    char *history[HISTORY];  /* a ring; the newest is at (next - 1) */
    unsigned next, recalled; /* recalled: how far back the arrows have gone */
};

static void put(struct monitor *s, const char *text, size_t length)
{
    /* \n becomes \r\n: a terminal at the other end may be raw. */
    while (length > 0) {
        const char *newline = memchr(text, '\n', length);
        const size_t part = newline != NULL ? (size_t)(newline - text) : length;

        if (part != 0)
            s->dev->backend.write(s->dev->backend.ctx, (const uint8_t *)text, part);
        if (newline == NULL)
            return;
        s->dev->backend.write(s->dev->backend.ctx, (const uint8_t *)"\r\n", 2);
        text += part + 1;
        length -= part + 1;
    }
}

static void say(struct monitor *s, const char *text)
{
    put(s, text, strlen(text));
}

static void greet(struct monitor *s)
{
    s->greeted = true;
    s->length = 0;
    say(s, "Ringer monitor - type 'help' for more information\n(qemu) ");
}

/* ---- editing ---- */

static void erase(struct monitor *s, size_t count)
{
    for (; count > 0 && s->length > 0; count--) {
        s->length--;
        say(s, "\b \b");
    }
}

static void insert(struct monitor *s, const char *text)
{
    for (; *text != '\0' && s->length + 1 < sizeof(s->line); text++) {
        s->line[s->length++] = *text;
        put(s, text, 1);
    }
}

static void erase_word(struct monitor *s)
{
    while (s->length > 0 && s->line[s->length - 1] == ' ')
        erase(s, 1);
    while (s->length > 0 && s->line[s->length - 1] != ' ')
        erase(s, 1);
}

static void recall(struct monitor *s, int direction)
{
    const unsigned wanted = s->recalled + (unsigned)direction;

    if (wanted > HISTORY || (wanted != 0 && s->history[(s->next - wanted) % HISTORY] == NULL))
        return;
    s->recalled = wanted;
    erase(s, s->length);
    if (wanted != 0)
        insert(s, s->history[(s->next - wanted) % HISTORY]);
}

static void remember(struct monitor *s)
{
    char *copy = s->length != 0 ? strdup(s->line) : NULL;

    s->recalled = 0;
    if (copy == NULL)
        return;
    free(s->history[s->next % HISTORY]);
    s->history[s->next++ % HISTORY] = copy;
}

static void complete(struct monitor *s)
{
    const char *first = monitor_complete(s->line, s->length, 0);
    const char *second = monitor_complete(s->line, s->length, 1);

    if (first == NULL || memchr(s->line, ' ', s->length) != NULL)
        return;
    if (second == NULL) {
        insert(s, first + s->length);
        insert(s, " ");
        return;
    }
    say(s, "\n");
    for (unsigned i = 0; (first = monitor_complete(s->line, s->length, i)) != NULL; i++) {
        say(s, first);
        say(s, "  ");
    }
    say(s, "\n(qemu) ");
    put(s, s->line, s->length);
}

/* ---- lines ---- */

static void execute(struct monitor *s)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out;

    s->line[s->length] = '\0';
    say(s, "\n");
    remember(s);
    out = open_memstream(&text, &size);
    if (out != NULL) {
        monitor_command(s->m, s->line, out);
        fclose(out);
        put(s, text, size);
    }
    free(text);
    s->length = 0;
    if (!s->m->quit)
        say(s, "(qemu) ");
}

static void take(struct monitor *s, char key)
{
    if (s->keys == ESCAPE || s->keys == BRACKET) {
        const bool in_bracket = s->keys == BRACKET;

        if (!in_bracket && (key == '[' || key == 'O')) {
            s->keys = BRACKET;
            return;
        }
        if (in_bracket && key >= '0' && key <= '?')
            return; /* parameters */
        s->keys = TEXT;
        if (in_bracket && (key == 'A' || key == 'B'))
            recall(s, key == 'A' ? 1 : -1);
        return;
    }
    switch (key) {
    case '\n':
        if (s->after_cr)
            break;
        execute(s);
        break;
    case '\r':
        execute(s);
        break;
    case '\b':
    case 0x7f:
        erase(s, 1);
        break;
    case 'U' - '@':
        erase(s, s->length);
        break;
    case 'W' - '@':
        erase_word(s);
        break;
    case 'C' - '@':
        s->length = 0;
        say(s, "^C\n(qemu) ");
        break;
    case 'P' - '@':
        recall(s, 1);
        break;
    case 'N' - '@':
        recall(s, -1);
        break;
    case '\t':
        complete(s);
        break;
    case 0x1b:
        s->keys = ESCAPE;
        break;
    default:
        if ((unsigned char)key >= ' ') {
            const char text[2] = {key, '\0'};

            insert(s, text);
        }
    }
    s->after_cr = key == '\r';
}

/* ---- the stream ---- */

static size_t can_receive(void *ctx)
{
    const struct monitor *s = ctx;

    return s->m->quit ? 0 : RECEIVE_BYTES;
}

static void receive(void *ctx, const uint8_t *data, size_t size)
{
    struct monitor *s = ctx;

    for (size_t i = 0; i < size && !s->m->quit; i++)
        take(s, (char)data[i]);
}

static void connected(void *ctx, bool open)
{
    struct monitor *s = ctx;

    s->keys = TEXT;
    if (open)
        greet(s);
}

static void focus(void *ctx, bool mine)
{
    struct monitor *s = ctx;

    say(s, "\n");
    if (!mine)
        return;
    if (!s->greeted)
        greet(s);
    else
        say(s, "(qemu) ");
    s->length = 0;
}

struct monitor *monitor_open(struct machine *m, struct chardev *dev, bool mux)
{
    struct monitor *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->m = m;
    s->dev = dev;
    s->mux = mux;
    if (mux) {
        dev->monitor_ctx = s;
        dev->monitor_input = receive;
        dev->monitor_focus = focus;
        return s;
    }
    dev->backend.chip = s;
    dev->backend.can_receive = can_receive;
    dev->backend.receive = receive;
    dev->connected = connected;
    dev->connected_ctx = s;
    if (dev->out_fd >= 0) /* somebody is there from the beginning */
        greet(s);
    return s;
}

void monitor_close(struct monitor *s)
{
    if (s == NULL)
        return;
    if (s->mux)
        s->dev->monitor_input = NULL;
    else
        s->dev->backend.receive = NULL;
    s->dev->connected = NULL;
    for (unsigned i = 0; i < HISTORY; i++)
        free(s->history[i]);
    free(s);
}
