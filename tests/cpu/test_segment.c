/*
 * tests/cpu/test_segment.c -- segment loads, far transfers, task switches, flags and I/O
 * permission.
 */
#include "tests/cpu/tables.h"

/* ---- segment registers ---- */

static void test_cache_follows_type(void **state)
{
    struct segment s;

    (void)state;
    segment_unpack(make_descriptor(0x12345678, 0xfffff, DATA_0, FLAT32), 8, &s);
    assert_int_equal(s.base, 0x12345678);
    assert_int_equal(s.limit, 0xffffffff);
    assert_int_equal(s.read_end, 0x100000000);
    assert_int_equal(s.write_end, 0x100000000);
    segment_unpack(make_descriptor(0, 0xfff, DATA_0 | 4, 4), 8, &s); /* expand-down */
    assert_int_equal(s.read_end, 0);
    segment_unpack(make_descriptor(0, 0xfff, CODE_0, 4), 8, &s);
    assert_int_equal(s.read_end, 0x1000);
    assert_int_equal(s.write_end, 0);
    segment_unpack(make_descriptor(0, 0xfff, CODE_0 & ~2, 4), 8, &s); /* execute-only */
    assert_int_equal(s.read_end, 0);
}

static void test_real_load_keeps_limit(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    assert_true(segment_load(cpu, DS, K_DATA));
    cpu->cr0 &= ~CR0_PE;
    cpu_update_mode(cpu);
    assert_true(segment_load(cpu, DS, 0x1234));
    assert_int_equal(cpu->seg[DS].base, 0x12340);
    assert_int_equal(cpu->seg[DS].limit, 0xffffffff);
}

static void test_load_data_rules(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    assert_true(segment_load(cpu, ES, 3)); /* null, with an RPL */
    assert_int_equal(cpu->seg[ES].selector, 3);
    assert_int_equal(cpu->seg[ES].attr & SEG_P, 0);
    assert_false(segment_load(cpu, ES, K_DATA | 3));
    assert_fault(cpu, VEC_GP, K_DATA);
    assert_false(segment_load(cpu, ES, GDT_BYTES | 3));
    assert_fault(cpu, VEC_GP, GDT_BYTES);
    assert_false(segment_load(cpu, ES, EXEC_ONLY));
    assert_fault(cpu, VEC_GP, EXEC_ONLY & ~3);
    assert_true(segment_load(cpu, ES, CONFORM | 3)); /* readable conforming code: any level */
    assert_false(segment_load(cpu, ES, LDT_DATA));   /* no LDT */
    assert_fault(cpu, VEC_GP, LDT_DATA & ~3);
    segment_unpack(get_descriptor(m, LDT), LDT, &cpu->ldtr);
    assert_int_equal(get(m, AT_LDT + 13, 1) & 1, 0);
    assert_true(segment_load(cpu, ES, LDT_DATA));
    assert_int_equal(cpu->seg[ES].base, 0x100);
    assert_int_equal(get(m, AT_LDT + 13, 1) & 1, 1); /* accessed */

    enter_protected(m, 0);
    assert_false(segment_load(cpu, ES, ABSENT));
    assert_fault(cpu, VEC_NP, ABSENT);
}

static void test_load_stack_rules(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    assert_false(segment_load(cpu, SS, 0));
    assert_fault(cpu, VEC_GP, 0);
    assert_false(segment_load(cpu, SS, U_DATA));
    assert_fault(cpu, VEC_GP, U_DATA & ~3);
    assert_false(segment_load(cpu, SS, K_DATA | 1));
    assert_fault(cpu, VEC_GP, K_DATA);
    assert_false(segment_load(cpu, SS, K_CODE));
    assert_fault(cpu, VEC_GP, K_CODE);
    assert_false(segment_load(cpu, SS, ABSENT));
    assert_fault(cpu, VEC_SS, ABSENT);
    assert_true(segment_load(cpu, SS, K_DATA16));
    assert_int_equal(cpu->mode & MODE_STACK32, 0);
    enter_long(m, 0);
    assert_true(segment_load(cpu, SS, 0));
}

/* ---- calls and returns ---- */

static void test_call_gate_copies_parameters(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    put(m, STACK3, 4, 0xaaaa);
    put(m, STACK3 + 4, 4, 0xbbbb);
    assert_true(far_transfer(cpu, FAR_CALL, GATE32 | 3, 0, 4));
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->seg[CS].selector, K_CODE);
    assert_int_equal(cpu->rip, 0x12345);
    assert_int_equal(cpu->seg[SS].selector, K_DATA);
    assert_int_equal(cpu->gpr[RSP], STACK0 - 24);
    assert_int_equal(get(m, STACK0 - 4, 4), U_DATA);
    assert_int_equal(get(m, STACK0 - 8, 4), STACK3);
    assert_int_equal(get(m, STACK0 - 12, 4), 0xbbbb);
    assert_int_equal(get(m, STACK0 - 16, 4), 0xaaaa);
    assert_int_equal(get(m, STACK0 - 20, 4), U_CODE);
    assert_int_equal(get(m, STACK0 - 24, 4), 0x100);
    /* Back, dropping the parameters on both stacks; DS of level 0 becomes null. */
    assert_true(segment_load(cpu, DS, K_DATA));
    assert_true(far_return(cpu, 4, 8));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->rip, 0x100);
    assert_int_equal(cpu->gpr[RSP], STACK3 + 8);
    assert_int_equal(cpu->seg[SS].selector, U_DATA);
    assert_int_equal(cpu->seg[DS].selector, 0);
    assert_int_equal(cpu->seg[DS].attr & SEG_P, 0);
    assert_int_equal(cpu->seg[ES].selector, U_DATA);
}

static void test_call_gate16(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    put(m, STACK3, 2, 0x7777);
    assert_true(far_transfer(cpu, FAR_CALL, GATE16 | 3, 0, 4));
    assert_int_equal(cpu->rip, 0x4321);
    assert_int_equal(cpu->gpr[RSP], STACK0 - 10);
    assert_int_equal(get(m, STACK0 - 6, 2), 0x7777);
    assert_int_equal(get(m, STACK0 - 10, 2), 0x100);
    assert_int_equal(cpu->mode & MODE_CODE_MASK, MODE_CODE16);
}

static void test_inner_stack_faults_change_nothing(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    uint64_t gpr[16];
    struct segment seg[SEG_COUNT];

    enter_protected(m, 3);
    put(m, AT_TSS_A + 8, 4, U_DATA); /* wrong level */
    memcpy(gpr, cpu->gpr, sizeof(gpr));
    memcpy(seg, cpu->seg, sizeof(seg));
    assert_false(far_transfer(cpu, FAR_CALL, GATE32 | 3, 0, 4));
    assert_fault(cpu, VEC_TS, U_DATA & ~3);
    put(m, AT_TSS_A + 8, 4, 0);
    assert_false(far_transfer(cpu, FAR_CALL, GATE32 | 3, 0, 4));
    assert_fault(cpu, VEC_TS, 0);
    put(m, AT_TSS_A + 8, 4, ABSENT);
    assert_false(far_transfer(cpu, FAR_CALL, GATE32 | 3, 0, 4));
    assert_fault(cpu, VEC_SS, ABSENT);
    put(m, AT_TSS_A + 8, 4, K_DATA16);
    put(m, AT_TSS_A + 4, 4, 3); /* 24 bytes wrap to the top of 64 KiB: the first one faults */
    assert_false(far_transfer(cpu, FAR_CALL, GATE32 | 3, 0, 4));
    assert_fault(cpu, VEC_SS, K_DATA16);
    cpu->tr.limit = 8;
    assert_false(far_transfer(cpu, FAR_CALL, GATE32 | 3, 0, 4));
    assert_fault(cpu, VEC_TS, TSS_A);
    assert_int_equal(cpu->rip, 0x100);
    assert_int_equal(cpu->cpl, 3);
    assert_memory_equal(cpu->gpr, gpr, sizeof(gpr));
    assert_memory_equal(cpu->seg, seg, sizeof(seg));
}

static void test_far_jump_rules(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    assert_false(far_transfer(cpu, FAR_JMP, 0, 0, 4));
    assert_fault(cpu, VEC_GP, 0);
    assert_false(far_transfer(cpu, FAR_JMP, K_CODE, 0, 4));
    assert_fault(cpu, VEC_GP, K_CODE);
    assert_false(far_transfer(cpu, FAR_JMP, U_DATA, 0, 4));
    assert_fault(cpu, VEC_GP, U_DATA & ~3);
    assert_false(far_transfer(cpu, FAR_JMP, GATE32, 0, 4)); /* more privileged: CALL only */
    assert_fault(cpu, VEC_GP, K_CODE);
    assert_true(far_transfer(cpu, FAR_JMP, CONFORM, 0x4000, 4));
    assert_int_equal(cpu->seg[CS].selector, CONFORM | 3); /* level unchanged */
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->rip, 0x4000);

    enter_protected(m, 0);
    assert_false(far_transfer(cpu, FAR_JMP, K_CODE16, 0x10000, 4));
    assert_fault(cpu, VEC_GP, 0);
    put_descriptor(m, K_CODE16, make_descriptor(0, 0xffff, CODE_0 & 0x7f, SMALL16));
    assert_false(far_transfer(cpu, FAR_JMP, K_CODE16, 0, 4));
    assert_fault(cpu, VEC_NP, K_CODE16);
}

static void test_return_rules(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    put(m, STACK3, 4, 0x200);
    put(m, STACK3 + 4, 4, K_CODE); /* inwards */
    assert_false(far_return(cpu, 4, 0));
    assert_fault(cpu, VEC_GP, K_CODE);
    put(m, STACK3 + 4, 4, 0);
    assert_false(far_return(cpu, 4, 0));
    assert_fault(cpu, VEC_GP, 0);
    enter_protected(m, 0);
    cpu->gpr[RSP] = 0x8000;
    put(m, 0x8000, 4, 0x200);
    put(m, 0x8004, 4, U_CODE);
    put(m, 0x8008, 4, STACK3);
    put(m, 0x800c, 4, 0);
    assert_false(far_return(cpu, 4, 0));
    assert_fault(cpu, VEC_GP, 0);
    put(m, 0x800c, 4, K_DATA);
    assert_false(far_return(cpu, 4, 0));
    assert_fault(cpu, VEC_GP, K_DATA);
    assert_int_equal(cpu->gpr[RSP], 0x8000);
}

/* ---- IRET and flags ---- */

static void push_iret(struct machine *m, uint32_t at, uint32_t eip, uint32_t cs, uint32_t flags,
                      uint32_t esp, uint32_t ss)
{
    put(m, at, 4, eip);
    put(m, at + 4, 4, cs);
    put(m, at + 8, 4, flags);
    put(m, at + 12, 4, esp);
    put(m, at + 16, 4, ss);
    m->cpu->gpr[RSP] = at;
}

static void test_iret_outer(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    cpu->nmi_blocked = true;
    push_iret(m, 0x8000, 0x2000, U_CODE, 0x3202 | FLAG_RF, STACK3, U_DATA);
    assert_true(far_iret(cpu, 4));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->rip, 0x2000);
    assert_int_equal(cpu->gpr[RSP], STACK3);
    assert_int_equal(cpu->rflags, 0x3202 | FLAG_RF);
    assert_false(cpu->nmi_blocked);
    assert_int_equal(cpu->seg[DS].selector, 0);
    assert_true(cpu->mode & MODE_USER);
}

static void test_iret_flags_by_level(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    cpu->rflags = 2 | FLAG_IF;
    cpu_update_mode(cpu);
    push_iret(m, 0xa800, 0x2000, U_CODE, FLAG_IOPL | FLAG_CF | FLAG_VIP | FLAG_ID, 0, 0);
    assert_true(far_iret(cpu, 4)); /* IF, IOPL, VIP stay */
    assert_int_equal(cpu->rflags, 2 | FLAG_IF | FLAG_CF | FLAG_ID);
    assert_int_equal(cpu->gpr[RSP], 0xa80c);
}

static void test_iret_to_v86(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    static const uint16_t values[] = {0x1111, 0x2222, 0x3333, 0x4444}; /* ES DS FS GS */

    enter_protected(m, 0);
    push_iret(m, 0x8000, 0x1234, 0x5000, FLAG_VM | 0x3202, 0xfffe, 0x6000);
    for (unsigned i = 0; i < 4; i++)
        put(m, 0x8014 + 4 * i, 4, values[i]);
    assert_true(far_iret(cpu, 4));
    assert_true(cpu_is_v86(cpu));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->rip, 0x1234);
    assert_int_equal(cpu->seg[CS].base, 0x50000);
    assert_int_equal(cpu->seg[SS].base, 0x60000);
    assert_int_equal(cpu->gpr[RSP], 0xfffe);
    assert_int_equal(cpu->seg[ES].base, 0x11110);
    assert_int_equal(cpu->seg[GS].base, 0x44440);
    assert_int_equal(cpu->seg[GS].limit, 0xffff);
    assert_int_equal(cpu->mode & MODE_CODE_MASK, MODE_CODE16);
}

static void test_iret_v86_iopl(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_v86(m, 0);
    assert_false(far_iret(cpu, 2));
    assert_fault(cpu, VEC_GP, 0);
    cpu->cr4 |= CR4_VME;
    put(m, 0xb000, 2, 0x77);
    put(m, 0xb002, 2, 0x300);
    put(m, 0xb004, 2, FLAG_IF | FLAG_ZF);
    assert_true(far_iret(cpu, 2));
    assert_int_equal(cpu->rip, 0x77);
    assert_int_equal(cpu->seg[CS].base, 0x3000);
    assert_int_equal(cpu->rflags, 2 | FLAG_VM | FLAG_IF | FLAG_VIF | FLAG_ZF);
    cpu->rflags |= FLAG_VIP;
    cpu->gpr[RSP] = 0xb000;
    assert_false(far_iret(cpu, 2));
    assert_fault(cpu, VEC_GP, 0);
}

static void test_popf_by_level(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = {.width = 4, .length = 1};

    enter_protected(m, 3);
    put(m, STACK3, 4, 0xffffffff);
    cpu->rflags |= FLAG_RF;
    assert_true(run_popf(cpu, &in));
    assert_int_equal(cpu->rflags,
                     2 | FLAGS_OSZAPC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID);
    enter_protected(m, 0);
    put(m, STACK0, 4, 0xffffffff);
    assert_true(run_popf(cpu, &in));
    assert_int_equal(cpu->rflags, 2 | FLAGS_OSZAPC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC |
                                      FLAG_ID | FLAG_IF | FLAG_IOPL);
}

static void test_cli_sti(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = {.length = 1};

    enter_protected(m, 0);
    cpu->shadow = 0;
    assert_true(run_sti(cpu, &in));
    assert_int_equal(cpu->shadow, SHADOW_STI);
    cpu->shadow = 0;
    assert_true(run_sti(cpu, &in)); /* IF was set: no shadow */
    assert_int_equal(cpu->shadow, 0);
    enter_protected(m, 3);
    assert_false(run_cli(cpu, &in));
    assert_fault(cpu, VEC_GP, 0);
    cpu->cr4 |= CR4_PVI;
    assert_true(run_sti(cpu, &in));
    assert_int_equal(cpu->rflags, 2 | FLAG_VIF);
    cpu->rflags |= FLAG_VIP;
    assert_false(run_sti(cpu, &in));
    assert_fault(cpu, VEC_GP, 0);
}

/* ---- tasks ---- */

static void put_task_b(struct machine *m)
{
    static const uint32_t segs[] = {U_DATA, K_CODE, K_DATA, K_DATA, 0, 0};

    put(m, AT_TSS_B + 0x20, 4, 0x3000);
    put(m, AT_TSS_B + 0x24, 4, 2 | FLAG_CF);
    for (unsigned i = 0; i < 8; i++)
        put(m, AT_TSS_B + 0x28 + 4 * i, 4, 0x100 + i);
    put(m, AT_TSS_B + 0x28 + 4 * RSP, 4, STACK_B);
    for (unsigned i = 0; i < 6; i++)
        put(m, AT_TSS_B + 0x48 + 4 * i, 4, segs[i]);
}

static void test_task_call_and_return(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    put_task_b(m);
    cpu->gpr[RAX] = 0x12345678;
    cpu->dr[7] = 0x4ff;
    assert_true(far_transfer(cpu, FAR_CALL, GATE_TASK | 3, 0, 4));
    assert_int_equal(cpu->tr.selector, TSS_B);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->rip, 0x3000);
    assert_int_equal(cpu->gpr[RAX], 0x100);
    assert_int_equal(cpu->gpr[RSP], STACK_B);
    assert_int_equal(cpu->rflags, 2 | FLAG_CF | FLAG_NT);
    assert_true(cpu->cr0 & CR0_TS);
    assert_true(cpu->mode & MODE_NO_FPU);
    assert_int_equal(cpu->dr[7], 0x4aa);
    assert_int_equal(get(m, AT_TSS_B, 2), TSS_A);
    assert_int_equal(get(m, AT_TSS_A + 0x20, 4), 0x100);
    assert_int_equal(get(m, AT_TSS_A + 0x28, 4), 0x12345678);
    assert_int_equal(get(m, AT_TSS_A + 0x4c, 2), U_CODE);
    assert_int_equal(get_descriptor(m, TSS_A) >> 40 & 0xff, 0x8b); /* both busy */
    assert_int_equal(get_descriptor(m, TSS_B) >> 40 & 0xff, 0x8b);

    assert_true(far_iret(cpu, 4));
    assert_int_equal(cpu->tr.selector, TSS_A);
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->rip, 0x100);
    assert_int_equal(cpu->gpr[RAX], 0x12345678);
    assert_int_equal(get_descriptor(m, TSS_B) >> 40 & 0xff, 0x89);
    assert_int_equal(get(m, AT_TSS_B + 0x24, 4), 2 | FLAG_CF); /* saved without NT */
}

static void test_task_jump_faults(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put_task_b(m);
    assert_false(far_transfer(cpu, FAR_JMP, TSS_A, 0, 4)); /* busy */
    assert_fault(cpu, VEC_GP, TSS_A);
    put_descriptor(m, TSS_B, make_descriptor(AT_TSS_B, 0x66, 0x89, 0));
    assert_false(far_transfer(cpu, FAR_JMP, TSS_B, 0, 4));
    assert_fault(cpu, VEC_TS, TSS_B);
    put_descriptor(m, TSS_B, make_descriptor(AT_TSS_B, 0x67, 0x09, 0));
    assert_false(far_transfer(cpu, FAR_JMP, TSS_B, 0, 4));
    assert_fault(cpu, VEC_NP, TSS_B);
    put_descriptor(m, TSS_B, make_descriptor(AT_TSS_B, 0x67, 0x89, 0));
    assert_int_equal(cpu->rip, 0x100);
    assert_int_equal(get_descriptor(m, TSS_A) >> 40 & 0xff, 0x8b);
    assert_true(far_transfer(cpu, FAR_JMP, TSS_B, 0, 4));
    assert_int_equal(get_descriptor(m, TSS_A) >> 40 & 0xff, 0x89);
    assert_int_equal(cpu->rflags, 2 | FLAG_CF);
}

/* A segment of the new task that cannot be loaded is the new task's fault. */
static void test_task_fault_inside_new_task(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put_task_b(m);
    put(m, AT_TSS_B + 0x54, 4, K_CODE | 3); /* DS: DPL too small for the RPL */
    put_idt(m, VEC_TS, make_gate(K_CODE, 0x6000, 0x8e, 0));
    assert_true(far_transfer(cpu, FAR_JMP, TSS_B, 0, 4));
    assert_int_equal(cpu->rip, 0x6000);
    assert_int_equal(cpu->tr.selector, TSS_B);
    assert_int_equal(get(m, STACK_B - 16, 4), K_CODE); /* error code */
    assert_int_equal(get(m, STACK_B - 12, 4), 0x3000); /* the new task's EIP */
}

static void test_task_trap_bit(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put_task_b(m);
    put(m, AT_TSS_B + 0x64, 2, 1);
    put_idt(m, VEC_DB, make_gate(K_CODE, 0x7000, 0x8e, 0));
    assert_true(far_transfer(cpu, FAR_JMP, TSS_B, 0, 4));
    assert_int_equal(cpu->rip, 0x7000);
    assert_true(cpu->dr[6] & 0x8000);
    assert_int_equal(get(m, STACK_B - 12, 4), 0x3000);
}

static void test_task_16bit(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put(m, AT_TSS16 + 0x0e, 2, 0x1357);
    put(m, AT_TSS16 + 0x10, 2, FLAG_ZF);
    put(m, AT_TSS16 + 0x12 + 2 * RSP, 2, 0xc000);
    put(m, AT_TSS16 + 0x22, 2, 0);
    put(m, AT_TSS16 + 0x24, 2, K_CODE16);
    put(m, AT_TSS16 + 0x26, 2, K_DATA16);
    put(m, AT_TSS16 + 0x28, 2, K_DATA16);
    assert_true(far_transfer(cpu, FAR_JMP, TSS16_SEL, 0, 4));
    assert_int_equal(cpu->rip, 0x1357);
    assert_int_equal(cpu->gpr[RSP], 0xc000);
    assert_int_equal(cpu->rflags, 2 | FLAG_ZF);
    assert_int_equal(get_descriptor(m, TSS16_SEL) >> 40 & 0xff, 0x83);
    cpu->gpr[RBX] = 0xabcd;
    put_task_b(m);
    assert_true(far_transfer(cpu, FAR_JMP, TSS_B, 0, 2)); /* and out again: saved as words */
    assert_int_equal(get(m, AT_TSS16 + 0x12 + 2 * RBX, 2), 0xabcd);
    assert_int_equal(get(m, AT_TSS16 + 0x2a, 2), 0);
}

/* ---- queries, I/O ---- */

static struct insn insn_rr(unsigned dst, unsigned src)
{
    return (struct insn){.width = 4,
                         .length = 3,
                         .ops = {{OPERAND_GPR, (uint8_t)dst, 4}, {OPERAND_GPR, (uint8_t)src, 2}}};
}

static void test_lar_lsl(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = insn_rr(RAX, RCX);

    enter_protected(m, 3);
    cpu->gpr[RCX] = U_DATA;
    assert_true(run_lar(cpu, &in));
    assert_int_equal(cpu->gpr[RAX], 0xcff200);
    assert_true(cpu->rflags & FLAG_ZF);
    assert_true(run_lsl(cpu, &in));
    assert_int_equal(cpu->gpr[RAX], 0xffffffff);
    cpu->gpr[RCX] = K_DATA;
    assert_true(run_lar(cpu, &in));
    assert_false(cpu->rflags & FLAG_ZF);
    enter_protected(m, 0);
    cpu->gpr[RCX] = GATE32;
    assert_true(run_lar(cpu, &in));
    assert_true(cpu->rflags & FLAG_ZF);
    assert_true(run_lsl(cpu, &in));
    assert_false(cpu->rflags & FLAG_ZF);
}

static void test_io_bitmap(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    struct insn in = {.width = 4, .length = 1, .opcode = 0xed};

    enter_protected(m, 3);
    put(m, AT_TSS_A + 0x100 + 0x60 / 8, 1, 0x10); /* port 64h only */
    m->io_value = 0x11223344;
    cpu->gpr[RDX] = 0x60;
    assert_true(run_in(cpu, &in));
    assert_int_equal(cpu->gpr[RAX], 0x11223345);
    cpu->gpr[RDX] = 0x61; /* 61h..64h */
    assert_false(run_in(cpu, &in));
    assert_fault(cpu, VEC_GP, 0);
    cpu->gpr[RDX] = 0x7f8; /* the second byte would be beyond the limit */
    assert_false(run_in(cpu, &in));
    cpu->rflags |= FLAG_IOPL;
    assert_true(run_in(cpu, &in));
    enter_v86(m, 3); /* the bitmap decides whatever IOPL is */
    cpu->gpr[RDX] = 0x64;
    in.opcode = 0xec;
    assert_false(run_in(cpu, &in));
    assert_int_equal(m->io_count, 2);
}

static void test_rep_ins_is_bounded(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = {.width = 1,
                            .length = 2,
                            .addr_size = 4,
                            .code_size = CODE32,
                            .opcode = 0x6c,
                            .prefixes = PREFIX_REP};

    enter_protected(m, 0);
    cpu->gpr[RCX] = 100;
    cpu->gpr[RDI] = 0x20000;
    cpu->rip = 0x102;
    assert_true(run_ins(cpu, &in));
    assert_int_equal(cpu->rip, 0x100);
    assert_int_equal(cpu->gpr[RCX], 36);
    assert_int_equal(cpu->gpr[RDI], 0x20000 + 64);
    cpu->rip = 0x102;
    assert_true(run_ins(cpu, &in));
    assert_int_equal(cpu->rip, 0x102);
    assert_int_equal(cpu->gpr[RCX], 0);
    assert_int_equal(get(m, 0x20000 + 99, 1), 100);
}

/* ---- IA-32e mode ---- */

static void test_long_call_gate(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const uint32_t sp = STACK0 + 8;

    enter_long(m, 3);
    assert_true(far_transfer(cpu, FAR_CALL, GATE64 | 3, 0, 4));
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->rip, 0x4000);
    assert_int_equal(cpu->seg[SS].selector, 0);
    assert_int_equal(cpu->gpr[RSP], sp - 32);
    assert_int_equal(get(m, sp - 8, 8), U_DATA);
    assert_int_equal(get(m, sp - 32, 8), 0x100);
    assert_true(far_return(cpu, 8, 0));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->gpr[RSP], STACK3);
}

static void test_long_iretq(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    static const uint64_t same[] = {0x5000, K_CODE64, 0x202, 0x8800, 0};

    enter_long(m, 0);
    for (unsigned i = 0; i < 5; i++)
        put(m, 0x8000 + 8 * i, 8, same[i]);
    cpu->gpr[RSP] = 0x8000;
    assert_true(far_iret(cpu, 8)); /* pops SS:RSP though the level stays; SS may be null */
    assert_int_equal(cpu->gpr[RSP], 0x8800);
    assert_int_equal(cpu->seg[SS].selector, 0);
    cpu->gpr[RSP] = 0x8000;
    put(m, 0x8000, 8, 0x800000000000);
    assert_false(far_iret(cpu, 8));
    assert_fault(cpu, VEC_GP, 0);
    put(m, 0x8000, 8, 0x5000);
    put(m, 0x8008, 8, U_CODE64);
    assert_false(far_iret(cpu, 8)); /* null SS at level 3 */
    assert_fault(cpu, VEC_GP, 0);
}

static void test_syscall_sysret(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = {.width = 8, .length = 2};

    enter_long(m, 3);
    cpu->star = (uint64_t)0x1b << 48 | (uint64_t)0x08 << 32;
    cpu->lstar = 0xffffffff80001000;
    cpu->fmask = FLAG_IF;
    cpu->rflags = 2 | FLAG_IF | FLAG_CF;
    assert_true(run_syscall(cpu, &in));
    assert_int_equal(cpu->cpl, 0);
    assert_true(cpu->rip == 0xffffffff80001000);
    assert_int_equal(cpu->gpr[RCX], 0x100);
    assert_int_equal(cpu->gpr[R11], 2 | FLAG_IF | FLAG_CF);
    assert_int_equal(cpu->rflags, 2 | FLAG_CF);
    assert_int_equal(cpu->seg[SS].selector, 0x10);
    assert_true(run_sysret(cpu, &in));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->seg[CS].selector, 0x2b);
    assert_int_equal(cpu->seg[SS].selector, 0x23);
    assert_int_equal(cpu->rip, 0x100);
    assert_true(cpu_is_code64(cpu));
    cpu->cpl = 0;
    cpu->gpr[RCX] = 1ull << 47;
    assert_false(run_sysret(cpu, &in));
    assert_fault(cpu, VEC_GP, 0);
    cpu->efer &= ~EFER_SCE;
    assert_false(run_syscall(cpu, &in));
    assert_int_equal(cpu->fault.vector, VEC_UD);
}

static void test_sysenter_sysexit(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = {.width = 4, .length = 2};

    enter_protected(m, 3);
    assert_false(run_sysenter(cpu, &in)); /* SYSENTER_CS is null */
    assert_fault(cpu, VEC_GP, 0);
    cpu->sysenter_cs = 0x60;
    cpu->sysenter_eip = 0xc0001000;
    cpu->sysenter_esp = 0x9000;
    cpu->rflags |= FLAG_IF;
    assert_true(run_sysenter(cpu, &in));
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->seg[CS].selector, 0x60);
    assert_int_equal(cpu->seg[SS].selector, 0x68);
    assert_int_equal(cpu->rip, 0xc0001000);
    assert_int_equal(cpu->gpr[RSP], 0x9000);
    assert_int_equal(cpu->rflags, 2);
    cpu->gpr[RDX] = 0x400000;
    cpu->gpr[RCX] = 0xbfff0000;
    assert_true(run_sysexit(cpu, &in));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->seg[CS].selector, 0x73);
    assert_int_equal(cpu->seg[SS].selector, 0x7b);
    assert_int_equal(cpu->rip, 0x400000);
    assert_int_equal(cpu->gpr[RSP], 0xbfff0000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cache_follows_type),
        TEST(test_real_load_keeps_limit),
        TEST(test_load_data_rules),
        TEST(test_load_stack_rules),
        TEST(test_call_gate_copies_parameters),
        TEST(test_call_gate16),
        TEST(test_inner_stack_faults_change_nothing),
        TEST(test_far_jump_rules),
        TEST(test_return_rules),
        TEST(test_iret_outer),
        TEST(test_iret_flags_by_level),
        TEST(test_iret_to_v86),
        TEST(test_iret_v86_iopl),
        TEST(test_popf_by_level),
        TEST(test_cli_sti),
        TEST(test_task_call_and_return),
        TEST(test_task_jump_faults),
        TEST(test_task_fault_inside_new_task),
        TEST(test_task_trap_bit),
        TEST(test_task_16bit),
        TEST(test_lar_lsl),
        TEST(test_io_bitmap),
        TEST(test_rep_ins_is_bounded),
        TEST(test_long_call_gate),
        TEST(test_long_iretq),
        TEST(test_syscall_sysret),
        TEST(test_sysenter_sysexit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
