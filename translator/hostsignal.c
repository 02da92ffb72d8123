/*
 * translator/hostsignal.c -- the host CPU's exceptions inside generated code.
 *
 * A copied guest instruction that faults on the host (#DE, #XM, #MF, a misaligned SSE operand) has
 * done nothing yet, and the contract's registers are as before it.  The handler only finds out
 * which guest instruction it was and sends the thread to glue.fault; the interpreter then executes
 * that instruction again and raises the guest's exception, exactly.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

#include "cpu/hostfault.h"
#include "translator/emit.h"
#include "translator/returns.h"
#include "translator/runtime.h"
#include "translator/windows.h"

/* Number of the instruction that covers the host offset; insn_count for what follows the last. */
static unsigned site_at(const struct cache *cache, const struct block *block, uint32_t offset)
{
    unsigned low = 0, high = block->insn_count;
    const unsigned end = cache_site(cache, block, high).host;

    if (offset >= end && offset < end + block->settled)
        return high;
    while (high - low > 1) {
        const unsigned middle = low + (high - low) / 2;

        if (cache_site(cache, block, middle).host <= offset)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where the distances of regions are looked up: there are none for addresses that are not
 * canonical, which a base register may hold though the operand's address is. */
static bool in_slot_tables(const struct rt *rt, uint64_t address)
{
    return address - (uint64_t)(rt->base + 1) < CPU_RESERVED_AREA;
}

/* The guest's RSP, as it is before the instruction (translator/stack.c). */
static void pay_sp(ucontext_t *uc, uint32_t mode, int owed)
{
    const uint64_t sp = (uint64_t)uc->uc_mcontext.gregs[REG_R8] + (uint64_t)(int64_t)owed;

    _Static_assert((int)HOST_SP == (int)R8, "written here");
    if (owed != 0)
        uc->uc_mcontext.gregs[REG_R8] = (greg_t)(mode_is_code64(mode) ? sp : (uint32_t)sp);
}

static bool on_fault(void *ctx, int sig, siginfo_t *info, ucontext_t *uc)
{
    struct translator *tr = ctx;
    const uint64_t pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    struct block *block = cache_block_at(tr->cache, pc);
    uint64_t sp;
    struct rt *rt;

    if (sig == SIGSEGV && info->si_code > 0 && tr->cpu != NULL && cache_contains(tr->cache, pc) &&
        returns_overflow(tr->returns, (uint64_t)info->si_addr, &sp)) {
        uc->uc_mcontext.gregs[REG_RSP] = (greg_t)sp;
        return true;
    }
    /* A signal that somebody sent (si_code <= 0) is no fault of this code. */
    if (info->si_code <= 0 || block == NULL || tr->cpu == NULL)
        return false;
    rt = rt_of(tr->cpu);
    rt->fault_address = 0;
    if (sig == SIGSEGV && tr->windows != NULL &&
        (windows_contains(tr->windows, (uint64_t)info->si_addr) ||
         windows_check(tr->windows, (uint64_t)info->si_addr) ||
         in_slot_tables(rt, (uint64_t)info->si_addr)))
        rt->fault_address = (uint64_t)info->si_addr;
    rt->fault_slot = ((const uint8_t *)pc)[EMIT_CHECK_AT] == EMIT_CHECK_INDEX_MODRM
                         ? RT_FAULT_INDEX
                         : (int64_t)uc->uc_mcontext.gregs[REG_RCX] >> PAGE_SHIFT;
    rt->fault_block = block;
    rt->fault_insn = site_at(tr->cache, block, (uint32_t)(pc - cache_host(tr->cache, block)));
    pay_sp(uc, block->key.mode, cache_owed_sp(tr->cache, block, rt->fault_insn));
    uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(block->renamed ? cache_fault_host(tr->cache, block)
                                                             : glue_of(tr, block->key.mode)->fault);
    return true;
}

void hostsignal_attach(struct translator *tr)
{
    /* Without these a host fault ends the process, as it would have anyway. */
    if (!tr->signals_installed)
        (void)hostfault_install();
    tr->signals_installed = true;
    (void)hostfault_thread_init();
    hostfault_set_handler(on_fault, tr);
}

void hostsignal_detach(void)
{
    hostfault_set_handler(NULL, NULL);
}
