/*
 * cpu/run_string.c -- MOVS, CMPS, STOS, LODS, SCAS and their REP forms.
 * Source: [SDM 2A, 2B], the instructions' own pages; [SDM 1 7.3.9 "String Operations"].
 *
 * A REP runs for at most STRING_WORK bytes a call and then points rip at itself again, so that
 * interrupts wait for a bounded time.  rCX, rSI and rDI are kept current after every element: a
 * fault finds them as the manual says.  Ascending MOVS and STOS over plain RAM run as the host's
 * own, a run within a page at a time; host memory is one mapping of guest RAM, so overlapping
 * operands behave as on the guest.  Single steps and data breakpoints go one element at a time.
 */
#include "cpu/flags.h"
#include "cpu/run.h"

enum { STRING_WORK = 4096 };

static bool string_repeats(const struct insn *in)
{
    return in->prefixes & (PREFIX_REP | PREFIX_REPNE);
}

/* Elements to do in this call; 0 for a REP whose count is 0. */
static uint64_t string_budget(const struct cpu *cpu, const struct insn *in)
{
    const uint64_t work = STRING_WORK / in->width;
    uint64_t count;

    if (!string_repeats(in))
        return 1;
    count = cpu->gpr[RCX] & width_mask(in->addr_size);
    if (count > 1 && (cpu->rflags & FLAG_TF || debug_breakpoints(cpu) || cpu->data_breakpoints ||
                      cpu->one_element))
        return 1;
    return count < work ? count : work;
}

static uint64_t string_offset(const struct cpu *cpu, const struct insn *in, enum gpr reg)
{
    return cpu->gpr[reg] & width_mask(in->addr_size);
}

/* Step an index register over `count` elements. */
static void string_advance(struct cpu *cpu, const struct insn *in, enum gpr reg, uint64_t count)
{
    const uint64_t bytes = count * in->width;

    gpr_write(cpu, reg, in->addr_size, cpu->gpr[reg] + (cpu->rflags & FLAG_DF ? -bytes : bytes));
}
static void string_count(struct cpu *cpu, const struct insn *in, uint64_t count)
{
    if (string_repeats(in))
        gpr_write(cpu, RCX, in->addr_size, cpu->gpr[RCX] - count);
}

/* After a call's work: resume unless rCX says that all is done. */
static bool string_finish(struct cpu *cpu, const struct insn *in)
{
    if (string_repeats(in) && cpu->gpr[RCX] & width_mask(in->addr_size))
        run_resume(cpu, in);
    return true;
}

bool run_string_window(struct cpu *cpu, const struct insn *in, enum seg seg, uint64_t offset,
                       unsigned width, enum access access, uint64_t *count, uint8_t **host)
{
    const uint64_t to_wrap = width_mask(in->addr_size) - offset; /* bytes after the first */
    uint64_t bytes, end;
    linaddr_t linear;

    *host = NULL;
    if (!access_segment(cpu, seg, offset, width, access, &linear))
        return false;
    bytes = PAGE_SIZE - (linear & ~PAGE_MASK);
    if (to_wrap < bytes)
        bytes = to_wrap + 1;
    if (!cpu_is_code64(cpu)) {
        end = access == ACCESS_WRITE ? cpu->seg[seg].write_end : cpu->seg[seg].read_end;
        if (offset >= end)
            return true;
        if (end - offset < bytes)
            bytes = end - offset;
    }
    if (bytes / width == 0)
        return true;
    if (bytes / width < *count)
        *count = bytes / width;
    return access_host_pointer(cpu, linear, access, mmu_view(cpu), host);
}

static void string_copy(uint8_t *dst, const uint8_t *src, unsigned width, uint64_t count)
{
    switch (width) {
    case 1:
        __asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(count) : : "memory");
        break;
    case 2:
        __asm__ volatile("rep movsw" : "+D"(dst), "+S"(src), "+c"(count) : : "memory");
        break;
    case 4:
        __asm__ volatile("rep movsl" : "+D"(dst), "+S"(src), "+c"(count) : : "memory");
        break;
    default:
        __asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(count) : : "memory");
        break;
    }
}
static void string_fill(uint8_t *dst, uint64_t value, unsigned width, uint64_t count)
{
    switch (width) {
    case 1:
        __asm__ volatile("rep stosb" : "+D"(dst), "+c"(count) : "a"(value) : "memory");
        break;
    case 2:
        __asm__ volatile("rep stosw" : "+D"(dst), "+c"(count) : "a"(value) : "memory");
        break;
    case 4:
        __asm__ volatile("rep stosl" : "+D"(dst), "+c"(count) : "a"(value) : "memory");
        break;
    default:
        __asm__ volatile("rep stosq" : "+D"(dst), "+c"(count) : "a"(value) : "memory");
        break;
    }
}

/* Elements from the source and to the destination, one at a time. */
FAULT_CHECK static bool string_load(struct cpu *cpu, const struct insn *in, uint64_t *value)
{
    return access_read(cpu, in->seg, string_offset(cpu, in, RSI), in->width, value);
}
FAULT_CHECK static bool string_load_dst(struct cpu *cpu, const struct insn *in, uint64_t *value)
{
    return access_read(cpu, ES, string_offset(cpu, in, RDI), in->width, value);
}
FAULT_CHECK static bool string_store(struct cpu *cpu, const struct insn *in, uint64_t value)
{
    return access_write(cpu, ES, string_offset(cpu, in, RDI), in->width, value);
}

/* Copy up to `limit` elements; *done is how many were. */
FAULT_CHECK static bool string_move(struct cpu *cpu, const struct insn *in, uint64_t limit,
                                    uint64_t *done)
{
    uint8_t *src = NULL, *dst = NULL;
    uint64_t value;

    *done = limit;
    if (limit > 1 && !(cpu->rflags & FLAG_DF)) {
        if (!run_string_window(cpu, in, in->seg, string_offset(cpu, in, RSI), in->width,
                               ACCESS_READ, done, &src) ||
            !run_string_window(cpu, in, ES, string_offset(cpu, in, RDI), in->width, ACCESS_WRITE,
                               done, &dst))
            return false;
        if (src && dst) {
            string_copy(dst, src, in->width, *done);
            return true;
        }
    }
    *done = 1;
    return string_load(cpu, in, &value) && string_store(cpu, in, value);
}
bool run_movs(struct cpu *cpu, const struct insn *in)
{
    uint64_t left = string_budget(cpu, in), done;

    for (; left; left -= done) {
        if (!string_move(cpu, in, left, &done))
            return false;
        string_advance(cpu, in, RSI, done);
        string_advance(cpu, in, RDI, done);
        string_count(cpu, in, done);
        if (cpu->code_written) /* perhaps this very instruction */
            break;
    }
    return string_finish(cpu, in);
}

FAULT_CHECK static bool string_set(struct cpu *cpu, const struct insn *in, uint64_t limit,
                                   uint64_t *done)
{
    uint8_t *dst = NULL;

    *done = limit;
    if (limit > 1 && !(cpu->rflags & FLAG_DF)) {
        if (!run_string_window(cpu, in, ES, string_offset(cpu, in, RDI), in->width, ACCESS_WRITE,
                               done, &dst))
            return false;
        if (dst) {
            string_fill(dst, cpu->gpr[RAX], in->width, *done);
            return true;
        }
    }
    *done = 1;
    return string_store(cpu, in, cpu->gpr[RAX] & width_mask(in->width));
}
bool run_stos(struct cpu *cpu, const struct insn *in)
{
    uint64_t left = string_budget(cpu, in), done;

    for (; left; left -= done) {
        if (!string_set(cpu, in, left, &done))
            return false;
        string_advance(cpu, in, RDI, done);
        string_count(cpu, in, done);
        if (cpu->code_written)
            break;
    }
    return string_finish(cpu, in);
}

bool run_lods(struct cpu *cpu, const struct insn *in)
{
    uint64_t left = string_budget(cpu, in), value;

    for (; left; left--) {
        if (!string_load(cpu, in, &value))
            return false;
        gpr_write(cpu, RAX, in->width, value);
        string_advance(cpu, in, RSI, 1);
        string_count(cpu, in, 1);
    }
    return string_finish(cpu, in);
}

/*
 * CMPS (source - destination) and SCAS (accumulator - destination).  REPE goes on while equal,
 * REPNE while different.  The flags are the last comparison's; a fault leaves those from before.
 */
static bool string_compare(struct cpu *cpu, const struct insn *in, bool scan)
{
    const bool while_equal = !(in->prefixes & PREFIX_REPNE);
    uint64_t left = string_budget(cpu, in), first = cpu->gpr[RAX] & width_mask(in->width), second;
    uint32_t host;

    if (!left)
        return true;
    for (;;) {
        if (!scan && !string_load(cpu, in, &first))
            return false;
        if (!string_load_dst(cpu, in, &second))
            return false;
        if (!scan)
            string_advance(cpu, in, RSI, 1);
        string_advance(cpu, in, RDI, 1);
        string_count(cpu, in, 1);
        left--;
        if (left == 0 || (first == second) != while_equal)
            break;
    }
    flags_sub(in->width, first, second, &host);
    flags_commit_all(cpu, host);
    return (first == second) == while_equal ? string_finish(cpu, in) : true;
}
bool run_cmps(struct cpu *cpu, const struct insn *in)
{
    return string_compare(cpu, in, false);
}
bool run_scas(struct cpu *cpu, const struct insn *in)
{
    return string_compare(cpu, in, true);
}
