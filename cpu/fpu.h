/*
 * cpu/fpu.h -- where the guest's x87/MMX/SSE state is: in cpu->fpu or in the host's registers.
 *
 * Translated code keeps it in the host's own registers (cpu->fpu_live).  Code compiled without
 * vector registers may run meanwhile; before anything else is called (device callbacks, libc's
 * string functions, logging) it must be put away with fpu_leave().
 *
 * Deviation: the x87 instruction and data pointers (FIP, FCS, FDP, FDS, FOP) always read as zero
 * and loading them has no effect: the host's would tell the guest host addresses.
 */
#ifndef RINGER_CPU_FPU_H
#define RINGER_CPU_FPU_H

#include "cpu/cpu.h"
#include "cpu/fault.h"

/* x87 control and status word. [SDM 1 8.1.3, 8.1.5] */
enum {
    FCW_EXCEPTION_MASKS = 0x3f,
    FCW_FNINIT = 0x037f,
    FCW_RESET = 0x0040, /* power-on, [SDM 3A table 9-1] */
    FSW_ES = 1 << 7,    /* an unmasked exception is pending */
    FSW_B = 1 << 15,    /* copy of ES */
    FSW_TOP_SHIFT = 11,
    FSW_TOP = 7 << FSW_TOP_SHIFT,
};
enum {
    MXCSR_DEFAULT = 0x1f80,
    /* Writable bits that every x86-64 CPU has; others (AMD's misaligned mode) are not offered. */
    MXCSR_WRITABLE = 0xffff,
};

/* Offsets in cpu->fpu: the FXSAVE64 image, then the XSAVE header and components.
 * [SDM 1 tables 10-2, 13-1] */
enum {
    FPU_FCW = 0,       /* 16 bits */
    FPU_FSW = 2,       /* 16 bits */
    FPU_FTW = 4,       /* 8 bits: 1 = the register is not empty */
    FPU_FOP = 6,       /* 16 bits */
    FPU_FIP = 8,       /* 64 bits */
    FPU_FDP = 16,      /* 64 bits */
    FPU_MXCSR = 24,    /* 32 bits */
    FPU_MXCSR_MASK = 28,
    FPU_ST = 32,       /* 8 x 16 bytes, ST(0) first */
    FPU_XMM = 160,     /* 16 x 16 bytes */
    FPU_FXSAVE_SIZE = 512,
    FPU_XSTATE_BV = 512, /* 64 bits */
    FPU_XCOMP_BV = 520,
    FPU_HEADER_SIZE = 64,
    FPU_YMM = 576,     /* 16 x 16 bytes: the high halves */
    FPU_YMM_SIZE = 256,
    /* AVX-512's components, in an image of their own in the compacted format, whose layout is the
     * same on every host.  Its XSTATE_BV has the bits of the components that are not all zeros. */
    FPU_HIGH = 1024,
    FPU_OPMASK = FPU_HIGH + 576,     /* 8 x 8 bytes */
    FPU_OPMASK_SIZE = 64,
    FPU_ZMM_HIGH = FPU_OPMASK + 64,  /* ZMM0..15: 16 x 32 bytes, the high halves */
    FPU_ZMM_HIGH_SIZE = 512,
    FPU_ZMM16 = FPU_ZMM_HIGH + 512,  /* ZMM16..31: 16 x 64 bytes */
    FPU_ZMM16_SIZE = 1024,
    FPU_SIZE = FPU_ZMM16 + FPU_ZMM16_SIZE,
};
_Static_assert((int)FPU_SIZE <= (int)FPU_AREA_SIZE, "cpu->fpu");
enum {
    XCR0_X87 = 1,
    XCR0_SSE = 2,
    XCR0_AVX = 4,
    XCR0_OPMASK = 1 << 5,
    XCR0_ZMM_HIGH = 1 << 6,
    XCR0_ZMM16 = 1 << 7,
    XCR0_AVX512 = XCR0_OPMASK | XCR0_ZMM_HIGH | XCR0_ZMM16,
    XCR0_UP_TO_AVX = XCR0_X87 | XCR0_SSE | XCR0_AVX,
    XCR0_SUPPORTED = XCR0_UP_TO_AVX | XCR0_AVX512,
};

#define XCOMP_COMPACTED (1ull << 63) /* XCOMP_BV: the image is in the compacted format */

/* Save the host's registers to cpu->fpu, load the host's defaults (x87 FNINIT, MXCSR 0x1f80). */
void fpu_save(struct cpu *cpu);
/* Make cpu->fpu true without taking the state out of the host's registers: to look at it, or to
 * change parts of it before fpu_load(). */
void fpu_peek(struct cpu *cpu);
/* Load cpu->fpu into the host's registers and set fpu_live. */
void fpu_load(struct cpu *cpu);
/* Power-on values in cpu->fpu. [SDM 3A table 9-1] */
void fpu_reset(struct cpu *cpu);

/* Which of AVX-512's components differ from their initial state (zeros), in cpu->fpu. */
static inline uint64_t fpu_high_used(const struct cpu *cpu)
{
    return *(const uint64_t *)(const void *)(cpu->fpu + FPU_HIGH + FPU_XSTATE_BV);
}
/* Find that out anew: after cpu->fpu was written, other than by fpu_save(). */
void fpu_settle_high(struct cpu *cpu);
/* Opmask register `reg` 1..7, wherever it is; the host has AVX-512. */
uint64_t fpu_opmask(const struct cpu *cpu, unsigned reg);
/* Copies of vector register `reg` to and from cpu->fpu, which must hold the state: `size` bytes,
 * 16, 32 or 64; the write clears what is above, as VEX and EVEX instructions do, and wants
 * fpu_settle_high() in the end. */
void fpu_read_vector(const struct cpu *cpu, unsigned reg, unsigned size, uint8_t *value);
void fpu_write_vector(struct cpu *cpu, unsigned reg, unsigned size, const uint8_t *value);

static inline void fpu_leave(struct cpu *cpu)
{
    if (cpu->fpu_live)
        fpu_save(cpu);
}

/* The x87 status word and MXCSR, wherever they are. */
uint16_t fpu_status_word(const struct cpu *cpu);
uint32_t fpu_mxcsr(const struct cpu *cpu);
void fpu_set_mxcsr(struct cpu *cpu, uint32_t mxcsr); /* reserved bits clear */

/*
 * An x87 error is pending when a waiting instruction starts: call when fpu_status_word() & FSW_ES.
 * CR0.NE = 1 records #MF and returns false.  CR0.NE = 0 drives FERR#, sets rip back to the
 * instruction, which waits for the interrupt, and returns true: the caller has nothing more to do.
 * [SDM 1 8.7]
 */
FAULT_CHECK bool fpu_pending_error(struct cpu *cpu, const struct insn *in);

#endif
