/*
 * translator/contract.h -- the register contracts of generated code, and the tables it reads.
 *
 *   host             16- and 32-bit guest code    64-bit guest code
 *   RAX RDX RBX RBP  the guest register of the same name
 *   RSI RDI
 *   R8               ESP                          RSP (the host's stays a host stack, for signals)
 *   R9               ECX                          RCX (the host's is scratch: JRCXZ is the only
 *                                                 branch that asks a register and no flag)
 *   R12              the constant 12, for SHRX    R12
 *   in cpu->gpr                                   R8..R11, R13..R15: fetched and stored by the
 *                                                 instructions that name them
 *   R10              HOST_GROUP, inside a block
 *   RCX R11 R13 R14  scratch inside one guest instruction
 *   R15              struct cpu *
 *   RFLAGS      the guest's OF SF ZF AF PF CF; IF IOPL TF NT DF ... are in cpu->rflags only
 *   x87 MMX SSE AVX  the guest's (cpu->fpu_live)
 *
 * At every boundary between guest instructions exactly this holds and nothing else is live, so a
 * side exit or a host fault at any place can be resumed by interpreting the instruction again.
 */
#ifndef RINGER_TRANSLATOR_CONTRACT_H
#define RINGER_TRANSLATOR_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"

enum {
    HOST_SP = R8,
    HOST_RCX = R9,
    HOST_SHIFT = R12, /* contract32 only */
    HOST_GROUP = R10,
    HOST_CPU = R15,
    T0 = R13, /* linear address of the access, then its host address */
    T1 = R14,
    T2 = R11,
    TC = RCX, /* the one for JRCXZ; also the only scratch without REX */
};

enum {
    RT_INDEX_BITS = 16, /* MOVZX r16 masks a page number without touching flags */
    RT_ENTRIES = 1 << RT_INDEX_BITS,
};

/* Which host register holds each guest register; NO_REG: it is in cpu->gpr. */
struct contract {
    uint8_t host[16];
    bool shift; /* HOST_SHIFT holds 12 */
};
extern const struct contract contract32, contract64;

static inline const struct contract *contract_of(uint32_t mode)
{
    return (mode & MODE_CODE_MASK) == MODE_CODE64 ? &contract64 : &contract32;
}

/* Entry of the jump cache: the checked entry of the block at a linear address.  The views share the
 * table, but each is shifted against the others: an address has its entry elsewhere in each, as the
 * checked entry of a block looks only at what its own view maps.  An empty entry goes to
 * glue.indirect, whatever address it seems to match. */
struct jump_entry {
    uint64_t negated; /* -(linear + 1) */
    uint64_t host;
};

enum { RT_VIEW_SHIFT = 16, RT_JUMPS = RT_ENTRIES + (TLB_VIEWS - 1) * RT_VIEW_SHIFT };

static inline uint32_t rt_jump_index(enum tlb_view view, linaddr_t linear)
{
    return (uint32_t)(linear & (RT_ENTRIES - 1)) + (uint32_t)view * RT_VIEW_SHIFT;
}

/*
 * Per-CPU run-time tables, in cpu->translator_area.  All-zero is the empty state.
 *
 * The inline TLB is indexed by the low 16 bits of the page number, so that entries rarely collide;
 * what was filled is logged, and a flush clears just that.  A tag is stored as -(page + 1): adding
 * the page number and 1 gives zero on a hit, which JRCXZ can test.
 */
struct rt {
    uint64_t neg_read[TLB_VIEWS][RT_ENTRIES];
    uint64_t neg_write[TLB_VIEWS][RT_ENTRIES];
    uint64_t addend[TLB_VIEWS][RT_ENTRIES];
    uint32_t code_id[TLB_VIEWS][RT_ENTRIES]; /* of the code page mapped here; 0: unknown */
    uint8_t global[TLB_VIEWS][RT_ENTRIES];   /* data entry and code id are of a global page */
    struct jump_entry jumps[RT_JUMPS];

    uint64_t run;              /* 1 while generated code may go on; 0 after cpu_kick() */
    uint64_t resume;           /* host address that the reload glue jumps to */
    uint32_t down;             /* FLAG_DF of cpu->rflags: string instructions count down */
    uint32_t flag_ax;          /* AH: SF ZF AF PF CF as LAHF gives them; AL: OF */
    uint32_t flag_save;        /* the same, for the probe on hosts without BMI2 */
    uint64_t scratch;          /* RAX while flags are moved */
    uint64_t target;           /* where an indirect CALL goes once it has pushed */
    uint64_t value;            /* what a PUSH or CALL carries over its probe */
    uint64_t t0;               /* T0 at the side exit: linear address of the missed access */
    uint32_t code_mode[TLB_VIEWS]; /* whose code ids are in each view */
    struct block *fault_block; /* set by the host-fault handler */
    uint32_t fault_insn;
    uint32_t log_count;
    uint32_t log[2 * TLB_VIEWS *
                 RT_ENTRIES]; /* view << 16 | index of each entry in use; see RT_LOG_CODE */
};
enum { RT_LOG_CODE = 1 << 30 };
/* A code_id that matches nothing but is not empty: the index is in the log. */
#define RT_NO_CODE 1u

_Static_assert(sizeof(struct rt) <= CPU_TRANSLATOR_AREA, "struct rt fits the area");

static inline struct rt *rt_of(struct cpu *cpu)
{
    return (struct rt *)cpu->translator_area;
}

/* Displacements from HOST_CPU. */
#define AT_CPU(field) ((int32_t)offsetof(struct cpu, field))
#define AT_RT(field)  ((int32_t)(offsetof(struct cpu, translator_area) + offsetof(struct rt, field)))
/* A field of the jump cache entry whose number without the view's shift is scaled elsewhere. */
#define AT_JUMP(view, field)                                        \
    (AT_RT(jumps) + (int32_t)(offsetof(struct jump_entry, field) +  \
                              (view) * RT_VIEW_SHIFT * sizeof(struct jump_entry)))

#endif
