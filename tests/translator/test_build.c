/*
 * Making blocks where there is hardly any room.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/translator/machine.h"
#include "translator/build.h"

enum { MEMORY = 8 << 20, CODE = 1 << 20, BLOCK_BYTES = 256, BLOCKS = 12000, NUMBERS = 1 << 14 };

/* A block's code, cold part and all, as it was when it was made: links change fields of the hot
 * one. */
struct copy {
    const struct block *block;
    uint64_t cold;
    uint32_t bytes;
    uint8_t code[2048];
};

static void take_copy(struct machine *m, struct copy *copy, const struct block *block)
{
    *copy = (struct copy){
        .block = block, .cold = cache_cold_host(m->tr->cache, block), .bytes = block->cold_bytes};
    assert_true(copy->bytes <= sizeof(copy->code));
    memcpy(copy->code, (const void *)copy->cold, copy->bytes);
}

static bool is_as_copied(struct machine *m, const struct copy *copy)
{
    return copy->block->dead || cache_cold_host(m->tr->cache, copy->block) != copy->cold ||
           memcmp(copy->code, (const void *)copy->cold, copy->bytes) == 0;
}

/* Many accesses and an unconditional jump: a large hot part, which ends in patched fields. */
static void write_code(uint8_t *at)
{
    static const uint8_t add[] = {0x03, 0x04, 0x8b}; /* add eax, [ebx + ecx * 4] */

    for (unsigned i = 0; i < 60; i++, at += sizeof(add))
        memcpy(at, add, sizeof(add));
    memcpy(at, (const uint8_t[]){0x75, 0x02, 0xeb, 0x10}, 4); /* jnz +2, jmp +16 */
}

static void what_does_not_fit_leaves_its_neighbours_alone(void **state)
{
    const struct translator_options options = {.cache_bytes = 1};
    struct copy *copies = calloc(NUMBERS, sizeof(*copies));
    unsigned refused = 0;
    struct machine m;

    (void)state;
    assert_non_null(copies);
    machine_open(&m, MEMORY, &options);
    m.cpu->cr0 |= CR0_PE;
    m.cpu->seg[CS].attr |= SEG_DB;
    cpu_update_mode(m.cpu);
    for (unsigned i = 0; i < BLOCKS; i++) {
        const physaddr_t at = CODE + (i % ((MEMORY - CODE) / BLOCK_BYTES)) * BLOCK_BYTES;
        const struct block_key key = {.phys = at, .linear = at, .mode = m.cpu->mode};
        struct block *block;

        write_code(physmem_backing(m.mem, at));
        block = build_block(m.tr, m.cpu, &key, 0);
        if (block != NULL)
            take_copy(&m, &copies[cache_number(m.tr->cache, block)], block);
        else
            refused++;
        for (unsigned k = 0; block == NULL && k < NUMBERS; k++)
            assert_true(copies[k].block == NULL || is_as_copied(&m, &copies[k]));
    }
    assert_true(refused > 4 && refused < BLOCKS / 2);
    machine_close(&m);
    free(copies);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_leaves_its_neighbours_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
