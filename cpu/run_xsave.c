/*
 * cpu/run_xsave.c -- handlers of FXSAVE, FXRSTOR and the XSAVE family.
 *
 * They copy between guest memory and cpu->fpu.  Components, and where they are in the guest's
 * image:
 *
 *   bit 0  x87       bytes   0..23 and 32..159
 *       1  SSE       bytes 160..415, or ..287 outside 64-bit mode; MXCSR at 24..31 goes with 1 or 2
 *       2  AVX       bytes 576..831, or ..703
 *       5  opmask    } standard format: where the host has them (struct cpu_model), so that images
 *       6  ZMM_Hi256 } are the same whether the host or a handler makes them; compacted format: one
 *       7  Hi16_ZMM  } behind the other from 576 on, AVX first
 *
 * Outside 64-bit mode only the first eight registers take part in 6, and none in 7.
 *
 * x87, SSE and AVX count as in use, which the manual allows for any state; those above are in use
 * when they are not zero.  XSAVEC, XSAVES and XSAVEOPT leave out what is not in use. Source: [SDM
 * 1 10.5, 13.4 to 13.12].
 */
#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/native.h"
#include "cpu/operand.h"
#include "cpu/run.h"

enum {
    LEGACY_ALIGN = 16,
    XSAVE_ALIGN = 64,
    HEADER_AT = 512,
    EXTENDED_AT = HEADER_AT + FPU_HEADER_SIZE,
    IMAGE_MAX = EXTENDED_AT + FPU_YMM_SIZE + FPU_OPMASK_SIZE + FPU_ZMM_HIGH_SIZE + FPU_ZMM16_SIZE,
};

/* Bytes of XMM or high YMM halves that the mode can see. */
static unsigned vector_bytes(const struct cpu *cpu)
{
    return cpu_is_code64(cpu) ? 256 : 128;
}

static uint64_t get64(const uint8_t *image, unsigned offset)
{
    return *(const uint64_t *)(const void *)(image + offset);
}
static void put64(uint8_t *image, unsigned offset, uint64_t value)
{
    *(uint64_t *)(void *)(image + offset) = value;
}
static uint32_t get32(const uint8_t *image, unsigned offset)
{
    return *(const uint32_t *)(const void *)(image + offset);
}
static void put32(uint8_t *image, unsigned offset, uint32_t value)
{
    *(uint32_t *)(void *)(image + offset) = value;
}

/* The memory operand's offset; #GP(0) unless its linear address is a multiple of `align`, which
 * is looked at before the segment's limit. */
FAULT_CHECK static bool image_address(struct cpu *cpu, const struct insn *in, unsigned align,
                                      uint64_t *offset)
{
    *offset = operand_offset(cpu, in);
    return native_linear(cpu, in, *offset) & (align - 1) ? fault_gp(cpu, 0) : true;
}

/* Take the x87 part of `image`, pointers dropped. */
static void load_x87(struct cpu *cpu, const uint8_t *image)
{
    native_copy(cpu->fpu, image, FPU_FOP);
    native_zero(cpu->fpu + FPU_FOP, FPU_MXCSR - FPU_FOP);
    cpu->fpu[FPU_FTW + 1] = 0;
    for (unsigned i = 0; i < 8; i++)
        native_copy(cpu->fpu + FPU_ST + 16 * i, image + FPU_ST + 16 * i, 10);
}

static void init_x87(struct cpu *cpu)
{
    native_zero(cpu->fpu, FPU_MXCSR);
    native_zero(cpu->fpu + FPU_ST, FPU_XMM - FPU_ST);
    *(uint16_t *)(void *)(cpu->fpu + FPU_FCW) = FCW_FNINIT;
}

/* Let the host work out what follows from what was loaded (FSW.ES, reserved bits of FCW). */
static void settle(struct cpu *cpu, bool live)
{
    fpu_load(cpu);
    if (!live)
        fpu_save(cpu);
}

/* ---- FXSAVE, FXRSTOR ---- */

/* CR4.OSFXSR says whether XMM registers take part. [SDM 2A "FXSAVE"] */
static unsigned legacy_bytes(const struct cpu *cpu)
{
    return cpu->cr4 & CR4_OSFXSR ? FPU_XMM + vector_bytes(cpu) : FPU_XMM;
}

bool run_fxsave(struct cpu *cpu, const struct insn *in)
{
    uint64_t offset;

    if (cpu->cr0 & (CR0_EM | CR0_TS))
        return fault_nm(cpu);
    if (!image_address(cpu, in, LEGACY_ALIGN, &offset) ||
        !native_probe_write(cpu, in->seg, offset, FPU_FXSAVE_SIZE))
        return false;
    fpu_peek(cpu);
    put32(cpu->fpu, FPU_MXCSR_MASK, MXCSR_WRITABLE);
    return access_write_block(cpu, in->seg, offset, legacy_bytes(cpu), cpu->fpu);
}

bool run_fxrstor(struct cpu *cpu, const struct insn *in)
{
    const bool live = cpu->fpu_live;
    uint8_t image[FPU_FXSAVE_SIZE];
    uint64_t offset;

    if (cpu->cr0 & (CR0_EM | CR0_TS))
        return fault_nm(cpu);
    if (!image_address(cpu, in, LEGACY_ALIGN, &offset) ||
        !access_read_block(cpu, in->seg, offset, FPU_FXSAVE_SIZE, image))
        return false;
    if (cpu->cr4 & CR4_OSFXSR && get32(image, FPU_MXCSR) & ~(uint32_t)MXCSR_WRITABLE)
        return fault_gp(cpu, 0);
    fpu_peek(cpu);
    load_x87(cpu, image);
    if (cpu->cr4 & CR4_OSFXSR) {
        put32(cpu->fpu, FPU_MXCSR, get32(image, FPU_MXCSR));
        native_copy(cpu->fpu + FPU_XMM, image + FPU_XMM, vector_bytes(cpu));
    }
    settle(cpu, live);
    return true;
}

/* ---- XSAVE family ---- */

/* The components behind the header, lowest bit first. */
static const struct part {
    uint8_t bit;
    uint16_t at;   /* in cpu->fpu */
    uint16_t size; /* in images */
} parts[] = {
    {XCR0_AVX, FPU_YMM, FPU_YMM_SIZE},
    {XCR0_OPMASK, FPU_OPMASK, FPU_OPMASK_SIZE},
    {XCR0_ZMM_HIGH, FPU_ZMM_HIGH, FPU_ZMM_HIGH_SIZE},
    {XCR0_ZMM16, FPU_ZMM16, FPU_ZMM16_SIZE},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

/* Bytes of it that the mode can see. */
static unsigned part_bytes(const struct cpu *cpu, unsigned i)
{
    if (cpu_is_code64(cpu) || parts[i].bit == XCR0_OPMASK)
        return parts[i].size;
    return parts[i].bit == XCR0_ZMM16 ? 0 : parts[i].size / 2;
}

/* Its offset in an image; `format` is XCOMP_BV. */
static unsigned part_offset(const struct cpu *cpu, unsigned i, uint64_t format)
{
    unsigned at = EXTENDED_AT;

    if (!(format & XCOMP_COMPACTED))
        return parts[i].bit == XCR0_AVX ? EXTENDED_AT : cpu->model->xsave_at[i - 1];
    for (unsigned before = 0; before < i; before++)
        if (format & parts[before].bit)
            at += parts[before].size;
    return at;
}

FAULT_CHECK static bool check_enabled(struct cpu *cpu)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        return fault_ud(cpu);
    return cpu->cr0 & CR0_TS ? fault_nm(cpu) : true;
}

/* The components that the instruction is asked for. */
static uint64_t requested(const struct cpu *cpu)
{
    return ((cpu->gpr[RDX] << 32) | (uint32_t)cpu->gpr[RAX]) & cpu->xcr0 & XCR0_SUPPORTED;
}

FAULT_CHECK static bool save_header(struct cpu *cpu, const struct insn *in, uint64_t offset,
                                    uint64_t rfbm, uint64_t used, uint64_t format)
{
    uint8_t header[FPU_HEADER_SIZE];
    const unsigned size = format ? 16 : 8;

    if (!access_read_block(cpu, in->seg, offset + HEADER_AT, size, header))
        return false;
    if (format) {
        put64(header, 0, rfbm & used);
        put64(header, 8, format);
    } else {
        put64(header, 0, (get64(header, 0) & ~rfbm) | (rfbm & used)); /* others' bits stay */
    }
    return access_write_block(cpu, in->seg, offset + HEADER_AT, size, header);
}

/* One piece of cpu->fpu below the header to the same offset of the image. */
FAULT_CHECK static bool save_piece(struct cpu *cpu, const struct insn *in, uint64_t offset,
                                   unsigned begin, unsigned size)
{
    return access_write_block(cpu, in->seg, offset + begin, size, cpu->fpu + begin);
}

FAULT_CHECK static bool save_legacy(struct cpu *cpu, const struct insn *in, uint64_t offset,
                                    uint64_t rfbm, uint64_t format)
{
    const uint64_t with_mxcsr = format ? XCR0_SSE : XCR0_SSE | XCR0_AVX;

    if (rfbm & XCR0_X87 && (!save_piece(cpu, in, offset, 0, FPU_MXCSR) ||
                            !save_piece(cpu, in, offset, FPU_ST, FPU_XMM - FPU_ST)))
        return false;
    if (rfbm & with_mxcsr && !save_piece(cpu, in, offset, FPU_MXCSR, FPU_ST - FPU_MXCSR))
        return false;
    return !(rfbm & XCR0_SSE) || save_piece(cpu, in, offset, FPU_XMM, vector_bytes(cpu));
}

/* optimised: components that are not in use are not written. */
static bool save(struct cpu *cpu, const struct insn *in, bool compacted, bool optimised)
{
    const uint64_t rfbm = requested(cpu);
    const uint64_t format = compacted ? rfbm | XCOMP_COMPACTED : 0;
    uint64_t offset, used, written;

    if (!check_enabled(cpu) || !image_address(cpu, in, XSAVE_ALIGN, &offset) ||
        !native_probe_write(cpu, in->seg, offset, EXTENDED_AT))
        return false;
    fpu_peek(cpu);
    used = XCR0_UP_TO_AVX | fpu_high_used(cpu);
    written = optimised ? rfbm & used : rfbm;
    for (unsigned i = 0; i < PARTS; i++)
        if (written & parts[i].bit &&
            !native_probe_write(cpu, in->seg, offset + part_offset(cpu, i, format),
                                part_bytes(cpu, i)))
            return false;
    put32(cpu->fpu, FPU_MXCSR_MASK, MXCSR_WRITABLE);
    if (!save_legacy(cpu, in, offset, rfbm, format))
        return false;
    for (unsigned i = 0; i < PARTS; i++)
        if (written & parts[i].bit && part_bytes(cpu, i) &&
            !access_write_block(cpu, in->seg, offset + part_offset(cpu, i, format),
                                part_bytes(cpu, i), cpu->fpu + parts[i].at))
            return false;
    return save_header(cpu, in, offset, rfbm, used, format);
}

/* [SDM 1 13.8.1, 13.8.2]: which headers the standard and compacted forms accept. */
static bool header_is_valid(const struct cpu *cpu, const uint8_t *image, bool must_be_compacted)
{
    const uint64_t bv = get64(image, FPU_XSTATE_BV), comp = get64(image, FPU_XCOMP_BV);
    const uint64_t allowed = cpu->xcr0 & XCR0_SUPPORTED;

    if (!(comp & XCOMP_COMPACTED))
        return !must_be_compacted && !comp && !get64(image, HEADER_AT + 16) && !(bv & ~allowed);
    for (unsigned i = 16; i < FPU_HEADER_SIZE; i++)
        if (image[HEADER_AT + i])
            return false;
    return !(comp & ~XCOMP_COMPACTED & ~allowed) && !(bv & ~comp);
}

/* A vector component: `size` bytes from the image, or its initial zeroes. */
static void load_vectors(struct cpu *cpu, unsigned at, const uint8_t *from, unsigned size,
                         bool present)
{
    if (present)
        native_copy(cpu->fpu + at, from, size);
    else
        native_zero(cpu->fpu + at, size);
}

static bool restore(struct cpu *cpu, const struct insn *in, bool must_be_compacted)
{
    const uint64_t rfbm = requested(cpu);
    const bool live = cpu->fpu_live;
    uint8_t image[IMAGE_MAX], *from[PARTS], *next = image + EXTENDED_AT;
    uint64_t offset, bv, format, with_mxcsr, high; /* AVX-512's that are not zeros for sure */
    bool compacted;

    if (!check_enabled(cpu) || !image_address(cpu, in, XSAVE_ALIGN, &offset) ||
        !access_read_block(cpu, in->seg, offset, EXTENDED_AT, image))
        return false;
    if (!header_is_valid(cpu, image, must_be_compacted))
        return fault_gp(cpu, 0);
    bv = get64(image, FPU_XSTATE_BV);
    format = get64(image, FPU_XCOMP_BV);
    compacted = format & XCOMP_COMPACTED;
    for (unsigned i = 0; i < PARTS; i++) {
        from[i] = next;
        next += parts[i].size;
        if (rfbm & bv & parts[i].bit && part_bytes(cpu, i) &&
            !access_read_block(cpu, in->seg, offset + part_offset(cpu, i, format),
                               part_bytes(cpu, i), from[i]))
            return false;
    }
    /* The standard form loads MXCSR for SSE or AVX whatever XSTATE_BV says. */
    with_mxcsr = compacted ? rfbm & bv & XCR0_SSE : rfbm & (XCR0_SSE | XCR0_AVX);
    if (with_mxcsr && get32(image, FPU_MXCSR) & ~(uint32_t)MXCSR_WRITABLE)
        return fault_gp(cpu, 0);

    fpu_peek(cpu);
    high = (bv | fpu_high_used(cpu)) & rfbm & XCR0_AVX512;
    if (rfbm & bv & XCR0_X87)
        load_x87(cpu, image);
    else if (rfbm & XCR0_X87)
        init_x87(cpu);
    if (with_mxcsr)
        put32(cpu->fpu, FPU_MXCSR, get32(image, FPU_MXCSR));
    else if (compacted && rfbm & XCR0_SSE)
        put32(cpu->fpu, FPU_MXCSR, MXCSR_DEFAULT);
    if (rfbm & XCR0_SSE)
        load_vectors(cpu, FPU_XMM, image + FPU_XMM, vector_bytes(cpu), bv & XCR0_SSE);
    for (unsigned i = 0; i < PARTS; i++)
        if (rfbm & parts[i].bit & (high | XCR0_AVX))
            load_vectors(cpu, parts[i].at, from[i], part_bytes(cpu, i), bv & parts[i].bit);
    if (high)
        fpu_settle_high(cpu);
    settle(cpu, live);
    return true;
}

bool run_xsave(struct cpu *cpu, const struct insn *in)
{
    return save(cpu, in, false, false);
}
bool run_xsaveopt(struct cpu *cpu, const struct insn *in)
{
    return save(cpu, in, false, true);
}
bool run_xsavec(struct cpu *cpu, const struct insn *in)
{
    return save(cpu, in, true, true);
}
/* No supervisor components exist, so IA32_XSS adds nothing. */
bool run_xsaves(struct cpu *cpu, const struct insn *in)
{
    return save(cpu, in, true, true);
}
bool run_xrstor(struct cpu *cpu, const struct insn *in)
{
    return restore(cpu, in, false);
}
bool run_xrstors(struct cpu *cpu, const struct insn *in)
{
    return restore(cpu, in, true);
}
