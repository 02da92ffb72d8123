/*
 * loader/lockstep.c -- the translator against the reference interpreter.
 *
 * Two machines of the same configuration run on counted time.  The translated one leads: it runs
 * a stretch of instructions and stops at a block boundary; the interpreted one then runs exactly as
 * many.  Both look at timers only where a stretch begins, so both see them at the same instruction.
 * Registers are compared after every stretch, memory every RAM_CHECK_INSNS.
 *
 * A difference is first found somewhere in a stretch.  Since everything is reproducible (input is
 * recorded with the instruction count at which it was given), both machines are then made again,
 * run to the last stretch that agreed, and from there on block by block: the report names the
 * block.
 * A difference in memory takes one run more, which watches the byte that turned out to differ.
 */
#define _GNU_SOURCE /* SEEK_DATA */
#include "loader/lockstep.h"

#include <capstone/capstone.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/interp.h"
#include "cpu/mmu.h"
#include "cpu/physmem.h"
#include "loader/compare.h"
#include "loader/signals.h"

enum { LEADER, FOLLOWER, SIDES };
enum {
    STRETCH_INSNS = 1000,
    RAM_CHECK_INSNS = 10000000,
    INPUT_CHECK_STRETCHES = 64,
    CODE_BYTES = 1024,
    LISTING_MAX = 80,
    FINE_BLOCKS_MAX = 2 * STRETCH_INSNS,
    COMPARE_BYTES = 64 << 10,
    RESTARTS_MAX = 3,
    CATCH_UP_STEPS_MAX = 65536,
    NOTE_BYTES = 4096,
    EXIT_DIFFERENT = 2,
};

static const uint64_t NOT_WATCHING = UINT64_MAX;

/* A byte of input and when it was given. */
struct input {
    uint64_t icount;
    unsigned port;
    uint8_t byte;
};

struct lockstep;

/* One serial port: the user's end, and the chip's end in each machine. */
struct port {
    struct lockstep *ls;
    unsigned index;
    struct chardev *real; /* NULL: output goes nowhere */
    struct char_backend side[SIDES];
};

struct lockstep {
    struct machine *m;
    struct error *error;
    struct pc *pc[SIDES];
    struct port ports[OPTIONS_SERIAL_MAX];
    struct port debugcon;
    struct input *inputs;
    size_t input_count, input_room, input_next; /* next: while replaying */
    bool replaying;                             /* no output, input from the record */
    uint64_t ram_checked;                       /* icount of the last comparison of memory */
    uint64_t watched;                           /* offset of a byte to compare, or NOT_WATCHING */
    uint64_t base;                              /* instructions retired before the last reset */
    /* Where the stretch began. */
    uint64_t start_icount, start_rip, start_linear;
    uint16_t start_cs;
    unsigned start_bits;   /* 16, 32, 64 */
    char note[NOTE_BYTES]; /* the registers that differed, before the follower went on */
    uint8_t code[CODE_BYTES];
    size_t code_bytes;
};

/* ---- what is compared ---- */

static bool registers_agree(struct lockstep *ls)
{
    return compare_cpus(pc_cpu(ls->pc[LEADER]), pc_cpu(ls->pc[FOLLOWER]), true, NULL, NULL, NULL);
}

/* The first byte of the backing stores that differs; false when none does.  Holes of the memfds,
 * which nobody has written, are not touched. */
static bool memory_difference(struct lockstep *ls, uint64_t *offset)
{
    struct physmem *a = pc_memory(ls->pc[LEADER]), *b = pc_memory(ls->pc[FOLLOWER]);
    const uint64_t size = physmem_backing_size(a);
    uint64_t at = 0;

    while (at < size) {
        const off_t data_a = lseek(physmem_fd(a), (off_t)at, SEEK_DATA);
        const off_t data_b = lseek(physmem_fd(b), (off_t)at, SEEK_DATA);
        uint64_t next = data_a >= 0 ? (uint64_t)data_a : size, part;

        if (data_b >= 0 && (uint64_t)data_b < next)
            next = (uint64_t)data_b;
        if (next >= size)
            return false;
        part = size - next < COMPARE_BYTES ? size - next : COMPARE_BYTES;
        if (memcmp(physmem_backing(a, next), physmem_backing(b, next), part) != 0) {
            while (*physmem_backing(a, next) == *physmem_backing(b, next))
                next++;
            *offset = next;
            return true;
        }
        at = next + part;
    }
    return false;
}

static bool watched_byte_agrees(const struct lockstep *ls)
{
    return ls->watched == NOT_WATCHING ||
           *physmem_backing(pc_memory(ls->pc[LEADER]), ls->watched) ==
               *physmem_backing(pc_memory(ls->pc[FOLLOWER]), ls->watched);
}

/* ---- the report ---- */

/* Keep for the report which registers differ now. */
static void note_difference(struct lockstep *ls)
{
    FILE *out = fmemopen(ls->note, sizeof(ls->note), "w");

    ls->note[0] = '\0';
    if (out == NULL)
        return;
    (void)compare_cpus(pc_cpu(ls->pc[LEADER]), pc_cpu(ls->pc[FOLLOWER]), true, out, "translated",
                       "interpreted");
    fclose(out);
    ls->note[sizeof(ls->note) - 1] = '\0';
}

static void report_code(const struct lockstep *ls, uint64_t insns)
{
    const cs_mode mode = ls->start_bits == 64   ? CS_MODE_64
                         : ls->start_bits == 32 ? CS_MODE_32
                                                : CS_MODE_16;
    cs_insn *list;
    csh handle;
    size_t count;

    if (insns == 0 || insns > LISTING_MAX)
        insns = LISTING_MAX;
    if (cs_open(CS_ARCH_X86, mode, &handle) != CS_ERR_OK)
        return;
    count = cs_disasm(handle, ls->code, ls->code_bytes, ls->start_rip, insns, &list);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "  %08llx  %s %s\n", (unsigned long long)list[i].address, list[i].mnemonic,
                list[i].op_str);
    if (count > 0)
        cs_free(list, count);
    cs_close(&handle);
}

static int report(struct lockstep *ls, const char *what)
{
    const struct cpu *a = pc_cpu(ls->pc[LEADER]), *b = pc_cpu(ls->pc[FOLLOWER]);
    uint64_t offset;

    signals_restore_terminal();
    fprintf(stderr,
            "ringer: lockstep: %s\n"
            "after %llu instructions (interpreted %llu); the stretch began at instruction %llu, "
            "%04x:%08llx, linear %08llx:\n",
            what, (unsigned long long)a->icount, (unsigned long long)b->icount,
            (unsigned long long)ls->start_icount, ls->start_cs, (unsigned long long)ls->start_rip,
            (unsigned long long)ls->start_linear);
    report_code(ls, a->icount - ls->start_icount);
    if (ls->note[0] == '\0')
        note_difference(ls);
    fputs(ls->note, stderr);
    if (memory_difference(ls, &offset))
        fprintf(stderr, "  memory+0x%llx: translated 0x%02x, interpreted 0x%02x\n",
                (unsigned long long)offset, *physmem_backing(pc_memory(ls->pc[LEADER]), offset),
                *physmem_backing(pc_memory(ls->pc[FOLLOWER]), offset));
    return EXIT_DIFFERENT;
}

/* ---- serial ports ---- */

static void shown_write(void *ctx, const uint8_t *data, size_t size)
{
    struct port *port = ctx;

    if (port->real != NULL && !port->ls->replaying)
        port->real->backend.write(port->real->backend.ctx, data, size);
}

static void hidden_write(void *ctx, const uint8_t *data, size_t size)
{
    (void)ctx, (void)data, (void)size;
}

static void give(struct port *port, uint8_t byte)
{
    for (unsigned side = 0; side < SIDES; side++)
        if (port->side[side].receive != NULL)
            port->side[side].receive(port->side[side].chip, &byte, 1);
}

/* The user's end: how much both chips can take (they agree as long as the machines do). */
static size_t port_can_receive(void *ctx)
{
    const struct port *port = ctx;
    size_t least = 1;

    for (unsigned side = 0; side < SIDES; side++) {
        const struct char_backend *end = &port->side[side];
        const size_t room = end->can_receive != NULL ? end->can_receive(end->chip) : 0;

        least = room < least ? room : least;
    }
    return least;
}

static void port_receive(void *ctx, const uint8_t *data, size_t size)
{
    struct port *port = ctx;
    struct lockstep *ls = port->ls;

    for (size_t i = 0; i < size; i++) {
        if (ls->input_count == ls->input_room) {
            const size_t room = ls->input_room * 2 + 256;
            struct input *larger = realloc(ls->inputs, room * sizeof(*larger));

            if (larger == NULL)
                return; /* the byte is lost to both machines alike */
            ls->inputs = larger;
            ls->input_room = room;
        }
        ls->inputs[ls->input_count++] = (struct input){
            .icount = ls->base + pc_cpu(ls->pc[LEADER])->icount,
            .port = port->index,
            .byte = data[i],
        };
        give(port, data[i]);
    }
}

static void port_init(struct lockstep *ls, struct port *port, unsigned index, struct chardev *real)
{
    port->ls = ls;
    port->index = index;
    port->real = real;
    for (unsigned side = 0; side < SIDES; side++) {
        port->side[side].ctx = port;
        port->side[side].write = side == LEADER ? shown_write : hidden_write;
    }
    if (real != NULL) {
        real->backend.chip = port;
        real->backend.can_receive = port_can_receive;
        real->backend.receive = port_receive;
    }
}

/* Between stretches: what the user typed, or what the record says. */
static void take_input(struct lockstep *ls)
{
    const uint64_t now = ls->base + pc_cpu(ls->pc[LEADER])->icount;

    while (ls->replaying && ls->input_next < ls->input_count &&
           ls->inputs[ls->input_next].icount <= now) {
        const struct input *in = &ls->inputs[ls->input_next++];

        give(&ls->ports[in->port], in->byte);
    }
    for (unsigned i = 0; i < OPTIONS_SERIAL_MAX && !ls->replaying; i++) {
        struct chardev *dev = ls->ports[i].real;
        struct pollfd fd;

        if (dev == NULL || dev->in_fd < 0)
            continue;
        chardev_pump(dev);
        fd = (struct pollfd){.fd = dev->in_fd, .events = POLLIN};
        if (chardev_wants_input(dev) && poll(&fd, 1, 0) == 1)
            chardev_ready(dev, dev->in_fd);
    }
}

/* ---- running ---- */

static bool create(struct lockstep *ls)
{
    for (unsigned side = 0; side < SIDES; side++) {
        struct pc_config config = ls->m->config;

        config.accel = side == LEADER ? ACCEL_TRANSLATE : ACCEL_INTERPRET;
        config.follower = true;
        config.counted_time = true;
        if (side == FOLLOWER)
            config.log = NULL;
        for (unsigned i = 0; i < OPTIONS_SERIAL_MAX; i++)
            if (config.serial[i] != NULL)
                config.serial[i] = &ls->ports[i].side[side];
        if (config.debugcon != NULL)
            config.debugcon = &ls->debugcon.side[side];
        ls->pc[side] = machine_create_pc(ls->m, &config, ls->error);
        if (ls->pc[side] == NULL)
            return false;
        if (side == LEADER)
            ls->m->pc = ls->pc[side];
    }
    ls->base = ls->ram_checked = 0;
    return true;
}

static void destroy(struct lockstep *ls)
{
    ls->m->pc = NULL;
    for (unsigned side = 0; side < SIDES; side++) {
        if (ls->pc[side] != NULL)
            pc_destroy(ls->pc[side]);
        ls->pc[side] = NULL;
    }
}

/* Remember where the stretch begins, for the report. */
static void note_start(struct lockstep *ls, bool with_code)
{
    struct cpu *cpu = pc_cpu(ls->pc[FOLLOWER]);
    physaddr_t phys;

    ls->note[0] = '\0';
    ls->start_icount = cpu->icount;
    ls->start_rip = cpu->rip;
    ls->start_cs = cpu->seg[CS].selector;
    ls->start_linear = cpu->seg[CS].base + cpu->rip;
    ls->start_bits = cpu_is_code64(cpu)                            ? 64
                     : (cpu->mode & MODE_CODE_MASK) == MODE_CODE32 ? 32
                                                                   : 16;
    ls->code_bytes = 0;
    /* Byte by byte up to the page's end, then the next page: pages need not be neighbours. */
    while (with_code && ls->code_bytes < CODE_BYTES &&
           mmu_peek(cpu, ls->start_linear + ls->code_bytes, &phys))
        physmem_read_bytes(pc_memory(ls->pc[FOLLOWER]), phys, &ls->code[ls->code_bytes++], 1);
}

enum verdict { SAME, ENDED, DIFFERENT };

/*
 * Do the registers agree?  The leader may have stopped behind something that did not retire: a
 * fault that was delivered, a part of a REP.  The follower has then not begun it: it goes on while
 * nothing retires.
 */
static bool catch_up(struct lockstep *ls)
{
    struct cpu *follower = pc_cpu(ls->pc[FOLLOWER]);
    const uint64_t icount = follower->icount;
    bool agree = registers_agree(ls);

    if (agree)
        return true;
    note_difference(ls);
    follower->one_element = true; /* behind which of them the leader has stopped is its own affair */
    for (unsigned i = 0; i < CATCH_UP_STEPS_MAX && !follower->halted && !agree; i++) {
        (void)interp_step(follower);
        if (follower->icount != icount)
            break;
        agree = registers_agree(ls);
    }
    follower->one_element = false;
    return agree;
}

/* One stretch.  *exit: how the leader's ended. */
static enum verdict stretch(struct lockstep *ls, uint64_t insns, enum pc_exit *exit)
{
    const struct cpu *leader = pc_cpu(ls->pc[LEADER]), *follower = pc_cpu(ls->pc[FOLLOWER]);
    uint64_t retired;
    enum pc_exit other;

    *exit = pc_run(ls->pc[LEADER], insns);
    if (*exit == PC_STOPPED)
        return ENDED;
    retired = leader->icount - ls->start_icount;
    /* Zero would mean "no instruction at all" to the follower as well. */
    other = pc_run(ls->pc[FOLLOWER], retired != 0 ? retired : 1);
    if (other != *exit)
        return DIFFERENT;
    if (*exit != PC_BUDGET)
        return ENDED; /* the leader may have run on to its block's end */
    if (leader->icount != follower->icount || !catch_up(ls) || !watched_byte_agrees(ls))
        return DIFFERENT;
    if (ls->watched == NOT_WATCHING && leader->icount - ls->ram_checked >= RAM_CHECK_INSNS) {
        ls->ram_checked = leader->icount;
        if (memory_difference(ls, &ls->watched))
            return DIFFERENT;
    }
    return SAME;
}

static void reset_both(struct lockstep *ls)
{
    ls->base += pc_cpu(ls->pc[LEADER])->icount;
    for (unsigned side = 0; side < SIDES; side++) {
        pc_reset(ls->pc[side]);
        machine_load(ls->m, ls->pc[side]);
    }
    ls->ram_checked = 0;
}

/* The end of the leader's run as an exit status, or -1 to go on. */
static int ended(struct lockstep *ls, enum pc_exit exit)
{
    switch (exit) {
    case PC_POWEROFF:
        return 0;
    case PC_RESET:
        if (ls->m->options->no_reboot)
            return 0;
        reset_both(ls);
        return -1;
    case PC_DEBUG_EXIT:
        return pc_debug_exit_status(ls->pc[LEADER]);
    case PC_STOPPED:
    case PC_BUDGET:
        break;
    }
    return ls->m->quit ? 0 : -1;
}

static bool start_again(struct lockstep *ls)
{
    destroy(ls);
    ls->replaying = true;
    ls->input_next = 0;
    return create(ls);
}

/*
 * Run again, silently, to where everything still agreed (`good` instructions, resets counted
 * through), then block by block until the difference shows.
 */
static int narrow(struct lockstep *ls, uint64_t good)
{
    unsigned restarts = 0;
    enum pc_exit exit;

    fprintf(stderr,
            "ringer: lockstep: a difference after instruction %llu; running again to find the "
            "block\n",
            (unsigned long long)good);
    if (!start_again(ls))
        return -1;
    for (unsigned fine = 0; fine < FINE_BLOCKS_MAX && !ls->m->quit;) {
        const uint64_t now = ls->base + pc_cpu(ls->pc[LEADER])->icount;
        const bool is_fine = now >= good;
        enum verdict verdict;

        take_input(ls);
        note_start(ls, is_fine);
        verdict = stretch(ls, is_fine ? 1 : STRETCH_INSNS, &exit);
        if (verdict == DIFFERENT && is_fine)
            return report(ls, "the translator and the interpreter differ");
        if (verdict == DIFFERENT) {
            /* Earlier than the first time: something is not reproducible. */
            fprintf(stderr, "ringer: lockstep: this time after instruction %llu\n",
                    (unsigned long long)now);
            good = now;
            if (++restarts > RESTARTS_MAX)
                return report(ls, "they differ, each time elsewhere");
            if (!start_again(ls))
                return -1;
        }
        if (verdict == ENDED && ended(ls, exit) >= 0)
            break;
        fine += is_fine;
    }
    return report(ls, "the difference does not show when running block by block");
}

static int run(struct lockstep *ls)
{
    const uint64_t max_insns = ls->m->options->max_insns;
    unsigned stretches = 0;

    while (!ls->m->quit && ls->base + pc_cpu(ls->pc[LEADER])->icount < max_insns) {
        const uint64_t good = ls->base + pc_cpu(ls->pc[LEADER])->icount;
        enum pc_exit exit;
        enum verdict verdict;
        const bool was_watching = ls->watched != NOT_WATCHING;

        if (stretches++ % INPUT_CHECK_STRETCHES == 0)
            take_input(ls);
        note_start(ls, false);
        verdict = stretch(ls, STRETCH_INSNS, &exit);
        if (verdict == DIFFERENT && (was_watching || ls->watched == NOT_WATCHING))
            return narrow(ls, good);
        if (verdict == DIFFERENT) {
            signals_restore_terminal();
            fprintf(stderr,
                    "ringer: lockstep: memory+0x%llx differs by instruction %llu; running again "
                    "to see since when\n",
                    (unsigned long long)ls->watched, (unsigned long long)good);
            stretches = 0;
            if (!start_again(ls))
                return -1;
        }
        if (verdict == ENDED) {
            const int status = ended(ls, exit);

            if (status >= 0)
                return status;
        }
    }
    return 0;
}

int lockstep_run(struct machine *m, struct error *error)
{
    struct lockstep ls = {.m = m, .error = error, .watched = NOT_WATCHING};
    int status = -1;

    for (unsigned i = 0; i < OPTIONS_SERIAL_MAX; i++)
        port_init(&ls, &ls.ports[i], i, m->serial[i]);
    port_init(&ls, &ls.debugcon, 0, m->debugcon);
    if (create(&ls)) {
        status = run(&ls);
        machine_report(m);
    }
    destroy(&ls);
    free(ls.inputs);
    return status;
}
