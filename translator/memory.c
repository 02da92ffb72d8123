/*
 * translator/memory.c -- memory operands: segment check, window or inline TLB, no flag touched.
 *
 * A load of 4 bytes in a flat segment becomes (BMI2):
 *
 *     lea   r13d, [guest address]
 *     shrx  r14d, r13d, r12d
 *     movzx r14d, r14w                ; entry of the first byte's page
 *     mov   r11, [r15 + r14*8 + neg_read]
 *     lea   rcx, [r13 + r11 + 3]      ; last byte's offset in the page: a crossing must miss
 *     shrx  rcx, rcx, r12
 *     jrcxz hit
 *     jmp   side exit
 *   hit:
 *     mov   r14, [r15 + r14*8 + addend]
 *     op    [r13 + r14]
 *
 * JRCXZ is the one conditional branch that reads a register and no flag; LEA, NOT, MOVZX, SHRX
 * leave flags alone.  Hosts without BMI2 keep the flags in memory from the address to the probe's
 * end and use SHR.
 */
#include <stddef.h>

#include "translator/rules.h"
#include "translator/windows.h"

bool build_flat(const struct build *b, enum seg seg)
{
    return (b->code64 || (b->mode & MODE_FLAT)) && seg != FS && seg != GS;
}

static enum width address_width(const struct build *b)
{
    return b->code64 ? W64 : W32;
}

struct mem build_gpr_home(unsigned guest)
{
    return BASE(HOST_CPU, AT_CPU(gpr) + (int32_t)guest * 8);
}

uint8_t build_gpr_read(struct build *b, unsigned guest, uint8_t temp)
{
    const uint8_t host = b->contract->host[guest];

    if (host != NO_REG)
        return host;
    emit_mov_rm(&b->e, W64, temp, build_gpr_home(guest));
    return temp;
}

void build_gpr_write(struct build *b, unsigned guest, unsigned size, uint8_t from)
{
    struct emit *e = &b->e;
    const uint8_t host = b->contract->host[guest];

    if (host != NO_REG) {
        if (host != from)
            emit_mov_rr(e, size, host, from);
        return;
    }
    if (size == 4)
        emit_mov_rr(e, W32, from, from); /* zero-extends */
    emit_mov_mr(e, size >= 4 ? W64 : size, build_gpr_home(guest), from);
}

/* Only without BMI2: guest flags to rt.flag_save, as LAHF and SETO give them. Clobbers nothing. */
static void flags_save(struct build *b)
{
    struct emit *e = &b->e;

    if (b->tr->bmi2)
        return;
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(scratch)), RAX);
    emit_lahf(e);
    emit_setcc(e, 0 /* O */, RAX);
    emit_mov_mr(e, W32, BASE(HOST_CPU, AT_RT(flag_save)), RAX);
    emit_mov_rm(e, W64, RAX, BASE(HOST_CPU, AT_RT(scratch)));
}

static void flags_restore(struct build *b)
{
    struct emit *e = &b->e;

    if (b->tr->bmi2)
        return;
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(scratch)), RAX);
    emit_mov_rm(e, W32, RAX, BASE(HOST_CPU, AT_RT(flag_save)));
    emit_add_ri(e, W8, RAX, 0x7f); /* OF from bit 0 of AL */
    emit_sahf(e);
    emit_mov_rm(e, W64, RAX, BASE(HOST_CPU, AT_RT(scratch)));
}

/* dst = src >> count; T2 is lent for the count where SHRX needs one, and dst may be T2. */
static void shift_right(struct build *b, enum width w, uint8_t dst, uint8_t src, uint8_t count)
{
    struct emit *e = &b->e;

    if (!b->tr->bmi2) {
        if (dst != src)
            emit_mov_rr(e, w, dst, src);
        emit_shr_ri(e, w, dst, count);
    } else if (b->contract->shift && count == PAGE_SHIFT) {
        emit_shrx(e, w, dst, src, HOST_SHIFT);
    } else {
        emit_mov_ri(e, T2, count);
        emit_shrx(e, w, dst, src, T2);
    }
}

/* T1 = entry of the page of linear address T0. */
static void load_index(struct build *b)
{
    struct emit *e = &b->e;

    build_needs(b, T1);
    if (b->tr->bmi2 && !b->contract->shift)
        emit_rorx(e, W64, T1, T0, PAGE_SHIFT);
    else
        shift_right(b, address_width(b), T1, T0, PAGE_SHIFT);
    emit_movzx_rr(e, T1, W16, T1);
}

/* Jump to the side exit unless TC is 0. */
static void side_exit_unless_zero(struct build *b)
{
    const struct label hit = emit_jrcxz(&b->e);

    flags_restore(b);
    build_side_exit(b, emit_jmp(&b->e));
    emit_bind(&b->e, hit);
}

/*
 * T0 = offset in `seg` -> linear.  With end = first offset past the range:
 *   TC = end - (T0 + size) = ~(T0 + size) + end + 1; negative is a violation.
 */
static void add_segment(struct build *b, enum seg seg, unsigned size, enum access access)
{
    struct emit *e = &b->e;
    const int32_t at = AT_CPU(seg) + (int32_t)((size_t)seg * sizeof(struct segment));
    const size_t end = access == ACCESS_WRITE ? offsetof(struct segment, write_end)
                                              : offsetof(struct segment, read_end);

    if (!b->code64) {
        emit_lea(e, W64, TC, BASE(T0, size));
        emit_not(e, W64, TC);
        emit_mov_rm(e, W64, T2, BASE(HOST_CPU, at + (int32_t)end));
        emit_lea(e, W64, TC, INDEX(TC, T2, 1, 1));
        shift_right(b, W64, TC, TC, 63);
        side_exit_unless_zero(b);
    }
    emit_mov_rm(e, W64, TC, BASE(HOST_CPU, at + (int32_t)offsetof(struct segment, base)));
    emit_lea(e, address_width(b), T0, INDEX(T0, TC, 1, 0));
}

bool build_is_constant(const struct insn *in)
{
    return in->base == NO_REG && in->index == NO_REG;
}

bool build_is_near(const struct build *b, const struct insn *in)
{
    const int64_t disp = (int64_t)build_constant_address(b, in) - WINDOW_BIAS;

    return build_is_constant(in) && disp == (int32_t)disp;
}

bool build_is_fixed(const struct build *b, const struct insn *in, int16_t *slot)
{
    const uint64_t address =
        build_is_constant(in) ? build_constant_address(b, in) : (uint64_t)in->disp;

    *slot = (int16_t)((int64_t)address >> WINDOW_REGION_SHIFT);
    if (build_is_constant(in))
        return linaddr_is_canonical(address);
    return narrow_table(b, in) && in->disp >= INT32_MIN + WINDOW_BIAS;
}

struct mem build_fixed_operand(const struct build *b, const struct insn *in, uint8_t distance)
{
    if (build_is_near(b, in))
        return BASE(distance, (int64_t)build_constant_address(b, in) - WINDOW_BIAS);
    if (build_is_constant(in))
        return INDEX(T0, distance, 1, -WINDOW_BIAS);
    return INDEX(distance,
                 b->contract->host[in->index] == NO_REG ? T0 : b->contract->host[in->index],
                 in->scale ? in->scale : 1, (int32_t)in->disp - WINDOW_BIAS);
}

void build_fixed_rest(struct build *b, const struct insn *in)
{
    if (!build_is_constant(in))
        (void)build_gpr_read(b, in->index, T0);
    else if (!build_is_near(b, in))
        build_mov_constant(b, in);
}

uint64_t build_constant_address(const struct build *b, const struct insn *in)
{
    const uint64_t offset = (uint64_t)in->disp + (in->rip_relative ? b->next_rip : 0);

    return in->addr_size == 8 ? offset : in->addr_size == 4 ? (uint32_t)offset : (uint16_t)offset;
}

/* T0 = that. */
void build_mov_constant(struct build *b, const struct insn *in)
{
    const uint64_t address = build_constant_address(b, in);

    if (!in->rip_relative) {
        emit_mov_ri(&b->e, T0, address);
        b->portable &= (int64_t)address == (int32_t)address; /* as build_load_slot() has it */
        return;
    }
    emit_mov_linear(&b->e, T0, address, false);
    b->portable &= in->addr_size == 8;
}

void build_load_slot(struct build *b, uint8_t dst, int16_t slot)
{
    emit_mov_rm(&b->e, W64, dst,
                BASE(HOST_CPU, AT_SLOT(b->view == VIEW_USER, windows_slot_index(slot))));
    if (slot != 0 && slot != -1) /* what is not relative to RIP is in one of these */
        emit_note(&b->e, b->e.at - sizeof(uint32_t), EMIT_SLOT);
}

void build_address(struct build *b, const struct insn *in)
{
    struct emit *e = &b->e;
    const enum width w = in->addr_size == 8 ? W64 : W32;
    uint8_t base = NO_REG, index = NO_REG;

    if (build_is_constant(in)) {
        build_mov_constant(b, in);
    } else {
        if (in->base != NO_REG)
            base = build_gpr_read(b, in->base, T0);
        if (in->index != NO_REG)
            index = build_gpr_read(b, in->index, TC);
        emit_lea(e, w, T0,
                 ((struct mem){base, index, in->scale ? in->scale : 1, (int32_t)in->disp, false}));
    }
    if (in->addr_size == 2 && !build_is_constant(in))
        emit_movzx_rr(e, T0, W16, T0);
}

/* Is the segment's offset the linear address? */
static bool is_linear(const struct build *b, const struct insn *in, enum access access)
{
    /* A flat CS may be read like the others, but 32-bit protected mode never lets it be written. */
    return build_flat(b, in->seg) && (in->seg != CS || access != ACCESS_WRITE || b->code64);
}

void build_linear(struct build *b, const struct insn *in, unsigned size, enum access access)
{
    flags_save(b);
    build_address(b, in);
    if (!is_linear(b, in, access))
        add_segment(b, in->seg, size, access);
}

static void probe_constant(struct build *b, const struct insn *in, unsigned size,
                           enum access access);

/* ---- windows: translator/windows.h ---- */

/*
 *     shrx  dst, reg, r15              ; counts by 39
 *     mov   dst, [r15 + dst*8 + slots] ; faults where no slots are: not for CPL 3
 */
void build_distance(struct build *b, uint8_t dst, uint8_t reg)
{
    build_needs(b, dst);
    emit_shrx(&b->e, W64, dst, reg, HOST_CPU);
    emit_mov_rm(&b->e, W64, dst, INDEX(HOST_CPU, dst, 8, AT_SLOT(b->view == VIEW_USER, 0)));
}

static void find_stack(struct build *b)
{
    if (b->stack_lost) {
        build_needs(b, HOST_SP);
        build_distance(b, HOST_STACK, HOST_SP);
    }
    b->stack_lost = false;
}

void build_settle_stack(struct build *b)
{
    if (!build_has_regions(b))
        return;
    if (b->stack_drift != 0)
        b->stack_lost = true;
    find_stack(b);
    b->stack_drift = 0;
}

/*
 * Does the instruction access its memory operand whatever its other operands are?  A vector one
 * whose mask is empty does not, and of a shift by nothing no manual promises it.
 */
static bool always_touches(const struct insn *in)
{
    const uint8_t map = insn_row(in)->map, op = in->opcode;
    const bool shift = (map == M0 && ((op & 0xfe) == 0xc0 || (op & 0xfc) == 0xd0)) ||
                       (map == M1 && (op & 0xf6) == 0xa4);

    return rule_table[in->row] == rule_native && !shift;
}

/* [RSP + disp] in its region.  An access is good for what was added to RSP before: had it left the
 * region, the access would have faulted. */
static struct mem stack_operand(struct build *b, int32_t disp, bool touches)
{
    find_stack(b);
    if (touches && disp >= -WINDOW_DRIFT_MAX && disp <= WINDOW_DRIFT_MAX)
        b->stack_drift = 0;
    return INDEX(HOST_SP, HOST_STACK, 1, disp - WINDOW_BIAS);
}

physaddr_t build_phys(const struct build *b)
{
    const uint64_t at = b->rip + b->block->key.cs_base - b->block->key.linear;
    const unsigned room = PAGE_SIZE - (b->block->key.phys & (PAGE_SIZE - 1));

    return at < room ? b->block->key.phys + at : b->records.next_phys + at - room;
}

/* Has the instruction missed so often that a probe is better? */
bool build_wants_probe(const struct build *b)
{
    return !b->window || runtime_prefers_probe(b->tr, build_phys(b), b->rip);
}

bool build_is_base_only(const struct insn *in)
{
    return in->base != NO_REG && in->index == NO_REG && !in->rip_relative && in->addr_size == 8 &&
           in->disp >= INT32_MIN + WINDOW_BIAS;
}

/* Does HOST_STACK say it for the stack's array [RSP + index], too? */
bool build_is_stack_array(const struct build *b, const struct insn *in)
{
    const unsigned needed = 1u << HOST_STACK | 1u << HOST_SP;

    return in->base == RSP && narrow_anchor(b, in) == RSP && (b->lent & needed) == 0;
}

struct place build_place(const struct build *b, const struct insn *in, enum access access)
{
    const bool linear = is_linear(b, in, access);
    const uint8_t *host = b->contract->host;
    const int32_t biased = (int32_t)((int64_t)in->disp - WINDOW_BIAS); /* of base and disp only */
    int16_t slot;

    if (build_wants_probe(b))
        return (struct place){PLACE_TLB, INDEX(T0, T1, 1, 0)};
    if (!b->code64) {
        if (linear && in->addr_size == 4)
            return (struct place){PLACE_WINDOW,
                                  {in->base == NO_REG ? NO_REG : host[in->base],
                                   in->index == NO_REG ? NO_REG : host[in->index],
                                   in->scale ? in->scale : 1, (int32_t)in->disp, true}};
        return (struct place){PLACE_LINEAR, {T0, NO_REG, 1, 0, true}};
    }
    if (linear && b->keeps_stack && build_is_stack_array(b, in))
        return (struct place){PLACE_REGION, INDEX(T0, HOST_STACK, 1, -WINDOW_BIAS)};
    if (linear && build_is_fixed(b, in, &slot))
        return (struct place){PLACE_REGION, build_fixed_operand(b, in, T1)};
    if (!linear || !build_is_base_only(in))
        return (struct place){PLACE_REGION, INDEX(T0, T1, 1, -WINDOW_BIAS)};
    if (in->base == RSP && b->keeps_stack)
        return (struct place){PLACE_REGION, INDEX(HOST_SP, HOST_STACK, 1, biased)};
    return (struct place){PLACE_REGION,
                          INDEX(host[in->base] == NO_REG ? T0 : host[in->base], T1, 1, biased)};
}

/* T1 = distance of the region of a guest register, which is in `host`; of the sum in T0; of what is
 * fixed.  If it is not there already. */
static void go_by_register(struct build *b, uint8_t guest, uint8_t host)
{
    build_distance(b, T1, host);
    recent_is_register(b, guest);
}

static void go_by_sum(struct build *b, const struct insn *in)
{
    if (recent_has_sum(b, in))
        return;
    build_distance(b, T1, T0);
    recent_is_sum(b, in);
}

static void go_by_slot(struct build *b, int16_t slot)
{
    if (recent_has_slot(b, slot))
        return;
    build_needs(b, T1);
    build_load_slot(b, T1, slot);
    recent_is_slot(b, slot);
}

static void go_to_region(struct build *b, const struct insn *in, const struct place *place,
                         unsigned size, enum access access)
{
    int16_t slot;

    if (place->operand.index == HOST_STACK && place->operand.base == T0) {
        find_stack(b);
        build_address(b, in);
    } else if (place->operand.index == HOST_STACK) {
        (void)stack_operand(b, place->operand.disp + WINDOW_BIAS, always_touches(in));
    } else if (!is_linear(b, in, access)) {
        build_address(b, in);
        add_segment(b, in->seg, size, access);
        build_distance(b, T1, T0);
    } else if (build_is_base_only(in)) {
        const uint8_t base = build_gpr_read(b, in->base, T0);

        if (!recent_has_register(b, in->base))
            go_by_register(b, in->base, base);
    } else if (build_is_fixed(b, in, &slot)) {
        build_fixed_rest(b, in);
        go_by_slot(b, slot);
    } else {
        const uint8_t anchor = narrow_anchor(b, in);

        build_address(b, in);
        if (anchor == NO_REG)
            go_by_sum(b, in);
        else if (!recent_has_register(b, anchor))
            go_by_register(b, anchor, build_gpr_read(b, anchor, T1));
    }
}

void build_go_to_place(struct build *b, const struct insn *in, const struct place *place,
                       unsigned size, enum access access)
{
    switch (place->kind) {
    case PLACE_TLB:
        build_linear(b, in, size, access);
        if (build_is_constant(in) && is_linear(b, in, access))
            probe_constant(b, in, size, access);
        else
            build_probe(b, size, access);
        b->keeps_stack = false;
        break;
    case PLACE_LINEAR:
        build_linear(b, in, size, access);
        break;
    case PLACE_REGION:
        go_to_region(b, in, place, size, access);
        break;
    case PLACE_WINDOW:
    case PLACE_GROUP:
    case PLACE_HOME:
        break;
    }
    b->operand = place->operand;
}

void build_stack_linear(struct build *b, uint8_t reg, int32_t disp, unsigned size,
                        enum access access)
{
    struct emit *e = &b->e;

    flags_save(b);
    emit_lea(e, address_width(b), T0, BASE(reg, disp));
    if (!b->code64 && !(b->mode & MODE_STACK32))
        emit_movzx_rr(e, T0, W16, T0);
    if (!build_flat(b, SS))
        add_segment(b, SS, size, access);
}

void build_range(struct build *b, uint8_t reg, int32_t low, unsigned size, enum access access)
{
    flags_save(b);
    emit_lea(&b->e, address_width(b), T0, BASE(reg, low));
    build_probe(b, size, access);
}

/* Load part of an entry; moves: of one that depends on where the block is. */
static void load_entry(struct build *b, uint8_t dst, struct mem entry, bool moves)
{
    emit_mov_rm(&b->e, W64, dst, entry);
    if (moves)
        emit_note(&b->e, b->e.at - sizeof(int32_t), EMIT_ENTRY);
}

/* Probe with the tag and the addend of one entry; T1 may be part of their addresses. */
static void probe(struct build *b, unsigned size, enum access access, struct mem tag,
                  struct mem addend, bool moves)
{
    struct emit *e = &b->e;
    const bool beside = access == ACCESS_WRITE && beside_wanted(b, size);
    struct label hit, done;

    build_needs(b, T1);
    build_needs(b, T2);
    load_entry(b, T2, tag, moves);
    emit_lea(e, W64, TC, INDEX(T0, T2, 1, (int32_t)size - 1));
    shift_right(b, W64, TC, TC, PAGE_SHIFT);
    if (beside) {
        hit = emit_jrcxz(e);
        done = beside_probe(b, size);
        emit_bind(e, hit);
        load_entry(b, T1, addend, moves);
        emit_bind(e, done);
        return;
    }
    side_exit_unless_zero(b);
    flags_restore(b);
    load_entry(b, T1, addend, moves);
}

static int32_t tags_at(const struct build *b, enum access access)
{
    return access == ACCESS_WRITE ? AT_VIEW(b->view, neg_write) : AT_VIEW(b->view, neg_read);
}

void build_probe(struct build *b, unsigned size, enum access access)
{
    load_index(b);
    b->operand = INDEX(T0, T1, 1, 0);
    probe(b, size, access, INDEX(HOST_CPU, T1, 8, tags_at(b, access)),
          INDEX(HOST_CPU, T1, 8, AT_VIEW(b->view, addend)), false);
}

/* The page is known, and so is its entry. */
static void probe_constant(struct build *b, const struct insn *in, unsigned size,
                           enum access access)
{
    const uint64_t page = build_constant_address(b, in) >> PAGE_SHIFT;
    const int32_t index = (int32_t)(page & (RT_ENTRIES - 1));

    probe(b, size, access, BASE(HOST_CPU, tags_at(b, access) + 8 * index),
          BASE(HOST_CPU, AT_VIEW(b->view, addend) + 8 * index), in->rip_relative);
}

void build_memory(struct build *b, const struct insn *in, unsigned size, enum access access)
{
    const struct place place = build_place(b, in, access);

    build_go_to_place(b, in, &place, size, access);
}

void build_stack(struct build *b, uint8_t reg, int32_t disp, unsigned size, enum access access)
{
    if (reg == HOST_SP)
        disp += b->owed_sp;
    if (build_wants_probe(b)) {
        build_stack_linear(b, reg, disp, size, access);
        build_probe(b, size, access);
        b->keeps_stack = false;
    } else if (!b->code64) {
        if (build_flat(b, SS) && (b->mode & MODE_STACK32)) {
            b->operand = (struct mem){reg, NO_REG, 1, disp, true};
        } else {
            build_stack_linear(b, reg, disp, size, access);
            b->operand = (struct mem){T0, NO_REG, 1, 0, true};
        }
    } else if (reg == HOST_SP && b->keeps_stack) {
        b->operand = stack_operand(b, disp, true);
    } else {
        build_distance(b, T1, reg);
        b->operand = INDEX(reg, T1, 1, disp - WINDOW_BIAS);
    }
}

uint8_t build_stack_temp(const struct build *b)
{
    return build_has_regions(b) && b->keeps_stack ? T0 : T2;
}
