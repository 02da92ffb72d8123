/*
 * translator/returns.c -- see translator/returns.h.
 *
 *     memory   | guard |  stack of view 0  | guard |  stack of view 1  | ... | guard |
 *
 * A stack's last eight bytes are its bottom.  The guard behind the last one stops whoever would
 * return too often; nobody does.
 */
#define _GNU_SOURCE
#include "translator/returns.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/mmu.h"
#include "translator/runtime.h"

enum {
    GUARD_BYTES = PAGE_SIZE,
    STACK_BYTES = 16 * PAGE_SIZE,
    AREA_BYTES = GUARD_BYTES + STACK_BYTES,
    MEMORY_BYTES = TLB_VIEWS * AREA_BYTES + GUARD_BYTES,
};
static const uint32_t NO_MODE = ~0u;

struct returns {
    const struct glue *glue;
    uint8_t *memory;
    uint32_t mode[TLB_VIEWS]; /* that all landings on the stack are for */
    bool forget;
};

static unsigned view_of(const struct returns *returns, uint64_t sp)
{
    return (unsigned)((sp - (uint64_t)returns->memory) / AREA_BYTES);
}

static uint64_t bottom_of(const struct returns *returns, unsigned view)
{
    return (uint64_t)returns->memory + (view + 1) * AREA_BYTES - sizeof(uint64_t);
}

/* Make the stack an empty one for `mode`. */
static void empty(struct returns *returns, struct rt *rt, unsigned view, uint32_t mode)
{
    const uint64_t bottom = bottom_of(returns, view);

    *(uint64_t *)bottom = returns->glue[mode_is_code64(mode)].return_empty[view];
    rt->returns[view] = bottom;
    returns->mode[view] = mode;
}

struct returns *returns_create(struct cpu *cpu, const struct glue *glue)
{
    struct returns *returns = calloc(1, sizeof(*returns));
    void *memory =
        mmap(NULL, MEMORY_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (returns == NULL || memory == MAP_FAILED)
        goto fail;
    returns->glue = glue;
    returns->memory = memory;
    for (unsigned view = 0; view < TLB_VIEWS; view++)
        if (mprotect(returns->memory + view * AREA_BYTES + GUARD_BYTES, STACK_BYTES,
                     PROT_READ | PROT_WRITE) < 0)
            goto fail;
    returns->forget = true;
    rt_of(cpu)->return_sp = bottom_of(returns, VIEW_SUPERVISOR);
    return returns;
fail:
    if (memory != MAP_FAILED)
        munmap(memory, MEMORY_BYTES);
    free(returns);
    return NULL;
}

void returns_destroy(struct returns *returns)
{
    if (returns == NULL)
        return;
    munmap(returns->memory, MEMORY_BYTES);
    free(returns);
}

void returns_forget(struct returns *returns)
{
    returns->forget = true;
}

/* The supervisor's two are emptied together, so that generated code may switch between them. */
static void prepare(struct returns *returns, struct rt *rt, unsigned view, uint32_t mode)
{
    if (returns->mode[view] == mode)
        return;
    if (view == VIEW_USER) {
        empty(returns, rt, VIEW_USER, mode);
    } else {
        empty(returns, rt, VIEW_SUPERVISOR, mode & ~(uint32_t)MODE_SMAP_AC);
        empty(returns, rt, VIEW_SUPERVISOR_AC, mode | MODE_SMAP_AC);
    }
}

void returns_select(struct returns *returns, struct cpu *cpu)
{
    struct rt *rt = rt_of(cpu);
    const unsigned view = mmu_view(cpu), before = view_of(returns, rt->return_sp);

    if (!returns->forget && view == before && returns->mode[view] == cpu->mode)
        return;
    rt->returns[before] = rt->return_sp;
    if (returns->forget)
        for (unsigned i = 0; i < TLB_VIEWS; i++)
            returns->mode[i] = NO_MODE;
    returns->forget = false;
    prepare(returns, rt, view, cpu->mode);
    rt->return_sp = rt->returns[view];
}

bool returns_overflow(const struct returns *returns, uint64_t address, uint64_t *sp)
{
    const uint64_t offset = address - (uint64_t)returns->memory;

    if (offset >= TLB_VIEWS * AREA_BYTES || offset % AREA_BYTES >= GUARD_BYTES)
        return false;
    *sp = bottom_of(returns, (unsigned)(offset / AREA_BYTES));
    return true;
}
