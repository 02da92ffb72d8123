/*
 * loader/monitor_keys.c -- sendkey, mouse_move, mouse_button.
 *
 * Key names are QEMU's; the codes are those of scan code set 1, extended ones with E0 before them.
 * [IBM PS/2 Hardware Interface Technical Reference, "Keyboard Scan Codes"]  Keys that were asked
 * for are pressed one group after the other: down, held for a time of the machine's clock, up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/clock.h"
#include "loader/monitor_internal.h"

enum { GROUP_KEYS = 16, HOLD_MS = 100, HOLD_MS_MAX = 60000, GROUPS_MAX = 1024 };
enum { EXTENDED = 0xE0, BREAK = 0x80, NS_PER_MS = 1000000 };

/* bit 8: extended */
static const struct {
    const char *name;
    uint16_t code;
} keys[] = {
    {"shift", 0x2A},
    {"shift_r", 0x36},
    {"alt", 0x38},
    {"alt_r", 0x138},
    {"ctrl", 0x1D},
    {"ctrl_r", 0x11D},
    {"menu", 0x15D},
    {"esc", 0x01},
    {"1", 0x02},
    {"2", 0x03},
    {"3", 0x04},
    {"4", 0x05},
    {"5", 0x06},
    {"6", 0x07},
    {"7", 0x08},
    {"8", 0x09},
    {"9", 0x0A},
    {"0", 0x0B},
    {"minus", 0x0C},
    {"equal", 0x0D},
    {"backspace", 0x0E},
    {"tab", 0x0F},
    {"q", 0x10},
    {"w", 0x11},
    {"e", 0x12},
    {"r", 0x13},
    {"t", 0x14},
    {"y", 0x15},
    {"u", 0x16},
    {"i", 0x17},
    {"o", 0x18},
    {"p", 0x19},
    {"bracket_left", 0x1A},
    {"bracket_right", 0x1B},
    {"ret", 0x1C},
    {"a", 0x1E},
    {"s", 0x1F},
    {"d", 0x20},
    {"f", 0x21},
    {"g", 0x22},
    {"h", 0x23},
    {"j", 0x24},
    {"k", 0x25},
    {"l", 0x26},
    {"semicolon", 0x27},
    {"apostrophe", 0x28},
    {"grave_accent", 0x29},
    {"backslash", 0x2B},
    {"z", 0x2C},
    {"x", 0x2D},
    {"c", 0x2E},
    {"v", 0x2F},
    {"b", 0x30},
    {"n", 0x31},
    {"m", 0x32},
    {"comma", 0x33},
    {"dot", 0x34},
    {"slash", 0x35},
    {"asterisk", 0x37},
    {"spc", 0x39},
    {"caps_lock", 0x3A},
    {"f1", 0x3B},
    {"f2", 0x3C},
    {"f3", 0x3D},
    {"f4", 0x3E},
    {"f5", 0x3F},
    {"f6", 0x40},
    {"f7", 0x41},
    {"f8", 0x42},
    {"f9", 0x43},
    {"f10", 0x44},
    {"num_lock", 0x45},
    {"scroll_lock", 0x46},
    {"kp_7", 0x47},
    {"kp_8", 0x48},
    {"kp_9", 0x49},
    {"kp_subtract", 0x4A},
    {"kp_4", 0x4B},
    {"kp_5", 0x4C},
    {"kp_6", 0x4D},
    {"kp_add", 0x4E},
    {"kp_1", 0x4F},
    {"kp_2", 0x50},
    {"kp_3", 0x51},
    {"kp_0", 0x52},
    {"kp_decimal", 0x53},
    {"sysrq", 0x54},
    {"less", 0x56},
    {"f11", 0x57},
    {"f12", 0x58},
    {"kp_enter", 0x11C},
    {"kp_divide", 0x135},
    {"kp_multiply", 0x37},
    {"print", 0x137},
    {"home", 0x147},
    {"up", 0x148},
    {"pgup", 0x149},
    {"left", 0x14B},
    {"right", 0x14D},
    {"end", 0x14F},
    {"down", 0x150},
    {"pgdn", 0x151},
    {"insert", 0x152},
    {"delete", 0x153},
    {"meta_l", 0x15B},
    {"meta_r", 0x15C},
    {"compose", 0x15D},
    {"power", 0x15E},
    {"sleep", 0x15F},
    {"wake", 0x163},
    {"henkan", 0x79},
    {"muhenkan", 0x7B},
    {"yen", 0x7D},
    {"ro", 0x73},
    {"kp_equals", 0x59},
    {"kp_comma", 0x7E},
    {"volumedown", 0x12E},
    {"volumeup", 0x130},
    {"audiomute", 0x120},
};
enum { PAUSE_CODE = 0x1FF };

struct group {
    uint16_t codes[GROUP_KEYS];
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

static bool find_key(const char *name, size_t length, uint16_t *code)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (strlen(keys[i].name) == length && !strncmp(keys[i].name, name, length)) {
            *code = keys[i].code;
            return true;
        }
    }
    if (length == 5 && !strncmp(name, "pause", length)) {
        *code = PAUSE_CODE;
        return true;
    }
    /* a number is a set-1 code, with 0x80 added for extended ones */
    if (length > 2 && length <= 4 && !strncmp(name, "0x", 2)) {
        char text[8] = {0}, *end;
        unsigned long value;

        memcpy(text, name + 2, length - 2);
        value = strtoul(text, &end, 16);
        *code = (uint16_t)((value & 0x7F) | (value & 0x80) << 1);
        return *end == '\0' && (value & 0x7F) != 0;
    }
    return false;
}

static void send_key(struct pc *pc, uint16_t code, bool down)
{
    static const uint8_t pause[] = {0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5};
    const uint8_t bytes[2] = {EXTENDED, (uint8_t)((code & 0x7F) | (down ? 0 : BREAK))};

    if (code == PAUSE_CODE) {
        if (down) /* it has no break code */
            pc_key(pc, pause, sizeof(pause));
    } else if (code & 0x100) {
        pc_key(pc, bytes, 2);
    } else {
        pc_key(pc, bytes + 1, 1);
    }
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
            send_key(k->m->pc, group->codes[i], false);
        k->down = false;
        k->head = (k->head + 1) % GROUPS_MAX;
        if (--k->count == 0)
            return;
        /* Time for the guest to see the key go up before the next comes down. */
        clock_arm(pc_clock(k->m->pc), &k->timer, now_ns + group->hold_ns / 4);
        return;
    }
    for (unsigned i = 0; i < group->count; i++)
        send_key(k->m->pc, group->codes[i], true);
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
        if (!find_key(at, length, &group.codes[group.count++])) {
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
        pc_mouse(line->m->pc, dx, dy, dz, k->buttons);
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
