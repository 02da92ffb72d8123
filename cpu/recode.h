/*
 * cpu/recode.h -- a decoded guest instruction, encoded again for the 64-bit host.
 *
 * Guest and host have the same instructions but not the same encodings: a 16- or 32-bit guest has
 * other default operand sizes and one-byte INC/DEC, guest registers may live in other host
 * registers, and guest memory is somewhere else.  recode() writes the host encoding of the same
 * operation with the same operand size.
 *
 * Source: [SDM 2A 2 "Instruction Format"].
 */
#ifndef RINGER_CPU_RECODE_H
#define RINGER_CPU_RECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/insn.h"

enum recode_segment { RECODE_SEG_NONE = 0, RECODE_SEG_FS = 0x64, RECODE_SEG_GS = 0x65 };

/* The host address that takes the memory operand's place: seg:[base + index * scale + disp]. */
struct recode_mem {
    uint8_t base;  /* host register 0..15, or NO_REG: absolute disp */
    uint8_t index; /* host register, never RSP, or NO_REG */
    uint8_t scale; /* 1, 2, 4, 8; ignored without an index */
    uint8_t seg;   /* enum recode_segment */
    bool addr32;   /* 32-bit address arithmetic (prefix 67) */
    int32_t disp;
};

struct recode_map {
    uint8_t gpr[16]; /* guest register -> host register; NO_REG: the instruction must not use it */
    struct recode_mem mem;
};

enum { RECODE_MAX = 15, RECODE_ROOM = 32 };

/*
 * Encode `in` for the host.
 *   in   as from decode(); the original bytes are not needed
 *   map  what registers and memory become; mem is looked at only if in->has_mem
 *   out  room for RECODE_ROOM bytes (more than the result: it is written before its length is
 *        known to be legal)
 * Returns the length in bytes, or 0 when the host has no encoding of it: forms that 64-bit mode
 * dropped, that use the stack, string, segment, control registers or RIP, AH..BH together with a
 * register that needs REX, a needed register that is NO_REG, more than 15 bytes.
 *
 * Registers that the encoding does not name (AL/eAX/CL/DX operands without a general form, and
 * everything that rows with the trait IMPLICIT use) must be mapped to themselves, else 0.
 */
size_t recode(const struct insn *in, const struct recode_map *map, uint8_t *out);

/* Number of the operand that ModRM.rm names; -1: none does. */
int recode_rm_operand(const struct insn *in);

#endif
