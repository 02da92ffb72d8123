/*
 * cpu/exception.h -- delivery of exceptions and interrupts. Source: [SDM 3A 6].
 */
#ifndef RINGER_CPU_EXCEPTION_H
#define RINGER_CPU_EXCEPTION_H

#include "cpu/cpu.h"

enum event_kind {
    EVENT_EXCEPTION, /* fault or abort of the CPU */
    EVENT_EXTERNAL,  /* INTR, NMI: EXT bit set in nested error codes */
    EVENT_SOFTWARE,  /* INT n, INT3, INTO: gate DPL is checked; return address is past the insn */
    EVENT_ICEBP,     /* INT1: software, no DPL check */
};

/* Deliver cpu->fault; nests to #DF and shutdown (ops->shutdown) by the manual's classes. rip must
 * be that of the faulting instruction (faults) or the next one (traps). */
void exception_deliver(struct cpu *cpu);
/* Deliver an interrupt or software interrupt. Faults while doing so are recorded and false
 * returned for EVENT_SOFTWARE (the INT instruction faults); external ones deliver the fault. */
bool exception_interrupt(struct cpu *cpu, uint8_t vector, enum event_kind kind);

#endif
