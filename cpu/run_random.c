/*
 * cpu/run_random.c -- RDRAND, RDSEED from the host's own.  Source: [SDM 2B "RDRAND", "RDSEED"].
 * Reached only when the CPUID model, a subset of the host's, has them.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

/* CF = 1: a random number; CF = 0: none was ready and the destination is 0.  The other five flags
 * are cleared. */
static bool random_store(struct cpu *cpu, const struct insn *in, uint64_t value, bool ready)
{
    if (!operand_write(cpu, in, 0, ready ? value : 0))
        return false;
    cpu->rflags &= ~(uint64_t)FLAGS_OSZAPC;
    flags_assign(cpu, FLAG_CF, ready);
    return true;
}
bool run_rdrand(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;
    bool ready;

    __asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ready));
    return random_store(cpu, in, value, ready);
}
bool run_rdseed(struct cpu *cpu, const struct insn *in)
{
    uint64_t value;
    bool ready;

    __asm__ volatile("rdseed %0" : "=r"(value), "=@ccc"(ready));
    return random_store(cpu, in, value, ready);
}
