/*
 * cpu/segment.h -- segment registers: descriptors, checked loads, far transfers, task switch.
 * Source: [SDM 3A 3, 5, 7].
 */
#ifndef RINGER_CPU_SEGMENT_H
#define RINGER_CPU_SEGMENT_H

#include "cpu/cpu.h"
#include "cpu/fault.h"

/* Recompute read_end/write_end after base, limit or attr changed. */
void segment_update_cache(struct segment *seg);
/* Real/v8086-mode load: base = selector << 4 (limit and, in real mode, attributes are kept). */
void segment_load_real(struct cpu *cpu, enum seg seg, uint16_t selector);
/* MOV/POP/LxS to a data segment register or SS in any mode, all checks made. */
FAULT_CHECK bool segment_load(struct cpu *cpu, enum seg seg, uint16_t selector);
/* Whatever cpu->memo has is void: GDTR has changed. */
void segment_forget(struct cpu *cpu);
/* Base 0, no limit, and both loads and stores are allowed? */
static inline bool segment_is_flat_data(const struct segment *seg)
{
    return seg->base == 0 && seg->write_end == 1ull << 32 && seg->read_end == 1ull << 32;
}
/* Unpack an 8-byte descriptor. */
void segment_unpack(uint64_t descriptor, uint16_t selector, struct segment *out);

enum far_kind { FAR_JMP, FAR_CALL };
/* Far JMP/CALL to selector:offset, gates and task switches included. width: operand size. */
FAULT_CHECK bool far_transfer(struct cpu *cpu, enum far_kind kind, uint16_t selector,
                              uint64_t offset, unsigned width);
FAULT_CHECK bool far_return(struct cpu *cpu, unsigned width, uint16_t pop_bytes);
FAULT_CHECK bool far_iret(struct cpu *cpu, unsigned width);

enum task_kind { TASK_JMP, TASK_CALL, TASK_IRET, TASK_GATE };
/* has_error: push the error code on the new task's stack. */
FAULT_CHECK bool task_switch(struct cpu *cpu, uint16_t tss_selector, enum task_kind kind,
                             bool has_error, uint32_t error);

#endif
