/*
 * translator/glue.c -- the permanent generated code between C and blocks.
 *
 * Entering loads the contract's registers from struct cpu, leaving stores them back.  Generated
 * code has a stack of its own (translator/returns.h), C the thread's: rt.host_sp is aligned so that
 * C can be called.  Whoever comes here from generated code comes by CALL, and goes on by RET, so
 * that the host's return predictor stays in step.
 */
#include <stddef.h>

#include "cpu/fpu.h"
#include "translator/runtime.h"

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};
enum { CALLEE_SAVED = sizeof(callee_saved) };

const struct contract contract32 = {
    .host = {RAX, HOST_RCX, RDX, RBX, HOST_SP, RBP, RSI, RDI, NO_REG, NO_REG, NO_REG, NO_REG,
             NO_REG, NO_REG, NO_REG, NO_REG},
    .shift = true,
};
const struct contract contract64 = {
    .host = {RAX, HOST_RCX, RDX, RBX, HOST_SP, RBP, RSI, RDI, NO_REG, NO_REG, NO_REG, NO_REG, R12,
             NO_REG, NO_REG, NO_REG},
};

/* Guest registers and flags to struct cpu.  Clobbers RAX, flags. */
static void spill(struct emit *e, const struct contract *contract)
{
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_CPU(gpr)), RAX);
    emit_lahf(e);
    emit_setcc(e, 0 /* O */, RAX);
    emit_mov_mr(e, W32, BASE(HOST_CPU, AT_RT(flag_ax)), RAX);
    for (int32_t i = RCX; i <= R15; i++) {
        if (contract->host[i] != NO_REG)
            emit_mov_mr(e, W64, BASE(HOST_CPU, AT_CPU(gpr) + 8 * i), contract->host[i]);
    }
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(t0)), T0);
}

/* The other way, then on at rt.resume. */
static void reload(struct emit *e, const struct contract *contract)
{
    emit_mov_rm(e, W64, HOST_CPU, BASE(HOST_CPU, AT_RT(base))); /* MOV CR3 may have moved it */
    emit_lea(e, W64, HOST_CPU, BASE(HOST_CPU, HOST_CPU_BIAS));
    if (contract->shift)
        emit_mov_ri(e, HOST_SHIFT, PAGE_SHIFT);
    emit_mov_rm(e, W64, RSP, BASE(HOST_CPU, AT_RT(return_sp)));
    emit_mov_rm(e, W64, TC, BASE(HOST_CPU, AT_RT(resume)));
    emit_push(e, TC);
    emit_mov_rm(e, W32, RAX, BASE(HOST_CPU, AT_RT(flag_ax)));
    emit_add_ri(e, W8, RAX, 0x7f); /* 1 + 0x7f overflows: OF */
    emit_sahf(e);
    for (int32_t i = RAX; i <= R15; i++) {
        if (contract->host[i] != NO_REG)
            emit_mov_rm(e, W64, contract->host[i], BASE(HOST_CPU, AT_CPU(gpr) + 8 * i));
    }
    if (!contract->shift)
        emit_mov_rm(e, W64, HOST_STACK, BASE(HOST_CPU, AT_RT(stack)));
    emit_ret(e);
}

/*
 * Sanitizers put calls into the C code whose callees use vector registers: with them the guest's
 * x87 and SSE state is put away first, as before any foreign code.
 */
#ifdef RINGER_SANITIZED
enum { SANITIZED = true };
#else
enum { SANITIZED = false };
#endif

static uint64_t call_sanitized(struct cpu *cpu, const uint8_t *record,
                               uint64_t (*fn)(struct cpu *, const uint8_t *))
{
    fpu_leave(cpu);
    return fn(cpu, record);
}

/* Spill, fn(cpu, record), and go on where it says: it has set rt.resume and answers with the reload
 * of the contract that holds there.  record: the return address of the CALL that came here. */
static uint64_t stub(struct emit *e, const struct contract *contract,
                     uint64_t (*fn)(struct cpu *, const uint8_t *))
{
    const uint64_t here = emit_here(e);

    spill(e, contract);
    emit_pop(e, RSI);
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(return_sp)), RSP);
    emit_mov_rm(e, W64, RSP, BASE(HOST_CPU, AT_RT(host_sp)));
    emit_lea(e, W64, RDI, BASE(HOST_CPU, -HOST_CPU_BIAS));
    if (SANITIZED)
        emit_mov_ri(e, RDX, (uint64_t)fn);
    emit_mov_ri(e, RAX, SANITIZED ? (uint64_t)call_sanitized : (uint64_t)fn);
    emit_call_r(e, RAX);
    emit_jmp_r(e, RAX);
    return here;
}

/* One for whoever comes without a CALL: there is no record. */
static uint64_t stub_from_jump(struct emit *e, const struct contract *contract,
                               uint64_t (*fn)(struct cpu *, const uint8_t *))
{
    const uint64_t body = stub(e, contract, fn);
    const uint64_t here = emit_here(e);

    emit_call_to(e, body);
    return here;
}

/*
 * A RET that was not predicted, in one view: by the jump cache, or C.
 *
 *   empty:
 *     lea   rsp, [rsp - 8]            ; the bottom stays
 *   miss:
 *     mov   r13d, r13d                ; 16- and 32-bit code
 *     (look-up of R13)
 *     jmp   [entry]
 *   missed:
 *     mov   [rt.return_record], r14
 *     call  runtime_return()
 *
 * On hosts that are slow at LOOP the two are the other way round.
 */
static void emit_returns(struct emit *e, struct glue *glue, enum tlb_view view, bool code64,
                         bool quick_loop, uint64_t runtime)
{
    struct flow_missed missed;
    struct label hit = {0};

    glue->return_empty[view] = emit_here(e);
    emit_lea(e, W64, RSP, BASE(RSP, -8));
    glue->return_miss[view] = emit_here(e);
    if (!code64)
        emit_mov_rr(e, W32, T0, T0);
    if (quick_loop) {
        missed = flow_lookup_through(e, view, code64, HOST_GROUP);
        emit_jmp_m(e, FLOW_FOUND(view, HOST_GROUP));
        flow_bind_missed(e, &missed);
    } else {
        hit = flow_lookup(e, view, code64, HOST_GROUP);
    }
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(return_record)), T1);
    emit_call_to(e, runtime);
    if (!quick_loop) {
        emit_bind(e, hit);
        emit_jmp_m(e, FLOW_FOUND(view, HOST_GROUP));
    }
}

bool glue_emit(struct glue *glue, const struct contract *contract, bool quick_loop, struct emit *e)
{
    struct label into;
    uint64_t runtime;

    glue->enter = (void (*)(struct cpu *, uint64_t))emit_here(e);
    for (unsigned i = 0; i < CALLEE_SAVED; i++)
        emit_push(e, callee_saved[i]);
    emit_lea(e, W64, RSP, BASE(RSP, -8)); /* alignment */
    emit_lea(e, W64, HOST_CPU, BASE(RDI, HOST_CPU_BIAS));
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(resume)), RSI);
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(host_sp)), RSP);
    into = emit_call(e); /* for the predictor: reload returns */
    emit_bind(e, into);
    glue->reload = emit_here(e);
    reload(e, contract);

    glue->leave = emit_here(e); /* on C's stack */
    emit_lea(e, W64, RSP, BASE(RSP, 8));
    for (unsigned i = CALLEE_SAVED; i-- > 0;)
        emit_pop(e, callee_saved[i]);
    emit_ret(e);

    glue->slow = stub(e, contract, runtime_slow);
    glue->step = stub(e, contract, runtime_step);
    glue->stop = stub(e, contract, runtime_stop);
    glue->resolve = stub(e, contract, runtime_resolve);
    glue->hot = stub(e, contract, runtime_hot);
    glue->stale = stub(e, contract, runtime_stale);
    glue->recheck = stub(e, contract, runtime_recheck);
    glue->indirect = stub_from_jump(e, contract, runtime_indirect);
    glue->fault = stub_from_jump(e, contract, runtime_fault);
    runtime = stub(e, contract, runtime_return);
    for (unsigned view = 0; view < TLB_VIEWS; view++)
        emit_returns(e, glue, view, contract == &contract64, quick_loop, runtime);
    return !e->overflow;
}
