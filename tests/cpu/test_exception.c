/*
 * tests/cpu/test_exception.c -- delivery through IVT, IDT, task gates; double and triple faults.
 */
#include "tests/cpu/tables.h"

/* Handlers at level 0, EIP 0x10000 + 0x100 * vector. */
static void put_handler(struct machine *m, uint8_t vector, uint8_t access)
{
    put_idt(m, vector, make_gate(K_CODE, 0x10000 + 0x100u * vector, access, 0));
}
enum { INT_GATE = 0x8e, TRAP_GATE = 0x8f, USER_INT_GATE = 0xee, INT_GATE16 = 0x86 };

static void test_real_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_real(m);
    put(m, 0x21 * 4, 4, 0x20001234);
    cpu->rflags = 2 | FLAG_IF | FLAG_TF | FLAG_CF;
    assert_true(exception_interrupt(cpu, 0x21, EVENT_SOFTWARE));
    assert_int_equal(cpu->rip, 0x1234);
    assert_int_equal(cpu->seg[CS].base, 0x20000);
    assert_int_equal(cpu->rflags, 2 | FLAG_CF);
    assert_int_equal(cpu->gpr[RSP], 0x7ffa);
    assert_int_equal(get(m, 0x7ffe, 2), 2 | FLAG_IF | FLAG_TF | FLAG_CF);
    assert_int_equal(get(m, 0x7ffa, 2), 0x100);
    /* No error code in real mode. */
    put(m, VEC_GP * 4, 4, 0x5678);
    (void)!fault_gp(cpu, 0);
    exception_deliver(cpu);
    assert_int_equal(cpu->rip, 0x5678);
    assert_int_equal(cpu->gpr[RSP], 0x7ff4);
    /* Beyond the table. */
    cpu->idtr.limit = 0x21 * 4 + 2;
    assert_false(exception_interrupt(cpu, 0x21, EVENT_SOFTWARE));
    assert_int_equal(cpu->fault.vector, VEC_GP);
}

static void test_inner_level_with_error(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    cpu->rflags |= FLAG_IF | FLAG_NT;
    put_handler(m, VEC_PF, INT_GATE);
    (void)!fault_pf(cpu, 0xdead000, 6);
    cpu->shadow = SHADOW_STI;
    exception_deliver(cpu);
    assert_int_equal(cpu->rip, 0x10000 + 0x100 * VEC_PF);
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->cr2, 0xdead000);
    assert_int_equal(cpu->shadow, 0);
    assert_int_equal(cpu->rflags, 2);
    assert_int_equal(cpu->gpr[RSP], STACK0 - 24);
    assert_int_equal(get(m, STACK0 - 4, 4), U_DATA);
    assert_int_equal(get(m, STACK0 - 8, 4), STACK3);
    assert_int_equal(get(m, STACK0 - 12, 4), 2 | FLAG_IF | FLAG_NT | FLAG_RF);
    assert_int_equal(get(m, STACK0 - 16, 4), U_CODE);
    assert_int_equal(get(m, STACK0 - 20, 4), 0x100);
    assert_int_equal(get(m, STACK0 - 24, 4), 6);
    assert_int_equal(cpu->seg[DS].selector, U_DATA); /* data segments stay */
}

static void test_same_level_and_trap_gate(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    cpu->rflags |= FLAG_IF;
    put_handler(m, 0x80, TRAP_GATE);
    assert_true(exception_interrupt(cpu, 0x80, EVENT_SOFTWARE));
    assert_int_equal(cpu->gpr[RSP], STACK0 - 12);
    assert_true(cpu->rflags & FLAG_IF);
    put_handler(m, 0x81, INT_GATE16);
    assert_true(exception_interrupt(cpu, 0x81, EVENT_EXTERNAL));
    assert_int_equal(cpu->gpr[RSP], STACK0 - 18);
    assert_int_equal(cpu->rip, (0x10000 + 0x8100) & 0xffff);
    assert_false(cpu->rflags & FLAG_IF);
}

static void test_software_gate_privilege(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    put_handler(m, 0x80, INT_GATE);
    assert_false(exception_interrupt(cpu, 0x80, EVENT_SOFTWARE));
    assert_fault(cpu, VEC_GP, 0x80 * 8 + 2);
    assert_int_equal(cpu->gpr[RSP], STACK3);
    put_handler(m, 0x80, USER_INT_GATE & 0x7f);
    assert_false(exception_interrupt(cpu, 0x80, EVENT_SOFTWARE));
    assert_fault(cpu, VEC_NP, 0x80 * 8 + 2);
    cpu->idtr.limit = 0x80 * 8 + 6;
    assert_false(exception_interrupt(cpu, 0x80, EVENT_SOFTWARE));
    assert_fault(cpu, VEC_GP, 0x80 * 8 + 2);
    cpu->idtr.limit = 0x7ff;
    put_handler(m, 0x80, INT_GATE);
    assert_true(exception_interrupt(cpu, 0x80, EVENT_ICEBP)); /* no DPL check */
}

/* An external interrupt without a gate: #GP with EXT, at the interrupted instruction. */
static void test_external_fault_has_ext(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put_handler(m, VEC_GP, INT_GATE);
    assert_true(exception_interrupt(cpu, 0x30, EVENT_EXTERNAL));
    assert_int_equal(cpu->rip, 0x10000 + 0x100 * VEC_GP);
    assert_int_equal(get(m, STACK0 - 16, 4), 0x30 * 8 + 2 + 1);
    assert_int_equal(get(m, STACK0 - 12, 4), 0x100);
}

static void test_double_fault_classes(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put_handler(m, VEC_DF, INT_GATE);
    (void)!fault_gp(cpu, 0x1234); /* no gate for #GP: #GP again, contributory twice */
    exception_deliver(cpu);
    assert_int_equal(cpu->rip, 0x10000 + 0x100 * VEC_DF);
    assert_int_equal(get(m, STACK0 - 16, 4), 0);
    assert_int_equal(cpu->shutdown, false);
    /* Benign then contributory: handled one after the other. */
    enter_protected(m, 0);
    put_handler(m, VEC_GP, INT_GATE);
    (void)!fault_ud(cpu);
    exception_deliver(cpu);
    assert_int_equal(cpu->rip, 0x10000 + 0x100 * VEC_GP);
    assert_int_equal(get(m, STACK0 - 16, 4), VEC_UD * 8 + 2 + 1);
    /* Contributory then page fault would be serial; page fault then contributory is double. */
    enter_protected(m, 0);
    (void)!fault_pf(cpu, 0x5000, 0);
    exception_deliver(cpu);
    assert_int_equal(cpu->rip, 0x10000 + 0x100 * VEC_DF);
    assert_int_equal(cpu->cr2, 0x5000);
}

static void test_triple_fault(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    cpu->idtr.limit = 0;
    (void)!fault_ud(cpu);
    exception_deliver(cpu);
    assert_true(cpu->shutdown);
    assert_int_equal(m->shutdowns, 1);
}

static void test_debug_exception(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 0);
    put_handler(m, VEC_DB, INT_GATE);
    cpu->dr[7] = 0x2400;
    (void)!fault_db(cpu, 1 << 14);
    cpu->rflags |= FLAG_TF;
    exception_deliver(cpu);
    assert_true(cpu->dr[6] & 1 << 14);
    assert_int_equal(cpu->dr[7], 0x400);
    assert_int_equal(get(m, STACK0 - 4, 4), 2 | FLAG_TF); /* no RF for a trap */
    assert_int_equal(cpu->rflags, 2);
}

static void test_v86_frame(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    static const uint32_t frame[] = {0x600, 0x500, 0x400, 0x100, 0, 0xb000, 0, 0x200, 0x100, 7};
    const uint32_t flags = 2 | FLAG_VM | FLAG_IF | FLAG_IOPL | FLAG_RF;

    enter_v86(m, 3);
    put_handler(m, VEC_GP, INT_GATE);
    (void)!fault_gp(cpu, 7);
    exception_deliver(cpu);
    assert_int_equal(cpu->gpr[RSP], STACK0 - 40);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(get(m, STACK0 - 4 - 4 * i, 4), i == 6 ? flags : frame[i]);
    assert_false(cpu_is_v86(cpu));
    assert_int_equal(cpu->cpl, 0);
    assert_int_equal(cpu->seg[DS].attr & SEG_P, 0);
    assert_int_equal(cpu->seg[GS].selector, 0);
    assert_int_equal(cpu->rflags, 2 | FLAG_IOPL);

    /* A handler that is not at level 0. */
    enter_v86(m, 3);
    put_idt(m, 0x40, make_gate(R1_CODE, 0, USER_INT_GATE, 0));
    assert_false(exception_interrupt(cpu, 0x40, EVENT_SOFTWARE));
    assert_fault(cpu, VEC_GP, R1_CODE & ~3);
}

static void test_v86_int_redirection(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const struct insn in = {.length = 2, .imm = 0x21};

    enter_v86(m, 0);
    assert_false(run_int(cpu, &in)); /* IOPL < 3 without VME */
    assert_fault(cpu, VEC_GP, 0);
    cpu->cr4 |= CR4_VME;
    put(m, 0x21 * 4, 4, 0x30000456);
    cpu->rflags |= FLAG_VIF;
    assert_true(run_int(cpu, &in)); /* bit clear: to the 8086 program */
    assert_int_equal(cpu->rip, 0x456);
    assert_int_equal(cpu->seg[CS].base, 0x30000);
    assert_int_equal(cpu->gpr[RSP], 0xaffa);
    assert_int_equal(get(m, 0xaffe, 2), 2 | FLAG_IF | FLAG_IOPL);
    assert_int_equal(cpu->rflags, 2 | FLAG_VM | FLAG_IF); /* VIF cleared, IF not */
    put(m, AT_TSS_A + 0xe0 + 0x21 / 8, 1, 1 << (0x21 & 7));
    assert_false(run_int(cpu, &in));
    assert_fault(cpu, VEC_GP, 0);
}

static void test_task_gate_pushes_error(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;

    enter_protected(m, 3);
    put(m, AT_TSS_B + 0x20, 4, 0x3000);
    put(m, AT_TSS_B + 0x24, 4, 2);
    put(m, AT_TSS_B + 0x28 + 4 * RSP, 4, STACK_B);
    put(m, AT_TSS_B + 0x4c, 4, K_CODE);
    put(m, AT_TSS_B + 0x50, 4, K_DATA);
    put_idt(m, VEC_DF, make_gate(TSS_B, 0, 0x85, 0));
    (void)!fault_gp(cpu, 0x77);
    exception_deliver(cpu);
    assert_int_equal(cpu->tr.selector, TSS_B);
    assert_int_equal(cpu->rip, 0x3000);
    assert_int_equal(cpu->gpr[RSP], STACK_B - 4);
    assert_int_equal(get(m, STACK_B - 4, 4), 0);
    assert_int_equal(get(m, AT_TSS_A + 0x20, 4), 0x100);
    assert_true(cpu->rflags & FLAG_NT);
    /* The same gate again: its TSS is busy now. */
    put_idt(m, 0x40, make_gate(TSS_B, 0, 0xe5, 0));
    assert_false(exception_interrupt(cpu, 0x40, EVENT_SOFTWARE));
    assert_fault(cpu, VEC_GP, TSS_B);
}

static void put_idt64(struct machine *m, uint8_t vector, uint64_t offset, uint8_t access,
                      uint8_t ist)
{
    put(m, AT_IDT + vector * 16u, 8, make_gate(K_CODE64, (uint32_t)offset, access, ist));
    put(m, AT_IDT + vector * 16u + 8, 8, offset >> 32);
}

static void test_long_mode(void **state)
{
    struct machine *m = *state;
    struct cpu *cpu = m->cpu;
    const uint32_t sp = STACK_IST & ~15u;

    enter_long(m, 0);
    cpu->gpr[RSP] = 0x8807;
    put_idt64(m, VEC_GP, 0xffffffff81000000, INT_GATE, 0);
    (void)!fault_gp(cpu, 0x10);
    exception_deliver(cpu); /* same level: SS:RSP all the same, RSP aligned */
    assert_true(cpu->rip == 0xffffffff81000000);
    assert_int_equal(cpu->gpr[RSP], 0x8800 - 48);
    assert_int_equal(get(m, 0x8800 - 8, 8), K_DATA);
    assert_int_equal(get(m, 0x8800 - 16, 8), 0x8807);
    assert_int_equal(get(m, 0x8800 - 48, 8), 0x10);
    assert_int_equal(cpu->seg[SS].selector, K_DATA);

    enter_long(m, 3);
    put_idt64(m, VEC_NMI, 0x5000, INT_GATE, 1);
    assert_true(exception_interrupt(cpu, VEC_NMI, EVENT_EXTERNAL));
    assert_int_equal(cpu->gpr[RSP], sp - 40);
    assert_int_equal(cpu->seg[SS].selector, 0);
    assert_int_equal(cpu->cpl, 0);
    assert_true(far_iret(cpu, 8));
    assert_int_equal(cpu->cpl, 3);
    assert_int_equal(cpu->gpr[RSP], STACK3);
    assert_int_equal(cpu->rip, 0x100);

    put_idt64(m, 0x40, 1ull << 47, USER_INT_GATE, 0);
    assert_false(exception_interrupt(cpu, 0x40, EVENT_SOFTWARE)); /* not canonical */
    assert_fault(cpu, VEC_GP, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_real_mode),
        TEST(test_inner_level_with_error),
        TEST(test_same_level_and_trap_gate),
        TEST(test_software_gate_privilege),
        TEST(test_external_fault_has_ext),
        TEST(test_double_fault_classes),
        TEST(test_triple_fault),
        TEST(test_debug_exception),
        TEST(test_v86_frame),
        TEST(test_v86_int_redirection),
        TEST(test_task_gate_pushes_error),
        TEST(test_long_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
