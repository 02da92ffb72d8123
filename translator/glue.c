/*
 * translator/glue.c -- the permanent generated code between C and blocks.
 *
 * Entering loads the contract's registers from struct cpu, leaving stores them back.  The host
 * stack inside generated code is 16-byte aligned, so that after a CALL into glue and a POP of the
 * return address C can be called.
 */
#include <stddef.h>

#include "translator/runtime.h"

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};
enum { CALLEE_SAVED = sizeof(callee_saved) };

/* Guest registers and flags to struct cpu.  Clobbers RAX, flags. */
static void spill(struct emit *e)
{
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_CPU(gpr)), RAX);
    emit_lahf(e);
    emit_setcc(e, 0 /* O */, RAX);
    emit_mov_mr(e, W32, BASE(HOST_CPU, AT_RT(flag_ax)), RAX);
    for (unsigned i = RCX; i <= RDI; i++)
        emit_mov_mr(e, W64, BASE(HOST_CPU, AT_CPU(gpr) + 8 * i), host_gpr(i));
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(t0)), T0);
}

/* The other way, then jump to rt.resume. */
static void reload(struct emit *e)
{
    emit_mov_ri(e, HOST_SHIFT, PAGE_SHIFT);
    emit_mov_rm(e, W32, RAX, BASE(HOST_CPU, AT_RT(flag_ax)));
    emit_add_ri(e, W8, RAX, 0x7f); /* 1 + 0x7f overflows: OF */
    emit_sahf(e);
    for (unsigned i = RAX; i <= RDI; i++)
        emit_mov_rm(e, W64, host_gpr(i), BASE(HOST_CPU, AT_CPU(gpr) + 8 * i));
    emit_jmp_m(e, BASE(HOST_CPU, AT_RT(resume)));
}

/* Spill, RAX = fn(cpu, record), reload, go on at RAX.  record: the return address of the CALL that
 * came here, or nothing. */
static uint64_t stub(struct emit *e, uint64_t (*fn)(struct cpu *, const uint8_t *), bool record,
                     uint64_t reload_at)
{
    const uint64_t here = emit_here(e);

    spill(e);
    if (record)
        emit_pop(e, RSI);
    emit_mov_rr(e, W64, RDI, HOST_CPU);
    emit_mov_ri(e, RAX, (uint64_t)fn);
    emit_call_r(e, RAX);
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(resume)), RAX);
    emit_jmp_to(e, reload_at);
    return here;
}

bool glue_emit(struct glue *glue, struct emit *e)
{
    uint64_t reload_at;

    glue->enter = (void (*)(struct cpu *, uint64_t))emit_here(e);
    for (unsigned i = 0; i < CALLEE_SAVED; i++)
        emit_push(e, callee_saved[i]);
    emit_lea(e, W64, RSP, BASE(RSP, -8)); /* alignment */
    emit_mov_rr(e, W64, HOST_CPU, RDI);
    emit_mov_mr(e, W64, BASE(HOST_CPU, AT_RT(resume)), RSI);
    reload_at = emit_here(e);
    reload(e);

    glue->leave = emit_here(e);
    emit_lea(e, W64, RSP, BASE(RSP, 8));
    for (unsigned i = CALLEE_SAVED; i-- > 0;)
        emit_pop(e, callee_saved[i]);
    emit_ret(e);

    glue->slow = stub(e, runtime_slow, true, reload_at);
    glue->step = stub(e, runtime_step, true, reload_at);
    glue->stop = stub(e, runtime_stop, true, reload_at);
    glue->resolve = stub(e, runtime_resolve, true, reload_at);
    glue->indirect = stub(e, runtime_indirect, false, reload_at);
    glue->fault = stub(e, runtime_fault, false, reload_at);
    return !e->overflow;
}
