/*
 * cpu/insn.h -- what the instruction table says and what the decoder returns.
 *
 * cpu/insn.def is the one table.  The decoder, the interpreter, the translator, the tests and the
 * documentation all expand it; nobody keeps a second list of instructions.
 *
 * Source: [SDM 2 "Instruction Format"], operand codes as in [SDM 2D A.2 "Key to Abbreviations"].
 */
#ifndef RINGER_CPU_INSN_H
#define RINGER_CPU_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cpu;

/* Arithmetic flags, at their places in RFLAGS. */
enum {
    FLAG_CF = 1u << 0,
    FLAG_PF = 1u << 2,
    FLAG_AF = 1u << 4,
    FLAG_ZF = 1u << 6,
    FLAG_SF = 1u << 7,
    FLAG_TF = 1u << 8,
    FLAG_IF = 1u << 9,
    FLAG_DF = 1u << 10,
    FLAG_OF = 1u << 11,
    FLAG_IOPL = 3u << 12,
    FLAG_NT = 1u << 14,
    FLAG_RF = 1u << 16,
    FLAG_VM = 1u << 17,
    FLAG_AC = 1u << 18,
    FLAG_VIF = 1u << 19,
    FLAG_VIP = 1u << 20,
    FLAG_ID = 1u << 21,
};
#define FLAGS_OSZAPC (FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF | FLAG_CF)

/* Size of the code segment that is being decoded. */
enum code_size { CODE16 = 2, CODE32 = 4, CODE64 = 8 };

/* General registers in encoding order; 8..15 are R8..R15. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, NO_REG = 0xff };
/* Segment registers in encoding order. */
enum seg { ES, CS, SS, DS, FS, GS, SEG_COUNT };

/* What an instruction form is, beyond its operands: the traits column of insn.def. */
enum insn_trait {
    CPL0 = 1u << 0,      /* #GP unless CPL 0 (real mode counts as CPL 0, v8086 does not) */
    IOPL_SENS = 1u << 1, /* behaviour depends on IOPL */
    ENDS = 1u << 2,      /* last instruction of a block: control transfer, or changes mode/mapping */
    LOCKABLE = 1u << 3,  /* LOCK is allowed when operand 0 is memory */
    STRING = 1u << 4,    /* string instruction; REP allowed */
    REPCC = 1u << 5,     /* REPE/REPNE distinguish (CMPS, SCAS) */
    NO64 = 1u << 6,      /* #UD in 64-bit mode */
    ONLY64 = 1u << 7,    /* row exists in 64-bit mode only */
    D64 = 1u << 8,       /* operand size defaults to 64 in 64-bit mode (66 still gives 16) */
    F64 = 1u << 9,       /* operand size is always 64 in 64-bit mode */
    READ0 = 1u << 10,    /* operand 0 is only read */
    WRITE0 = 1u << 11,   /* operand 0 is only written; with neither bit it is read and written */
    WRITE1 = 1u << 12,   /* operand 1 is written too (XCHG, XADD) */
    MAYBE = 1u << 13,    /* flags may be left unchanged (shift by CL, REP with count 0, or undefined
                            ones on some processors): none of flags_written is dead before */
    ALIGNED = 1u << 14,  /* legacy SSE memory operand must be naturally aligned, else #GP(0) */
    X87 = 1u << 15,      /* x87: #NM by CR0.EM/TS */
    X87_NOWAIT = 1u << 16, /* x87 that does not check for pending #MF (FNxxx) */
    MMX = 1u << 17,      /* MMX: #UD by CR0.EM, #NM by TS, #MF when pending */
    SSE = 1u << 18,      /* SSE and later: #UD by CR0.EM or !CR4.OSFXSR, #NM by CR0.TS */
    AVX = 1u << 19,      /* VEX vector: #UD unless CR4.OSXSAVE and XCR0 enable it */
    PROTECTED = 1u << 20, /* #UD in real and v8086 mode (LLDT, ARPL, VMCALL, ...) */
    IMPLICIT = 1u << 21, /* uses registers or memory that the operands do not show */
    READS_RCX = 1u << 22, /* implicitly reads RCX by address size (LOOP, JCXZ, REP) */
    COND = 1u << 23,     /* direct jump that may fall through (Jcc, LOOP, JCXZ) */
    VEX_L0 = 1u << 24,   /* #UD unless VEX.L = 0 */
    VEX_L1 = 1u << 25,   /* #UD unless VEX.L = 1 */
    STACK = 1u << 26,    /* implicitly reads or writes the stack and RSP */
    AVX512 = 1u << 27,   /* EVEX or opmask: #UD unless XCR0 enables all of AVX-512's state */
    RAX_RDX = 1u << 28,  /* IMPLICIT, but only RAX and RDX */
};

/* CPUID feature that a form needs: the feature column.  Absent feature: #UD. */
enum insn_feature {
    BASE,   /* 80386 and below */
    I486,   /* BSWAP, CMPXCHG, XADD, INVD, WBINVD, INVLPG */
    CPUID_, TSC_, MSR_, CX8, SEP, CMOV, CLFSH, MMX_, FXSR_, SSE_, SSE2, SSE3, SSSE3, SSE41, SSE42,
    POPCNT, LZCNT, PCLMUL, AES, SHA, MOVBE, BMI1, BMI2, ADX, RDRAND, RDSEED, CX16, FSGSBASE,
    RDTSCP, SMAP, INVPCID, XSAVE_, XSAVEOPT_, XSAVEC_, XSAVES_, AVX_, AVX2_, F16C, FMA, MONITOR,
    CLFLUSHOPT, CLWB, PREFETCHW, LAHF64, LM, FPU_, SYSCALL_, RDPID_, MOVDIRI, SERIALIZE, NOPL,
    GFNI, VAES, VPCLMUL, AVX512F, AVX512CD, AVX512BW, AVX512DQ, AVX512VL, AVX512IFMA, AVX512VBMI,
    AVX512VBMI2, AVX512VNNI, AVX512BITALG, AVX512POPCNT, AVX512BF16,
    INSN_FEATURE_COUNT
};

/* Which bytes select the row: legacy maps, VEX maps, EVEX maps. */
enum insn_map { M0 /* one byte */, M1 /* 0F */, M2 /* 0F 38 */, M3 /* 0F 3A */,
                V1, V2, V3 /* VEX.mmmmm = 1, 2, 3 */,
                E1, E2, E3 /* EVEX.mmm = 1, 2, 3 */, INSN_MAP_COUNT };
/* Mandatory prefix column.  ANY: 66/F2/F3 do not select the row. */
enum insn_pp { PANY, PNP, P66, PF3, PF2 };

/*
 * The ext column: how ModRM takes part in selecting the row.
 *   __ -> EXT_NONE   no constraint (there may be no ModRM at all; operand codes tell)
 *   R(n)             ModRM.reg = n, memory or register
 *   MEM(n), REG(n)   ModRM.reg = n, memory only / register only
 *   MEMONLY, REGONLY any reg, memory only / register only
 *   BYTE(b)          the whole ModRM byte is b (x87 and 0F 01 forms)
 *   WX0, WX1         REX.W / VEX.W;  REXB0: REX.B = 0 (NOP against XCHG R8, RAX)
 *   L2               EVEX.L'L = 2
 * and what the other fields of an EVEX prefix may be, see insn.def.
 * Combined with |.  NO64, ONLY64, VEX_L0, VEX_L1 select too.  The operand size does not: CBW, CWDE
 * and CDQE are one row.
 */

enum operand_kind {
    OPERAND_NONE,
    OPERAND_GPR,   /* reg 0..15, size 1 (AL..R15B), 2, 4, 8 */
    OPERAND_GPR8H, /* reg 0..3 = AH, CH, DH, BH; size 1 */
    OPERAND_MEM,   /* struct insn's seg/base/index/scale/disp; size in bytes, 0 if only an address */
    OPERAND_IMM,   /* insn.imm, already sign-extended as the form asks */
    OPERAND_IMM2,  /* insn.imm2: second immediate (ENTER) */
    OPERAND_REL,   /* insn.imm: signed displacement from the next instruction */
    OPERAND_FAR,   /* insn.imm = offset, insn.imm2 = selector */
    OPERAND_SEG,   /* reg 0..5 */
    OPERAND_CR, OPERAND_DR,
    OPERAND_ST,    /* reg 0..7: ST(i) */
    OPERAND_MMX,   /* reg 0..7 */
    OPERAND_VEC,   /* reg 0..15 (EVEX: 31), size 4, 8, 16, 32, 64: bytes that take part */
    OPERAND_MASK,  /* reg 0..7: opmask register */
    OPERAND_SRC,   /* string source: seg:[rSI] */
    OPERAND_DST,   /* string destination: ES:[rDI] */
};

struct operand {
    uint8_t kind;  /* enum operand_kind */
    uint8_t reg;
    uint16_t size; /* bytes: 1, 2, 4, 8, 10, 16, 32, 28/108 (x87 environment), 512, ... */
};

enum insn_prefix_flag {
    PREFIX_LOCK = 1u << 0,
    PREFIX_REP = 1u << 1,   /* F3 as REP/REPE (not as mandatory prefix) */
    PREFIX_REPNE = 1u << 2, /* F2 */
    PREFIX_SEG = 1u << 3,   /* a segment override was present and took effect */
    PREFIX_66 = 1u << 4, /* present, as operand size or as mandatory prefix */
    PREFIX_67 = 1u << 5,
    PREFIX_REX = 1u << 6,   /* any REX byte: SPL, BPL, SIL, DIL */
    PREFIX_VEX = 1u << 7,   /* VEX or EVEX */
};

/* struct insn.evex. [SDM 2A 2.7 "Intel AVX-512 Encoding"] */
enum insn_evex {
    EVEX_PREFIX = 1u << 0,    /* always, in an EVEX instruction */
    EVEX_ZEROING = 1u << 1,   /* {z} */
    EVEX_BROADCAST = 1u << 2, /* {1toN}: the memory operand is one element */
    EVEX_ROUNDING = 1u << 3,  /* {er} or {sae}: insn.rounding */
    EVEX_SHORT = 1u << 4,     /* 128 or 256 bits of a form that has 512 too: needs AVX512VL */
};

enum { INSN_MAX_LENGTH = 15, INSN_OPERANDS = 4 };

/* A decoded instruction.  Plain data, copyable, 64 bytes. */
struct insn {
    uint16_t row;      /* index into insn_rows[] */
    uint8_t length;    /* bytes, 1..15 */
    uint8_t width;     /* effective operand size in bytes: 1 for byte forms, else 2, 4, 8 */
    uint8_t addr_size; /* effective address size in bytes: 2, 4, 8 */
    uint8_t code_size; /* enum code_size */
    uint8_t prefixes;  /* enum insn_prefix_flag */
    uint8_t rex;       /* REX byte, or the equivalent W/R/X/B bits of VEX (0x40 | WRXB); else 0 */
    uint8_t opcode;    /* last opcode byte */
    uint8_t modrm;     /* valid if has_modrm */
    uint8_t has_modrm;
    uint8_t opcode_at; /* offset of the first opcode byte (0F, VEX or one-byte), after prefixes */
    uint8_t modrm_at;  /* offset of ModRM */
    uint8_t imm_at;    /* offset of the immediate, of the moffs address, or length without either */
    uint8_t vex_l;     /* VEX.L, or 0, 1, 2 for EVEX with 128, 256, 512 bits */
    uint8_t vex_v;     /* VEX.vvvv register, EVEX.V'vvvv */
    /* Memory operand: seg:[base + index * scale + disp], truncated to addr_size.  base/index are
     * NO_REG when absent.  RIP-relative: base NO_REG, rip_relative set, disp from the next insn. */
    uint8_t seg;       /* effective segment (default or override; FS/GS only matter in 64-bit) */
    uint8_t base, index, scale; /* scale 1, 2, 4, 8 */
    uint8_t rip_relative;
    uint8_t has_mem;   /* one of the operands is OPERAND_MEM */
    uint8_t vsib;      /* gathers: index is a vector register of elements of 4 or 8 bytes; else 0 */
    struct operand ops[INSN_OPERANDS];
    int64_t disp;      /* sign-extended displacement, or the moffs address */
    uint64_t imm;      /* immediate, sign-extended to 64 bits where the form sign-extends */
    uint16_t imm2;     /* selector of a far pointer, or ENTER's nesting level */
    uint8_t evex;      /* enum insn_evex; 0: not an EVEX instruction */
    uint8_t mask;      /* EVEX.aaa: opmask register 1..7; 0: all elements */
    uint8_t rounding;  /* EVEX.L'L with EVEX_ROUNDING: 0 nearest, 1 down, 2 up, 3 towards zero */
    /* A mask that governs a memory operand: how many bits it has, 1..64, and bytes of memory for
     * each.  An operand smaller than lanes * lane_bytes is repeated.  lane_bytes 0: the mask has
     * no say, all of the operand is accessed. */
    uint8_t lanes, lane_bytes;
};
_Static_assert(sizeof(struct insn) == 64, "a cache line");

typedef bool (*insn_run_fn)(struct cpu *cpu, const struct insn *in);

/* One expanded row of the table. */
struct insn_row {
    const char *mnemonic;  /* as the manual spells it, lower case */
    uint32_t traits;       /* enum insn_trait */
    uint16_t flags_read;   /* FLAG_* */
    uint16_t flags_written; /* FLAG_*, undefined ones included */
    uint8_t feature;       /* enum insn_feature */
    uint8_t map, opcode;   /* for dumps */
};

extern const struct insn_row insn_rows[];
extern const size_t insn_row_count;
/* Interpreter handler of each row, same index.  (cpu/interp.c) */
extern const insn_run_fn insn_run_table[];

enum decode_status {
    DECODE_OK,
    DECODE_INVALID,   /* #UD */
    DECODE_TOO_LONG,  /* more than 15 bytes: #GP(0) */
    DECODE_TRUNCATED, /* ran out of bytes: fetch more (or fault on the next page) and call again */
};

/*
 * Decode one instruction.
 *   bytes, avail: guest code; at most 15 bytes are looked at, never more than avail
 *   code_size:    D bit / mode of the code segment
 * Validity is that of the encoding only (LOCK on a row without LOCKABLE or on a register
 * destination is invalid; features, CPL and CR bits are checked at execution).
 * On DECODE_INVALID out->length is the number of bytes consumed so far.
 */
enum decode_status decode(const uint8_t *bytes, size_t avail, enum code_size code_size,
                          struct insn *out);

static inline const struct insn_row *insn_row(const struct insn *in)
{
    return &insn_rows[in->row];
}

#endif
