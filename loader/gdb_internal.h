/*
 * loader/gdb_internal.h -- what the stub's files share.
 *
 *   gdb.c          packets, commands
 *   gdb_target.c   the target's description and its registers
 */
#ifndef RINGER_LOADER_GDB_INTERNAL_H
#define RINGER_LOADER_GDB_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"

/* A `g` packet has less bytes. */
enum { GDB_REGISTERS_BYTES = 2048, GDB_REGISTER_BYTES = 16 };

/* What the CPU model decides about the description. */
struct gdb_target {
    bool wide; /* x86-64: the model has long mode, whatever mode the CPU is in */
    bool sse, avx;
};

struct gdb_target gdb_target_of(const struct cpu_model *model);
/* The XML description, to be freed; NULL when out of memory. */
char *gdb_target_xml(const struct gdb_target *target);
unsigned gdb_register_count(const struct gdb_target *target);
/* Bytes of register `number`, in the target's order, into value (GDB_REGISTER_BYTES); their
 * number.  The CPU's vector state must be in cpu->fpu: fpu_leave() first. */
size_t gdb_register_read(const struct gdb_target *target, struct cpu *cpu, unsigned number,
                         uint8_t *value);
size_t gdb_register_size(const struct gdb_target *target, unsigned number);
/* False: the register cannot be changed to this value (it is unchanged then). */
bool gdb_register_write(const struct gdb_target *target, struct cpu *cpu, unsigned number,
                        const uint8_t *value);

#endif
