/*
 * translator/runtime.h -- what a translator is made of: cache, glue, options, counters.
 */
#ifndef RINGER_TRANSLATOR_RUNTIME_H
#define RINGER_TRANSLATOR_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "translator/block.h"
#include "translator/contract.h"
#include "translator/sampler.h"
#include "translator/smc.h"
#include "translator/translator.h"

/* Permanent pieces of generated code (translator/glue.c); host addresses. */
struct glue {
    void (*enter)(struct cpu *cpu, uint64_t host); /* C -> generated code */
    uint64_t reload; /* load the contract's registers, go on at rt.resume */
    uint64_t leave;  /* state is in struct cpu: return from enter() */
    /* CALL; then a record: u32, the block and, from BLOCK_NUMBER_BITS, a number in it. */
    uint64_t slow;     /* instruction, and u8 block_call or BLOCK_NO_CALL: interpret it, go on */
    uint64_t step;     /* instruction: fetch it anew and interpret it */
    uint64_t stop;     /* instruction: leave before it */
    uint64_t resolve;  /* exit: find and link its target */
    uint64_t hot;      /* 0: the block has been come to often */
    uint64_t stale;    /* instruction: computed jumps have gone elsewhere too often, as this one */
    uint64_t recheck;  /* 0: its page may be mapped elsewhere now */
    uint64_t indirect; /* JMP, or CALL, with T0 = offset in CS: find the block */
    uint64_t return_miss[TLB_VIEWS];  /* JMP with T0 = offset in CS, T1: &record of the RET */
    uint64_t return_empty[TLB_VIEWS]; /* RET at the bottom of a return stack */
    uint64_t fault; /* entered by the host-fault handler; rt.fault_block, rt.fault_insn */
};

enum { GLUE_RECORD_BYTES = 4 };

struct returns;

struct run_counters {
    uint64_t enters, slow, host_faults, stops, resolves, indirect_misses, rechecks;
    uint64_t region_changes; /* checks that failed */
    uint64_t return_misses, superblocks, stale;
    uint64_t window_misses, unwindowed; /* faults in windows; instructions that gave them up */
    uint64_t window_awaited;            /* fills behind the guest's handler of its fault */
    uint64_t ungrouped, steps, cold, untranslatable, code_stores;
    uint64_t adopted;            /* blocks of processes that are gone */
    uint64_t copies, bad_copies; /* of blocks; -x check-copy found to be no copies */
    uint64_t building_ticks;     /* of the TSC, spent in build_block() */
};

struct tables;

/* How often an untranslated address was met. */
enum { HEAT_BITS = 17 };
struct heat {
    uint8_t tag, visits;
};

/* Pages whose code had no orphan for the address space with that root (translator/copy.c). */
enum { BARREN = 64 };
struct barren {
    physaddr_t page;
    uint64_t root;
};

/*
 * What instructions have cost by faulting in a window, by where they are.  A fault that maps pages
 * is an investment; one after which the page still cannot be there (a page that the guest has yet
 * to map, device memory, a store beside translated code) is likely to come again, most of all the
 * supervisor's to user memory.
 */
enum {
    WINDOW_NOTE_BITS = 16,
    WINDOW_FILL_COST = 1,
    WINDOW_MISS_COST = 24,
    WINDOW_SUPERVISOR_MISS_COST = 128,
    WINDOW_COST_MAX = 768,
};

/* Pages that code was in which has given up its window, by number modulo this many: most have
 * none, and then nobody has to look its instructions up. */
enum { PROBED_BITS = 12 };

struct window_note {
    uint16_t cost;
    uint16_t tag; /* of the instruction; 0: of none */
};

/* Which region an instruction's operand was found in last, and how often that has changed. */
struct region_note {
    int16_t slot;
    uint8_t changes : 7;
    bool no_index : 1; /* its index was too large to be checked by itself (hosted.c) */
    uint8_t tag;       /* of the instruction; 0: of none */
};
enum {
    REGION_NOTE_BITS = 18,
    REGION_CHANGES = 4, /* so often, and regions are looked up */
    REGION_UNKNOWN = INT16_MIN,
};

enum { NO_GROUP_BITS = 14 };

struct translator {
    struct physmem *mem;
    struct tables *tables; /* of the attached CPU */
    struct translator_options options;
    struct cache *cache;
    struct glue glue[2]; /* by contract: 16/32-bit, 64-bit */
    struct run_counters counters;
    struct cpu *cpu;                    /* the attached CPU */
    uint64_t *interpreted;              /* by row of cpu/insn.def: side exits and calls */
    uint64_t created_ns, created_ticks; /* for the length of a TSC tick */
    bool bmi2;
    bool quick_loop;        /* LOOP, not taken, is as good as JRCXZ */
    bool signals_installed; /* those of hostsignal.c, process-wide; asking again is five system
                               calls */
    struct heat heat[1 << HEAT_BITS];
    struct barren barren[BARREN];
    uint64_t
        no_group[(1 << NO_GROUP_BITS) / 64]; /* addresses whose blocks do better without groups */
    struct windows *windows;                 /* of the attached CPU; NULL: none */
    struct returns *returns;
    struct sampler sampler;
    bool busy; /* generated code was found running */
    /* A user's access has missed its window, and the guest was told of a fault: where in the host,
     * and which instruction.  Its handler will most often have put a page there. */
    struct {
        uint64_t host, rip;
    } awaited;
    bool cold;        /* find_block() has said: interpret */
    unsigned arrived; /* how the run loop has come to CS:rip: enum build_flag */
    struct smc smc;
    struct window_note window_notes[1 << WINDOW_NOTE_BITS];
    uint64_t probed[(1 << PROBED_BITS) / 64];
    struct region_note regions[1 << REGION_NOTE_BITS];
    int16_t usual_slot[2]; /* of the supervisor, of users: a guess where nothing else is known */
};

/* Where an instruction's entry is in a table of 1 << bits that do not say whose they are. */
static inline unsigned runtime_place(physaddr_t phys, unsigned bits)
{
    return (unsigned)((phys ^ phys >> bits) & ((1u << bits) - 1));
}

/* What stands for the instruction at both addresses: memory is used again, by other programs. */
static inline uint64_t runtime_mixed(physaddr_t phys, linaddr_t linear)
{
    return (phys ^ linear << 20) * 0x9e3779b97f4a7c15ull;
}

/* The instruction's note. */
static inline struct region_note *runtime_region(struct translator *tr, physaddr_t phys,
                                                 linaddr_t linear)
{
    const uint64_t mixed = runtime_mixed(phys, linear);
    struct region_note *note = &tr->regions[mixed >> (64 - REGION_NOTE_BITS)];
    const uint8_t tag = (uint8_t)(mixed >> 32) | 1;

    if (note->tag != tag)
        *note = (struct region_note){.slot = REGION_UNKNOWN, .tag = tag};
    return note;
}

/* The instruction's account. */
static inline uint16_t *runtime_window_cost(struct translator *tr, physaddr_t phys,
                                            linaddr_t linear)
{
    const uint64_t mixed = runtime_mixed(phys, linear);
    struct window_note *note = &tr->window_notes[mixed >> (64 - WINDOW_NOTE_BITS)];
    const uint16_t tag = (uint16_t)(mixed >> 32) | 1;

    if (note->tag != tag)
        *note = (struct window_note){.tag = tag};
    return &note->cost;
}

static inline unsigned probed_place(physaddr_t phys)
{
    return phys >> PAGE_SHIFT & ((1u << PROBED_BITS) - 1);
}

/* The account is used up: a probe from now on. */
static inline void runtime_give_up_window(struct translator *tr, physaddr_t phys, linaddr_t linear)
{
    *runtime_window_cost(tr, phys, linear) = WINDOW_COST_MAX;
    tr->probed[probed_place(phys) / 64] |= 1ull << probed_place(phys) % 64;
}

/* The same for who only asks: does not forget another instruction for it. */
static inline bool runtime_prefers_probe(const struct translator *tr, physaddr_t phys,
                                         linaddr_t linear)
{
    const uint64_t mixed = runtime_mixed(phys, linear);
    const struct window_note *note = &tr->window_notes[mixed >> (64 - WINDOW_NOTE_BITS)];

    if (!(tr->probed[probed_place(phys) / 64] >> probed_place(phys) % 64 & 1))
        return false;
    return note->tag == ((uint16_t)(mixed >> 32) | 1) && note->cost >= WINDOW_COST_MAX;
}

static inline unsigned no_group_place(physaddr_t phys)
{
    return runtime_place(phys, NO_GROUP_BITS);
}

static inline bool runtime_no_group(const struct translator *tr, physaddr_t phys)
{
    return tr->no_group[no_group_place(phys) / 64] >> no_group_place(phys) % 64 & 1;
}

static inline void runtime_set_no_group(struct translator *tr, physaddr_t phys)
{
    tr->no_group[no_group_place(phys) / 64] |= 1ull << no_group_place(phys) % 64;
}

/* Called by glue.  Each answers with glue.leave, or with glue.reload after setting rt.resume. */
uint64_t runtime_slow(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_step(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_stop(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_resolve(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_hot(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_stale(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_recheck(struct cpu *cpu, const uint8_t *record);
uint64_t runtime_indirect(struct cpu *cpu, const uint8_t *unused);
uint64_t runtime_return(struct cpu *cpu, const uint8_t *unused);
uint64_t runtime_fault(struct cpu *cpu, const uint8_t *unused);

/*
 * Look T0 up in the jump cache of a view.  Polls.
 * returns: the jump taken on a hit, when BASE(index) names the entry; else it goes on behind.
 * clobbers: TC, index
 */
struct label flow_lookup(struct emit *e, enum tlb_view view, bool code64, uint8_t index);
/* The same the other way round, by LOOP: it goes on behind on a hit, and jumps on a miss. */
struct flow_missed {
    struct label jumps[2];
};
struct flow_missed flow_lookup_through(struct emit *e, enum tlb_view view, bool code64,
                                       uint8_t index);
void flow_bind_missed(struct emit *e, const struct flow_missed *missed);
#define FLOW_FOUND(view, index) INDEX(HOST_CPU, (index), 8, AT_JUMP((view), host))

/* Emit the glue into e; false when it does not fit. */
bool glue_emit(struct glue *glue, const struct contract *contract, bool quick_loop, struct emit *e);

static inline const struct glue *glue_of(const struct translator *tr, uint32_t mode)
{
    return &tr->glue[mode_is_code64(mode)];
}

/* translator/tables.c: the per-CPU tables of struct rt. */
struct tables *tables_create(struct cpu *cpu); /* NULL: no memory */
void tables_destroy(struct tables *tables);
/* Follow what cpu->tlb drops. */
void tables_flush(struct cpu *cpu, uint64_t argument, enum tlb_flush what);
/* Take over what cpu->tlb knows about the page of `linear`. */
void tables_fill(struct cpu *cpu, linaddr_t linear);
void tables_fill_code(struct cpu *cpu, linaddr_t linear, uint32_t id);
/* Are the code ids of the current view those of the current mode? */
bool tables_know_mode(struct cpu *cpu);
/* No inline stores to the page of host memory that starts at `host`. */
void tables_drop_writes(struct cpu *cpu, const uint8_t *host);
/* The block at `key`, entered at `checked`, is gone (NULL: all are).  empty: what an empty jump
 * cache entry jumps to. */
void tables_drop_block(struct cpu *cpu, const struct block_key *key, uint64_t checked,
                       uint64_t empty);

/* translator/hostsignal.c: host faults inside generated code become side exits. */
void hostsignal_attach(struct translator *tr);
void hostsignal_detach(void);

/* translator/stats.c: the clocks that counted ticks are told by start. */
void stats_begin(struct translator *tr);

/* translator/dump.c: -d in_asm,out_asm. */
void dump_block(struct translator *tr, const struct block *block, const uint8_t *guest);

#endif
