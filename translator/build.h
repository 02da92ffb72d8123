/*
 * translator/build.h -- a block under construction, as the rules see it.
 *
 * A rule `bool rule_<name>(struct build *b, const struct insn *in)` emits the translation of one
 * guest instruction and returns true, or returns false and the builder drops what it emitted and
 * lets the block call the interpreter's handler instead (the rule `call`).
 *
 * What a rule may rely on and must leave: translator/contract.h.  A rule changes guest state only
 * after everything that can miss or fault has been passed; a miss jumps to the instruction's side
 * exit, which interprets it from its start.
 */
#ifndef RINGER_TRANSLATOR_BUILD_H
#define RINGER_TRANSLATOR_BUILD_H

#include <stdbool.h>

#include "cpu/mmu.h"
#include "cpu/recode.h"
#include "translator/block.h"
#include "translator/contract.h"
#include "translator/runtime.h"
#include "translator/trace.h"

enum { BUILD_MAX_JUMPS = 4 * SUPERBLOCK_MAX_INSNS };

/* A jump to a side exit that is emitted after the block's code. */
struct side_jump {
    struct label label;
    uint8_t insn;
};

/* Where a jump out of the block goes first: into the cold part. */
struct leave {
    struct label jump;
    uint8_t insn;
    uint8_t exit;  /* number of the exit that follows ... */
    uint64_t loop; /* or where the loop goes on; 0: at the exit */
    bool poll;     /* stop here when kicked, before the instruction */
    bool again;    /* an earlier one does all that */
};

/* A guest register that a superblock keeps elsewhere than the contract says, see rename.c. */
struct swap {
    uint8_t in;  /* it has the host register, or if NO_REG its host address of a base ... */
    uint8_t out; /* of this one, which is in struct cpu; NO_REG: of none */
    uint8_t host;
    bool changed; /* an instruction writes `in` */
};

/* Accesses that share one probe, see group.c. */
struct group {
    uint8_t base; /* guest register; NO_REG: none */
    bool fresh;   /* its probe has still to be emitted */
    bool writes;
    int64_t low, high; /* displacements [low, high) */
    unsigned left;     /* accesses to come */
};

/* What accesses share, see share.c. */
struct share {
    uint8_t base;    /* guest register, or whom; NO_REG: nobody */
    bool fresh;      /* it has still to be looked up */
    bool is_address; /* HOST_GROUP holds the base's host address; else its region's distance */
    int16_t slot;    /* of what is no register's: number of its region */
    unsigned left;   /* accesses to come */
    int32_t drift;   /* how far the base has moved */
    uint64_t live;   /* as struct region's */
};

/* Whose region T1 holds the distance of, see recent.c. */
struct recent {
    uint8_t kind;               /* of the three; 0: nobody's */
    uint8_t base, index, scale; /* a guest register, or a sum */
    int16_t slot;               /* or a region's number */
    int64_t disp;
    int32_t drift; /* how far the register has moved */
    uint64_t live; /* as struct region's */
};

/* The region that operands are in, see region.c. */
struct region {
    int16_t slot,
        wanted;       /* number of the one whose distance HOST_GROUP holds; of the next operand's */
    uint16_t known;   /* a bit each: guest registers that were found in it */
    uint16_t wide;    /* of these, those that something narrow was added to */
    uint16_t written; /* guest registers that have changed since the block's start */
    struct {
        bool known; /* base + index * scale + disp was found in it, too */
        uint8_t base, index, scale;
        int64_t disp;
    } sum;
    uint16_t hosts;    /* guest registers with a host address, see hosted.c */
    uint16_t small[4]; /* that are small if multiplied by 1, 2, 4, 8 */
    int32_t drift;     /* by how much those may have moved */
    uint64_t live;     /* as block.no_resume: where HOST_GROUP holds it, should it be relied on */
};

/* What the code from a place on takes for known. */
struct known {
    uint64_t host; /* the place; 0: there is none */
    bool polls;    /* there */
    int16_t slot;
    uint16_t regions, wide, hosts, narrow; /* as in struct region, and struct build */
};

/* What is known of registers at a place of the block, beside what their contract says. */
struct facts {
    struct share share;
    struct region region;
    uint16_t narrow;
    bool stack_lost;
    int32_t stack_drift;
};

/* A jump to another way of a tree (struct path), which is there later. */
struct fork {
    struct label jump;
    uint8_t to; /* number of that way's first instruction */
    struct facts facts;
};

/* Where a loop inside begins. */
struct inner {
    uint64_t rip; /* offset in CS */
    struct known known;
};

enum { BUILD_FORKS = BLOCK_EXITS, BUILD_INNERS = 4 };

struct build {
    struct translator *tr;
    struct cpu *cpu;
    struct emit e;    /* where code goes: into the hot part, in build_finish() into the cold one */
    struct emit hot;  /* where the hot part has ended */
    struct emit cold; /* where the cold part goes; at is NULL: behind the hot one */
    struct label recheck;
    bool entry_is_hot;
    bool has_heat;
    struct label hot_jump;
    struct block_records records; /* the block's, until it is finished */
    struct block *block;
    enum tlb_view view;
    uint32_t mode;
    bool code64;
    const struct contract *contract; /* own, if there are swaps */
    struct contract own;
    struct swap swaps[16];
    unsigned swap_count;
    uint8_t hosted[16]; /* host register for the host address of a guest register, or NO_REG */
    bool has_hosted;
    unsigned second;    /* as struct trace has it */
    uint16_t lent;      /* a bit each: scratch registers of the host that swaps have taken */
    bool unfit;         /* a rule needs one of them */
    uint64_t loop;      /* host address where the block's loop goes on; 0: by an exit */
    struct known again; /* at the start of its second copy (struct path) */
    uint64_t round_end; /* behind the first jump to the place where it goes on */
    bool pads;          /* that place is a little later than it would be */
    struct fork forks[BUILD_FORKS];
    unsigned fork_count;
    struct inner inners[BUILD_INNERS];
    unsigned inner_count;
    struct leave leaves[2 * BLOCK_EXITS];
    unsigned leave_count;
    const struct glue *glue;
    const struct insn *insns; /* the whole block, and which of them call the interpreter */
    const bool *insn_calls;
    const uint8_t *insn_goes; /* enum trace_go */
    const uint16_t *insn_offsets;
    const uint8_t *insn_from;    /* of a tree, as struct path has it; NULL: there is one way */
    const bool *insn_inner;      /* the same */
    const struct path *path;     /* that the instructions were taken from, or NULL */
    const uint16_t *path_steps;  /* the step of it that each was seen in */
    const uint16_t *path_visits; /* and how often */
    unsigned insn_count;
    struct group group;
    struct share share;
    struct recent recent;
    struct region region;
    bool no_groups;
    bool portable;        /* all that depends on where the block is is known: struct emit_fixup */
    bool guesses;         /* regions are taken to be known, see region.c */
    struct mem operand;   /* where the last build_memory() or the like has left it */
    bool window;          /* user memory is in windows */
    bool keeps_stack;     /* the current rule leaves HOST_STACK alone; set by rules that do */
    bool stack_lost;      /* HOST_STACK is not the distance of the stack's region any more */
    int32_t stack_drift;  /* how far RSP has moved since memory there was touched */
    int32_t owed_sp;      /* RSP less what HOST_SP holds, see stack.c */
    uint16_t narrow;      /* guest registers with a 32-bit number, of either sign; see narrow.c */
    const uint8_t *bytes; /* of the instruction being translated */
    uint8_t index;        /* its number in the block */
    uint64_t next_rip;    /* offset in CS of the instruction after it */
    uint64_t rip;         /* its own */
    enum trace_go go;     /* if it is a control transfer */
    bool last;            /* no instruction follows in the block */
    bool ended;           /* the rule emitted the block's exits */
    uint8_t kept_as[SUPERBLOCK_MAX_INSNS]; /* number of the instruction's block_call */
    uint8_t kept[SUPERBLOCK_MAX_INSNS];    /* the other way */
    uint8_t kept_count;
    bool crossing;           /* into the next page; bytes is a copy */
    const struct insn *live; /* whose immediate is to be loaded to the host register ... */
    uint8_t live_reg;        /* that plays this guest register */
    struct side_jump jumps[BUILD_MAX_JUMPS];
    unsigned jump_count;
    struct label return_record; /* names the record of the block's RET */
    uint16_t return_pop;
    bool returns;          /* there is one */
    struct label polls[2]; /* jumps to the exit that stops before the last instruction */
    unsigned poll_count;
    struct side_jump far_polls[BLOCK_EXITS];
    unsigned far_poll_count;
    struct side_jump guards[TRACE_GUARDS]; /* taken where a computed jump goes elsewhere */
    unsigned guard_count;
};

/* Does the operand's region have to be looked up? (translator/windows.h) */
static inline bool build_has_regions(const struct build *b)
{
    return b->window && b->code64;
}

typedef bool (*rule_fn)(struct build *b, const struct insn *in);
extern const rule_fn rule_table[]; /* by row; translator/rules.c */
extern const char *const rule_names[];

bool rule_sti(struct build *b, const struct insn *in);

/* ---- registers and memory operands, translator/memory.c ---- */

/* Where struct cpu has the guest register. */
struct mem build_gpr_home(unsigned guest);
/* Host register with the guest register's value: its own, or `temp` after a load. */
uint8_t build_gpr_read(struct build *b, unsigned guest, uint8_t temp);
/* Write `size` bytes of host register `from` as an instruction would: 4 zero-extend, less merge. */
void build_gpr_write(struct build *b, unsigned guest, unsigned size, uint8_t from);
/* Is the memory operand without registers, or relative to RIP?  And its offset in its segment then.
 */
bool build_is_constant(const struct insn *in);
uint64_t build_constant_address(const struct build *b, const struct insn *in);
/* T0 = that.  Clobbers nothing else. */
void build_mov_constant(struct build *b, const struct insn *in);
/* dst = distance of the region with this number.  Clobbers nothing else. */
void build_load_slot(struct build *b, uint8_t dst, int16_t slot);
/* Is it one that is a displacement, WINDOW_BIAS taken from it? */
bool build_is_near(const struct build *b, const struct insn *in);
/* In 64-bit code: is it in a region that is known now, as nothing is added to a constant, or only
 * what is narrow?  *slot: the region's number, -256 to 255. */
bool build_is_fixed(const struct build *b, const struct insn *in, int16_t *slot);
/* Such an operand, the region's distance being in that host register; and T0, if it is part of it.
 */
struct mem build_fixed_operand(const struct build *b, const struct insn *in, uint8_t distance);
void build_fixed_rest(struct build *b, const struct insn *in);
/* In 64-bit code: is the operand in the region of its base, nothing but a displacement being added?
 * One that WINDOW_BIAS can be taken from. */
bool build_is_base_only(const struct insn *in);
/* In 64-bit code: is it in the stack's region, as what is added to RSP is narrow? */
bool build_is_stack_array(const struct build *b, const struct insn *in);
/* T0 = effective address (offset in its segment). May clobber TC. */
void build_address(struct build *b, const struct insn *in);

/* in->seg:[...] -> T0 = linear address; jumps to the side exit on a segment violation.
 * Clobbers TC, T2.  A build_probe() must follow: hosts without BMI2 put the flags away here and
 * take them back there. */
void build_linear(struct build *b, const struct insn *in, unsigned size, enum access access);
/* The same for SS:[reg + disp]; stack address size from the mode. */
void build_stack_linear(struct build *b, uint8_t reg, int32_t disp, unsigned size,
                        enum access access);
/* Probe the TLB for `size` bytes at linear T0; on a hit host memory is at [T0 + T1].
 * Clobbers TC, T1, T2; flags stay. */
void build_probe(struct build *b, unsigned size, enum access access);
/*
 * Where the instruction's memory operand will be, decided before code is emitted, because an
 * instruction is encoded before the code that finds its operand.
 */
enum place_kind {
    PLACE_TLB,    /* [T0 + T1] after a probe */
    PLACE_WINDOW, /* GS:[the guest's own registers] */
    PLACE_LINEAR, /* GS:[T0] */
    PLACE_REGION, /* [base + distance of its region + displacement] */
    PLACE_GROUP,  /* the same, or [HOST_GROUP + displacement] */
    PLACE_HOME,   /* no guest memory: a register that is in struct cpu */
};
struct place {
    enum place_kind kind;
    struct mem operand;
};
struct place build_place(const struct build *b, const struct insn *in, enum access access);
void build_go_to_place(struct build *b, const struct insn *in, const struct place *place,
                       unsigned size, enum access access);
/* dst = distance of the region of the linear address in `reg`, which may be dst.  With windows. */
void build_distance(struct build *b, uint8_t dst, uint8_t reg);
/* SS:[reg + disp], which is BUILD_OPERAND then; T0 (and T1) may be part of it. */
void build_stack(struct build *b, uint8_t reg, int32_t disp, unsigned size, enum access access);
/* In 64-bit code with windows: HOST_STACK holds what blocks expect of it, before a jump to one. */
void build_settle_stack(struct build *b);
/* Has the current instruction missed its window so often that a probe is better?  Always without.
 */
bool build_wants_probe(const struct build *b);
/* Physical address of the current instruction. */
physaddr_t build_phys(const struct build *b);
/* A scratch register that is no part of the operand of build_stack(). */
uint8_t build_stack_temp(const struct build *b);
/* All of it for the instruction's memory operand; after it the operand is BUILD_OPERAND. */
void build_memory(struct build *b, const struct insn *in, unsigned size, enum access access);
#define BUILD_OPERAND (b->operand)
/* ESP += delta, as wide as the stack, and what is owed. Clobbers TC for 16-bit stacks. */
void build_move_sp(struct build *b, int32_t delta);
/* The same of a PUSH or POP, now or later; HOST_SP is right again (translator/stack.c). */
void build_owe_sp(struct build *b, int32_t delta);
void build_pay_sp(struct build *b);
/* Before any code of the current instruction; called: the interpreter does it.  What is owed during
 * it is noted. */
void build_pay_sp_before(struct build *b, const struct insn *in, bool called);
/* Push what rt.value holds. Clobbers all scratch. */
void build_push_saved(struct build *b, unsigned width);
/* Probe [reg + low, reg + low + size), which is in a flat segment; as build_probe(). */
void build_range(struct build *b, uint8_t reg, int32_t low, unsigned size, enum access access);
/* DS, ES, SS, CS have base 0 and no limit here. */
bool build_flat(const struct build *b, enum seg seg);

/* ---- accesses that share a probe, translator/group.c ---- */

void group_begin(struct build *b);
/* Will the memory operand be one of a group, at group_place()?  Then group_operand() makes it so,
 * and it is BUILD_OPERAND. */
bool group_takes(struct build *b, const struct insn *in);
struct place group_place(const struct build *b, const struct insn *in);
void group_operand(struct build *b, const struct insn *in);
/* After each instruction; called: it went to the interpreter. */
void group_after(struct build *b, const struct insn *in, bool called);

/* Instruction `index` is copied, or a jump that a superblock goes on behind: C runs if it misses.
 */
bool group_passes(const struct build *b, unsigned index);

/* The same for 64-bit code with windows where no regions are guessed, translator/share.c. */
void share_begin(struct build *b);
bool share_takes(struct build *b, const struct insn *in);
struct place share_place(const struct build *b, const struct insn *in);
void share_operand(struct build *b, const struct insn *in);
void share_after(struct build *b, const struct insn *in, bool called);

/* What T1 still holds of the last look-up, translator/recent.c: the distance of the register's
 * region, of the sum's, of a region without registers?  If so, the instruction relies on it. */
bool recent_has_register(struct build *b, uint8_t guest);
bool recent_has_sum(struct build *b, const struct insn *in);
bool recent_has_slot(struct build *b, int16_t slot);
/* Now it does. */
void recent_is_register(struct build *b, uint8_t guest);
void recent_is_sum(struct build *b, const struct insn *in);
void recent_is_slot(struct build *b, int16_t slot);
/* After each instruction; called: it went to the interpreter. */
void recent_after(struct build *b, const struct insn *in, bool called);

/* ---- registers that are known to hold little, translator/narrow.c ---- */

void narrow_begin(struct build *b);
/* After each instruction; called: it went to the interpreter; passed: the block goes on at a jump.
 */
void narrow_after(struct build *b, const struct insn *in, bool called, bool passed);
/* The register whose region is that of the memory operand, or that of nothing: what else is added
 * is narrow.  NO_REG: none is known. */
uint8_t narrow_anchor(const struct build *b, const struct insn *in);
/* Is the memory operand [index * scale + displacement], and the index narrow? */
bool narrow_table(const struct build *b, const struct insn *in);

/* The same for 64-bit code with windows, translator/region.c; group.c passes on to it.  passed: a
 * jump that the block goes on behind. */
void region_begin(struct build *b);
bool region_takes(struct build *b, const struct insn *in);
struct place region_place(const struct build *b, const struct insn *in);
void region_operand(struct build *b, const struct insn *in);
void region_after(struct build *b, const struct insn *in, bool called, bool passed);

/* ---- bases of a loop that stay, as host addresses, translator/hosted.c ---- */

/* How often each guest register is such a base, which is then taken from its own count. */
void hosted_count(const struct build *b, unsigned own[16], unsigned hosted[16]);
/* Registers that the instructions from `from` on write, where they can still go back. */
uint16_t hosted_written(const struct build *b, unsigned from);
/* In front of the second copy: those that are known to be in the region get their addresses. */
void hosted_begin(struct build *b);
/* Does the memory operand go by one?  Then hosted_go() makes it so.  may_check: its index may be
 * checked. */
bool hosted_is_live(const struct build *b, const struct insn *in, bool may_check);
struct mem hosted_operand(const struct build *b, const struct insn *in);
void hosted_go(struct build *b, const struct insn *in);
/* The operand's base that will have one, *other: what is added to it; or NO_REG. */
uint8_t hosted_anchor(const struct build *b, const struct insn *in, uint8_t *other);
/* Fault unless index * scale is small.  Clobbers TC. */
void hosted_check_index(struct build *b, uint8_t index, uint8_t scale);
/* After each copied instruction. */
void hosted_after(struct build *b, const struct insn *in);

/* ---- a superblock's own contract, translator/rename.c ---- */

/* Before any code: decide on one. */
enum renaming {
    RENAMING_NONE,
    RENAMING,
    RENAMING_LENDS, /* scratch registers as well */
};
void rename_begin(struct build *b, enum renaming renaming);
/* From the contract of all blocks to the block's own, and back.  Clobber nothing. */
void rename_enter(struct build *b);
void rename_leave(struct build *b);

/* Instruction `index`, which 0 is not, cannot be entered from outside. */
/* Where the block's loop goes on, all times but the first; 0: nowhere. */
static inline uint64_t build_round_begin(const struct build *b)
{
    return b->again.host != 0 ? b->again.host : b->loop;
}
static inline void build_forbid(struct build *b, unsigned index)
{
    if (index < BLOCK_RESUMES)
        b->records.no_resume |= UINT64_C(1) << index;
}

/* Nobody knows any more what T1 holds. */
static inline void recent_begin(struct build *b)
{
    b->recent = (struct recent){0};
}

/* The current rule needs a scratch register of the host. */
static inline void build_needs(struct build *b, uint8_t host)
{
    b->unfit |= b->lent >> host & 1;
    if (host == T1)
        recent_begin(b);
}

/* The second copy of a loop begins here, and goes to the last instruction.  What does not change in
 * it may be taken for known whenever it begins again. */
void region_again(struct build *b, struct known *known);
/* Is all that known here? */
bool region_knows(const struct build *b, const struct known *known);

/* ---- leaving, translator/flow.c ---- */

/* On `label`: interpret the current instruction instead. */
void build_side_exit(struct build *b, struct label label);
/* Go to offset `target` in CS by an exit (linked to its block when there is one). */
void build_exit(struct build *b, uint64_t target);
/* The same by the host's CALL; a landing must follow. */
void build_call_exit(struct build *b, uint64_t target);
/* Counted time: owed before the host's CALL, once nothing can miss any more.  Clobbers TC. */
void build_call_begin(struct build *b);
/* Counted time: the block's instructions, at its start.  Clobbers TC. */
void build_count_all(struct build *b);
/* Where the host returns to: on to `next`, behind the call, if that is where the guest does.  Ends
 * the block, or goes on.  Clobbers HOST_GROUP. */
void build_landing(struct build *b, uint64_t next);
/* T0 = offset in CS, a 32-bit one sign-extended: return there.  RSP has changed, by 8 and `pop`
 * bytes in 64-bit code.  Ends the block. */
void build_return(struct build *b, unsigned pop);
/* Poll for a kick: stop before the current instruction.  Owed before every backward jump. */
void build_poll(struct build *b);
/* The same where more than a hundred bytes of the instruction's code follow: JRCXZ does not reach.
 */
void build_poll_far(struct build *b);
/*
 * A poll at a place that jumps backward lead to, which need none then:
 *
 *     jmp   place
 *   stop:
 *     jmp   ...                       ; in the cold part
 *   place:
 *     mov   ecx, [cpu.poll_go]
 *     jrcxz stop
 */
uint64_t build_poll_here(struct build *b);
/* The one of the two that reaches. */
void build_poll_at_end(struct build *b);
/* What a jump to the target owes before it is made. */
void build_poll_jump(struct build *b, uint64_t target);
bool build_needs_poll(const struct build *b, uint64_t target);
/* To `taken` on the condition code, else to `not_taken`, as b->go says. Polls when owed. */
void build_branch(struct build *b, uint8_t condition, uint64_t taken, uint64_t not_taken);
/* Keep the current instruction decoded: its slow way is taken often. */
void build_keep(struct build *b);
/* Interpret the current instruction here, then go on behind. */
void build_call_slow(struct build *b);
/* End the block: fetch the current instruction through the page tables and interpret it. */
void build_step(struct build *b);
/* T0 = offset in CS: go there through the jump cache. Ends the block.  For 64-bit code the target
 * has to be known good before anything is changed: build_lookup(), then the changes, then
 * build_go(). */
void build_indirect(struct build *b);
/* T0 = offset in CS: on if it is the next instruction's of the trace, else by the jump cache. */
void build_guard(struct build *b);
/* On a miss interpret the instruction; on a hit T1 names the entry for build_go(). */
void build_lookup(struct build *b);
void build_go(struct build *b);
/* Both, with build_move_sp() in between. */
void build_lookup_and_go(struct build *b, int32_t move_sp);
/* The block's entries: the one from other pages asks whether its page is still mapped here, in this
 * mode. */
void build_entry(struct build *b);
/* The checked entry of a block that has none yet, if there is room. */
void flow_make_entry(struct translator *tr, struct block *block);
/* Step the instruction unless the next page is still the one that holds its other bytes. */
void build_check_next_page(struct build *b, uint32_t id);
/* Emit side exits and stubs; after the last instruction. */
void build_finish(struct build *b);

/* Number of the guest register that the operand is, or -1. */
static inline int build_gpr(const struct operand *op)
{
    return op->kind == OPERAND_GPR ? op->reg : -1;
}

/*
 * Translate the block at `key`.  A first instruction that crosses the page or does not decode makes
 * a block that steps it.  NULL when the code is not in RAM or the cache cannot take the block.
 */
enum build_flag {
    BUILD_ENTRY = 1, /* expect jumps to it from other pages */
    BUILD_HEAT = 2,  /* make it a superblock when it has been come to RT_HEAT_VISITS times */
};
struct block *build_block(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                          unsigned flags);
/* The same without looking for a block that it would be a copy of. */
struct block *build_anew(struct translator *tr, struct cpu *cpu, const struct block_key *key,
                         unsigned flags);
/* In the place of `block`, which is dropped: a superblock.  path: from there, or NULL; it may
 * be cut.  NULL as above. */
struct block *build_superblock(struct translator *tr, struct cpu *cpu, struct block *block,
                               struct path *path);

#endif
