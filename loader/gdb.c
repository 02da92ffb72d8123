/*
 * loader/gdb.c -- packets and commands of gdb's remote protocol.  See loader/gdb.h.
 *
 *   $ data # two hex digits of checksum        '+' received, '-' send again (until QStartNoAckMode)
 *
 * In data, } escapes: the next byte is XORed with 0x20.  A bare 0x03 interrupts the machine.
 * Everything that comes in is untrusted: lengths are checked, what is not understood gets an empty
 * answer, as the protocol wants, what is wrong gets E and two digits.
 */
#define _GNU_SOURCE
#include "loader/gdb.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/debugger.h"
#include "cpu/fpu.h"
#include "cpu/physmem.h"
#include "loader/gdb_internal.h"
#include "loader/machine.h"
#include "loader/monitor.h"

enum {
    PACKET_BYTES = 0x4000, /* told to gdb: the longest packet either side sends */
    MEMORY_BYTES = PACKET_BYTES / 2 - 16,
    RECEIVE_BYTES = 4096,
    POINTS_MAX = DEBUGGER_BREAKPOINTS_MAX + DEBUGGER_WATCHPOINTS_MAX,
    SIGNAL_INT = 2,
    SIGNAL_TRAP = 5,
    SIGNAL_IO = 23, /* gdb's number */
};

/* Z packets, [the manual, "Packets"]. */
enum point_type { SOFTWARE, HARDWARE, WATCH_WRITE, WATCH_READ, WATCH_ACCESS, POINT_TYPES };

struct point {
    enum point_type type;
    linaddr_t address;
    uint64_t size;
};

struct gdb {
    struct machine *m;
    struct chardev *dev;
    struct gdb_target target;
    char *xml;

    bool connected;
    bool no_ack;
    bool running;      /* gdb waits for a stop reply */
    bool no_answer;    /* the packet gets none, or later */
    bool says_swbreak; /* gdb knows the stop reason swbreak, and hwbreak */
    bool physical;     /* memory packets are physical addresses */

    enum { IDLE, DATA, CHECKSUM_HIGH, CHECKSUM_LOW } state;
    bool bad; /* too long, or a checksum that is no number */
    uint8_t sum, got_sum;
    char in[PACKET_BYTES + 1];
    size_t in_length;

    char out[PACKET_BYTES + 1]; /* the answer being made */
    size_t out_length;
    uint8_t sent[2 * PACKET_BYTES + 8]; /* the last one, as sent: for '-' */
    size_t sent_length;

    struct point points[POINTS_MAX];
    unsigned point_count;
};

/* ---- text ---- */

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* At most 16 digits, at least one; *at is moved behind them. */
static bool take_hex(const char **at, uint64_t *value)
{
    const char *start = *at;

    *value = 0;
    while (hex_value(**at) >= 0 && *at - start < 16)
        *value = *value << 4 | (unsigned)hex_value(*(*at)++);
    return *at != start && hex_value(**at) < 0;
}

static bool take_char(const char **at, char expected)
{
    if (**at != expected)
        return false;
    ++*at;
    return true;
}

/* `size` bytes in hex. */
static bool take_bytes(const char **at, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const int high = hex_value((*at)[0]), low = high >= 0 ? hex_value((*at)[1]) : -1;

        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
        *at += 2;
    }
    return true;
}

static bool starts_with(const char *text, const char *prefix)
{
    return !strncmp(text, prefix, strlen(prefix));
}

/* ---- answers ---- */

static void answer_begin(struct gdb *g)
{
    g->out_length = 0;
}

static void answer_data(struct gdb *g, const char *data, size_t size)
{
    if (size > sizeof(g->out) - g->out_length)
        size = sizeof(g->out) - g->out_length;
    memcpy(g->out + g->out_length, data, size);
    g->out_length += size;
}

__attribute__((format(printf, 2, 3))) static void answer(struct gdb *g, const char *format, ...)
{
    char text[256];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length > 0)
        answer_data(g, text, (size_t)length < sizeof(text) ? (size_t)length : sizeof(text) - 1);
}

static void answer_hex(struct gdb *g, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        const char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};

        answer_data(g, pair, 2);
    }
}

static void send_raw(struct gdb *g, const void *data, size_t size)
{
    g->dev->backend.write(g->dev->backend.ctx, data, size);
}

static void answer_send(struct gdb *g)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t sum = 0;
    size_t to = 0;

    g->sent[to++] = '$';
    for (size_t i = 0; i < g->out_length; i++) {
        uint8_t byte = (uint8_t)g->out[i];

        if (byte == '$' || byte == '#' || byte == '}' || byte == '*') {
            g->sent[to++] = '}';
            sum += '}';
            byte ^= 0x20;
        }
        g->sent[to++] = byte;
        sum += byte;
    }
    g->sent[to++] = '#';
    g->sent[to++] = (uint8_t)digits[sum >> 4];
    g->sent[to++] = (uint8_t)digits[sum & 15];
    g->sent_length = to;
    send_raw(g, g->sent, to);
}

static void answer_stop(struct gdb *g)
{
    const struct pc_pause *pause = pc_pause_state(g->m->pc);
    static const char *const watch_names[] = {
        [DEBUGGER_WRITE] = "watch", [DEBUGGER_READ] = "rwatch", [DEBUGGER_ACCESS] = "awatch"};
    bool software = false;

    if (pause == NULL || pause->reason == PC_PAUSE_USER) {
        answer(g, "T%02xthread:01;", SIGNAL_INT);
        return;
    }
    answer(g, "T%02xthread:01;", pause->reason == PC_PAUSE_IO_ERROR ? SIGNAL_IO : SIGNAL_TRAP);
    if (pause->reason == PC_PAUSE_WATCHPOINT) {
        answer(g, "%s:%llx;", watch_names[pause->kind], (unsigned long long)pause->address);
    } else if (pause->reason == PC_PAUSE_BREAKPOINT && g->says_swbreak) {
        for (unsigned i = 0; i < g->point_count; i++)
            software |= g->points[i].type == SOFTWARE && g->points[i].address == pause->address;
        answer(g, "%s:;", software ? "swbreak" : "hwbreak");
    }
}

/* ---- registers and memory ---- */

static void read_registers(struct gdb *g)
{
    struct cpu *cpu = pc_cpu(g->m->pc);
    const unsigned count = gdb_register_count(&g->target);
    uint8_t value[GDB_REGISTER_BYTES];

    fpu_leave(cpu);
    for (unsigned i = 0; i < count; i++)
        answer_hex(g, value, gdb_register_read(&g->target, cpu, i, value));
}

/* G: as many as there are digits for; those that cannot be changed stay. */
static bool write_registers(struct gdb *g, const char *at)
{
    struct cpu *cpu = pc_cpu(g->m->pc);
    const unsigned count = gdb_register_count(&g->target);
    uint8_t value[GDB_REGISTER_BYTES];

    fpu_leave(cpu);
    for (unsigned i = 0; i < count && *at != '\0'; i++) {
        if (!take_bytes(&at, value, gdb_register_size(&g->target, i)))
            return false;
        (void)gdb_register_write(&g->target, cpu, i, value);
    }
    return *at == '\0';
}

static bool read_register(struct gdb *g, const char *at)
{
    struct cpu *cpu = pc_cpu(g->m->pc);
    uint8_t value[GDB_REGISTER_BYTES];
    uint64_t number;
    size_t size;

    if (!take_hex(&at, &number) || *at != '\0' || number > UINT16_MAX)
        return false;
    fpu_leave(cpu);
    size = gdb_register_read(&g->target, cpu, (unsigned)number, value);
    answer_hex(g, value, size);
    return size != 0;
}

static bool write_register(struct gdb *g, const char *at)
{
    struct cpu *cpu = pc_cpu(g->m->pc);
    uint8_t value[GDB_REGISTER_BYTES];
    uint64_t number;

    if (!take_hex(&at, &number) || !take_char(&at, '=') || number > UINT16_MAX ||
        !take_bytes(&at, value, gdb_register_size(&g->target, (unsigned)number)) || *at != '\0')
        return false;
    fpu_leave(cpu);
    return gdb_register_write(&g->target, cpu, (unsigned)number, value);
}

/* "ADDRESS,LENGTH" */
static bool take_range(const char **at, uint64_t *address, uint64_t *length)
{
    return take_hex(at, address) && take_char(at, ',') && take_hex(at, length);
}

static bool read_memory(struct gdb *g, const char *at)
{
    static uint8_t zero[1];
    uint64_t address, length;
    uint8_t *buffer;
    size_t got;

    if (!take_range(&at, &address, &length) || *at != '\0')
        return false;
    if (length > MEMORY_BYTES)
        length = MEMORY_BYTES;
    buffer = length != 0 ? malloc(length) : zero;
    if (buffer == NULL)
        return false;
    if (g->physical) {
        physmem_read_bytes(pc_memory(g->m->pc), address, buffer, length);
        got = length;
    } else {
        got = debugger_read(pc_cpu(g->m->pc), address, buffer, length);
    }
    answer_hex(g, buffer, got);
    if (length == 0)
        return true;
    free(buffer);
    return got != 0;
}

static bool store(struct gdb *g, uint64_t address, const uint8_t *bytes, size_t length)
{
    if (!g->physical)
        return debugger_write(pc_cpu(g->m->pc), address, bytes, length) == length;
    fpu_leave(pc_cpu(g->m->pc));
    physmem_write_bytes(pc_memory(g->m->pc), address, bytes, length);
    return true;
}

static bool write_memory(struct gdb *g, const char *at)
{
    uint8_t bytes[PACKET_BYTES / 2];
    uint64_t address, length;

    return take_range(&at, &address, &length) && take_char(&at, ':') && length <= sizeof(bytes) &&
           take_bytes(&at, bytes, length) && *at == '\0' && store(g, address, bytes, length);
}

/* X: the same in binary; } escapes. */
static bool write_binary(struct gdb *g, const char *at)
{
    const char *end = g->in + g->in_length;
    uint8_t bytes[PACKET_BYTES];
    uint64_t address, length;
    size_t count = 0;

    if (!take_range(&at, &address, &length) || !take_char(&at, ':'))
        return false;
    while (at < end) {
        uint8_t byte = (uint8_t)*at++;

        if (byte == '}') {
            if (at == end)
                return false;
            byte = (uint8_t)*at++ ^ 0x20;
        }
        bytes[count++] = byte;
    }
    return count == length && store(g, address, bytes, count);
}

/* ---- breakpoints ---- */

static int point_set(struct gdb *g, const struct point *p)
{
    static const enum debugger_watch_kind kinds[POINT_TYPES] = {[WATCH_WRITE] = DEBUGGER_WRITE,
                                                                [WATCH_READ] = DEBUGGER_READ,
                                                                [WATCH_ACCESS] = DEBUGGER_ACCESS};

    return p->type <= HARDWARE ? pc_add_breakpoint(g->m->pc, p->address)
                               : pc_add_watchpoint(g->m->pc, p->address, p->size, kinds[p->type]);
}

/* Set them all anew: two points may share an address. */
static void points_apply(struct gdb *g)
{
    pc_clear_breakpoints(g->m->pc);
    for (unsigned i = 0; i < g->point_count; i++)
        (void)point_set(g, &g->points[i]);
}

/* "TYPE,ADDRESS,KIND": KIND is the size of a watchpoint. */
static void change_point(struct gdb *g, const char *at, bool set)
{
    struct point p = {0};
    uint64_t type;
    unsigned i;

    if (!take_hex(&at, &type) || !take_char(&at, ',')) {
        answer(g, "E22");
        return;
    }
    if (type >= POINT_TYPES)
        return; /* not supported */
    p.type = (enum point_type)type;
    if (!take_range(&at, &p.address, &p.size) || (*at != '\0' && *at != ';') ||
        (p.type > HARDWARE && p.size == 0)) {
        answer(g, "E22");
        return;
    }
    /* gdb may sign-extend a 32-bit address.  A model with long mode may be set up from 32-bit code.
     */
    if (!g->target.wide && p.address >> 32 == UINT32_MAX)
        p.address = (uint32_t)p.address;
    for (i = 0; i < g->point_count; i++)
        if (g->points[i].type == p.type && g->points[i].address == p.address &&
            g->points[i].size == p.size)
            break;
    if (set && i == g->point_count) {
        if (i == POINTS_MAX || point_set(g, &p) != 0) {
            answer(g, "E28");
            return;
        }
        g->points[g->point_count++] = p;
    } else if (!set && i < g->point_count) {
        g->points[i] = g->points[--g->point_count];
        points_apply(g);
    }
    answer(g, "OK");
}

static void drop_points(struct gdb *g)
{
    g->point_count = 0;
    points_apply(g);
}

/* ---- running ---- */

static void resume(struct gdb *g, bool step)
{
    if (pc_debug_cont(g->m->pc, step) != 0)
        answer_stop(g); /* it is off */
    else
        g->running = g->no_answer = true;
}

/* c, s: with an address to go on at. C, S: a signal, which the guest has no use for, first. */
static void resume_at(struct gdb *g, const char *at, bool step)
{
    struct cpu *cpu = pc_cpu(g->m->pc);
    uint64_t address;

    if (*at != '\0') {
        if (!take_hex(&at, &address) || *at != '\0') {
            answer(g, "E22");
            return;
        }
        cpu->rip = cpu_is_code64(cpu) ? address : (uint32_t)address;
    }
    resume(g, step);
}

static void resume_signal(struct gdb *g, const char *at, bool step)
{
    uint64_t signal_number;

    if (!take_hex(&at, &signal_number)) {
        answer(g, "E22");
        return;
    }
    resume_at(g, *at == ';' ? at + 1 : at, step);
}

/* vCont;ACTION[:THREAD]...: the first action that is for our thread counts. */
static void resume_list(struct gdb *g, const char *at)
{
    while (take_char(&at, ';')) {
        const char action = *at;
        const size_t length = strcspn(at, ";:");
        uint64_t thread = 1;

        at += length;
        if (take_char(&at, ':')) {
            if (take_char(&at, '-'))
                at++; /* -1: all */
            else if (!take_hex(&at, &thread))
                break;
        }
        if (action != 'c' && action != 'C' && action != 's' && action != 'S')
            break;
        if (thread <= 1) {
            resume(g, action == 's' || action == 'S');
            return;
        }
    }
    answer(g, "E22");
}

static void quit(struct gdb *g)
{
    g->m->quit = true;
    pc_stop(g->m->pc);
}

static void detach(struct gdb *g)
{
    drop_points(g);
    g->running = false;
    g->connected = false;
    answer(g, "OK");
    (void)pc_cont(g->m->pc);
}

/* ---- queries ---- */

/* qXfer:features:read:target.xml:OFFSET,LENGTH */
static void transfer_features(struct gdb *g, const char *at)
{
    static const char name[] = "target.xml:";
    uint64_t offset, length;
    size_t size;

    if (!starts_with(at, name)) {
        answer(g, "E00");
        return;
    }
    at += strlen(name);
    if (g->xml == NULL)
        g->xml = gdb_target_xml(&g->target);
    if (g->xml == NULL || !take_range(&at, &offset, &length) || *at != '\0') {
        answer(g, "E22");
        return;
    }
    size = strlen(g->xml);
    if (offset > size)
        offset = size;
    if (length > PACKET_BYTES / 2)
        length = PACKET_BYTES / 2; /* escapes included it fits */
    if (length > size - offset)
        length = size - offset;
    answer(g, offset + length < size ? "m" : "l");
    answer_data(g, g->xml + offset, length);
}

/* qRcmd,HEX: a line for the monitor. */
static void monitor_line(struct gdb *g, const char *at)
{
    const size_t length = strlen(at) / 2;
    char line[PACKET_BYTES / 2 + 1];
    char *text = NULL;
    size_t size = 0;
    FILE *out;

    if (!take_bytes(&at, (uint8_t *)line, length) || *at != '\0') {
        answer(g, "E22");
        return;
    }
    line[length] = '\0';
    out = open_memstream(&text, &size);
    if (out == NULL) {
        answer(g, "E12");
        return;
    }
    monitor_command(g->m, line, out);
    fclose(out);
    for (size_t at_text = 0; at_text < size; at_text += MEMORY_BYTES) {
        const size_t part = size - at_text < MEMORY_BYTES ? size - at_text : MEMORY_BYTES;

        answer(g, "O");
        answer_hex(g, (const uint8_t *)text + at_text, part);
        answer_send(g);
        answer_begin(g);
    }
    free(text);
    answer(g, "OK");
}

static void query(struct gdb *g, const char *at)
{
    static const char features[] = "qXfer:features:read:", command[] = "qRcmd,",
                      extra[] = "qThreadExtraInfo,", physical[] = "Qqemu.PhyMemMode:";

    if (starts_with(at, "qSupported") && (at[10] == '\0' || at[10] == ':')) {
        g->says_swbreak = strstr(at, "swbreak+") != NULL;
        answer(g,
               "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;"
               "hwbreak+",
               PACKET_BYTES);
    } else if (starts_with(at, features)) {
        transfer_features(g, at + strlen(features));
    } else if (starts_with(at, command)) {
        monitor_line(g, at + strlen(command));
    } else if (!strcmp(at, "QStartNoAckMode")) {
        g->no_ack = true;
        answer(g, "OK");
    } else if (!strcmp(at, "qC")) {
        answer(g, "QC01");
    } else if (starts_with(at, "qAttached")) {
        answer(g, "1"); /* gdb's quit detaches */
    } else if (!strcmp(at, "qfThreadInfo")) {
        answer(g, "m01");
    } else if (!strcmp(at, "qsThreadInfo")) {
        answer(g, "l");
    } else if (starts_with(at, extra)) {
        static const char running[] = "CPU#0 [running]", halted[] = "CPU#0 [halted]";
        const char *text = pc_cpu(g->m->pc)->halted ? halted : running;

        answer_hex(g, (const uint8_t *)text, strlen(text));
    } else if (!strcmp(at, "qqemu.PhyMemMode")) {
        answer(g, "%d", g->physical);
    } else if (starts_with(at, physical)) {
        g->physical = at[strlen(physical)] == '1';
        answer(g, "OK");
    }
}

/* ---- one packet ---- */

/* Commands that answer OK or E. */
static void say(struct gdb *g, bool ok)
{
    answer(g, ok ? "OK" : "E22");
}

static void long_command(struct gdb *g, const char *at)
{
    if (!strcmp(at, "vCont?"))
        answer(g, "vCont;c;C;s;S");
    else if (starts_with(at, "vCont;"))
        resume_list(g, at + 5);
    else if (starts_with(at, "vKill;")) {
        answer(g, "OK");
        quit(g);
    }
}

static void execute(struct gdb *g)
{
    const char *at = g->in + 1;

    g->in[g->in_length] = '\0';
    answer_begin(g);
    g->no_answer = false;
    switch (g->in[0]) {
    case '?':
        g->running = false;
        if (!pc_is_paused(g->m->pc))
            pc_pause(g->m->pc, PC_PAUSE_USER);
        answer_stop(g);
        break;
    case 'g':
        read_registers(g);
        break;
    case 'G':
        say(g, write_registers(g, at));
        break;
    case 'p':
        if (!read_register(g, at))
            answer(g, "E22");
        break;
    case 'P':
        say(g, write_register(g, at));
        break;
    case 'm':
        if (!read_memory(g, at))
            answer(g, "E14");
        break;
    case 'M':
        say(g, write_memory(g, at));
        break;
    case 'X':
        say(g, write_binary(g, at));
        break;
    case 'c':
    case 's':
        resume_at(g, at, g->in[0] == 's');
        break;
    case 'C':
    case 'S':
        resume_signal(g, at, g->in[0] == 'S');
        break;
    case 'v':
        long_command(g, g->in);
        break;
    case 'Z':
    case 'z':
        change_point(g, at, g->in[0] == 'Z');
        break;
    case 'H':
        answer(g, "OK"); /* there is one thread */
        break;
    case 'T':
        say(g, strtoul(at, NULL, 16) == 1);
        break;
    case 'D':
        detach(g);
        break;
    case 'k':
        quit(g);
        return;
    case 'q':
    case 'Q':
        query(g, g->in);
        break;
    default:
        break; /* an empty answer: unknown */
    }
    if (!g->no_answer)
        answer_send(g);
}

/* ---- the stream ---- */

static void packet_end(struct gdb *g)
{
    const bool good = g->got_sum == g->sum && !g->bad;

    g->state = IDLE;
    if (!g->no_ack)
        send_raw(g, good ? "+" : "-", 1);
    else if (!good)
        return;
    if (good && g->in_length != 0 && g->dev->out_fd >= 0)
        execute(g);
}

static void take(struct gdb *g, uint8_t byte)
{
    switch (g->state) {
    case IDLE:
        if (byte == '$') {
            g->state = DATA;
            g->in_length = 0;
            g->sum = 0;
            g->bad = false;
        } else if (byte == 0x03) {
            pc_pause(g->m->pc, PC_PAUSE_USER); /* paused() answers */
        } else if (byte == '-' && !g->no_ack && g->sent_length != 0) {
            send_raw(g, g->sent, g->sent_length);
        }
        break;
    case DATA:
        if (byte == '#') {
            g->state = CHECKSUM_HIGH;
            break;
        }
        if (byte == '$') { /* a new one: the last was cut off */
            g->in_length = 0;
            g->sum = 0;
            g->bad = false;
            break;
        }
        g->sum += byte;
        if (g->in_length < PACKET_BYTES)
            g->in[g->in_length++] = (char)byte;
        else
            g->bad = true;
        break;
    case CHECKSUM_HIGH:
        g->bad = g->bad || hex_value((char)byte) < 0;
        g->got_sum = (uint8_t)((unsigned)hex_value((char)byte) << 4);
        g->state = CHECKSUM_LOW;
        break;
    case CHECKSUM_LOW:
        g->bad = g->bad || hex_value((char)byte) < 0;
        g->got_sum |= (uint8_t)(hex_value((char)byte) & 15);
        packet_end(g);
        break;
    }
}

static size_t can_receive(void *ctx)
{
    const struct gdb *g = ctx;

    return g->m->quit ? 0 : RECEIVE_BYTES;
}

static void begin_session(struct gdb *g)
{
    g->connected = true;
    g->no_ack = g->running = g->says_swbreak = g->physical = false;
    g->state = IDLE;
    g->sent_length = 0;
    pc_pause(g->m->pc, PC_PAUSE_USER);
}

static void receive(void *ctx, const uint8_t *data, size_t size)
{
    struct gdb *g = ctx;

    for (size_t i = 0; i < size && !g->m->quit; i++) {
        /* After a detach, and on streams that do not tell: whoever speaks is a new gdb. */
        if (!g->connected && data[i] == '$')
            begin_session(g);
        take(g, data[i]);
    }
}

static void connected(void *ctx, bool open)
{
    struct gdb *g = ctx;

    if (open) {
        begin_session(g);
    } else {
        g->connected = g->running = false;
        if (g->m->pc != NULL)
            drop_points(g);
    }
}

static void paused(void *ctx, const struct pc_pause *pause)
{
    struct gdb *g = ctx;

    (void)pause;
    if (!g->running)
        return;
    g->running = false;
    answer_begin(g);
    answer_stop(g);
    answer_send(g);
}

struct gdb *gdb_open(struct machine *m, struct chardev *dev)
{
    struct gdb *g = calloc(1, sizeof(*g));

    if (g == NULL)
        return NULL;
    g->m = m;
    g->dev = dev;
    g->target = gdb_target_of(&m->model);
    dev->backend.chip = g;
    dev->backend.can_receive = can_receive;
    dev->backend.receive = receive;
    dev->connected = connected;
    dev->connected_ctx = g;
    pc_on_pause(m->pc, paused, g);
    return g;
}

void gdb_exited(struct gdb *g, int status)
{
    if (g == NULL || !g->running)
        return;
    answer_begin(g);
    answer(g, "W%02x", (unsigned)status & 0xff);
    answer_send(g);
}

void gdb_close(struct gdb *g)
{
    if (g == NULL)
        return;
    pc_on_pause(g->m->pc, NULL, NULL);
    g->dev->backend.receive = NULL;
    g->dev->connected = NULL;
    free(g->xml);
    free(g);
}
