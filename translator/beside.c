/*
 * translator/beside.c -- stores to pages that hold code, but to bytes that are none.
 *
 * A page with code has no write tag in the inline TLB, so a store there takes the side exit and is
 * interpreted.  An instruction that does so again and again gets a second look behind its probe,
 * once for each byte that it writes: has any cache code of it?  physmem keeps that for pages that
 * such instructions have stored to (physmem_code_bytes()), and a small table by linear page says
 * where (struct rt_beside):
 *
 *         jrcxz hit                             ; of the probe
 *         rorx  rcx, r13, 12                    ; linear page
 *         movzx ecx, cl
 *         mov   r11, [r15 + rcx*8 + negated]
 *         mov   r14, [r15 + rcx*8 + bytes]
 *         lea   rcx, [r13 + r11 + size - 1]
 *         shrx  rcx, rcx, 12
 *         jrcxz known
 *         jmp   side exit
 *     known:
 *         mov   rcx, [r13 + r14]                ; as many bytes as are stored
 *         rorx  r11, r13, 12
 *         movzx r11d, r11b
 *         mov   r14, [r15 + r11*8 + addend]
 *         jrcxz done
 *         ...                                   ; of MOV: does memory hold the value already?
 *         jrcxz done
 *         jmp   side exit
 *     hit:
 *         mov   r14, [r15 + r14*8 + addend]     ; of the probe
 *     done:
 *
 * Needs BMI2, like all that leaves the flags alone.
 */
#include <stddef.h>

#include "cpu/fpu.h"
#include "cpu/physmem.h"
#include "translator/rules.h"

enum { STORES_HOT = 16 };

#define NOWHERE (UINT64_C(1) << 62) /* matches no address; 0 would match page 0 */

static uint8_t *heat_of(struct translator *tr, physaddr_t phys)
{
    return &tr->smc.stores[runtime_place(phys, SMC_STORE_BITS)];
}

static bool is_hot(struct translator *tr, physaddr_t phys)
{
    return *heat_of(tr, phys) == STORES_HOT || tr->options.eager_smc;
}

/* ---- the table ---- */

void beside_init(struct cpu *cpu)
{
    for (unsigned v = 0; v < TLB_VIEWS; v++)
        for (unsigned i = 0; i < RT_BESIDE; i++)
            rt_of(cpu)->beside[v].negated[i] = NOWHERE;
}

void beside_flush(struct translator *tr)
{
    struct smc *smc = &tr->smc;

    while (tr->cpu != NULL && smc->beside_count != 0) {
        smc->beside_count--;
        rt_of(tr->cpu)
            ->beside[smc->beside[smc->beside_count].view]
            .negated[smc->beside[smc->beside_count].index] = NOWHERE;
    }
}

static void fill(struct translator *tr, struct cpu *cpu, linaddr_t linear, physaddr_t gpa)
{
    const enum tlb_view view = mmu_view(cpu);
    const linaddr_t page = linear & PAGE_MASK;
    const unsigned slot = linear >> PAGE_SHIFT & (TLB_SIZE - 1);
    const unsigned index = linear >> PAGE_SHIFT & (RT_BESIDE - 1);
    const struct phys_page *memory = physmem_page(tr->mem, gpa);
    struct rt_beside *table = &rt_of(cpu)->beside[view];
    struct smc *smc = &tr->smc;
    const struct tlb_entry *entry = &cpu->tlb.entries[view][slot];
    const uint8_t *bytes;

    /* Permitted, dirty, and nobody watches the page: else the tags would not be there. */
    if (entry->tag_read != page || entry->tag_write != (page | TLB_INDIRECT) ||
        cpu->tlb.phys[view][slot] != (gpa & PAGE_MASK))
        return;
    bytes = physmem_code_bytes(tr->mem, gpa, true);
    if (bytes == NULL || (memory->flags & (PHYS_WRITE | PHYS_CODE)) != (PHYS_WRITE | PHYS_CODE))
        return;
    if (smc->beside_count == SMC_BESIDE_LOG)
        beside_flush(tr);
    if (table->negated[index] == NOWHERE) {
        smc->beside[smc->beside_count].view = (uint8_t)view;
        smc->beside[smc->beside_count++].index = (uint8_t)index;
    }
    table->negated[index] = -page;
    table->bytes[index] = (uint64_t)bytes - page;
    table->addend[index] = (uint64_t)memory->host - page;
    smc->counters.beside_pages++;
}

void beside_note(struct translator *tr, struct cpu *cpu, physaddr_t phys, linaddr_t linear,
                 physaddr_t gpa)
{
    uint8_t *heat = heat_of(tr, phys);

    if (tr->options.no_smc || !tr->bmi2)
        return;
    fpu_leave(cpu); /* the C library comes */
    if (*heat < STORES_HOT && ++*heat == STORES_HOT)
        cache_invalidate_range(tr->cache, phys, 1);
    if (is_hot(tr, phys))
        fill(tr, cpu, linear, gpa);
}

/* ---- generated code ---- */

/* The probe is for one access of the instruction, of that size, and for nothing else. */
static bool is_single(const struct build *b)
{
    const rule_fn rule = rule_table[b->insns[b->index].row];

    return !b->group.fresh && (rule == rule_native || rule == rule_simd || rule == rule_x87 ||
                               rule == rule_push || rule == rule_call_near);
}

bool beside_wanted(const struct build *b, unsigned size)
{
    return b->tr->bmi2 && !b->tr->options.no_smc && size <= 8 && (size & (size - 1)) == 0 &&
           b->jump_count < BUILD_MAX_JUMPS / 2 && is_single(b) && is_hot(b->tr, build_phys(b));
}

/* dst = entry of the page of linear address T0. */
static void load_index(struct build *b, uint8_t dst)
{
    struct emit *e = &b->e;

    if (b->contract->shift)
        emit_shrx(e, W32, dst, T0, HOST_SHIFT);
    else
        emit_rorx(e, W64, dst, T0, PAGE_SHIFT);
    emit_movzx_rr(e, dst, W8, dst);
}

/* TC = 0 if the memory at [T0 + T1] is what MOV is going to store there; else, and for other
 * instructions, false or another number.  Clobbers T2. */
static bool compare_value(struct build *b, unsigned size)
{
    const struct insn *in = &b->insns[b->index];
    const enum width w = size == 8 ? W64 : W32;
    struct emit *e = &b->e;
    uint8_t from;

    if (insn_row(in)->map != M0 || in->ops[0].kind != OPERAND_MEM || in->ops[0].size != size)
        return false;
    if ((in->opcode & 0xfe) == 0xc6 && b->live == NULL) { /* MOV r/m, imm */
        const int64_t value = (int64_t)in->imm;
        const uint64_t mask = size == 8 ? ~0ull : (1ull << size * 8) - 1;

        if (size == 8 && (value == INT32_MIN || value != (int32_t)value))
            return false;
        emit_movzx_rm(e, TC, size, INDEX(T0, T1, 1, 0));
        emit_lea(e, w, TC,
                 BASE(TC, size == 8 ? (int32_t)-value
                                    : (int32_t)(0u - (uint32_t)((uint64_t)value & mask))));
        return true;
    }
    if ((in->opcode & 0xfe) != 0x88 || in->ops[1].kind != OPERAND_GPR) /* MOV r/m, r */
        return false;
    emit_movzx_rm(e, TC, size, INDEX(T0, T1, 1, 0));
    from = build_gpr_read(b, in->ops[1].reg, T2);
    if (size < 4)
        emit_movzx_rr(e, T2, size, from);
    emit_not(e, w, TC);
    emit_lea(e, w, TC, INDEX(TC, size < 4 ? T2 : from, 1, 1));
    return true;
}

struct label beside_probe(struct build *b, unsigned size)
{
    struct emit *e = &b->e;
    const int32_t at = AT_RT(beside) + (int32_t)(b->view * sizeof(struct rt_beside));
    struct label known, done, same, out;

    load_index(b, TC);
    emit_mov_rm(e, W64, T2,
                INDEX(HOST_CPU, TC, 8, at + (int32_t)offsetof(struct rt_beside, negated)));
    emit_mov_rm(e, W64, T1,
                INDEX(HOST_CPU, TC, 8, at + (int32_t)offsetof(struct rt_beside, bytes)));
    emit_lea(e, W64, TC, INDEX(T0, T2, 1, (int32_t)size - 1));
    if (!b->contract->shift)
        emit_mov_ri(e, T2, PAGE_SHIFT);
    emit_shrx(e, W64, TC, TC, b->contract->shift ? HOST_SHIFT : T2);
    known = emit_jrcxz(e);
    build_side_exit(b, emit_jmp(e));
    emit_bind(e, known);
    emit_movzx_rm(e, TC, size, INDEX(T0, T1, 1, 0));
    load_index(b, T2);
    emit_mov_rm(e, W64, T1,
                INDEX(HOST_CPU, T2, 8, at + (int32_t)offsetof(struct rt_beside, addend)));
    done = emit_jrcxz(e);
    if (compare_value(b, size)) {
        same = emit_jrcxz(e);
        build_side_exit(b, emit_jmp(e));
        emit_bind(e, same);
    } else {
        build_side_exit(b, emit_jmp(e));
    }
    emit_bind(e, done);
    b->tr->smc.counters.beside++;
    out = emit_jmp_short(e);
    return out;
}
