/*
 * translator/rules_kernel.c -- what kernels use a lot and cannot be copied as it is.
 *
 *   mov_from_cr mov_from_seg push_seg swapgs   state that is in struct cpu
 *   rdsegbase wrsegbase                        RDFSBASE, WRGSBASE, ...
 *   rdtsc                                      RDTSC and RDTSCP, where the host's counter will do
 *   stac clac                                  the same, and the block goes on in another mode
 *   cmpxchg_pair                               with RCX lent
 *   bit                                        BT, BTS, BTR, BTC with a bit number from a register
 *   xlat pusha popa
 *
 * No flag is touched but by the instruction itself, after everything that can miss.
 */
#include <stddef.h>

#include "translator/build.h"

static struct mem segment_field(enum seg seg, size_t field)
{
    return BASE(HOST_CPU, AT_CPU(seg) + (int32_t)(seg * sizeof(struct segment) + field));
}
#define SEGMENT(seg_, field_) segment_field((seg_), offsetof(struct segment, field_))

/* ---- registers that are in memory ---- */

bool rule_mov_from_cr(struct build *b, const struct insn *in)
{
    int32_t at;

    switch (in->ops[1].reg) {
    case 0:
        at = AT_CPU(cr0);
        break;
    case 2:
        at = AT_CPU(cr2);
        break;
    case 3:
        at = AT_CPU(cr3);
        break;
    case 4:
        at = AT_CPU(cr4);
        break;
    default: /* CR8 is the local APIC's */
        return false;
    }
    emit_mov_rm(&b->e, W64, T2, BASE(HOST_CPU, at));
    build_gpr_write(b, in->ops[0].reg, in->ops[0].size, T2);
    return true;
}

bool rule_mov_from_seg(struct build *b, const struct insn *in)
{
    const struct mem selector = SEGMENT(in->ops[1].reg, selector);

    if (in->ops[0].kind == OPERAND_MEM) {
        build_memory(b, in, 2, ACCESS_WRITE);
        emit_movzx_rm(&b->e, T2, W16, selector);
        emit_mov_mr(&b->e, W16, BUILD_OPERAND, T2);
    } else {
        emit_movzx_rm(&b->e, T2, W16, selector);
        build_gpr_write(b, in->ops[0].reg, in->ops[0].size, T2);
    }
    return true;
}

bool rule_push_seg(struct build *b, const struct insn *in)
{
    emit_movzx_rm(&b->e, T2, W16, SEGMENT(in->ops[0].reg, selector));
    emit_mov_mr(&b->e, W64, BASE(HOST_CPU, AT_RT(value)), T2);
    build_push_saved(b, in->width);
    return true;
}

/* Blocks do not depend on the GS base. */
bool rule_swapgs(struct build *b, const struct insn *in)
{
    const struct mem base = SEGMENT(GS, base), other = BASE(HOST_CPU, AT_CPU(kernel_gs_base));
    struct emit *e = &b->e;

    (void)in;
    emit_mov_rm(e, W64, TC, base);
    emit_mov_rm(e, W64, T2, other);
    emit_mov_mr(e, W64, base, T2);
    emit_mov_mr(e, W64, other, TC);
    return true;
}

/* TC = bit `bit` of CR4.  Clobbers T1. */
static void load_cr4_bit(struct emit *e, unsigned bit)
{
    emit_mov_rm(e, W64, TC, BASE(HOST_CPU, AT_CPU(cr4)));
    emit_rorx(e, W64, TC, TC, (uint8_t)(bit + 1)); /* to bit 63 */
    emit_mov_ri(e, T1, 63);
    emit_shrx(e, W64, TC, TC, T1);
}

/* ---- bases of FS and GS ---- */

static enum seg base_of(const struct insn *in)
{
    return in->modrm & 8 ? GS : FS; /* /0 and /2 are FS's, /1 and /3 GS's */
}

/* To the side exit, where it is #UD, unless CR4.FSGSBASE is set.  Clobbers TC, T1. */
static void check_fsgsbase(struct build *b)
{
    struct emit *e = &b->e;
    struct label clear, set;

    _Static_assert(CR4_FSGSBASE == 1u << 16, "the bit below");
    load_cr4_bit(e, 16);
    clear = emit_jrcxz(e);
    set = emit_jmp_short(e);
    emit_bind(e, clear);
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, set);
}

bool rule_rdsegbase(struct build *b, const struct insn *in)
{
    if (!b->tr->bmi2)
        return false;
    check_fsgsbase(b);
    emit_mov_rm(&b->e, W64, T2, SEGMENT(base_of(in), base));
    build_gpr_write(b, in->ops[0].reg, in->ops[0].size, T2);
    return true;
}

/*
 * A base that is not canonical is the side exit's, for #GP.
 *
 *     mov   ecx, 47
 *     sarx  r14, base, rcx            ; 0 or -1 is canonical
 *     lea   rcx, [r14 + 1]
 *     mov   r14d, 1
 *     shrx  rcx, rcx, r14
 *     jrcxz good
 */
bool rule_wrsegbase(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct label good;
    uint8_t base;

    if (!b->tr->bmi2)
        return false;
    check_fsgsbase(b);
    base = build_gpr_read(b, in->ops[0].reg, T0);
    if (in->ops[0].size == 8) {
        emit_mov_ri(e, TC, 47);
        emit_sarx(e, W64, T1, base, TC);
        emit_lea(e, W64, TC, BASE(T1, 1));
        emit_mov_ri(e, T1, 1);
        emit_shrx(e, W64, TC, TC, T1);
        good = emit_jrcxz(e);
        build_side_exit(b, emit_jmp(e));
        emit_bind(e, good);
    } else {
        emit_mov_rr(e, W32, T0, base);
        base = T0;
    }
    emit_mov_mr(e, W64, SEGMENT(base_of(in), base), base);
    return true;
}

/* ---- time ---- */

/*
 * A guest that has seen a timer's time pass must not get further without its interrupt: past
 * cpu->tsc_due the side exit shows the time, and the machine looks at its timers.
 *
 *     mov   r13, rax
 *     mov   r14, rdx
 *     lfence                          ; RDTSCP only
 *     rdtsc
 *     rorx  rdx, rdx, 32
 *     lea   r11, [rax + rdx]
 *     mov   rdx, [tsc_due]            ; rcx = sign of due - 1 - now
 *     mov   rcx, r11
 *     not   rcx
 *     lea   rcx, [rcx + rdx]
 *     mov   eax, 63
 *     shrx  rcx, rcx, rax
 *     jrcxz early
 *     mov   rax, r13
 *     mov   rdx, r14
 *     jmp   side_exit
 *  early:
 *     ...                             ; rcx = r11 + tsc_offset - tsc_host_start
 *     mov   eax, ecx
 *     rorx  rdx, rcx, 32
 *     mov   edx, edx
 */
bool rule_rdtsc(struct build *b, const struct insn *in)
{
    enum { RDTSC = 0x31 };
    static const uint8_t lfence[] = {0x0f, 0xae, 0xe8}, rdtsc[] = {0x0f, 0x31};
    struct emit *e = &b->e;
    struct label allowed, early;

    if (!b->cpu->tsc_is_host || !b->tr->bmi2)
        return false;
    build_needs(b, T1);
    build_needs(b, T2);
    if (!(b->mode & MODE_CPL0)) {
        _Static_assert(CR4_TSD == 1u << 2, "the bit below");
        load_cr4_bit(e, 2);
        allowed = emit_jrcxz(e);
        build_side_exit(b, emit_jmp(e));
        emit_bind(e, allowed);
    }
    emit_mov_rr(e, W64, T0, RAX);
    emit_mov_rr(e, W64, T1, RDX);
    if (in->opcode != RDTSC)
        emit_bytes(e, lfence, sizeof(lfence));
    emit_bytes(e, rdtsc, sizeof(rdtsc));
    emit_rorx(e, W64, RDX, RDX, 32);
    emit_lea(e, W64, T2, INDEX(RAX, RDX, 1, 0));
    emit_mov_rm(e, W64, RDX, BASE(HOST_CPU, AT_CPU(tsc_due)));
    emit_mov_rr(e, W64, TC, T2);
    emit_not(e, W64, TC);
    emit_lea(e, W64, TC, INDEX(TC, RDX, 1, 0));
    emit_mov_ri(e, RAX, 63);
    emit_shrx(e, W64, TC, TC, RAX);
    early = emit_jrcxz(e);
    emit_mov_rr(e, W64, RAX, T0);
    emit_mov_rr(e, W64, RDX, T1);
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, early);
    emit_mov_rm(e, W64, TC, BASE(HOST_CPU, AT_CPU(tsc_offset)));
    emit_lea(e, W64, TC, INDEX(TC, T2, 1, 0));
    emit_mov_rm(e, W64, T2, BASE(HOST_CPU, AT_CPU(tsc_host_start)));
    emit_not(e, W64, T2);
    emit_lea(e, W64, TC, INDEX(TC, T2, 1, 1));
    emit_mov_rr(e, W32, RAX, TC);
    emit_rorx(e, W64, RDX, TC, 32);
    emit_mov_rr(e, W32, RDX, RDX);
    if (in->opcode != RDTSC)
        emit_mov_rm(e, W32, HOST_RCX, BASE(HOST_CPU, AT_CPU(tsc_aux)));
    return true;
}

/* ---- STAC, CLAC ---- */

/*
 * EFLAGS.AC = value.  Rotated right by 19, AC is bit 63, which doubling drops; the new bit 0 is the
 * new AC, and the second rotation brings it back to 18.  Clobbers TC.
 */
static void write_ac(struct emit *e, bool value)
{
    const struct mem rflags = BASE(HOST_CPU, AT_CPU(rflags));

    _Static_assert(FLAG_AC == 1u << 18, "rotated below");
    emit_mov_rm(e, W64, TC, rflags);
    emit_rorx(e, W64, TC, TC, 19);
    emit_lea(e, W64, TC, INDEX(TC, TC, 1, value));
    emit_rorx(e, W64, TC, TC, 64 - 18);
    emit_mov_mr(e, W64, rflags, TC);
}

/* At CPL 0: else #UD. */
static bool may_write_ac(const struct build *b)
{
    return (b->mode & MODE_CPL0) && b->tr->bmi2;
}

/* The other of the supervisor's return stacks (translator/returns.h). */
static void switch_returns(struct build *b, enum tlb_view view)
{
    emit_mov_mr(&b->e, W64, BASE(HOST_CPU, AT_RT(returns[b->view])), RSP);
    emit_mov_rm(&b->e, W64, RSP, BASE(HOST_CPU, AT_RT(returns[view])));
}

/* Go on behind the instruction in `mode`: an exit always leaves in the same one. */
static void exit_in_mode(struct build *b, uint32_t mode)
{
    if (mode != b->mode) {
        emit_mov_mi(&b->e, W32, BASE(HOST_CPU, AT_CPU(mode)), (int32_t)mode);
        switch_returns(b, mmu_mode_view(mode));
    }
    build_exit(b, b->next_rip);
}

/*
 * STAC.  The mode changes if CR4.SMAP is set, which is not in the key: an exit for each case.
 *
 *     jrcxz no_smap
 */
bool rule_stac(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    struct label no_smap;

    (void)in;
    if (!may_write_ac(b))
        return false;
    b->keeps_stack = true;
    write_ac(e, true);
    if (!(b->mode & MODE_SMAP_AC)) {
        _Static_assert(CR4_SMAP == 1u << 21, "the bit below");
        load_cr4_bit(e, 21);
        no_smap = emit_jrcxz(e);
        exit_in_mode(b, b->mode | MODE_SMAP_AC);
        emit_bind(e, no_smap);
    }
    exit_in_mode(b, b->mode);
    b->ended = true;
    return true;
}

bool rule_clac(struct build *b, const struct insn *in)
{
    (void)in;
    if (!may_write_ac(b))
        return false;
    b->keeps_stack = true;
    write_ac(&b->e, false);
    exit_in_mode(b, b->mode & ~(uint32_t)MODE_SMAP_AC);
    b->ended = true;
    return true;
}

/* ---- compare and exchange, bits, tables ---- */

/* A misaligned CMPXCHG16B faults on the host too. */
bool rule_cmpxchg_pair(struct build *b, const struct insn *in)
{
    const unsigned size = in->ops[0].size;

    build_memory(b, in, size, ACCESS_WRITE);
    emit_mov_rr(&b->e, W64, RCX, HOST_RCX);
    emit_cmpxchg_pair(&b->e, in->prefixes & PREFIX_LOCK, size / 2, BUILD_OPERAND);
    return true;
}

/* dst = src modulo the width in bits, without flags.  Clobbers T2, which may be src. */
static void bit_in_unit(struct emit *e, enum width w, uint8_t dst, uint8_t src)
{
    const uint8_t bits = w == W64 ? 6 : 5;

    emit_rorx(e, w, dst, src, bits);
    emit_mov_ri(e, T2, w * 8 - bits);
    emit_shrx(e, w, dst, dst, T2);
}

/*
 * BTx m, r: the bit number is signed and counts from the operand, in units of its width.
 *
 *     mov   ecx, 5
 *     sarx  r14d, src, ecx
 *     lea   r13d, [r13 + r14 * 4]     ; address of the unit
 */
bool rule_bit(struct build *b, const struct insn *in)
{
    const enum bit_op op = in->opcode >> 3 & 7;
    const enum access access = op == BIT_TEST ? ACCESS_READ : ACCESS_WRITE;
    const enum width w = in->width;
    struct emit *e = &b->e;
    uint8_t number;

    if (!b->tr->bmi2 || w < W32 || in->addr_size != (b->code64 ? 8 : 4))
        return false;
    if (!b->code64 && (!build_flat(b, in->seg) || in->seg == CS))
        return false;
    build_address(b, in);
    number = build_gpr_read(b, in->ops[1].reg, T2);
    emit_mov_ri(e, TC, w == W64 ? 6 : 5);
    emit_sarx(e, w, T1, number, TC);
    if (b->code64 && w == W32)
        emit_movsxd_rr(e, T1, T1);
    emit_lea(e, in->addr_size, T0, INDEX(T0, T1, w, 0));
    if (!build_flat(b, in->seg)) {
        emit_mov_rm(e, W64, T1, SEGMENT(in->seg, base));
        emit_lea(e, W64, T0, INDEX(T0, T1, 1, 0));
    }
    build_probe(b, w, access);
    number = build_gpr_read(b, in->ops[1].reg, T2);
    if (in->prefixes & PREFIX_LOCK) {
        bit_in_unit(e, w, TC, number);
        emit_bit_mr(e, op, true, w, BUILD_OPERAND, TC);
        return true;
    }
    emit_mov_rm(e, w, TC, BUILD_OPERAND);
    emit_bit_rr(e, op, w, TC, number);
    if (op != BIT_TEST)
        emit_mov_mr(e, w, BUILD_OPERAND, TC);
    return true;
}

/* AL = seg:[rBX + AL] */
bool rule_xlat(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;

    if (!b->tr->bmi2 || in->addr_size < 4 || !build_flat(b, in->seg))
        return false;
    emit_movzx_rr(e, T1, W8, RAX);
    emit_lea(e, in->addr_size, T0, INDEX(RBX, T1, 1, 0));
    build_probe(b, 1, ACCESS_READ);
    emit_mov_rm(e, W8, RAX, BUILD_OPERAND);
    return true;
}

/* ---- PUSHA, POPA ---- */

/* Where the register is in the frame that T0 + T1 points to: DI is lowest. */
static struct mem frame_slot(enum gpr reg, unsigned width)
{
    return INDEX(T0, T1, 1, (RDI - reg) * width);
}

bool rule_pusha(struct build *b, const struct insn *in)
{
    const unsigned width = in->width, size = 8 * width;

    build_stack_linear(b, HOST_SP, -(int32_t)size, size, ACCESS_WRITE);
    build_probe(b, size, ACCESS_WRITE);
    for (unsigned reg = RAX; reg <= RDI; reg++)
        emit_mov_mr(&b->e, width, frame_slot(reg, width), b->contract->host[reg]);
    build_move_sp(b, -(int32_t)size);
    return true;
}

bool rule_popa(struct build *b, const struct insn *in)
{
    const unsigned width = in->width, size = 8 * width;

    build_stack_linear(b, HOST_SP, 0, size, ACCESS_READ);
    build_probe(b, size, ACCESS_READ);
    for (unsigned reg = RAX; reg <= RDI; reg++) {
        if (reg != RSP)
            emit_mov_rm(&b->e, width, b->contract->host[reg], frame_slot(reg, width));
    }
    build_move_sp(b, (int32_t)size);
    return true;
}
