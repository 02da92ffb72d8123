/*
 * loader/monitor_cpu.c -- info registers, info mem, info tlb.
 */
#include <inttypes.h>
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/physmem.h"
#include "loader/monitor_internal.h"

/* ---- registers ---- */

static const char *const segment_names[] = {
    [ES] = "ES", [CS] = "CS", [SS] = "SS", [DS] = "DS", [FS] = "FS", [GS] = "GS"};

static void print_gprs(const struct cpu *cpu, FILE *out)
{
    static const struct {
        const char *name;
        unsigned number;
    } order[] = {{"AX", RAX}, {"BX", RBX}, {"CX", RCX}, {"DX", RDX},
                 {"SI", RSI}, {"DI", RDI}, {"BP", RBP}, {"SP", RSP}};
    const bool wide = cpu_is_long(cpu);

    for (unsigned i = 0; i < 8; i++) {
        if (wide)
            fprintf(out, "R%s=%016" PRIx64, order[i].name, cpu->gpr[order[i].number]);
        else
            fprintf(out, "E%s=%08" PRIx32, order[i].name, (uint32_t)cpu->gpr[order[i].number]);
        fputc(i % 4 == 3 ? '\n' : ' ', out);
    }
    for (unsigned i = 8; wide && i < 16; i++)
        fprintf(out, "R%-2u=%016" PRIx64 "%c", i, cpu->gpr[i], i % 4 == 3 ? '\n' : ' ');
}

static void print_flags(const struct cpu *cpu, FILE *out)
{
    const uint64_t f = cpu->rflags;

    if (cpu_is_long(cpu))
        fprintf(out, "RIP=%016" PRIx64 " RFL=%08" PRIx64, cpu->rip, f);
    else
        fprintf(out, "EIP=%08" PRIx32 " EFL=%08" PRIx32, (uint32_t)cpu->rip, (uint32_t)f);
    fprintf(out, " [%c%c%c%c%c%c%c] CPL=%u II=%d A20=%d SMM=0 HLT=%d\n", f & FLAG_DF ? 'D' : '-',
            f & FLAG_OF ? 'O' : '-', f & FLAG_SF ? 'S' : '-', f & FLAG_ZF ? 'Z' : '-',
            f & FLAG_AF ? 'A' : '-', f & FLAG_PF ? 'P' : '-', f & FLAG_CF ? 'C' : '-', cpu->cpl,
            cpu->shadow != 0, cpu->a20, cpu->halted);
}

static void print_segment(const struct cpu *cpu, const char *name, const struct segment *s,
                          FILE *out)
{
    /* attr as in a descriptor's upper half: G D L AVL, limit nibble out, P DPL S type */
    const uint32_t flags =
        (uint32_t)(s->attr & 0xf000) << 8 | (uint32_t)(s->attr & 0xff) << 8 | (s->limit & 0xf0000);

    fprintf(out, "%-3s=%04x %0*" PRIx64 " %08" PRIx32 " %08" PRIx32 "\n", name, s->selector,
            cpu_is_long(cpu) ? 16 : 8, s->base, s->limit, flags);
}

static void print_system(const struct cpu *cpu, FILE *out)
{
    const int width = cpu_is_long(cpu) ? 16 : 8;

    for (unsigned i = 0; i < SEG_COUNT; i++)
        print_segment(cpu, segment_names[i], &cpu->seg[i], out);
    print_segment(cpu, "LDT", &cpu->ldtr, out);
    print_segment(cpu, "TR", &cpu->tr, out);
    fprintf(out, "GDT=     %0*" PRIx64 " %08x\n", width, cpu->gdtr.base, cpu->gdtr.limit);
    fprintf(out, "IDT=     %0*" PRIx64 " %08x\n", width, cpu->idtr.base, cpu->idtr.limit);
    fprintf(out, "CR0=%08" PRIx64 " CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08" PRIx64 "\n",
            cpu->cr0, width, cpu->cr2, width, cpu->cr3, cpu->cr4);
    for (unsigned i = 0; i < 4; i++)
        fprintf(out, "DR%u=%0*" PRIx64 "%c", i, width, cpu->dr[i], i == 3 ? '\n' : ' ');
    fprintf(out, "DR6=%0*" PRIx64 " DR7=%0*" PRIx64 "\n", width, cpu->dr[6], width, cpu->dr[7]);
    fprintf(out, "EFER=%016" PRIx64 "\n", cpu->efer);
    if (cpu_is_long(cpu))
        fprintf(out,
                "STAR=%016" PRIx64 " LSTAR=%016" PRIx64 " FMASK=%08" PRIx64 " KGS=%016" PRIx64 "\n",
                cpu->star, cpu->lstar, cpu->fmask, cpu->kernel_gs_base);
}

static uint64_t fpu_part(const struct cpu *cpu, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, cpu->fpu + offset, size);
    return value;
}

static void print_fpu(const struct cpu *cpu, FILE *out)
{
    const unsigned status = (unsigned)fpu_part(cpu, FPU_FSW, 2);

    fprintf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n",
            (unsigned)fpu_part(cpu, FPU_FCW, 2), status, (status & FSW_TOP) >> FSW_TOP_SHIFT,
            (unsigned)fpu_part(cpu, FPU_FTW, 1), (unsigned)fpu_part(cpu, FPU_MXCSR, 4));
    for (unsigned i = 0; i < 8; i++)
        fprintf(out, "ST%u=%04x %016" PRIx64 "%c", i,
                (unsigned)fpu_part(cpu, FPU_ST + 16 * i + 8, 2), fpu_part(cpu, FPU_ST + 16 * i, 8),
                i % 2 ? '\n' : ' ');
    for (unsigned i = 0; i < (cpu_is_long(cpu) ? 16u : 8u); i++)
        fprintf(out, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i,
                fpu_part(cpu, FPU_XMM + 16 * i + 8, 8), fpu_part(cpu, FPU_XMM + 16 * i, 8),
                i % 2 ? '\n' : ' ');
    for (unsigned i = 0; (cpu->xcr0 & XCR0_AVX) && i < (cpu_is_long(cpu) ? 16u : 8u); i++)
        fprintf(out, "YMMH%02u=%016" PRIx64 " %016" PRIx64 "%c", i,
                fpu_part(cpu, FPU_YMM + 16 * i + 8, 8), fpu_part(cpu, FPU_YMM + 16 * i, 8),
                i % 2 ? '\n' : ' ');
}

void monitor_info_registers(struct monitor_line *line)
{
    struct cpu *cpu = pc_cpu(line->m->pc);

    fpu_leave(cpu);
    fprintf(line->out, "\nCPU#0\n");
    print_gprs(cpu, line->out);
    print_flags(cpu, line->out);
    print_system(cpu, line->out);
    print_fpu(cpu, line->out);
}

/* ---- page tables ---- */

/* Bits of an entry. [SDM 3A 4.3 to 4.5] */
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
#define PTE_NX      (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

struct mapping {
    uint64_t linear, size, phys;
    uint64_t flags;   /* of the last entry */
    bool user, write; /* of all levels together */
};

struct walker {
    struct monitor_line *line;
    unsigned levels, entry_bytes, bits; /* bits: index bits of a level */
    bool pse;                           /* large pages at the second level from below */
    void (*visit)(struct walker *w, const struct mapping *mapping);
    struct mapping run; /* info mem: adjacent mappings of equal rights; size 0: none */
    unsigned lines;
};
enum { LINES_MAX = 20000 };

static void walk_table(struct walker *w, uint64_t table, unsigned level, uint64_t linear, bool user,
                       bool write)
{
    struct physmem *mem = pc_memory(w->line->m->pc);
    const unsigned shift = PAGE_SHIFT + (level - 1) * w->bits;
    const unsigned count = level == 3 && w->levels == 3 ? 4 : 1u << w->bits;

    for (unsigned i = 0; i < count && w->lines < LINES_MAX; i++) {
        const physaddr_t at = table + i * w->entry_bytes;
        const bool is_pdpte = level == 3 && w->levels == 3; /* has no rights of its own */
        struct mapping mapping = {.linear = linear | (uint64_t)i << shift,
                                  .size = UINT64_C(1) << shift};
        uint64_t entry = 0;

        physmem_read_bytes(mem, at, &entry, w->entry_bytes);
        if (!(entry & PTE_P))
            continue;
        if (w->levels == 4 && mapping.linear >> 47 & 1)
            mapping.linear |= UINT64_C(0xffff) << 48;
        mapping.user = user && (is_pdpte || entry & PTE_U);
        mapping.write = write && (is_pdpte || entry & PTE_W);
        if (level > 1 && !((entry & PTE_PS) && level <= 3 && !is_pdpte && w->pse)) {
            walk_table(w, entry & PTE_ADDRESS, level - 1, mapping.linear, mapping.user,
                       mapping.write);
            continue;
        }
        mapping.flags = entry;
        mapping.phys = entry & PTE_ADDRESS & ~(mapping.size - 1);
        w->visit(w, &mapping);
    }
}

static void visit_tlb(struct walker *w, const struct mapping *mapping)
{
    static const struct {
        uint64_t bit;
        char letter;
    } flags[] = {{PTE_NX, 'X'}, {PTE_G, 'G'}, {PTE_PS, 'P'}, {PTE_D, 'D'}, {PTE_A, 'A'},
                 {0x10, 'C'},   {0x08, 'T'},  {PTE_U, 'U'},  {PTE_W, 'W'}};

    fprintf(w->line->out, "%016" PRIx64 ": %016" PRIx64 " ", mapping->linear, mapping->phys);
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        fputc(mapping->flags & flags[i].bit ? flags[i].letter : '-', w->line->out);
    fputc('\n', w->line->out);
    w->lines++;
}

static void print_run(struct walker *w)
{
    if (w->run.size == 0)
        return;
    fprintf(w->line->out, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %cr%c\n", w->run.linear,
            w->run.linear + w->run.size, w->run.size, w->run.user ? 'u' : '-',
            w->run.write ? 'w' : '-');
    w->lines++;
}

static void visit_mem(struct walker *w, const struct mapping *mapping)
{
    if (w->run.size != 0 && w->run.linear + w->run.size == mapping->linear &&
        w->run.user == mapping->user && w->run.write == mapping->write) {
        w->run.size += mapping->size;
        return;
    }
    print_run(w);
    w->run = *mapping;
}

static void walk_all(struct walker *w)
{
    const struct cpu *cpu = pc_cpu(w->line->m->pc);
    const bool pae = cpu->cr4 & CR4_PAE;

    if (!(cpu->cr0 & CR0_PG)) {
        fprintf(w->line->out, "PG disabled\n");
        return;
    }
    w->levels = cpu_is_long(cpu) ? 4 : pae ? 3 : 2;
    w->entry_bytes = pae ? 8 : 4;
    w->bits = pae ? 9 : 10;
    w->pse = pae || cpu->cr4 & CR4_PSE;
    walk_table(w, cpu->cr3 & (w->levels == 3 ? 0xffffffe0 : PTE_ADDRESS), w->levels, 0, true, true);
    print_run(w);
    if (w->lines >= LINES_MAX)
        fprintf(w->line->out, "... more than %d lines\n", LINES_MAX);
}

void monitor_info_mem(struct monitor_line *line)
{
    struct walker w = {.line = line, .visit = visit_mem};

    walk_all(&w);
}

void monitor_info_tlb(struct monitor_line *line)
{
    struct walker w = {.line = line, .visit = visit_tlb};

    walk_all(&w);
}
