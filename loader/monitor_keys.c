/*
 * loader/monitor_keys.c -- sendkey, mouse_move, mouse_button.
 *
 * Keys are named as in loader/keys.def.  Those that were asked for are pressed one group after the
 * other: down, held for a time of the machine's clock, up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/clock.h"
#include "loader/keys.h"
#include "loader/monitor_internal.h"

enum { GROUP_KEYS = 16, HOLD_MS = 100, HOLD_MS_MAX = 60000, GROUPS_MAX = 1024 };
enum { EXTENDED = 0xE000, NS_PER_MS = 1000000 };

struct group {
    struct key keys[GROUP_KEYS];
    unsigned count;
    uint64_t hold_ns;
};

struct monitor_keys {
    struct machine *m;
    struct clock_timer timer;
    struct group queue[GROUPS_MAX]; /* a ring */
    unsigned head, count;
    bool down; /* those of queue[head] are pressed */
    unsigned buttons;
};

static bool find_key(const char *name, size_t length, struct key *key)
{
    const struct key *known = key_by_name(name, length);
    char text[8] = {0}, *end;
    unsigned long value;

    if (known != NULL) {
        *key = *known;
        return true;
    }
    /* a number is a set-1 code, with 0x80 added for extended ones */
    if (length <= 2 || length > 4 || strncmp(name, "0x", 2) != 0)
        return false;
    memcpy(text, name + 2, length - 2);
    value = strtoul(text, &end, 16);
    *key = (struct key){.set1 = (uint16_t)((value & 0x7F) | (value & 0x80 ? EXTENDED : 0))};
    return *end == '\0' && (value & 0x7F) != 0;
}

static void send_key(struct pc *pc, const struct key *key, bool down)
{
    uint8_t bytes[KEY_BYTES_MAX];

    pc_key(pc, bytes, key_bytes(key, down, bytes));
}

/* Press the group at the head, or release it and press the next. */
static void advance(void *ctx, uint64_t now_ns)
{
    struct monitor_keys *k = ctx;
    struct group *group = &k->queue[k->head];

    if (k->count == 0)
        return;
    if (k->down) {
        for (unsigned i = group->count; i-- > 0;)
            send_key(k->m->pc, &group->keys[i], false);
        k->down = false;
        k->head = (k->head + 1) % GROUPS_MAX;
        if (--k->count == 0)
            return;
        /* Time for the guest to see the key go up before the next comes down. */
        clock_arm(pc_clock(k->m->pc), &k->timer, now_ns + group->hold_ns / 4);
        return;
    }
    for (unsigned i = 0; i < group->count; i++)
        send_key(k->m->pc, &group->keys[i], true);
    k->down = true;
    clock_arm(pc_clock(k->m->pc), &k->timer, now_ns + group->hold_ns);
}

static struct monitor_keys *keys_of(struct machine *m)
{
    if (m->keys == NULL && (m->keys = calloc(1, sizeof(*m->keys))) != NULL) {
        m->keys->m = m;
        m->keys->timer = (struct clock_timer){.fire = advance, .ctx = m->keys};
    }
    return m->keys;
}

void monitor_keys_stop(struct machine *m)
{
    if (m->keys == NULL)
        return;
    if (m->keys->timer.armed)
        clock_cancel(pc_clock(m->pc), &m->keys->timer);
    free(m->keys);
    m->keys = NULL;
}

void monitor_sendkey(struct monitor_line *line)
{
    struct monitor_keys *k = keys_of(line->m);
    struct group group = {.hold_ns = (uint64_t)HOLD_MS * NS_PER_MS};
    const char *at = line->count > 1 ? line->word[1] : "";

    if (line->count < 2 || line->count > 3) {
        fprintf(line->out, "sendkey KEY[-KEY...] [MILLISECONDS]\n");
        return;
    }
    if (line->count == 3) {
        uint64_t hold_ms;

        if (!monitor_eval_all(line, line->word[2], &hold_ms))
            return;
        group.hold_ns = (hold_ms < HOLD_MS_MAX ? hold_ms : HOLD_MS_MAX) * NS_PER_MS;
    }
    for (;;) {
        const size_t length = strcspn(at, "-");

        if (group.count == GROUP_KEYS) {
            fprintf(line->out, "more than %d keys\n", GROUP_KEYS);
            return;
        }
        if (!find_key(at, length, &group.keys[group.count++])) {
            fprintf(line->out, "unknown key: '%.*s'\n", (int)length, at);
            return;
        }
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    if (k == NULL || k->count == GROUPS_MAX) {
        fprintf(line->out, "too many keys are waiting to be pressed\n");
        return;
    }
    k->queue[(k->head + k->count++) % GROUPS_MAX] = group;
    if (k->count == 1 && !k->timer.armed)
        advance(k, clock_now_ns(pc_clock(line->m->pc)));
}

/* ---- mouse ---- */

static bool take_number(struct monitor_line *line, unsigned index, int *value)
{
    char *end;
    long number = 0;

    if (index < line->count) {
        number = strtol(line->word[index], &end, 0);
        if (*end != '\0' || number < -10000 || number > 10000) {
            fprintf(line->out, "%s: not a number of -10000 to 10000\n", line->word[index]);
            return false;
        }
    }
    *value = (int)number;
    return true;
}

void monitor_mouse_move(struct monitor_line *line)
{
    struct monitor_keys *k = keys_of(line->m);
    int dx, dy, dz;

    if (line->count < 3 || line->count > 4) {
        fprintf(line->out, "mouse_move DX DY [DZ]\n");
        return;
    }
    if (k != NULL && take_number(line, 1, &dx) && take_number(line, 2, &dy) &&
        take_number(line, 3, &dz))
        pc_mouse(line->m->pc, dx, -dy, -dz, k->buttons); /* down and away are positive here */
}

void monitor_mouse_button(struct monitor_line *line)
{
    struct monitor_keys *k = keys_of(line->m);
    int state;

    if (line->count != 2) {
        fprintf(line->out, "mouse_button STATE (1 left, 2 right, 4 middle)\n");
        return;
    }
    if (k == NULL || !take_number(line, 1, &state))
        return;
    k->buttons = (unsigned)state & 7;
    pc_mouse(line->m->pc, 0, 0, 0, k->buttons);
}
