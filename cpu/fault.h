/*
 * cpu/fault.h -- recording a guest fault.  Every function records and returns false, so that a
 * handler can `return fault_gp(cpu, 0);`.  Nothing has been committed when a fault is recorded.
 * Classes and error codes: [SDM 3A 6.15].
 */
#ifndef RINGER_CPU_FAULT_H
#define RINGER_CPU_FAULT_H

#include "cpu/cpu.h"

#define FAULT_CHECK __attribute__((warn_unused_result))

static inline bool fault_set(struct cpu *cpu, uint8_t vector, bool has_error, uint32_t error)
{
    cpu->fault = (struct cpu_fault){.vector = vector, .has_error = has_error, .error = error};
    return false;
}
static inline bool fault_de(struct cpu *cpu)
{
    return fault_set(cpu, VEC_DE, false, 0);
}
static inline bool fault_ud(struct cpu *cpu)
{
    return fault_set(cpu, VEC_UD, false, 0);
}
static inline bool fault_nm(struct cpu *cpu)
{
    return fault_set(cpu, VEC_NM, false, 0);
}
static inline bool fault_gp(struct cpu *cpu, uint32_t error)
{
    return fault_set(cpu, VEC_GP, true, error);
}
static inline bool fault_np(struct cpu *cpu, uint32_t error)
{
    return fault_set(cpu, VEC_NP, true, error);
}
static inline bool fault_ss(struct cpu *cpu, uint32_t error)
{
    return fault_set(cpu, VEC_SS, true, error);
}
static inline bool fault_ts(struct cpu *cpu, uint32_t error)
{
    return fault_set(cpu, VEC_TS, true, error);
}
static inline bool fault_pf(struct cpu *cpu, linaddr_t address, uint32_t error)
{
    fault_set(cpu, VEC_PF, true, error);
    cpu->fault.address = address;
    return false;
}
static inline bool fault_mf(struct cpu *cpu)
{
    return fault_set(cpu, VEC_MF, false, 0);
}
static inline bool fault_xm(struct cpu *cpu)
{
    return fault_set(cpu, VEC_XM, false, 0);
}
static inline bool fault_ac(struct cpu *cpu)
{
    return fault_set(cpu, VEC_AC, true, 0);
}
/* dr6: the DR6_* cause bits. */
static inline bool fault_db(struct cpu *cpu, uint64_t dr6)
{
    fault_set(cpu, VEC_DB, false, 0);
    cpu->fault.dr6 = dr6;
    return false;
}

#endif
