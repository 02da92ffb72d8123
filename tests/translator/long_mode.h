/*
 * tests/translator/long_mode.h -- a machine in 64-bit mode at CPL 3, with page tables of its own;
 * for test files that include tests/translator/machine.h first.
 */
#ifndef RINGER_TESTS_TRANSLATOR_LONG_MODE_H
#define RINGER_TESTS_TRANSLATOR_LONG_MODE_H

#include "cpu/mmu.h"
#include "cpu/segment.h"
#include "tests/translator/machine.h"
#include "translator/runtime.h"
#include "translator/windows.h"

enum { ENTRY_FLAGS = 0x67 }; /* present, writable, user, accessed, dirty */

static physaddr_t top_table, free_table;

/* Page tables go there, one after the other. */
static void long_mode_begin(struct machine *m, physaddr_t tables)
{
    top_table = tables;
    free_table = tables + PAGE_SIZE;
    m->cpu->cr3 = tables;
}

static physaddr_t table_below(struct machine *m, physaddr_t entry)
{
    if (physmem_read(m->mem, entry, 8) == 0) {
        physmem_write(m->mem, entry, 8, free_table | ENTRY_FLAGS);
        free_table += PAGE_SIZE;
    }
    return physmem_read(m->mem, entry, 8) & ~UINT64_C(0xfff);
}

/* Where the entry is that maps the page there. */
static physaddr_t page_entry(struct machine *m, linaddr_t linear)
{
    physaddr_t table = top_table;

    for (unsigned level = 39; level > PAGE_SHIFT; level -= 9)
        table = table_below(m, table + (linear >> level & 511) * 8);
    return table + (linear >> PAGE_SHIFT & 511) * 8;
}

static void map_page(struct machine *m, linaddr_t linear, physaddr_t page)
{
    physmem_write(m->mem, page_entry(m, linear), 8, page | ENTRY_FLAGS);
}

/* A machine with that code, and yet without pages; the rest of the test is skipped where the host
 * has no windows, if the options ask for them. */
static void long_mode_open(struct machine *m, uint64_t memory_bytes,
                           const struct translator_options *options, physaddr_t code_at,
                           const uint8_t *code, size_t bytes, physaddr_t stack, physaddr_t tables)
{
    machine_open(m, memory_bytes, options);
    if (m->tr->windows == NULL && !options->no_window) {
        machine_close(m);
        skip(); /* no FSGSBASE or no BMI2 */
    }
    machine_start_flat(m, (uint32_t)code_at, code, bytes, (uint32_t)stack);
    long_mode_begin(m, tables);
}

/* What has been mapped is there from now on, and in a window if there are any. */
static void long_mode_enter(struct machine *m)
{
    m->cpu->cr0 |= CR0_PG | CR0_WP;
    m->cpu->cr4 |= CR4_PAE;
    m->cpu->efer |= EFER_LME | EFER_LMA;
    mmu_flush_nonglobal(m->cpu);
    m->cpu->cpl = 3;
    m->cpu->seg[CS].attr = (uint16_t)((m->cpu->seg[CS].attr & ~SEG_DB) | SEG_L);
    cpu_update_mode(m->cpu);
    assert_true(m->tr->windows == NULL || (m->cpu->mode & MODE_WINDOW) ||
                windows_tick(m->tr->windows));
}

#endif
