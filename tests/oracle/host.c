/*
 * tests/oracle/host.c -- the host's answer: load a state into the host CPU, run one instruction,
 * take the state back.
 *
 * host_enter() loads everything and far-jumps to the instruction, in 64-bit code or through one
 * of the compatibility-mode segments; no register is left for ourselves, so all addresses are
 * absolute.  Behind the instruction is a jump to the exit stub, which stores everything, the same
 * way; an instruction that jumps ends at an INT3, and one that faults raises a signal: the handler
 * stores the general registers and continues in the exit stub.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/cpuid.h"
#include "cpu/fpu.h"
#include "cpu/hostfault.h"
#include "tests/oracle/oracle.h"

enum { STUB_AT = 0x2000, TEMP_STACK_TOP = 0x400, CTL_SIZE = 0x2000, OPCODE_INT3 = 0xcc };
enum { TRAP_BP = 3, TRAP_PF = 14 };

/* At CTL_BASE; the assembly below knows the offsets. */
struct ctl {
    uint64_t in_gpr[16];
    uint64_t in_rflags;
    uint32_t far_offset;
    uint16_t far_selector, pad;
    uint32_t in_ds, in_es, in_ss, pad2;
    uint64_t host_rsp;
    uint64_t active; /* between host_enter() and its end */
    uint32_t host_mxcsr, xsave_mask;
    uint64_t pad3[9];
    uint64_t out_gpr[16];
    uint64_t out_rflags, out_rip;
    uint32_t out_ds, out_es, out_ss;
    int32_t vector;
    uint64_t error, cr2;
    uint64_t out_cs;
    uint8_t temp_stack[TEMP_STACK_TOP - 0x1b8];
    uint8_t fpu_in[0xc00]; /* in the host's standard XSAVE format */
    uint8_t fpu_out[0x1000];
};
_Static_assert(offsetof(struct ctl, in_rflags) == 0x80, "asm");
_Static_assert(offsetof(struct ctl, far_offset) == 0x88, "asm");
_Static_assert(offsetof(struct ctl, in_ds) == 0x90, "asm");
_Static_assert(offsetof(struct ctl, host_rsp) == 0xa0, "asm");
_Static_assert(offsetof(struct ctl, host_mxcsr) == 0xb0, "asm");
_Static_assert(offsetof(struct ctl, out_gpr) == 0x100, "asm");
_Static_assert(offsetof(struct ctl, out_rflags) == 0x180, "asm");
_Static_assert(offsetof(struct ctl, out_ds) == 0x190, "asm");
_Static_assert(offsetof(struct ctl, vector) == 0x19c, "asm");
_Static_assert(offsetof(struct ctl, fpu_in) == 0x400, "asm");
_Static_assert(offsetof(struct ctl, fpu_out) == 0x1000, "asm");

__asm__(".text\n"
        ".set CTL, 0x20200000\n"
        ".type host_enter, @function\n"
        "host_enter:\n"
        "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    mov  %rsp, CTL+0xa0\n"
        "    mov  CTL+0x90, %eax\n    mov %eax, %ds\n"
        "    mov  CTL+0x94, %eax\n    mov %eax, %es\n"
        "    mov  CTL+0xb4, %eax\n    xor %edx, %edx\n    xrstor64 CTL+0x400\n"
        "    mov  CTL+0x98, %eax\n    mov %eax, %ss\n"
        "    mov  $CTL+0x400, %rsp\n"
        "    pushq CTL+0x80\n    popfq\n"
        "    mov  CTL+0x08, %rcx\n    mov CTL+0x10, %rdx\n    mov CTL+0x18, %rbx\n"
        "    mov  CTL+0x20, %rsp\n    mov CTL+0x28, %rbp\n    mov CTL+0x30, %rsi\n"
        "    mov  CTL+0x38, %rdi\n    mov CTL+0x40, %r8\n    mov CTL+0x48, %r9\n"
        "    mov  CTL+0x50, %r10\n    mov CTL+0x58, %r11\n    mov CTL+0x60, %r12\n"
        "    mov  CTL+0x68, %r13\n    mov CTL+0x70, %r14\n    mov CTL+0x78, %r15\n"
        "    mov  CTL+0x00, %rax\n"
        "    ljmp *CTL+0x88\n"
        ".size host_enter, . - host_enter\n"
        "host_exit:\n" /* copied to CTL_BASE + STUB_AT */
        "    mov  %rsp, CTL+0x120\n"
        "    mov  $CTL+0x400, %rsp\n"
        "    pushfq\n    popq CTL+0x180\n    pushq $2\n    popfq\n"
        "    mov  %rax, CTL+0x100\n    mov %rcx, CTL+0x108\n    mov %rdx, CTL+0x110\n"
        "    mov  %rbx, CTL+0x118\n    mov %rbp, CTL+0x128\n    mov %rsi, CTL+0x130\n"
        "    mov  %rdi, CTL+0x138\n    mov %r8, CTL+0x140\n    mov %r9, CTL+0x148\n"
        "    mov  %r10, CTL+0x150\n    mov %r11, CTL+0x158\n    mov %r12, CTL+0x160\n"
        "    mov  %r13, CTL+0x168\n    mov %r14, CTL+0x170\n    mov %r15, CTL+0x178\n"
        "    movl $-1, CTL+0x19c\n"
        "    mov  %ss, %eax\n    mov %eax, CTL+0x198\n"
        "host_exit_fault:\n"
        "    mov  %ds, %eax\n    mov %eax, CTL+0x190\n"
        "    mov  %es, %eax\n    mov %eax, CTL+0x194\n"
        "    mov  $0x2b, %eax\n    mov %eax, %ss\n"
        "    mov  CTL+0xb4, %eax\n    xor %edx, %edx\n    xsave64 CTL+0x1000\n"
        "    fninit\n    ldmxcsr CTL+0xb0\n"
        "    mov  CTL+0xa0, %rsp\n"
        "    pop  %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
        "    ret\n"
        "host_exit_end:\n");
void host_enter(void);
extern const uint8_t host_exit[], host_exit_fault[], host_exit_end[];

#define CTL ((volatile struct ctl *)(uintptr_t)CTL_BASE)

static uint8_t *code_rw; /* the code region's writable mapping */
static uint64_t descriptors[3];

static bool on_signal(void *ctx, int sig, siginfo_t *info, ucontext_t *uc)
{
    greg_t *regs = uc->uc_mcontext.gregs;
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};
    volatile struct ctl *ctl = CTL;

    (void)ctx;
    (void)sig;
    (void)info;
    if (!ctl->active)
        return false;
    ctl->active = 0;
    for (unsigned i = 0; i < 16; i++)
        ctl->out_gpr[i] = (uint64_t)regs[order[i]];
    ctl->out_rflags = (uint64_t)regs[REG_EFL];
    ctl->out_rip = (uint64_t)regs[REG_RIP];
    ctl->out_ss = (uint32_t)((uint64_t)regs[REG_CSGSFS] >> 48);
    ctl->out_cs = (uint64_t)regs[REG_CSGSFS] & 0xffff;
    ctl->vector = (int32_t)regs[REG_TRAPNO];
    ctl->error = (uint64_t)regs[REG_ERR];
    ctl->cr2 = (uint64_t)regs[REG_CR2];
    regs[REG_RIP] = (greg_t)(CTL_BASE + STUB_AT + (host_exit_fault - host_exit));
    regs[REG_RSP] = CTL_BASE + TEMP_STACK_TOP;
    regs[REG_EFL] = 2;
    regs[REG_CSGSFS] = (greg_t)(((uint64_t)regs[REG_CSGSFS] & 0x0000ffffffff0000u) | SEL_CODE64 |
                                (uint64_t)SEL_DATA << 48);
    return true;
}

static void *map_at(uintptr_t where, size_t size, int protection, int fd)
{
    const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *p = mmap((void *)where, size, protection, flags | MAP_FIXED_NOREPLACE, fd, 0);

    return p == (void *)where ? p : NULL;
}

static bool set_ldt(unsigned entry, uint32_t base, bool code, bool wide)
{
    struct user_desc desc = {
        .entry_number = entry,
        .base_addr = base,
        .limit = REGION_SIZE - 1,
        .seg_32bit = wide,
        .contents = code ? 2 : 0,
        .useable = 1,
    };

    /* Present, DPL 3, accessed, writable or readable. */
    descriptors[entry] = (uint64_t)(base >> 24) << 56 | (wide ? 0x40ull : 0) << 48 |
                         (code ? 0xfbull : 0xf3ull) << 40 | (uint64_t)(base & 0xffffff) << 16 |
                         (REGION_SIZE - 1);
    return syscall(SYS_modify_ldt, 1, &desc, sizeof desc) == 0;
}

uint64_t host_descriptor(uint16_t selector)
{
    return descriptors[selector >> 3];
}

int host_init(struct host_support *support)
{
    const int fd = memfd_create("oracle-code", MFD_CLOEXEC);
    volatile struct ctl *ctl;

    if (fd < 0 || ftruncate(fd, REGION_SIZE) < 0 ||
        !map_at(CODE_BASE, REGION_SIZE, PROT_READ | PROT_EXEC, fd) ||
        !map_at(DATA_BASE, REGION_SIZE, PROT_READ | PROT_WRITE, -1) ||
        !map_at(CTL_BASE, CTL_SIZE, PROT_READ | PROT_WRITE, -1) ||
        !map_at(CTL_BASE + STUB_AT, 4096, PROT_READ | PROT_WRITE, -1)) {
        fprintf(stderr, "oracle: cannot map memory below 4 GiB: %s\n", strerror(errno));
        return -1;
    }
    code_rw = mmap(NULL, REGION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (code_rw == MAP_FAILED)
        return -1;
    memset(code_rw, OPCODE_INT3, REGION_SIZE);
    memcpy((void *)(uintptr_t)(CTL_BASE + STUB_AT), host_exit, (size_t)(host_exit_end - host_exit));
    mprotect((void *)(uintptr_t)(CTL_BASE + STUB_AT), 4096, PROT_READ | PROT_EXEC);
    ctl = CTL;
    ctl->host_mxcsr = MXCSR_DEFAULT;
    support->ldt = set_ldt(0, CODE_BASE, true, false) && set_ldt(1, DATA_BASE, false, false) &&
                   set_ldt(2, DATA_BASE, false, true);
    if (hostfault_install() < 0 || hostfault_thread_init() < 0)
        return -1;
    hostfault_set_handler(on_signal, NULL);
    return 0;
}

uint8_t *host_data(void)
{
    return (uint8_t *)(uintptr_t)DATA_BASE;
}

const uint8_t *host_code(void)
{
    return code_rw + CODE_AT;
}

void host_load_code(const struct test_case *t)
{
    uint8_t *p = code_rw + CODE_AT;

    memset(p, OPCODE_INT3, CODE_BYTES);
    memcpy(p, t->bytes, t->in.length);
    p += t->in.length;
    if (t->flow)
        return;
    if (t->mode == CODE64) { /* jmp rel32 */
        const uint32_t at = CODE_BASE + CODE_AT + t->in.length;
        const int32_t rel = (int32_t)(CTL_BASE + STUB_AT - (at + 5));

        *p++ = 0xe9;
        memcpy(p, &rel, 4);
    } else { /* jmp ptr16:32 */
        const uint32_t offset = CTL_BASE + STUB_AT;
        const uint16_t selector = SEL_CODE64;

        if (t->mode == CODE16)
            *p++ = 0x66;
        *p++ = 0xea;
        memcpy(p, &offset, 4);
        memcpy(p + 4, &selector, 2);
    }
}

/* AVX-512's components: where they are in state.fpu, where the host's XSAVE has them. */
static const struct {
    uint16_t bit, at, size;
} high_parts[] = {
    {XCR0_OPMASK, FPU_OPMASK, FPU_OPMASK_SIZE},
    {XCR0_ZMM_HIGH, FPU_ZMM_HIGH, FPU_ZMM_HIGH_SIZE},
    {XCR0_ZMM16, FPU_ZMM16, FPU_ZMM16_SIZE},
};

static void put_fpu(const uint8_t *image)
{
    uint8_t *in = (uint8_t *)CTL->fpu_in;
    uint64_t present;

    memcpy(in, image, FPU_YMM + FPU_YMM_SIZE);
    if (!guest_has_avx512())
        return;
    memcpy(&present, in + FPU_XSTATE_BV, 8);
    for (unsigned i = 0; i < 3; i++) { /* zeros are what makes a component not in use */
        static const uint8_t zeros[FPU_ZMM16_SIZE];

        if (memcmp(image + high_parts[i].at, zeros, high_parts[i].size) != 0)
            present |= high_parts[i].bit;
        memcpy(in + guest_cpu()->model->xsave_at[i], image + high_parts[i].at, high_parts[i].size);
    }
    memcpy(in + FPU_XSTATE_BV, &present, 8);
}

/* XSAVE leaves out what is in its initial state; make the image complete. */
static void take_fpu(uint8_t *image)
{
    const uint8_t *out = (const uint8_t *)CTL->fpu_out;
    uint64_t present;
    const uint16_t fcw = FCW_FNINIT;

    memcpy(image, out, FPU_YMM + FPU_YMM_SIZE);
    memcpy(&present, image + FPU_XSTATE_BV, 8);
    if (!(present & XCR0_X87)) {
        memset(image, 0, FPU_MXCSR);
        memcpy(image, &fcw, 2);
        memset(image + FPU_ST, 0, FPU_XMM - FPU_ST);
    }
    if (!(present & XCR0_SSE))
        memset(image + FPU_XMM, 0, 256);
    if (!(present & XCR0_AVX))
        memset(image + FPU_YMM, 0, FPU_YMM_SIZE);
    for (unsigned i = 0; i < 3 && guest_has_avx512(); i++) {
        if (present & high_parts[i].bit)
            memcpy(image + high_parts[i].at, out + guest_cpu()->model->xsave_at[i],
                   high_parts[i].size);
        else
            memset(image + high_parts[i].at, 0, high_parts[i].size);
    }
}

void host_run(const struct test_case *t, struct outcome *out)
{
    volatile struct ctl *ctl = CTL;
    const uint32_t cs_base = t->mode == CODE16 ? CODE_BASE : 0;

    memcpy((void *)ctl->in_gpr, t->state.gpr, sizeof t->state.gpr);
    ctl->in_rflags = t->state.rflags;
    ctl->far_offset = (uint32_t)t->state.rip;
    ctl->far_selector = t->state.cs;
    ctl->in_ds = t->state.ds;
    ctl->in_es = t->state.es;
    ctl->in_ss = t->state.ss;
    ctl->xsave_mask = (uint32_t)guest_xcr0();
    put_fpu(t->state.fpu);
    hostfault_set_handler(on_signal, NULL); /* the translator sets its own while it runs */
    ctl->active = 1;
    host_enter();
    ctl->active = 0;

    memset(out, 0, sizeof *out);
    memcpy(out->state.gpr, (const void *)ctl->out_gpr, sizeof out->state.gpr);
    out->state.rflags = ctl->out_rflags;
    out->state.cs = ctl->vector == NO_VECTOR ? t->state.cs : (uint16_t)ctl->out_cs;
    out->state.ds = (uint16_t)ctl->out_ds;
    out->state.es = (uint16_t)ctl->out_es;
    out->state.ss = (uint16_t)ctl->out_ss;
    take_fpu(out->state.fpu);
    out->vector = ctl->vector;
    if (out->vector == NO_VECTOR) {
        out->state.rip = CODE_BASE + CODE_AT + t->in.length - cs_base;
    } else if (out->vector == TRAP_BP) { /* where the control transfer went */
        out->state.rip = ctl->out_rip - 1;
        out->vector = NO_VECTOR;
    } else if (t->flow && ctl->out_rip != t->state.rip) { /* it went where nothing is */
        out->state.rip = ctl->out_rip;
        out->vector = NO_VECTOR;
    } else {
        out->state.rip = ctl->out_rip;
        out->error = (uint32_t)ctl->error;
        if (out->vector == TRAP_PF)
            out->cr2 = ctl->cr2;
    }
}
