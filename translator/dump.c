/*
 * translator/dump.c -- listings of blocks: guest instructions, the rule of each, the host code.
 *
 * capstone does the disassembly: people read its output, nothing else depends on it.
 */
#include <capstone/capstone.h>

#include "translator/build.h"
#include "translator/runtime.h"

static void list(FILE *out, csh handle, const uint8_t *code, size_t size, uint64_t address,
                 const char *prefix)
{
    cs_insn *insns;
    const size_t count = cs_disasm(handle, code, size, address, 0, &insns);

    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s%08llx  %s %s\n", prefix, (unsigned long long)insns[i].address,
                insns[i].mnemonic, insns[i].op_str);
    if (count > 0)
        cs_free(insns, count);
}

static const char *rule_of(const uint8_t *code, size_t size, enum code_size code_size)
{
    struct insn in;

    return decode(code, size, code_size, &in) == DECODE_OK ? rule_names[in.row] : "?";
}

void dump_block(struct translator *tr, const struct block *block, const uint8_t *guest)
{
    const uint32_t code = block->key.mode & MODE_CODE_MASK;
    const enum code_size size = code == MODE_CODE64   ? CODE64
                                : code == MODE_CODE32 ? CODE32
                                                      : CODE16;
    const cs_mode mode = code == MODE_CODE64   ? CS_MODE_64
                         : code == MODE_CODE32 ? CS_MODE_32
                                               : CS_MODE_16;
    FILE *out = tr->options.log;
    const uint64_t at = cache_host(tr->cache, block);
    const uint8_t *host = (const uint8_t *)at;
    csh guest_handle, host_handle;

    if (cs_open(CS_ARCH_X86, mode, &guest_handle) != CS_ERR_OK)
        return;
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &host_handle) != CS_ERR_OK) {
        cs_close(&guest_handle);
        return;
    }
    /* What capstone does not know (much of EVEX) is shown as bytes and does not end the listing. */
    cs_option(guest_handle, CS_OPT_SKIPDATA, CS_OPT_ON);
    cs_option(host_handle, CS_OPT_SKIPDATA, CS_OPT_ON);
    fprintf(out, "---- block %08llx phys %08llx mode %x: %u instructions, %u -> %u + %u bytes\n",
            (unsigned long long)block->key.linear, (unsigned long long)block->key.phys,
            block->key.mode, block->insn_count, block->guest_bytes, block->host_bytes,
            block->cold_bytes);
    for (unsigned i = 0; i < block->insn_count; i++) {
        const struct block_site site = cache_site(tr->cache, block, i);
        const struct block_site next = cache_site(tr->cache, block, i + 1);
        struct insn in;
        const unsigned room = cache_bytes(tr->cache, block) - site.guest;
        const unsigned length =
            decode(guest + site.guest, room, size, &in) == DECODE_OK ? in.length : room;

        if (tr->options.log_in_asm) {
            list(out, guest_handle, guest + site.guest, length, block->key.linear + site.guest, "");
            fprintf(out, "          ; rule %s\n", rule_of(guest + site.guest, length, size));
        }
        if (tr->options.log_out_asm)
            list(out, host_handle, host + site.host, next.host - site.host, at + site.host,
                 "        ");
    }
    if (tr->options.log_out_asm) {
        const unsigned end = cache_site(tr->cache, block, block->insn_count).host;
        const unsigned bytes = block->host_bytes - block->entry;
        const uint64_t cold = cache_cold_host(tr->cache, block);

        if (end < bytes)
            list(out, host_handle, host + end, bytes - end, at + end, "        ");
        fprintf(out, "          ; exits\n");
        list(out, host_handle, (const uint8_t *)cold, block->cold_bytes, cold, "        ");
    }
    cs_close(&host_handle);
    cs_close(&guest_handle);
}
