/*
 * loader/boot_apply.c -- an image into a machine: the half of boot_image.h that knows the CPU.
 */
#include <string.h>

#include "cpu/physmem.h"
#include "cpu/segment.h"
#include "loader/boot_image.h"

enum {
    ATTR_CODE = SEG_G | SEG_DB | SEG_P | SEG_S | SEG_CODE | SEG_WRITE | SEG_ACCESSED,
    ATTR_DATA = SEG_G | SEG_DB | SEG_P | SEG_S | SEG_WRITE | SEG_ACCESSED,
    ATTR_TSS32_BUSY = SEG_P | 0x0b,
    GDT_LIMIT = 4 * 8 - 1,
    MTRR_DEF_ENABLED_WB = 1 << 11 | 6, /* [SDM 3A 11.11.2.1] */
    RFLAGS_FIXED = 1 << 1,
};

static void zero_memory(struct physmem *mem, uint64_t address, uint64_t size)
{
    static const uint8_t zeros[64 * 1024];

    while (size > 0) {
        const uint64_t part = size < sizeof(zeros) ? size : sizeof(zeros);

        physmem_write_bytes(mem, address, zeros, part);
        address += part;
        size -= part;
    }
}

static void load_flat(struct cpu *cpu, enum seg seg, uint16_t selector, uint16_t attr)
{
    cpu->seg[seg] = (struct segment){.limit = UINT32_MAX, .selector = selector, .attr = attr};
    segment_update_cache(&cpu->seg[seg]);
}

/*
 * The state that the Linux 32-bit boot protocol, multiboot and PVH agree on: protected mode, no
 * paging, flat segments, A20 open, interrupts off; and memory write-back, as firmware leaves it.
 */
static void enter(const struct boot_image *image, struct cpu *cpu)
{
    static const enum seg data_segs[] = {DS, ES, SS, FS, GS};

    cpu_set_a20(cpu, true);
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    cpu->cpl = 0;
    load_flat(cpu, CS, BOOT_CS, ATTR_CODE);
    for (size_t i = 0; i < sizeof(data_segs) / sizeof(data_segs[0]); i++)
        load_flat(cpu, data_segs[i], BOOT_DS, ATTR_DATA);
    cpu->tr = (struct segment){.limit = 0x67, .attr = ATTR_TSS32_BUSY};
    cpu->ldtr = (struct segment){0};
    cpu->gdtr = (struct dtable){.base = image->gdt, .limit = GDT_LIMIT};
    cpu->idtr = (struct dtable){0};
    segment_forget(cpu);
    cpu->mtrr_def_type = MTRR_DEF_ENABLED_WB;
    memset(cpu->gpr, 0, sizeof(cpu->gpr));
    cpu->gpr[RAX] = image->eax;
    cpu->gpr[RBX] = image->ebx;
    cpu->gpr[RSI] = image->esi;
    cpu->rip = image->eip;
    cpu->rflags = RFLAGS_FIXED;
    cpu->shadow = 0;
    cpu_update_mode(cpu);
}

void boot_image_apply(const struct boot_image *image, struct pc *pc)
{
    struct physmem *mem = pc_memory(pc);

    for (size_t i = 0; i < image->count; i++) {
        const struct boot_piece *piece = &image->pieces[i];

        physmem_write_bytes(mem, piece->address, piece->data, piece->size);
        zero_memory(mem, piece->address + piece->size, piece->zero_bytes);
    }
    enter(image, pc_cpu(pc));
}
