/*
 * loader/compare.c -- the state that two CPUs which did the same must share.
 */
#include "loader/compare.h"

#include <stddef.h>
#include <string.h>

#include "cpu/fpu.h"

struct field {
    const char *name;
    size_t offset, size;
};

#define FIELD(member)                                                            \
    {                                                                            \
#member, offsetof(struct cpu, member), sizeof(((struct cpu *)0)->member) \
    }
#define SEGMENT(label, s)                                                  \
    {                                                                      \
        label, offsetof(struct cpu, s), offsetof(struct segment, read_end) \
    }

/* clang-format off */
static const struct field fields[] = {
    FIELD(icount), /* the first, see compare_cpus() */
    {"rax", offsetof(struct cpu, gpr[RAX]), 8}, {"rcx", offsetof(struct cpu, gpr[RCX]), 8},
    {"rdx", offsetof(struct cpu, gpr[RDX]), 8}, {"rbx", offsetof(struct cpu, gpr[RBX]), 8},
    {"rsp", offsetof(struct cpu, gpr[RSP]), 8}, {"rbp", offsetof(struct cpu, gpr[RBP]), 8},
    {"rsi", offsetof(struct cpu, gpr[RSI]), 8}, {"rdi", offsetof(struct cpu, gpr[RDI]), 8},
    {"r8-r15", offsetof(struct cpu, gpr[R8]), 64},
    FIELD(rip), FIELD(rflags), FIELD(cpl), FIELD(shadow),
    FIELD(halted), FIELD(shutdown), FIELD(a20), FIELD(intr), FIELD(nmi_pending),
    FIELD(nmi_blocked),
    {"mode", offsetof(struct cpu, mode), 2}, /* MODE_WINDOW is the translator's affair */
    SEGMENT("es", seg[ES]), SEGMENT("cs", seg[CS]), SEGMENT("ss", seg[SS]),
    SEGMENT("ds", seg[DS]), SEGMENT("fs", seg[FS]), SEGMENT("gs", seg[GS]),
    SEGMENT("ldtr", ldtr), SEGMENT("tr", tr),
    {"gdtr.base", offsetof(struct cpu, gdtr.base), 8},
    {"gdtr.limit", offsetof(struct cpu, gdtr.limit), 2},
    {"idtr.base", offsetof(struct cpu, idtr.base), 8},
    {"idtr.limit", offsetof(struct cpu, idtr.limit), 2},
    FIELD(cr0), FIELD(cr2), FIELD(cr3), FIELD(cr4), FIELD(efer), FIELD(dr),
    FIELD(star), FIELD(lstar), FIELD(cstar), FIELD(fmask), FIELD(kernel_gs_base),
    FIELD(sysenter_cs), FIELD(sysenter_esp), FIELD(sysenter_eip), FIELD(apic_base), FIELD(pat),
    FIELD(tsc_offset), FIELD(tsc_aux), FIELD(debugctl), FIELD(misc_enable), FIELD(mtrr_def_type),
    FIELD(xcr0), FIELD(pdpte), FIELD(fpu),
};
/* clang-format on */

/* As a number, without leading zeros. */
static void print_bytes(FILE *out, const uint8_t *bytes, size_t size)
{
    while (size > 1 && bytes[size - 1] == 0)
        size--;
    fprintf(out, "0x");
    while (size-- > 0)
        fprintf(out, "%02x", bytes[size]);
}

static void print_field(FILE *out, const struct field *f, const uint8_t *a, const uint8_t *b,
                        const char *a_name, const char *b_name)
{
    size_t from = 0, size = f->size;

    /* Of an array, the first element that differs. */
    while (size > 8 && memcmp(a + from, b + from, 8) == 0) {
        from += 8;
        size -= 8;
    }
    size = size < 8 ? size : 8;
    fprintf(out, "  %s", f->name);
    if (f->size > 8)
        fprintf(out, "+0x%zx", from);
    fprintf(out, ": %s ", a_name);
    print_bytes(out, a + from, size);
    fprintf(out, ", %s ", b_name);
    print_bytes(out, b + from, size);
    fprintf(out, "\n");
}

bool compare_cpus(struct cpu *a, struct cpu *b, bool counted, FILE *out, const char *a_name,
                  const char *b_name)
{
    bool same = true;

    fpu_leave(a);
    fpu_leave(b);
    for (size_t i = counted ? 0 : 1; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const uint8_t *x = (const uint8_t *)a + fields[i].offset;
        const uint8_t *y = (const uint8_t *)b + fields[i].offset;

        if (memcmp(x, y, fields[i].size) == 0)
            continue;
        same = false;
        if (out == NULL)
            break;
        print_field(out, &fields[i], x, y, a_name, b_name);
    }
    return same;
}
