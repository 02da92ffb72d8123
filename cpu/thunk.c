/*
 * cpu/thunk.c -- see cpu/thunk.h.
 *
 * Invariants: the code memory is mapped twice, writable and executable, never both at one address.
 * A thunk touches nothing but RAX, RCX, RDX, RBX, the flags, the scratch buffer, and x87/SSE state;
 * the host stack pointer and R12, RBP survive it, which is what recovery from a fault needs.
 */
#define _GNU_SOURCE
#include "cpu/thunk.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/fpu.h"
#include "cpu/hostfault.h"
#include "cpu/recode.h"

enum {
    CODE_SIZE = 256 * 1024,
    SLOT_COUNT = 8192, /* power of two; CODE_SIZE / THUNK_BYTES is at most half */
    THUNK_BYTES = 64,
    MAX_THUNKS = CODE_SIZE / THUNK_BYTES,
    OPCODE_RET = 0xc3,
};
_Static_assert(MAX_THUNKS * 2 <= SLOT_COUNT, "linear probing must end");

/* What thunk_enter() loads and stores; its assembly knows the offsets. */
struct thunk_frame {
    uint64_t gpr[4]; /* RAX, RCX, RDX, RBX */
    uint64_t flags;
    uint8_t *scratch;
};
_Static_assert(offsetof(struct thunk_frame, flags) == 32, "thunk_enter");
_Static_assert(offsetof(struct thunk_frame, scratch) == 40, "thunk_enter");

struct slot {
    uint8_t length; /* 0: free */
    uint8_t bytes[RECODE_MAX];
    uint32_t offset; /* of the thunk in the code memory */
};

struct fpu_thunks {
    _Alignas(THUNK_ALIGNMENT) uint8_t scratch[THUNK_SCRATCH_SIZE + THUNK_ALIGNMENT];
    uint8_t *operand; /* in scratch */
    uint8_t *rw, *rx;
    unsigned count;
    struct hostfault_range range;
    struct slot slots[SLOT_COUNT];
};

/*
 * uint64_t thunk_enter(struct thunk_frame *frame, const void *thunk)
 * Returns 0, or HOSTFAULT_VECTOR | the exception that the thunk's instruction raised: then
 * hostfault.c resumes at thunk_faulted with that in RAX, and nothing of the frame has changed.
 */
__asm__(".text\n"
        ".p2align 4\n"
        ".type thunk_enter, @function\n"
        "thunk_enter:\n"
        "    push %rbx\n"
        "    push %rbp\n"
        "    push %r12\n"
        "    mov  %rsp, %rbp\n"
        "    mov  %rdi, %r12\n"
        "    mov  %rsi, %r11\n"
        "    push 32(%r12)\n"
        "    popfq\n"
        "    mov  0(%r12), %rax\n"
        "    mov  8(%r12), %rcx\n"
        "    mov  16(%r12), %rdx\n"
        "    mov  24(%r12), %rbx\n"
        "    mov  40(%r12), %rdi\n"
        "    call *%r11\n"
        "    pushfq\n"
        "    pop  32(%r12)\n"
        "    mov  %rax, 0(%r12)\n"
        "    mov  %rcx, 8(%r12)\n"
        "    mov  %rdx, 16(%r12)\n"
        "    mov  %rbx, 24(%r12)\n"
        "    xor  %eax, %eax\n"
        "thunk_faulted:\n"
        "    mov  %rbp, %rsp\n"
        "    pop  %r12\n"
        "    pop  %rbp\n"
        "    pop  %rbx\n"
        "    ret\n"
        ".size thunk_enter, . - thunk_enter\n");
uint64_t thunk_enter(struct thunk_frame *frame, const void *thunk);
extern const uint8_t thunk_faulted[];

static bool map_code(struct fpu_thunks *thunks)
{
    const int fd = memfd_create("ringer-thunks", MFD_CLOEXEC);
    bool ok = false;

    if (fd < 0)
        return false;
    if (ftruncate(fd, CODE_SIZE) == 0) {
        thunks->rw = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        thunks->rx = mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        ok = thunks->rw != MAP_FAILED && thunks->rx != MAP_FAILED;
    }
    close(fd);
    return ok;
}

struct fpu_thunks *thunk_create(void)
{
    struct fpu_thunks *thunks = NULL;

    if (hostfault_install() < 0)
        return NULL;
    if (posix_memalign((void **)&thunks, 64, sizeof(*thunks)) != 0)
        return NULL;
    thunks->rw = thunks->rx = MAP_FAILED;
    thunks->count = 0;
    for (unsigned i = 0; i < SLOT_COUNT; i++)
        thunks->slots[i].length = 0;
    for (unsigned i = 0; i < sizeof thunks->scratch; i++)
        thunks->scratch[i] = 0;
    thunks->operand = thunks->scratch;
    if (!map_code(thunks)) {
        thunk_destroy(thunks);
        return NULL;
    }
    thunks->range = (struct hostfault_range){
        .begin = (uintptr_t)thunks->rx,
        .end = (uintptr_t)thunks->rx + CODE_SIZE,
        .resume = (uintptr_t)thunk_faulted,
    };
    return thunks;
}

void thunk_destroy(struct fpu_thunks *thunks)
{
    if (!thunks)
        return;
    if (thunks->rw != MAP_FAILED)
        munmap(thunks->rw, CODE_SIZE);
    if (thunks->rx != MAP_FAILED)
        munmap(thunks->rx, CODE_SIZE);
    free(thunks);
}

static struct fpu_thunks *thunks_of(struct cpu *cpu)
{
    if (!cpu->thunks) {
        fpu_leave(cpu); /* the host's allocator may use vector registers */
        cpu->thunks = thunk_create();
    }
    return cpu->thunks;
}

uint8_t *thunk_scratch(struct cpu *cpu, linaddr_t linear)
{
    struct fpu_thunks *thunks = thunks_of(cpu);

    if (!thunks)
        return NULL;
    thunks->operand = thunks->scratch + linear % THUNK_ALIGNMENT;
    return thunks->operand;
}

static bool same_bytes(const struct slot *slot, const uint8_t *bytes, size_t length)
{
    if (slot->length != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (slot->bytes[i] != bytes[i])
            return false;
    return true;
}

/* The thunk for these bytes, made if need be.  A full cache starts over. */
static const uint8_t *find_thunk(struct fpu_thunks *thunks, const uint8_t *bytes, size_t length)
{
    uint32_t hash = 2166136261u;
    struct slot *slot;
    uint8_t *code;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    hash ^= hash >> 15;
    for (slot = &thunks->slots[hash % SLOT_COUNT]; slot->length;
         slot = &thunks->slots[++hash % SLOT_COUNT])
        if (same_bytes(slot, bytes, length))
            return thunks->rx + slot->offset;
    if (thunks->count == MAX_THUNKS) {
        for (unsigned i = 0; i < SLOT_COUNT; i++)
            thunks->slots[i].length = 0;
        thunks->count = 0;
    }
    slot->length = (uint8_t)length;
    slot->offset = thunks->count++ * THUNK_BYTES;
    code = thunks->rw + slot->offset;
    for (size_t i = 0; i < length; i++)
        code[i] = slot->bytes[i] = bytes[i];
    code[length] = OPCODE_RET;
    return thunks->rx + slot->offset;
}

/*
 * RAX to RBX stay themselves (implicit operands are among them); one other register may be named by
 * the instruction and travels in RBX.
 */
static void make_map(const struct insn *in, struct recode_map *map, unsigned *in_rbx)
{
    *map = (struct recode_map){.mem = {.base = RDI, .index = NO_REG}};
    for (unsigned reg = 0; reg < 16; reg++)
        map->gpr[reg] = reg <= RBX ? (uint8_t)reg : NO_REG;
    *in_rbx = RBX;
    for (unsigned i = 0; i < INSN_OPERANDS; i++) {
        const struct operand *op = &in->ops[i];

        if (op->kind == OPERAND_GPR && op->reg > RBX && op->reg < 16) {
            map->gpr[RBX] = NO_REG;
            map->gpr[op->reg] = RBX;
            *in_rbx = op->reg;
            break;
        }
    }
}

/* What the host's exception is to the guest.  False unless the guest just has to wait (FERR#). */
static bool guest_fault(struct cpu *cpu, const struct insn *in, uint64_t vector)
{
    switch (vector & 0xff) {
    case VEC_MF:
        return fpu_pending_error(cpu, in);
    case VEC_XM:
        return cpu->cr4 & CR4_OSXMMEXCPT ? fault_xm(cpu) : fault_ud(cpu);
    case VEC_UD:
        return fault_ud(cpu);
    default:
        return fault_gp(cpu, 0);
    }
}

bool thunk_run(struct cpu *cpu, const struct insn *in)
{
    struct fpu_thunks *thunks = thunks_of(cpu);
    struct recode_map map;
    struct thunk_frame frame;
    uint8_t bytes[RECODE_ROOM];
    unsigned in_rbx;
    size_t length;
    uint64_t fault = HOSTFAULT_VECTOR | VEC_UD; /* the host has no memory for a signal stack */

    if (!thunks)
        return fault_ud(cpu); /* the host has no memory for it: the guest has no such instruction */
    make_map(in, &map, &in_rbx);
    length = recode(in, &map, bytes);
    if (!length)
        return fault_ud(cpu);
    frame = (struct thunk_frame){
        .gpr = {cpu->gpr[RAX], cpu->gpr[RCX], cpu->gpr[RDX], cpu->gpr[in_rbx]},
        .flags = (cpu->rflags & FLAGS_OSZAPC) | 2,
        .scratch = thunks->operand,
    };
    if (hostfault_thread_init() == 0) {
        const uint8_t *code = find_thunk(thunks, bytes, length);
        const struct hostfault_range *outer = hostfault_set_range(&thunks->range);
        const bool live = cpu->fpu_live;

        if (!live)
            fpu_load(cpu);
        fault = thunk_enter(&frame, code);
        if (!live && !cpu->fpu_stays)
            fpu_save(cpu);
        hostfault_set_range(outer);
    }
    if (fault)
        return guest_fault(cpu, in, fault);
    cpu->gpr[RAX] = frame.gpr[RAX];
    cpu->gpr[RCX] = frame.gpr[RCX];
    cpu->gpr[RDX] = frame.gpr[RDX];
    cpu->gpr[in_rbx] = frame.gpr[RBX];
    cpu->rflags = (cpu->rflags & ~(uint64_t)FLAGS_OSZAPC) | (frame.flags & FLAGS_OSZAPC);
    return true;
}
