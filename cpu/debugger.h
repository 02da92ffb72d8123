/*
 * cpu/debugger.h -- breakpoints and watchpoints that somebody outside the guest has set.
 *
 * The guest cannot see them: nothing is written into its memory, its debug registers stay its own,
 * no exception is delivered.  A hit is recorded here and kicks the CPU; the run loop returns
 * RUN_EXIT at that instruction boundary, and its caller looks at `hit`.
 *
 * Exactness: the run loops ask debugger_stops() before an instruction at a breakpoint runs (the
 * interpreter runs no decoded block across one, the translator makes none); pages with a watchpoint
 * have no TLB data tags, so every access to them comes to cpu/access.c, which tells
 * debugger_note_access().  cpu->debugger is NULL while nothing is set, and nothing is asked then.
 */
#ifndef RINGER_CPU_DEBUGGER_H
#define RINGER_CPU_DEBUGGER_H

#include "cpu/cpu.h"
#include "cpu/mmu.h"

enum { DEBUGGER_BREAKPOINTS_MAX = 1024, DEBUGGER_WATCHPOINTS_MAX = 64 };

/* The bit of cpu->data_breakpoints that stands for all watchpoints of the debugger. */
enum { DEBUGGER_WATCHES = 1 << 7 };

enum debugger_watch_kind { DEBUGGER_WRITE = 1, DEBUGGER_READ = 2, DEBUGGER_ACCESS = 3 };

struct debugger_watch {
    linaddr_t start, last; /* inclusive */
    enum debugger_watch_kind kind;
};

struct debugger_hit {
    enum { DEBUGGER_NO_HIT, DEBUGGER_HIT_BREAKPOINT, DEBUGGER_HIT_WATCHPOINT } what;
    linaddr_t address; /* of the breakpoint, or the first watched byte that was touched */
    enum debugger_watch_kind kind;
};

struct debugger {
    linaddr_t breakpoints[DEBUGGER_BREAKPOINTS_MAX]; /* ascending */
    unsigned breakpoint_count;
    uint64_t breakpoint_pages; /* bit: low six bits of the page number of some breakpoint */
    struct debugger_watch watches[DEBUGGER_WATCHPOINTS_MAX];
    unsigned watch_count;
    bool pass; /* the next instruction runs even at a breakpoint */
    struct debugger_hit hit;
};

/* All of these: while the CPU does not run.  0, -ENOSPC, or -ENOENT (remove). A breakpoint that is
 * there already is there once. The caller tells the translator about a new breakpoint. */
int debugger_add_breakpoint(struct cpu *cpu, struct debugger *d, linaddr_t linear);
int debugger_remove_breakpoint(struct cpu *cpu, struct debugger *d, linaddr_t linear);
/* size: in bytes, at least 1. */
int debugger_add_watch(struct cpu *cpu, struct debugger *d, linaddr_t linear, uint64_t size,
                       enum debugger_watch_kind kind);
int debugger_remove_watch(struct cpu *cpu, struct debugger *d, linaddr_t linear, uint64_t size,
                          enum debugger_watch_kind kind);
void debugger_clear(struct cpu *cpu, struct debugger *d);

/* Linear address of the next instruction. */
linaddr_t debugger_pc(const struct cpu *cpu);

/* Is there a breakpoint in [linear, linear + size)? */
bool debugger_breaks_in(const struct debugger *d, linaddr_t linear, unsigned size);
/* Must the CPU stop before the instruction at CS:rip?  Then the hit is recorded and the CPU
 * kicked.  Asked once for each instruction that is to run. */
bool debugger_stops(struct cpu *cpu);
bool debugger_watches_page(const struct debugger *d, linaddr_t linear);
/* The running instruction has accessed [linear, linear + size). */
void debugger_note_access(struct cpu *cpu, linaddr_t linear, unsigned size, enum access access);

/* Execute exactly one instruction, or deliver the one fault or trap that it raises.  No interrupt is
 * taken. */
void debugger_step(struct cpu *cpu);

/*
 * Guest memory by linear address, through the page tables as they are now, at any privilege and
 * without side effects: no A or D bit is set, no device is touched (MMIO reads as ones, stores to it
 * and to ROM are dropped).  The number of bytes up to the first page that is not mapped.
 */
size_t debugger_read(struct cpu *cpu, linaddr_t linear, void *buffer, size_t size);
size_t debugger_write(struct cpu *cpu, linaddr_t linear, const void *buffer, size_t size);

#endif
