/*
 * translator/contract.h -- the register contracts of generated code, and the tables it reads.
 *
 *   host             16- and 32-bit guest code    64-bit guest code
 *   RAX RDX RBX RBP  the guest register of the same name
 *   RSI RDI
 *   R8               ESP                          RSP
 *   R9               ECX                          RCX (the host's is scratch: JRCXZ is the only
 *                                                 branch that asks a register and no flag)
 *   R12              the constant 12, for SHRX    R12
 *   in cpu->gpr                                   R8..R11, R13..R15: fetched and stored by the
 *                                                 instructions that name them
 *   R10              HOST_GROUP, inside a block
 *   R11              HOST_STACK in 64-bit code with windows, else scratch
 *   RCX R13 R14      scratch inside one guest instruction
 *   GS               with windows: host address of      with windows: the page of checks
 *                    linear address 0                   (windows_select(), region.c)
 *   RSP              the return stack (translator/returns.h); C has the thread's own
 *   R15              struct cpu *, plus HOST_CPU_BIAS: as a count its value is HOST_CPU_BIAS, too,
 *                    so that SHRX by R15 gives the number of a 512 GiB region
 *   RFLAGS      the guest's OF SF ZF AF PF CF; IF IOPL TF NT DF ... are in cpu->rflags only
 *   x87 MMX SSE AVX  the guest's (cpu->fpu_live)
 *
 * At every boundary between guest instructions exactly this holds and nothing else is live, so a
 * side exit or a host fault at any place can be resumed by interpreting the instruction again.
 * (R11 may be lost inside a block, which then looks it up again before it is used or left; R8 may
 * lack what PUSHes and POPs have added, translator/stack.c.)
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
    HOST_CPU_BIAS = 39,
    HOST_GROUP = R10,
    HOST_STACK = R11, /* distance from RSP to host memory, see translator/windows.h */
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
    return mode_is_code64(mode) ? &contract64 : &contract32;
}

/* Entry of the jump cache: the checked entry of the block at a linear address.  The views share the
 * table, but each is shifted against the others: an address has its entry elsewhere in each, as the
 * checked entry of a block looks only at what its own view maps.  Nor do the contracts share one: a
 * checked entry that fails stores the registers as its own block has them.  An empty entry goes to
 * glue.indirect, whatever address it seems to match. */
struct jump_entry {
    uint64_t negated; /* -(linear + rt_jump_bias()) */
    uint64_t host;
};

static inline unsigned rt_jump_bias(bool code64)
{
    return code64 ? 1 : 2;
}

enum { RT_VIEW_SHIFT = 16, RT_JUMPS = RT_ENTRIES + (TLB_VIEWS - 1) * RT_VIEW_SHIFT };

static inline uint32_t rt_jump_index(enum tlb_view view, linaddr_t linear)
{
    return (uint32_t)(linear & (RT_ENTRIES - 1)) + (uint32_t)view * RT_VIEW_SHIFT;
}

/*
 * What generated code asks about memory in one view: the inline TLB, and which code page is where.
 * Indexed by the low 16 bits of the page number, so that entries rarely collide.
 * A tag is the page's linear address, negated: added to the address of the last byte it gives an
 * offset in the page on a hit, of which SHRX by 12 leaves zero, which JRCXZ can test.  rt_no_tag()
 * is empty.
 */
struct rt_view {
    uint64_t neg_read[RT_ENTRIES];
    uint64_t neg_write[RT_ENTRIES];
    uint64_t addend[RT_ENTRIES];  /* 0: the index is in no log (translator/tables.c) */
    uint32_t code_id[RT_ENTRIES]; /* of the code page mapped here; 0: unknown, in no log */
    uint8_t global[RT_ENTRIES];   /* data entry and code id are of a global page */
};

/* The tag that no access matches: 0, except at index 0, where that is the tag of page 0, and at the
 * end, from where an access of RT_ACCESS_MAX bytes wraps around to it. */
enum { RT_ACCESS_MAX = 1 << 16 };

static inline uint64_t rt_no_tag(uint32_t index)
{
    enum { AROUND = RT_ACCESS_MAX >> PAGE_SHIFT };

    return (uint16_t)(index + AROUND) <= AROUND ? UINT64_C(1) << 62 : 0;
}

/* Pages with code that stores beside the code go to, in one view, by the low bits of the page
 * number: translator/beside.c. */
enum { RT_BESIDE = 256 }; /* MOVZX r8 */
struct rt_beside {
    uint64_t negated[RT_BESIDE]; /* tag, as in struct rt_view */
    uint64_t bytes[RT_BESIDE];   /* to the byte map: physmem_code_bytes() */
    uint64_t addend[RT_BESIDE];
};

/* A code_id that matches nothing but is not empty: the index is in a log. */
#define RT_NO_CODE 1u

/* Blocks share counters, which at worst makes one a superblock, or none any more, a little early or
 * late. */
enum { RT_HEATS = 4096, RT_HEAT_VISITS = 4096, RT_GUARD_MISSES = 1 << 18 };

static inline unsigned rt_heat_place(uint32_t block_number)
{
    return block_number % RT_HEATS;
}

/*
 * What cpu->poll_stop becomes.  Added to the difference of two addresses that a program can have in
 * RIP it is never 0, so that no landing matches.  (What does match is 2^62 below the landing's
 * address: not canonical, and taken for it in the moment of a kick only.)
 */
#define POLL_STOP (UINT64_C(1) << 62)

/*
 * Per-CPU run-time tables, in cpu->translator_area.
 *
 * struct cpu is mapped more than once, and the mappings differ in the views of user memory only
 * (translator/spaces.c): HOST_CPU points to the one of the current address space.
 */
struct rt {
    struct cpu *base;            /* that mapping */
    uint64_t host_sp;            /* RSP of C while generated code runs */
    uint64_t return_sp;          /* RSP of generated code while C runs: translator/returns.h */
    uint64_t returns[TLB_VIEWS]; /* the same of the views that are not current */
    uint64_t return_record;      /* of the RET that glue.return_miss was reached by */
    uint64_t resume;             /* host address that the reload glue jumps to */
    uint32_t down;               /* FLAG_DF of cpu->rflags: string instructions count down */
    uint32_t flag_ax;            /* AH: SF ZF AF PF CF as LAHF gives them; AL: OF */
    uint32_t flag_save;          /* the same, for the probe on hosts without BMI2 */
    uint64_t scratch;            /* RAX while flags are moved */
    uint64_t target;             /* where an indirect CALL goes once it has pushed */
    uint64_t value;              /* what a PUSH or CALL carries over its probe */
    uint64_t t0;                 /* T0 at the side exit: linear address of the missed access */
    uint64_t stack;              /* what HOST_STACK becomes */
    uint64_t stack_kept;         /* what it is while a superblock has lent it (rename.c) */
    uint64_t fault_address;      /* host address inside a window, or 0; set by the same */
    int64_t fault_slot;          /* a check failed: number of the region where the operand is, or */
#define RT_FAULT_INDEX INT64_MAX /* it was the index's */
    struct block *fault_block;   /* set by the host-fault handler */
    uint32_t fault_insn;
    /* Visits that blocks still wait for, before they become superblocks; and times that computed
     * jumps of superblocks may still lead elsewhere, before these are made anew. */
    uint32_t heat[RT_HEATS];
    struct jump_entry jumps[RT_JUMPS];
    struct rt_beside beside[TLB_VIEWS];
    _Alignas(PAGE_SIZE) struct rt_view views[TLB_VIEWS];
};
_Static_assert(sizeof(struct rt) <= CPU_TRANSLATOR_AREA, "struct rt fits the area");
_Static_assert(sizeof(struct rt_view) % PAGE_SIZE == 0, "views are mapped one by one");

static inline struct rt *rt_of(struct cpu *cpu)
{
    return (struct rt *)cpu->translator_area;
}

/* Displacements from HOST_CPU. */
#define AT_CPU(field) ((int32_t)offsetof(struct cpu, field) - HOST_CPU_BIAS)
#define AT_RT(field) \
    ((int32_t)(offsetof(struct cpu, translator_area) + offsetof(struct rt, field)) - HOST_CPU_BIAS)
#define AT_VIEW(view, field) \
    (AT_RT(views) + (int32_t)((view) * sizeof(struct rt_view) + offsetof(struct rt_view, field)))
/* A field of the jump cache entry whose number without the view's shift is scaled elsewhere. */
#define AT_JUMP(view, field)                                       \
    (AT_RT(jumps) + (int32_t)(offsetof(struct jump_entry, field) + \
                              (view)*RT_VIEW_SHIFT * sizeof(struct jump_entry)))

#endif
