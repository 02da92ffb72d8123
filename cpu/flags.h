/*
 * cpu/flags.h -- arithmetic and its flags, by the host's own instructions.
 *
 * The host has the same instruction set, so an instruction of the same width on the same operands
 * yields the guest's flags, the undefined ones included.  The flags are carried from the host in a
 * `hostflags` word, as SETO %al; LAHF leave them in AX:
 *
 *     15  14  13  12  11  10   9   8 | 7 ... 1   0
 *     SF  ZF   -  AF   -  PF   -  CF |    -     OF
 *
 * The simple operations (ADD, AND, ...) write every flag without looking at the old ones.  For all
 * others the guest's flags are loaded into the host first (ADDB $127,%al sets OF from bit 0, SAHF
 * the rest): CPUs differ in which undefined flags they leave alone.
 *
 * Operands are zero-extended from their size; so are the results.
 */
#ifndef RINGER_CPU_FLAGS_H
#define RINGER_CPU_FLAGS_H

#include "cpu/cpu.h"

#define FLAGS_LOAD "addb $127, %%al\n\tsahf\n\t"
#define FLAGS_SAVE "\n\tseto %%al\n\tlahf"

static inline uint32_t flags_to_host(uint64_t rflags)
{
    return (uint32_t)(rflags & 0xd5) << 8 | (rflags >> 11 & 1);
}
static inline uint64_t flags_from_host(uint32_t host)
{
    return (host >> 8 & 0xd5) | (uint64_t)(host & 1) << 11;
}
/* Replace the flags in `mask`, a subset of FLAGS_OSZAPC. */
static inline void flags_commit(struct cpu *cpu, uint64_t mask, uint32_t host)
{
    cpu->rflags = (cpu->rflags & ~mask) | (flags_from_host(host) & mask);
}
static inline void flags_commit_all(struct cpu *cpu, uint32_t host)
{
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_OSZAPC) | flags_from_host(host);
}
static inline void flags_assign(struct cpu *cpu, uint64_t flag, bool value)
{
    cpu->rflags = (cpu->rflags & ~flag) | (value ? flag : 0);
}

/* Condition codes 0..15 as in Jcc, SETcc, CMOVcc. [SDM 1 B.1] */
static inline bool flags_condition(uint64_t rflags, unsigned condition)
{
    const bool sign_differs = (rflags >> 7 ^ rflags >> 11) & 1;
    bool result;

    switch (condition >> 1 & 7) {
    case 0:
        result = rflags & FLAG_OF;
        break;
    case 1:
        result = rflags & FLAG_CF;
        break;
    case 2:
        result = rflags & FLAG_ZF;
        break;
    case 3:
        result = rflags & (FLAG_CF | FLAG_ZF);
        break;
    case 4:
        result = rflags & FLAG_SF;
        break;
    case 5:
        result = rflags & FLAG_PF;
        break;
    case 6:
        result = sign_differs;
        break;
    default:
        result = sign_differs || rflags & FLAG_ZF;
        break;
    }
    return result ^ (condition & 1);
}

/* clang-format off */
/* dst = dst <op> src; every flag is written. */
#define FLAGS_BINARY(op)                                                                           \
    static inline uint64_t flags_##op(unsigned size, uint64_t dst, uint64_t src, uint32_t *host)   \
    {                                                                                              \
        switch (size) {                                                                            \
        case 1:                                                                                    \
            __asm__(#op "b %b2, %b0" FLAGS_SAVE : "+r"(dst), "=&a"(*host) : "r"(src) : "cc");      \
            break;                                                                                 \
        case 2:                                                                                    \
            __asm__(#op "w %w2, %w0" FLAGS_SAVE : "+r"(dst), "=&a"(*host) : "r"(src) : "cc");      \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__(#op "l %k2, %k0" FLAGS_SAVE : "+r"(dst), "=&a"(*host) : "r"(src) : "cc");      \
            break;                                                                                 \
        default:                                                                                   \
            __asm__(#op "q %q2, %q0" FLAGS_SAVE : "+r"(dst), "=&a"(*host) : "r"(src) : "cc");      \
            break;                                                                                 \
        }                                                                                          \
        return dst;                                                                                \
    }
FLAGS_BINARY(add)
FLAGS_BINARY(sub)
FLAGS_BINARY(and)
FLAGS_BINARY(or)
FLAGS_BINARY(xor)
#undef FLAGS_BINARY

/* dst = dst <op> src with the guest's flags loaded first; *host: in and out. */
#define FLAGS_BINARY_LOADED(op)                                                                    \
    static inline uint64_t flags_##op(unsigned size, uint64_t dst, uint64_t src, uint32_t *host)   \
    {                                                                                              \
        switch (size) {                                                                            \
        case 1:                                                                                    \
            __asm__(FLAGS_LOAD #op "b %b2, %b0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        case 2:                                                                                    \
            __asm__(FLAGS_LOAD #op "w %w2, %w0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__(FLAGS_LOAD #op "l %k2, %k0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        default:                                                                                   \
            __asm__(FLAGS_LOAD #op "q %q2, %q0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        }                                                                                          \
        return dst;                                                                                \
    }
FLAGS_BINARY_LOADED(adc)
FLAGS_BINARY_LOADED(sbb)
#undef FLAGS_BINARY_LOADED

/* As FLAGS_BINARY_LOADED for the instructions that have no byte form. dst keeps its upper bits
 * where the host's instruction leaves it alone (BSF of zero). */
#define FLAGS_BINARY_WIDE(op)                                                                      \
    static inline uint64_t flags_##op(unsigned size, uint64_t dst, uint64_t src, uint32_t *host)   \
    {                                                                                              \
        switch (size) {                                                                            \
        case 2:                                                                                    \
            __asm__(FLAGS_LOAD #op "w %w2, %w0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__(FLAGS_LOAD #op "l %k2, %k0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        default:                                                                                   \
            __asm__(FLAGS_LOAD #op "q %q2, %q0" FLAGS_SAVE                                         \
                    : "+r"(dst), "+a"(*host) : "r"(src) : "cc");                                   \
            break;                                                                                 \
        }                                                                                          \
        return dst;                                                                                \
    }
FLAGS_BINARY_WIDE(imul)
FLAGS_BINARY_WIDE(bsf)
FLAGS_BINARY_WIDE(bsr)
FLAGS_BINARY_WIDE(bt)
FLAGS_BINARY_WIDE(bts)
FLAGS_BINARY_WIDE(btr)
FLAGS_BINARY_WIDE(btc)
FLAGS_BINARY_WIDE(popcnt)
FLAGS_BINARY_WIDE(lzcnt)
FLAGS_BINARY_WIDE(tzcnt)
#undef FLAGS_BINARY_WIDE

/* dst = <op> dst with the guest's flags loaded first. */
#define FLAGS_UNARY(op)                                                                            \
    static inline uint64_t flags_##op(unsigned size, uint64_t dst, uint32_t *host)                 \
    {                                                                                              \
        switch (size) {                                                                            \
        case 1:                                                                                    \
            __asm__(FLAGS_LOAD #op "b %b0" FLAGS_SAVE : "+r"(dst), "+a"(*host) : : "cc");          \
            break;                                                                                 \
        case 2:                                                                                    \
            __asm__(FLAGS_LOAD #op "w %w0" FLAGS_SAVE : "+r"(dst), "+a"(*host) : : "cc");          \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__(FLAGS_LOAD #op "l %k0" FLAGS_SAVE : "+r"(dst), "+a"(*host) : : "cc");          \
            break;                                                                                 \
        default:                                                                                   \
            __asm__(FLAGS_LOAD #op "q %q0" FLAGS_SAVE : "+r"(dst), "+a"(*host) : : "cc");          \
            break;                                                                                 \
        }                                                                                          \
        return dst;                                                                                \
    }
FLAGS_UNARY(inc)
FLAGS_UNARY(dec)
FLAGS_UNARY(neg)
#undef FLAGS_UNARY

/* Shifts and rotates by CL; the host masks the count itself and leaves the flags when it is 0. */
#define FLAGS_SHIFT(op)                                                                            \
    static inline uint64_t flags_##op(unsigned size, uint64_t dst, unsigned count, uint32_t *host) \
    {                                                                                              \
        switch (size) {                                                                            \
        case 1:                                                                                    \
            __asm__(FLAGS_LOAD #op "b %%cl, %b0" FLAGS_SAVE                                        \
                    : "+r"(dst), "+a"(*host) : "c"(count) : "cc");                                 \
            break;                                                                                 \
        case 2:                                                                                    \
            __asm__(FLAGS_LOAD #op "w %%cl, %w0" FLAGS_SAVE                                        \
                    : "+r"(dst), "+a"(*host) : "c"(count) : "cc");                                 \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__(FLAGS_LOAD #op "l %%cl, %k0" FLAGS_SAVE                                        \
                    : "+r"(dst), "+a"(*host) : "c"(count) : "cc");                                 \
            break;                                                                                 \
        default:                                                                                   \
            __asm__(FLAGS_LOAD #op "q %%cl, %q0" FLAGS_SAVE                                        \
                    : "+r"(dst), "+a"(*host) : "c"(count) : "cc");                                 \
            break;                                                                                 \
        }                                                                                          \
        return dst;                                                                                \
    }
FLAGS_SHIFT(rol)
FLAGS_SHIFT(ror)
FLAGS_SHIFT(rcl)
FLAGS_SHIFT(rcr)
FLAGS_SHIFT(shl)
FLAGS_SHIFT(shr)
FLAGS_SHIFT(sar)
#undef FLAGS_SHIFT

#define FLAGS_DOUBLE_SHIFT(op)                                                                     \
    static inline uint64_t flags_##op(unsigned size, uint64_t dst, uint64_t src, unsigned count,   \
                                      uint32_t *host)                                              \
    {                                                                                              \
        switch (size) {                                                                            \
        case 2:                                                                                    \
            __asm__(FLAGS_LOAD #op "w %%cl, %w2, %w0" FLAGS_SAVE                                   \
                    : "+r"(dst), "+a"(*host) : "r"(src), "c"(count) : "cc");                       \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__(FLAGS_LOAD #op "l %%cl, %k2, %k0" FLAGS_SAVE                                   \
                    : "+r"(dst), "+a"(*host) : "r"(src), "c"(count) : "cc");                       \
            break;                                                                                 \
        default:                                                                                   \
            __asm__(FLAGS_LOAD #op "q %%cl, %q2, %q0" FLAGS_SAVE                                   \
                    : "+r"(dst), "+a"(*host) : "r"(src), "c"(count) : "cc");                       \
            break;                                                                                 \
        }                                                                                          \
        return dst;                                                                                \
    }
FLAGS_DOUBLE_SHIFT(shld)
FLAGS_DOUBLE_SHIFT(shrd)
#undef FLAGS_DOUBLE_SHIFT

/* One-operand MUL and IMUL: *high:return = low * src (size 1: return is the 16-bit product).
 * DIV and IDIV: *high:low / src; quotient returned, remainder in *high (size 1: AH:AL in the low
 * 16 bits of both); the caller has made sure that the host does not raise #DE. */
#define FLAGS_WIDE_PRODUCT(op)                                                                     \
    static inline uint64_t flags_##op##_wide(unsigned size, uint64_t low, uint64_t src,            \
                                             uint64_t *high, uint32_t *host)                       \
    {                                                                                              \
        uint64_t rdx = *high;                                                                      \
                                                                                                   \
        switch (size) {                                                                            \
        case 1:                                                                                    \
            __asm__("movq %q[ax], %%rax\n\t" FLAGS_LOAD                                            \
                    "movq %[low], %%rax\n\t" #op "b %b[src]\n\tmovq %%rax, %[low]" FLAGS_SAVE      \
                    "\n\tmovl %%eax, %k[ax]"                                                      \
                    : [low] "+&r"(low), [ax] "+&r"(*host) : [src] "r"(src) : "rax", "cc");         \
            break;                                                                                 \
        case 2:                                                                                    \
            __asm__("movq %q[ax], %%rax\n\t" FLAGS_LOAD                                            \
                    "movq %[low], %%rax\n\t" #op "w %w[src]\n\tmovq %%rax, %[low]" FLAGS_SAVE      \
                    "\n\tmovl %%eax, %k[ax]"                                                       \
                    : [low] "+&r"(low), [ax] "+&r"(*host), "+&d"(rdx)                              \
                    : [src] "r"(src) : "rax", "cc");                                               \
            break;                                                                                 \
        case 4:                                                                                    \
            __asm__("movq %q[ax], %%rax\n\t" FLAGS_LOAD                                            \
                    "movq %[low], %%rax\n\t" #op "l %k[src]\n\tmovq %%rax, %[low]" FLAGS_SAVE      \
                    "\n\tmovl %%eax, %k[ax]"                                                       \
                    : [low] "+&r"(low), [ax] "+&r"(*host), "+&d"(rdx)                              \
                    : [src] "r"(src) : "rax", "cc");                                               \
            break;                                                                                 \
        default:                                                                                   \
            __asm__("movq %q[ax], %%rax\n\t" FLAGS_LOAD                                            \
                    "movq %[low], %%rax\n\t" #op "q %q[src]\n\tmovq %%rax, %[low]" FLAGS_SAVE      \
                    "\n\tmovl %%eax, %k[ax]"                                                       \
                    : [low] "+&r"(low), [ax] "+&r"(*host), "+&d"(rdx)                              \
                    : [src] "r"(src) : "rax", "cc");                                               \
            break;                                                                                 \
        }                                                                                          \
        *high = rdx;                                                                               \
        return low;                                                                                \
    }
FLAGS_WIDE_PRODUCT(mul)
FLAGS_WIDE_PRODUCT(imul)
FLAGS_WIDE_PRODUCT(div)
FLAGS_WIDE_PRODUCT(idiv)
#undef FLAGS_WIDE_PRODUCT
/* clang-format on */

#endif
