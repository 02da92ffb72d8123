/*
 * translator/build.c -- one block: decode, liveness, rules, side exits.
 */
#include "translator/build.h"

#include "cpu/interp.h"
#include "cpu/physmem.h"

struct decoded {
    struct insn insn[BLOCK_MAX_INSNS];
    uint16_t offset[BLOCK_MAX_INSNS + 1]; /* from the block's first byte */
    bool call[BLOCK_MAX_INSNS];           /* the mode wants another handler than the row's */
    uint32_t live[BLOCK_MAX_INSNS + 1];   /* flags that matter before each instruction */
    unsigned count;
    bool step; /* the one instruction is fetched anew each time */
};

/* The instructions from `bytes` to the first that ends a block, at most `room` bytes. */
static void decode_block(const struct cpu *cpu, const uint8_t *bytes, unsigned room, uint32_t mode,
                         struct decoded *d)
{
    const enum code_size size = code_size_of(mode);
    unsigned at = 0;

    d->count = 0;
    d->step = false;
    while (d->count < BLOCK_MAX_INSNS && at < room) {
        struct insn *in = &d->insn[d->count];

        if (decode(bytes + at, room - at, size, in) != DECODE_OK)
            break;
        d->offset[d->count] = (uint16_t)at;
        d->call[d->count] = interp_handler(cpu, in) != insn_run_table[in->row];
        at += in->length;
        d->count++;
        if ((insn_row(in)->traits & ENDS) && rule_table[in->row] != rule_sti)
            break;
    }
    d->offset[d->count] = (uint16_t)at;
}

/* One instruction that the page does not hold whole, or that is none. */
static void describe_step(struct decoded *d, unsigned room)
{
    const unsigned bytes = room < INSN_MAX_LENGTH ? room : INSN_MAX_LENGTH;

    d->insn[0] = (struct insn){.length = (uint8_t)bytes};
    d->offset[0] = 0;
    d->offset[1] = (uint16_t)bytes;
    d->call[0] = d->step = true;
    d->count = 1;
}

/* Can the guest see the flags as they are before `in`, other than through its flags_read? */
static bool exposes_flags(const struct insn *in)
{
    /* Whatever may fault or call the interpreter shows them in an exception frame. */
    return in->has_mem || rule_table[in->row] != rule_native;
}

/* Backwards over the block: a flag is live until the next write that is certain. */
static void find_live_flags(struct decoded *d, bool all_live)
{
    uint32_t live = FLAGS_OSZAPC;

    d->live[d->count] = live;
    for (unsigned i = d->count; i-- > 0;) {
        const struct insn_row *row = insn_row(&d->insn[i]);

        if (!(row->traits & MAYBE))
            live &= ~(uint32_t)row->flags_written;
        live |= row->flags_read & FLAGS_OSZAPC;
        if (all_live || d->call[i] || exposes_flags(&d->insn[i]))
            live = FLAGS_OSZAPC;
        d->live[i] = live;
    }
}

/* Counted time: icount += the block's instructions. */
static void count_insns(struct build *b, const struct decoded *d)
{
    const struct mem icount = BASE(HOST_CPU, AT_CPU(icount));

    if (!b->tr->options.counted)
        return;
    if (d->live[0] == 0) {
        emit_add_mi(&b->e, W64, icount, (int32_t)d->count);
    } else {
        emit_mov_rm(&b->e, W64, T0, icount);
        emit_lea(&b->e, W64, T0, BASE(T0, d->count));
        emit_mov_mr(&b->e, W64, icount, T0);
    }
}

static void translate_insn(struct build *b, const struct insn *in, bool call)
{
    const struct emit start = b->e;
    const unsigned jumps = b->jump_count;

    if (!call && rule_table[in->row](b, in))
        return;
    b->e = start;
    b->jump_count = jumps;
    b->poll_count = 0;
    b->ended = false;
    for (unsigned i = 0; i < BLOCK_EXITS; i++)
        b->block->exits[i] = (struct block_exit){.from = b->block};
    build_call_slow(b);
}

struct block *build_block(struct translator *tr, struct cpu *cpu, const struct block_key *key)
{
    const struct phys_page *page = physmem_page(tr->mem, key->phys);
    const unsigned in_page = key->phys & (PAGE_SIZE - 1);
    struct decoded d;
    struct build b;
    struct block_site sites[BLOCK_MAX_INSNS + 1];
    const uint8_t *bytes;
    uint8_t *start;
    uint32_t page_id;

    if (page->host == NULL)
        return NULL;
    bytes = page->host + in_page;
    decode_block(cpu, bytes, PAGE_SIZE - in_page, key->mode, &d);
    if (d.count == 0)
        describe_step(&d, PAGE_SIZE - in_page);
    find_live_flags(&d, tr->options.no_flags);
    page_id = cache_page_id(tr->cache, key->linear, key->phys, key->mode);

    b.tr = tr;
    b.cpu = cpu;
    b.block = cache_begin(tr->cache, &b.e);
    if (b.block == NULL)
        return NULL;
    b.block->key = *key;
    b.view = mmu_mode_view(key->mode);
    b.mode = key->mode;
    b.ended = false;
    b.jump_count = b.poll_count = 0;
    b.code64 = (key->mode & MODE_CODE_MASK) == MODE_CODE64;
    b.contract = contract_of(key->mode);
    b.glue = glue_of(tr, key->mode);
    b.block->page_id = page_id;
    build_checked_entry(&b);
    start = b.e.at;

    count_insns(&b, &d);
    for (unsigned i = 0; i < d.count; i++) {
        sites[i] = (struct block_site){d.offset[i], (uint16_t)(b.e.at - start)};
        b.index = (uint8_t)i;
        b.last = i + 1 == d.count;
        b.bytes = bytes + d.offset[i];
        b.rip = key->linear - key->cs_base + d.offset[i];
        b.next_rip = b.rip + d.insn[i].length;
        if (d.step)
            build_step(&b);
        else
            translate_insn(&b, &d.insn[i], d.call[i]);
    }
    sites[d.count] = (struct block_site){d.offset[d.count], (uint16_t)(b.e.at - start)};
    b.block->guest_bytes = d.offset[d.count];
    b.block->insn_count = (uint8_t)d.count;
    if (!b.ended) {
        if (insn_row(&d.insn[d.count - 1])->traits & ENDS)
            emit_jmp_to(&b.e, b.glue->leave); /* not reached: the handler goes elsewhere */
        else
            build_exit(&b, 0, b.next_rip);
    }
    build_finish(&b);
    b.block->host_bytes = (uint32_t)(emit_here(&b.e) - b.block->checked_host);
    while ((uintptr_t)b.e.at & 7)
        emit_u8(&b.e, 0xcc);
    b.block->sites = (const struct block_site *)b.e.at;
    emit_bytes(&b.e, sites, (d.count + 1u) * sizeof(sites[0]));
    if (b.e.overflow || b.e.at - start > UINT16_MAX)
        return NULL;
    cache_commit(tr->cache, b.block, &b.e);
    if (tr->options.log_in_asm || tr->options.log_out_asm)
        dump_block(tr, b.block, bytes);
    return b.block;
}
