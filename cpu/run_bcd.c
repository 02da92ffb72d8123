/*
 * cpu/run_bcd.c -- decimal adjustment: DAA DAS AAA AAS AAM AAD.  Source: [SDM 2A], their pages.
 *
 * The host cannot run them in 64-bit mode, so they are computed by hand.  The flags that the
 * manual leaves undefined are what a processor was seen to do in 32-bit mode, for every input:
 * those of the 8-bit (DAA, DAS, AAD) or 16-bit (AAA, AAS) addition or subtraction that adjusts.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

enum { DECIMAL_LOW = 0x06, DECIMAL_HIGH = 0x60 };

/* SF, ZF and PF of a byte, from the host. */
static uint64_t bcd_szp(uint8_t value)
{
    uint32_t host;

    flags_and(1, value, value, &host);
    return flags_from_host(host) & (FLAG_SF | FLAG_ZF | FLAG_PF);
}

static bool bcd_decimal(struct cpu *cpu, bool subtract)
{
    const uint8_t al = (uint8_t)cpu->gpr[RAX];
    const bool low = (al & 0x0f) > 9 || cpu->rflags & FLAG_AF;
    const bool high = al > 0x99 || cpu->rflags & FLAG_CF;
    const uint8_t adjust = (uint8_t)((low ? DECIMAL_LOW : 0) + (high ? DECIMAL_HIGH : 0));
    const uint8_t result = (uint8_t)(subtract ? al - adjust : al + adjust);
    uint64_t flags = bcd_szp(result);
    bool carry = high;

    if (subtract && low && al < DECIMAL_LOW) /* the borrow of the low digit's adjustment */
        carry = true;
    if (carry)
        flags |= FLAG_CF;
    if (low)
        flags |= FLAG_AF;
    if ((subtract ? (al ^ adjust) & (al ^ result) : (al ^ result) & (adjust ^ result)) & 0x80)
        flags |= FLAG_OF;
    gpr_write(cpu, RAX, 1, result);
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_OSZAPC) | flags;
    return true;
}
bool run_daa(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return bcd_decimal(cpu, false);
}
bool run_das(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return bcd_decimal(cpu, true);
}

static bool bcd_ascii(struct cpu *cpu, bool subtract)
{
    const uint16_t ax = (uint16_t)cpu->gpr[RAX];
    const bool adjust = (ax & 0x0f) > 9 || cpu->rflags & FLAG_AF;
    const uint16_t step = adjust ? 0x106 : 0; /* 6 to AL, 1 to AH, carrying between them */
    uint32_t host;
    const uint64_t result =
        subtract ? flags_sub(2, ax, step, &host) : flags_add(2, ax, step, &host);

    gpr_write(cpu, RAX, 2, result & 0xff0f);
    flags_commit_all(cpu, host);
    cpu->rflags &= ~(uint64_t)(FLAG_AF | FLAG_CF);
    cpu->rflags |= adjust ? FLAG_AF | FLAG_CF : 0;
    return true;
}
bool run_aaa(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return bcd_ascii(cpu, false);
}
bool run_aas(struct cpu *cpu, const struct insn *in)
{
    (void)in;
    return bcd_ascii(cpu, true);
}

/* AAM: AH = AL / imm, AL = AL % imm. */
bool run_aam(struct cpu *cpu, const struct insn *in)
{
    const uint8_t al = (uint8_t)cpu->gpr[RAX], base = (uint8_t)in->imm;

    if (base == 0)
        return fault_de(cpu);
    gpr_write(cpu, RAX, 2, (uint64_t)(al / base) << 8 | al % base);
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_OSZAPC) | bcd_szp((uint8_t)(al % base));
    return true;
}

/* AAD: AL = AL + AH * imm, AH = 0. */
bool run_aad(struct cpu *cpu, const struct insn *in)
{
    const uint8_t al = (uint8_t)cpu->gpr[RAX], ah = (uint8_t)(cpu->gpr[RAX] >> 8);
    uint32_t host;
    const uint8_t result = (uint8_t)flags_add(1, al, (uint8_t)(ah * (uint8_t)in->imm), &host);

    gpr_write(cpu, RAX, 2, result);
    flags_commit_all(cpu, host);
    return true;
}
