/*
 * translator/contract.h -- the register contract of generated code, and the tables it reads.
 *
 *   host        holds (guest code of 16 and 32 bits)
 *   RAX RDX RBX RBP RSI RDI   the guest register of the same name
 *   R8          guest ESP: the host's RSP stays a host stack, so that signals have one
 *   R9          guest ECX: RCX is scratch, because JRCXZ is the only branch that asks a register
 *               and leaves the flags alone
 *   RCX R10 R11 R13 R14  scratch inside one guest instruction
 *   R12         the constant 12 (page shift, for SHRX)
 *   R15         struct cpu *
 *   RFLAGS      the guest's OF SF ZF AF PF CF; IF IOPL TF NT DF ... are in cpu->rflags only
 *   x87 MMX SSE the guest's (cpu->fpu_live)
 *
 * At every boundary between guest instructions exactly this holds and nothing else is live, so a
 * side exit or a host fault at any place can be resumed by interpreting the instruction again.
 */
#ifndef RINGER_TRANSLATOR_CONTRACT_H
#define RINGER_TRANSLATOR_CONTRACT_H

#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"

enum {
    HOST_ESP = R8,
    HOST_ECX = R9,
    HOST_SHIFT = R12,
    HOST_CPU = R15,
    T0 = R13, /* linear address of the access, then its host address */
    T1 = R14,
    T2 = R11,
    T3 = R10,
    TC = RCX, /* the one for JRCXZ; also the only scratch without REX */
};

enum {
    RT_INDEX_BITS = 16, /* MOVZX r16 masks a page number without touching flags */
    RT_ENTRIES = 1 << RT_INDEX_BITS,
};

/* Entry of the jump cache: where the code for a linear address is. */
struct jump_entry {
    uint64_t negated_key; /* -(key + 1), key = linear + (code page id << 32); 0: empty */
    uint64_t host;
};

/*
 * Per-CPU run-time tables, in cpu->translator_area.  All-zero is the empty state.
 *
 * The inline TLB is indexed by the low 16 bits of the page number, so that entries rarely collide;
 * what was filled is logged, and a flush clears just that.  A tag is stored as -(page + 1): adding
 * the page number and 1 gives zero on a hit, which JRCXZ can test.
 */
struct rt {
    uint64_t neg_read[VIEW_COUNT][RT_ENTRIES];
    uint64_t neg_write[VIEW_COUNT][RT_ENTRIES];
    uint64_t addend[VIEW_COUNT][RT_ENTRIES];
    uint64_t code_id[VIEW_COUNT]
                    [RT_ENTRIES];           /* id << 32 of the code page mapped here, 0: unknown */
    uint8_t global[VIEW_COUNT][RT_ENTRIES]; /* data entry and code id are of a global page */
    struct jump_entry jumps[RT_ENTRIES];

    uint64_t run;              /* 1 while generated code may go on; 0 after cpu_kick() */
    uint64_t resume;           /* host address that the reload glue jumps to */
    uint32_t flag_ax;          /* AH: SF ZF AF PF CF as LAHF gives them; AL: OF */
    uint32_t flag_save;        /* the same, for the probe on hosts without BMI2 */
    uint64_t scratch;          /* RAX while flags are moved, on hosts without BMI2 */
    uint64_t t0;               /* T0 at the side exit: linear address of the missed access */
    struct block *fault_block; /* set by the host-fault handler */
    uint32_t fault_insn;
    uint32_t log_count;
    uint32_t log[4 * RT_ENTRIES]; /* view << 16 | index of each entry in use; see RT_LOG_CODE */
};
enum { RT_LOG_CODE = 1 << 30 };
/* A code_id that matches nothing but is not empty: the index is in the log. */
#define RT_NO_CODE 1ull

_Static_assert(sizeof(struct rt) <= CPU_TRANSLATOR_AREA, "struct rt fits the area");

static inline struct rt *rt_of(struct cpu *cpu)
{
    return (struct rt *)cpu->translator_area;
}

/* Displacements from HOST_CPU. */
#define AT_CPU(field) ((int32_t)offsetof(struct cpu, field))
#define AT_RT(field)  ((int32_t)(offsetof(struct cpu, translator_area) + offsetof(struct rt, field)))

/* Host register of a guest register. */
static inline uint8_t host_gpr(unsigned guest)
{
    return guest == RSP ? HOST_ESP : guest == RCX ? HOST_ECX : (uint8_t)guest;
}

#endif
