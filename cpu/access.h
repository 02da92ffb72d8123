/*
 * cpu/access.h -- guest memory as instructions see it: segment checks, then paging, then RAM/MMIO.
 *
 * All return false with the fault recorded.  An access that crosses a page checks both pages
 * before it touches either.  `size` is 1, 2, 4 or 8 unless said otherwise.
 */
#ifndef RINGER_CPU_ACCESS_H
#define RINGER_CPU_ACCESS_H

#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/mmu.h"

/* seg:offset -> linear with limit, type and (64-bit) canonical checks; #SS for SS, else #GP. */
FAULT_CHECK bool access_segment(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                enum access access, linaddr_t *linear);

FAULT_CHECK bool access_read(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                             uint64_t *value);
FAULT_CHECK bool access_write(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                              uint64_t value);
/* Check that a later access_write of the same bytes will not fault (read-modify-write: the read
 * half faults as a write does). */
FAULT_CHECK bool access_probe_write(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size);

/* Blocks of any size up to 4096 bytes (FXSAVE images, MMX/SSE operands, x87 environments). */
FAULT_CHECK bool access_read_block(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                   void *buffer);
FAULT_CHECK bool access_write_block(struct cpu *cpu, enum seg seg, uint64_t offset, unsigned size,
                                    const void *buffer);

/* Linear addresses with an explicit view (descriptor tables, TSS, page-crossing helpers). */
FAULT_CHECK bool access_linear_read(struct cpu *cpu, linaddr_t linear, unsigned size,
                                    enum tlb_view view, uint64_t *value);
FAULT_CHECK bool access_linear_write(struct cpu *cpu, linaddr_t linear, unsigned size,
                                     enum tlb_view view, uint64_t value);
FAULT_CHECK bool access_linear_probe(struct cpu *cpu, linaddr_t linear, unsigned size,
                                     enum access access, enum tlb_view view);

/* Host pointer to guest RAM for bulk work (REP MOVS...): at least 1 byte at linear, up to the page
 * end, for the access; NULL in *host when the bytes are not plain RAM (use access_linear_*). */
FAULT_CHECK bool access_host_pointer(struct cpu *cpu, linaddr_t linear, enum access access,
                                     enum tlb_view view, uint8_t **host);

#endif
