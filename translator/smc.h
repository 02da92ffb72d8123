/*
 * translator/smc.h -- what self-modifying code costs less by: immediates as data
 * (translator/live.c) and stores beside code (translator/beside.c).
 *
 * Both start from what has happened: an immediate that stores have changed a few times, a store
 * instruction that has hit pages with code a few times.  Blocks are then made anew with longer code
 * for these instructions; all others stay as they are.
 */
#ifndef RINGER_TRANSLATOR_SMC_H
#define RINGER_TRANSLATOR_SMC_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"

#include "translator/emit.h"

struct build;
struct translator;
struct block;

enum { SMC_IMM_BITS = 12, SMC_STORE_BITS = 14, SMC_BESIDE_LOG = 64 };

struct smc_counters {
    uint64_t live_imms;    /* immediates that were translated as data */
    uint64_t spared;       /* stores that a block with such immediates has outlived */
    uint64_t beside;       /* stores that were translated to look beside code */
    uint64_t beside_pages; /* pages that were entered in the tables of those */
};

/* In struct translator.  By hash: who shares a place is translated with more code than he needs. */
struct smc {
    struct {
        uint16_t tag;
        uint8_t changes; /* by stores, of the immediate at some address */
    } imms[1 << SMC_IMM_BITS];
    bool imms_live;
    uint8_t
        stores[1 << SMC_STORE_BITS]; /* to pages with code, by the instruction at some address */
    struct {
        uint8_t view, index;
    } beside[SMC_BESIDE_LOG]; /* entries in use */
    unsigned beside_count;
    struct smc_counters counters;
};

/* ---- immediates as data, translator/live.c ---- */

/*
 * The instruction that is being translated: does its immediate belong in memory?  Then it is where
 * b->bytes + in->imm_at points, for as long as the block lives.
 */
bool live_wanted(const struct build *b, const struct insn *in);
/* Whatever is read by live_load() is no code: the block outlives stores there. */
void live_take(struct build *b, const struct insn *in);
/* dst = the immediate of an instruction with operands of `width` bytes. */
void live_load(struct build *b, const struct insn *in, unsigned width, uint8_t dst);
/* The native rule for it; false: the immediate stays in the code. */
bool live_native(struct build *b, const struct insn *in);
/* A store has changed [from, to), which overlaps the block.  True: the block is still right. */
bool live_spares(struct translator *tr, const struct block *block, physaddr_t from, physaddr_t to);

/* ---- stores beside code, translator/beside.c ---- */

/* The instruction at phys has been interpreted, and stores of it went to a page with code, the last
 * to gpa; linear: what its probe has missed. */
void beside_note(struct translator *tr, struct cpu *cpu, physaddr_t phys, linaddr_t linear,
                 physaddr_t gpa);
/* Nothing is known of any page. */
void beside_flush(struct translator *tr);
void beside_init(struct cpu *cpu);
/* The probe of a store of `size` bytes has missed; T0 is its linear address.  Look once more,
 * whether it goes beside code: T1 = addend, and jump on. */
bool beside_wanted(const struct build *b, unsigned size);
struct label beside_probe(struct build *b, unsigned size);

#endif
