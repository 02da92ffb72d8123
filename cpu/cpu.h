/*
 * cpu/cpu.h -- the architectural state of one virtual CPU, and what its surroundings provide.
 *
 * Everything is passed in; there are no globals.  Generated code addresses the fields by
 * offsetof, the hottest first.  Register and MSR names follow [SDM 1 3] and [SDM 3A 2].
 */
#ifndef RINGER_CPU_CPU_H
#define RINGER_CPU_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/insn.h"
#include "cpu/tlb.h"

typedef uint64_t linaddr_t;
typedef uint64_t physaddr_t;

struct physmem;
struct debugger;

/* ---- control registers ---- */
#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR3_PCID       0xfffu /* with CR4.PCIDE */
#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_LA57       (1u << 12)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

/* ---- segments ---- */
/* struct segment.attr: the descriptor's bytes 5 and 6 with the limit nibble removed:
 *   15 G  14 D/B  13 L  12 AVL  | 7 P  6:5 DPL  4 S  3:0 type */
#define SEG_TYPE     0x000f
#define SEG_ACCESSED 0x0001
#define SEG_WRITE    0x0002 /* data: writable; code: readable */
#define SEG_EXPAND   0x0004 /* data: expand-down; code: conforming */
#define SEG_CODE     0x0008
#define SEG_S        0x0010 /* 1 = code/data, 0 = system */
#define SEG_DPL      0x0060
#define SEG_P        0x0080 /* 0 also marks an unusable (null) segment register */
#define SEG_AVL      0x1000
#define SEG_L        0x2000
#define SEG_DB       0x4000
#define SEG_G        0x8000

struct segment {
    uint64_t base;
    uint32_t limit;     /* in bytes, scaled, inclusive */
    uint16_t selector;
    uint16_t attr;      /* SEG_* */
    /* First offset past the readable / writable range, for one-compare checks of expand-up
     * segments: offset + size <= end is allowed.  0 when every access needs the slow check
     * (unusable, wrong type, expand-down).  Kept by segment_update_cache(). */
    uint64_t read_end, write_end;
};

struct dtable {
    uint64_t base;
    uint16_t limit;
};

/*
 * What a data segment register was last loaded with at CPL 0 from the GDT: while that has the same
 * descriptor, loading the same selector gives the same again, checks included.  Translated code
 * asks.  The two that are compared are negated, as it adds.
 */
struct segment_memo {
    uint64_t minus_selector; /* 1, which matches none: nothing is remembered */
    uint64_t minus_raw;      /* the descriptor's eight bytes */
    linaddr_t at;            /* where it is */
    struct segment loaded;
};

/* ---- faults ---- */
enum vector {
    VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6, VEC_NM = 7,
    VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14, VEC_MF = 16,
    VEC_AC = 17, VEC_MC = 18, VEC_XM = 19,
};

/* A guest fault on its way from a handler to delivery.  Set by fault_*(), cpu/fault.h. */
struct cpu_fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    linaddr_t address;  /* #PF: goes to CR2; #DB: unused */
    uint64_t dr6;       /* #DB: bits to set in DR6 */
};

/* ---- what the CPU asks of the machine around it ---- */
struct cpu_ops {
    /* size: 1, 2 or 4 bytes. */
    uint32_t (*io_read)(void *ctx, uint16_t port, unsigned size);
    void (*io_write)(void *ctx, uint16_t port, unsigned size, uint32_t value);
    /* For string instructions: up to `count` accesses of one port at once, elements in memory order.
     * Return how many were made; 0: make them singly.  May be NULL. */
    unsigned (*io_read_block)(void *ctx, uint16_t port, unsigned size, void *buffer,
                              unsigned count);
    unsigned (*io_write_block)(void *ctx, uint16_t port, unsigned size, const void *buffer,
                               unsigned count);
    /* The CPU takes a maskable interrupt: returns its vector 0..255 (INTA cycle), or -1 when the
     * request has gone away. */
    int (*interrupt_acknowledge)(void *ctx);
    /* Time stamp counter, in ticks of tsc_hz, without the guest's TSC_ADJUST. */
    uint64_t (*tsc)(void *ctx);
    /* MSRs that belong to the board (APIC base, x2APIC, TSC deadline).  False: not mine -> #GP. */
    bool (*msr_read)(void *ctx, uint32_t msr, uint64_t *value);
    bool (*msr_write)(void *ctx, uint32_t msr, uint64_t value);
    /* CR8 / TPR of the local APIC, 0..15. */
    uint8_t (*tpr_read)(void *ctx);
    void (*tpr_write)(void *ctx, uint8_t tpr);
    /* Triple fault or shutdown state: the board decides (reset). */
    void (*shutdown)(void *ctx);
    /* FERR# pin: an unmasked x87 error with CR0.NE = 0 (IRQ 13). */
    void (*ferr)(void *ctx);
};

struct cpu_model; /* cpu/cpuid.h */

enum { CPU_TRANSLATOR_AREA = 12 << 20 };
/* Reserved behind struct cpu, inaccessible: translator/ maps what it needs there. */
enum { CPU_RESERVED_AREA = 512 << 20 };
enum { FPU_AREA_SIZE = 4096 }; /* room for the XSAVE image with AVX-512 */

/* Bits of cpu->mode: what translated and decoded code may depend on besides its bytes.
 * Recomputed by cpu_update_mode() after any change of CS, SS, DS, ES attributes, CPL, CR0, CR4,
 * EFER, EFLAGS.VM.  Code is keyed by it. */
enum cpu_mode_bit {
    MODE_CODE16 = 0u << 0, MODE_CODE32 = 1u << 0, MODE_CODE64 = 2u << 0, MODE_CODE_MASK = 3u << 0,
    MODE_USER = 1u << 2,      /* CPL 3 view of memory */
    MODE_PROTECTED = 1u << 3, /* CR0.PE and not VM */
    MODE_V86 = 1u << 4,
    MODE_FLAT = 1u << 5,      /* CS, DS, ES, SS: base 0, limit 4 GiB, usable, DS/ES/SS writable */
    MODE_STACK32 = 1u << 6,   /* SS.B (or 64-bit mode) */
    MODE_NO_FPU = 1u << 7,    /* CR0.EM or CR0.TS: x87 and MMX raise #NM/#UD */
    MODE_NO_SSE = 1u << 8,    /* CR0.EM, CR0.TS or !CR4.OSFXSR */
    MODE_CPL0 = 1u << 9,      /* privileged instructions allowed (CPL 0 or real mode) */
    MODE_IOPL_OK = 1u << 10,  /* CPL <= IOPL: CLI/STI/IN/OUT without checks */
    MODE_CS_FLAT = 1u << 11,  /* CS base 0, limit 4 GiB */
    MODE_PAGING = 1u << 12,
    MODE_NO_AVX = 1u << 13,
    MODE_SMAP_AC = 1u << 14,  /* CR4.SMAP and EFLAGS.AC: the supervisor may touch user pages */
    MODE_NO_AVX512 = 1u << 15,
    MODE_WINDOW = 1u << 16,   /* cpu->windowed has the view: no state of the guest's */
};

enum cpu_window { WINDOWED_USER = 1, WINDOWED_SUPERVISOR = 2 };

/* Interrupt shadow: what is held off until after the next instruction. */
enum { SHADOW_STI = 1, SHADOW_SS = 2 };

#define CPU_TSC_NEVER INT64_MAX /* cpu->tsc_due */

struct cpu {
    /* Hot: reachable with disp8 from generated code that biases its pointer. */
    uint64_t gpr[16];
    uint64_t rip;            /* offset in CS */
    uint64_t rflags;         /* complete RFLAGS; always valid outside generated code */
    uint32_t mode;           /* enum cpu_mode_bit */
    uint32_t exit_request;   /* nonzero: leave the run loop at the next boundary.  Set with
                                cpu_kick() from any thread, cleared by the run loop's caller. */
    /* What generated code polls: go is 1, and stop 0, until cpu_kick(). */
    uint64_t poll_stop;
    uint32_t poll_go;
    uint64_t icount;         /* guest instructions retired */
    void *translator_state;  /* translator/: per-CPU run-time state, NULL when not translating */

    struct segment seg[SEG_COUNT];
    struct segment ldtr, tr;
    struct dtable gdtr, idtr;
    struct segment_memo memo[SEG_COUNT]; /* of DS and ES only flat ones; kept by segment_load() */

    uint64_t cr0, cr2, cr3, cr4, efer;
    uint64_t dr[8];          /* 4 and 5 unused */
    uint8_t cpl;             /* 0..3; real mode 0, v8086 3 */
    uint8_t shadow;          /* SHADOW_* */
    bool halted;             /* HLT: waiting for an interrupt */
    bool shutdown;           /* triple fault: nothing runs until RESET, INIT or NMI */
    bool waiting_sipi;       /* application processor before its first SIPI */
    bool a20;                /* true: address line 20 passes */
    bool intr;               /* level of the INTR pin (PIC or LAPIC) */
    bool nmi_pending, nmi_blocked, init_pending, smi_pending;
    bool code_written;       /* a store hit a page marked PHYS_CODE; cleared by the run loops */
    bool double_faulting;    /* a #DF is being delivered */
    bool align_check;        /* CPL 3, CR0.AM and EFLAGS.AC: kept by cpu_update_mode() */
    bool one_element; /* string instructions end behind each element, as they may (lockstep) */
    uint8_t data_breakpoints; /* bit i: DR7 enables DRi for data; DEBUGGER_WATCHES; kept by
                                 cpu_update_breakpoints().  Pages with one have no TLB data tags */
    uint8_t dr6_pending;     /* B0..B3 of data breakpoints hit by the running instruction; the
                                interpreter turns them into #DB after it and clears them */

    struct cpu_fault fault;

    /* MSRs */
    uint64_t star, lstar, cstar, fmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t apic_base, pat, tsc_offset, tsc_aux, misc_enable, mtrr_def_type, debugctl;
    uint64_t mtrr_fixed[11], mtrr_var[16];
    uint64_t xcr0, xss, spec_ctrl;

    /* Set by the board before the CPU first runs: the counter, without tsc_offset, is the host's
     * less tsc_host_start, and ops->tsc need not be asked. */
    uint64_t tsc_host_start;
    bool tsc_is_host;
    /* What the host's counter will say when the board wants the CPU next: an instruction that shows
     * the guest as much leaves the run loop.  CPU_TSC_NEVER: not for its sake. */
    int64_t tsc_due;

    /* The PAE page-directory pointers, loaded by MOV CR3. [SDM 3A 4.4.1] */
    uint64_t pdpte[4];

    struct tlb tlb;

    const struct cpu_ops *ops;
    void *ops_ctx;
    struct physmem *mem;
    const struct cpu_model *model;
    struct icache *icache;   /* interpreter's decoded blocks, cpu/icache.h */
    struct fpu_thunks *thunks; /* cpu/thunk.h */
    struct debugger *debugger; /* breakpoints from outside, cpu/debugger.h; NULL while there are none */
    void (*kick)(struct cpu *cpu); /* translator's way to interrupt generated code, or NULL */

    /* x87/MMX/SSE/AVX state in XSAVE (standard) format; the first 512 bytes are FXSAVE64's. While
     * fpu_live is set, the host's own registers hold the truth instead. */
    uint8_t windowed; /* enum cpu_window: whose memory is in a window (translator/windows.h);
                         cpu_update_mode() follows */
    bool fpu_live;
    bool fpu_stays; /* interp_run() puts it back when it ends, not after each instruction */
    _Alignas(64) uint8_t fpu[FPU_AREA_SIZE];

    /* Holds this struct: translator/ maps it once for each address space, with other tables. */
    int backing_fd;

    /* Tables of generated code, next to the state so that one base register reaches both.  Zero
     * means empty; only translator/ looks inside. */
    _Alignas(4096) uint8_t translator_area[CPU_TRANSLATOR_AREA];
};

/* ---- cpu/cpu.c ---- */
/* Allocate a CPU on `mem`, in its power-on state.  NULL when out of host memory. */
struct cpu *cpu_create(struct physmem *mem, const struct cpu_model *model,
                       const struct cpu_ops *ops, void *ops_ctx);
void cpu_destroy(struct cpu *cpu);
/* Map the memory of a struct cpu (backing_fd) once more, with CPU_RESERVED_AREA behind it.
 * MAP_FAILED when the host refuses. */
struct cpu *cpu_map(int fd);
void cpu_unmap(struct cpu *mapped);
/* RESET (power-on values, [SDM 3A 9.1.1 table 9-1]) and INIT (keeps FPU, caches, MTRRs). */
void cpu_reset(struct cpu *cpu);
void cpu_init_pin(struct cpu *cpu);
/* Recompute cpu->mode, cpu->cpl stays as it is. */
void cpu_update_mode(struct cpu *cpu);
/* Recompute what follows from DR0..DR3 and DR7, after any of them changed. */
void cpu_update_breakpoints(struct cpu *cpu);
/* The guest's time-stamp counter. */
uint64_t cpu_tsc(struct cpu *cpu);
/* Make the run loop return soon; any thread, async-signal-safe. */
void cpu_kick(struct cpu *cpu);
/* The board drives INTR; kicks the CPU when it rises. */
void cpu_set_intr(struct cpu *cpu, bool level);
void cpu_set_nmi(struct cpu *cpu);
void cpu_set_a20(struct cpu *cpu, bool enabled);
/* An interrupt or other event must be serviced before the next instruction (honours IF, shadow). */
bool cpu_has_event(const struct cpu *cpu);
/* Service it: INIT, NMI, INTR (in the manual's order); clears halted.  [SDM 3A 6.9] */
void cpu_service_event(struct cpu *cpu);

static inline bool cpu_is_long(const struct cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}
static inline bool mode_is_code64(uint32_t mode)
{
    return (mode & MODE_CODE_MASK) == MODE_CODE64;
}
static inline bool cpu_is_code64(const struct cpu *cpu)
{
    return mode_is_code64(cpu->mode);
}
/* Bits 63:47 equal.  [SDM 1 3.3.7.1] */
static inline bool linaddr_is_canonical(linaddr_t linear)
{
    return (uint64_t)((int64_t)(linear << 16) >> 16) == linear;
}
static inline bool cpu_is_protected(const struct cpu *cpu) /* PE and not VM */
{
    return cpu->mode & MODE_PROTECTED;
}
static inline bool cpu_is_v86(const struct cpu *cpu)
{
    return cpu->mode & MODE_V86;
}
static inline unsigned cpu_iopl(const struct cpu *cpu)
{
    return cpu->rflags >> 12 & 3;
}

#endif
