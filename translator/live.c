/*
 * translator/live.c -- immediates as data.
 *
 * Programs that generate code often rewrite nothing but a constant in it.  Where stores have
 * changed an immediate operand a few times, the block is made again with the immediate fetched from
 * the guest's code at each execution:
 *
 *     mov eax, 0x1234        mov r13, [host address of the four bytes]
 *                            mov eax, [r13]
 *     add [rdi], 0x1234      probe or window; mov ecx, [host address]; add [...], ecx
 *
 * These bytes are then data: they are not marked in physmem, and the block outlives stores there.
 * RAM stays where it is in the host; when the guest-physical map changes, the block goes.
 *
 * Not for what the translator itself draws conclusions from: constants that are added to 64-bit
 * registers (rules_step()), shift counts, displacements, targets.
 */
#include "cpu/physmem.h"
#include "translator/rules.h"

enum { LIVE_CHANGES = 3, REX_R = 4, REX_B = 1 };

/* ---- which ---- */

/* Bytes of the immediate if it is one that can be data, else 0. */
static unsigned live_bytes(const struct insn *in)
{
    const uint8_t op = in->opcode;

    if (insn_row(in)->map != M0 || (in->prefixes & PREFIX_VEX) || in->imm_at >= in->length)
        return 0;
    if ((op & 0xf0) == 0xb0 ||                                     /* MOV r, imm */
        ((op & 0xc6) == 0x04 && op < 0x40) ||                      /* ALU eAX, imm */
        op == 0x80 || op == 0x81 || op == 0x83 ||                  /* ALU r/m, imm */
        op == 0xc6 || op == 0xc7 || op == 0xa8 || op == 0xa9 ||    /* MOV; TEST eAX */
        ((op & 0xfe) == 0xf6 && in->ops[1].kind == OPERAND_IMM) || /* TEST r/m, imm */
        op == 0x68 || op == 0x6a)                                  /* PUSH imm */
        return in->length - in->imm_at;
    return 0;
}

static uint32_t imm_hash(physaddr_t phys)
{
    return (uint32_t)(phys * 0x9e3779b97f4a7c15ull >> 32);
}

static bool is_live(const struct smc *smc, physaddr_t phys)
{
    const uint32_t hash = imm_hash(phys);
    const unsigned place = hash >> (32 - SMC_IMM_BITS);

    return smc->imms[place].tag == (uint16_t)hash && smc->imms[place].changes >= LIVE_CHANGES;
}

static void note_change(struct smc *smc, physaddr_t phys)
{
    const uint32_t hash = imm_hash(phys);
    const unsigned place = hash >> (32 - SMC_IMM_BITS);

    if (smc->imms[place].tag != (uint16_t)hash) {
        smc->imms[place].tag = (uint16_t)hash;
        smc->imms[place].changes = 0;
    }
    if (smc->imms[place].changes < LIVE_CHANGES && ++smc->imms[place].changes == LIVE_CHANGES)
        smc->imms_live = true;
}

static physaddr_t imm_phys(const struct build *b, const struct insn *in)
{
    return build_phys(b) + in->imm_at;
}

bool live_wanted(const struct build *b, const struct insn *in)
{
    /* Where the instruction crosses a page, b->bytes is a copy. */
    return (b->tr->smc.imms_live || b->tr->options.eager_smc) && !b->crossing &&
           live_bytes(in) != 0 &&
           (b->tr->options.eager_smc || is_live(&b->tr->smc, imm_phys(b, in)));
}

void live_take(struct build *b, const struct insn *in)
{
    b->records.holes[b->records.hole_count++] = (struct block_hole){
        (uint16_t)(imm_phys(b, in) - b->block->key.phys), (uint16_t)live_bytes(in)};
    b->tr->smc.counters.live_imms++;
}

/* The instruction of the block that has the byte at `offset`; its number. */
static unsigned insn_at(const struct cache *cache, const struct block *block, unsigned offset)
{
    unsigned i = 0;

    while (i + 1 < block->insn_count && cache_site(cache, block, i + 1).guest <= offset)
        i++;
    return i;
}

bool live_spares(struct translator *tr, const struct block *block, physaddr_t from, physaddr_t to)
{
    const struct phys_page *page = physmem_page(tr->mem, block->key.phys);
    const unsigned in_page = block->key.phys & (PAGE_SIZE - 1);
    const struct block_hole *hole;
    unsigned begin, end, at, holes;
    struct insn in;

    if (tr->options.no_smc || block->crosses || page->host == NULL)
        return false;
    begin = from > block->key.phys ? (unsigned)(from - block->key.phys) : 0;
    end = to < block->key.phys + block->guest_bytes ? (unsigned)(to - block->key.phys)
                                                    : block->guest_bytes;
    hole = cache_holes(tr->cache, block, &holes);
    for (; holes > 0; holes--, hole++) {
        if (begin >= hole->at && end <= hole->at + hole->bytes) {
            tr->smc.counters.spared++;
            return true;
        }
    }
    at = cache_site(tr->cache, block, insn_at(tr->cache, block, begin)).guest;
    if (decode(page->host + in_page + at, PAGE_SIZE - in_page - at, code_size_of(block->key.mode),
               &in) == DECODE_OK &&
        live_bytes(&in) != 0 && begin >= at + in.imm_at && end <= at + in.length)
        note_change(&tr->smc, block->key.phys + at + in.imm_at);
    return false;
}

/* ---- code for them ---- */

void live_load(struct build *b, const struct insn *in, unsigned width, uint8_t dst)
{
    const unsigned bytes = live_bytes(in);
    const struct mem at = BASE(dst, 0);

    emit_mov_ri(&b->e, dst, (uint64_t)(b->bytes + in->imm_at));
    if (bytes >= width)
        emit_movzx_rm(&b->e, dst, width, at);
    else
        emit_movsx_rm(&b->e, width == 2 ? W32 : width, dst, bytes, at);
}

/* MOV to all of a register. */
static void load_register(struct build *b, const struct insn *in)
{
    const unsigned width = in->ops[0].size;
    const uint8_t host = b->contract->host[in->ops[0].reg];

    b->keeps_stack = true;
    if (host != NO_REG && width == live_bytes(in)) {
        emit_mov_ri(&b->e, T0, (uint64_t)(b->bytes + in->imm_at));
        emit_mov_rm(&b->e, width, host, BASE(T0, 0));
    } else {
        live_load(b, in, width, T0);
        build_gpr_write(b, in->ops[0].reg, width, T0);
    }
}

/*
 * The same operation with a register in place of the immediate: a guest register that the
 * instruction does not name, whose part a scratch register will play.
 */
static bool use_register(const struct build *b, const struct insn *in, struct insn *alt)
{
    const bool move = (in->opcode & 0xf0) == 0xb0, accumulator = !in->has_modrm;
    const uint8_t wide = in->opcode & 1, op = in->opcode;
    const uint8_t rm = move ? op & 7 : accumulator ? RAX : in->modrm & 0xc7;
    const uint8_t named = in->ops[0].kind == OPERAND_MEM ? NO_REG : in->ops[0].reg;
    const uint8_t part = named == RAX ? RDX : RAX;
    uint8_t bytes[INSN_MAX_LENGTH + 1], opcode;
    unsigned count = 0;

    if (move)
        opcode = op & 8 ? 0x89 : 0x88;
    else if (op == 0xc6 || op == 0xc7)
        opcode = 0x88 | wide;
    else if ((op & 0xfe) == 0xa8 || (op & 0xfe) == 0xf6)
        opcode = 0x84 | wide;
    else if (accumulator)
        opcode = op & (uint8_t)~4;
    else
        opcode = (uint8_t)((in->modrm & 0x38) | (op != 0x80));
    for (; count < in->opcode_at; count++)
        bytes[count] = b->bytes[count];
    if ((in->prefixes & PREFIX_REX) && count != 0)
        bytes[count - 1] &= (uint8_t) ~(accumulator && !move ? REX_R | REX_B : REX_R);
    bytes[count++] = opcode;
    bytes[count++] = (uint8_t)((accumulator ? 0xc0 : 0) | rm | part << 3);
    for (unsigned i = in->modrm_at + 1u; !accumulator && i < in->imm_at && count < sizeof(bytes);
         i++)
        bytes[count++] = b->bytes[i];
    return decode(bytes, count, (enum code_size)in->code_size, alt) == DECODE_OK &&
           alt->length == count && rule_table[alt->row] == rule_native &&
           alt->ops[1].kind == OPERAND_GPR && alt->ops[1].reg == part &&
           alt->ops[0].kind == in->ops[0].kind && alt->ops[0].size == in->ops[0].size;
}

bool live_native(struct build *b, const struct insn *in)
{
    const struct operand *to = &in->ops[0];
    struct insn alt;
    bool done;

    if (((in->opcode & 0xf0) == 0xb0 || (in->opcode == 0xc7 && !in->has_mem)) && to->size >= 4) {
        load_register(b, in);
    } else {
        if (to->kind == OPERAND_GPR && rules_step(in, to->reg) != 0)
            return false;
        if (!use_register(b, in, &alt))
            return false;
        b->live = in;
        b->live_reg = alt.ops[1].reg;
        done = rules_copy(b, &alt);
        b->live = NULL;
        if (!done)
            return false;
    }
    live_take(b, in);
    return true;
}
