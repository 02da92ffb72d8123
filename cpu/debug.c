/*
 * cpu/debug.c -- single steps and breakpoints.  See cpu/debug.h.
 */
#include "cpu/debug.h"

enum { DR7_EXECUTE = 0 }; /* R/Wn and LENn both 0: break on instruction execution */
enum { DR7_IO = 2 };      /* R/Wn */

bool debug_check_fetch(struct cpu *cpu)
{
    const uint64_t linear =
        cpu_is_code64(cpu) ? cpu->rip : (uint32_t)(cpu->seg[CS].base + cpu->rip);
    uint64_t hits = 0;

    if (cpu->rflags & FLAG_RF)
        return true;
    for (unsigned i = 0; i < 4; i++) {
        const bool enabled = cpu->dr[7] >> (2 * i) & 3;
        const unsigned control = cpu->dr[7] >> (16 + 4 * i) & 15;

        if (enabled && control == DR7_EXECUTE && cpu->dr[i] == linear)
            hits |= 1u << i;
    }
    return hits ? fault_db(cpu, hits) : true;
}

void debug_note_io(struct cpu *cpu, uint16_t port, unsigned size)
{
    static const uint8_t length[4] = {1, 2, 8, 4};

    if (!debug_breakpoints(cpu) || !(cpu->cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++) {
        const bool enabled = cpu->dr[7] >> (2 * i) & 3;
        const unsigned control = cpu->dr[7] >> (16 + 4 * i) & 15;
        const unsigned bytes = length[control >> 2];
        const uint64_t start = cpu->dr[i] & ~(uint64_t)(bytes - 1);

        if (enabled && (control & 3) == DR7_IO && port < start + bytes && start < port + size)
            cpu->dr6_pending |= 1u << i;
    }
}

bool debug_check_retired(struct cpu *cpu, bool stepped)
{
    const uint64_t causes = cpu->dr6_pending | (stepped ? DR6_BS : 0);

    if (cpu->shadow & SHADOW_SS)
        return true;
    cpu->dr6_pending = 0;
    return causes ? fault_db(cpu, causes) : true;
}
