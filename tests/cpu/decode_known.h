/*
 * tests/cpu/decode_known.h -- where decode() and capstone 4.0.2 differ, and why; part of
 * tests/cpu/decode_oracle.h.
 *
 * Two kinds of entries.  oracle_reductions[]: what capstone gets wrong for a combination of
 * prefixes or VEX fields; the entry rewrites the bytes to a simpler instruction, on which both must
 * agree fully and which decode() must take apart as it did the original.  oracle_known[]: single
 * forms.  In each case the manual decides, or a real processor where the manual is silent.
 */
#ifndef RINGER_TESTS_DECODE_KNOWN_H
#define RINGER_TESTS_DECODE_KNOWN_H

/* ---- names: not differences ---- */

/* capstone names what Ringer's table names `ours`, too: the operand size is in the name there. */
static const struct {
    const char *ours, *theirs;
} oracle_names[] = {
    {"callf", "lcall"},
    {"jmpf", "ljmp"},
    {"cbw", "cwde"},
    {"cbw", "cdqe"},
    {"cwd", "cdq"},
    {"cwd", "cqo"},
    {"cmps", "cmpsb"},
    {"cmps", "cmpsw"},
    {"cmps", "cmpsd"},
    {"cmps", "cmpsq"},
    {"movs", "movsb"},
    {"movs", "movsw"},
    {"movs", "movsd"},
    {"movs", "movsq"},
    {"stos", "stosb"},
    {"stos", "stosw"},
    {"stos", "stosd"},
    {"stos", "stosq"},
    {"lods", "lodsb"},
    {"lods", "lodsw"},
    {"lods", "lodsd"},
    {"lods", "lodsq"},
    {"scas", "scasb"},
    {"scas", "scasw"},
    {"scas", "scasd"},
    {"scas", "scasq"},
    {"ins", "insb"},
    {"ins", "insw"},
    {"ins", "insd"},
    {"outs", "outsb"},
    {"outs", "outsw"},
    {"outs", "outsd"},
    {"fdisi", "fdisi8087_nop"},
    {"feni", "feni8087_nop"},
    {"fsetpm", "fsetpm"},
    {"fstp", "fstpnce"},
    {"fxsave", "fxsave64"},
    {"fxrstor", "fxrstor64"},
    {"iret", "iretd"},
    {"iret", "iretq"},
    {"jcxz", "jecxz"},
    {"jcxz", "jrcxz"},
    {"mov", "movabs"},
    {"popa", "popal"},
    {"popa", "popaw"},
    {"pusha", "pushal"},
    {"pusha", "pushaw"},
    {"popf", "popfd"},
    {"popf", "popfq"},
    {"pushf", "pushfd"},
    {"pushf", "pushfq"},
    {"retf", "retfq"},
    {"shl", "sal"},
    {"xlat", "xlatb"},
    {"xsave", "xsave64"},
    {"xrstor", "xrstor64"},
    {"xsaveopt", "xsaveopt64"},
    {"xsavec", "xsavec64"},
    {"xsaves", "xsaves64"},
    {"xrstors", "xrstors64"},
    {"vcvtpd2dq", "vcvtpd2dqx"},
    {"vcvttpd2dq", "vcvttpd2dqx"},
    {"vcvtpd2ps", "vcvtpd2psx"},
    {"movd", "movq"},
    {"vmovd", "vmovq"},
    {"pinsrd", "pinsrq"},
    {"vpinsrd", "vpinsrq"},
    {"pextrd", "pextrq"},
    {"vpextrd", "vpextrq"},
    {"cmpxchg8b", "cmpxchg16b"},
    {"ud1", "ud2b"},
    {"sysret", "sysretq"},
    {"sysexit", "sysexitq"},
    {"wait", "fwait"},
};

/* cmpps -> cmpltps, vcmpsd -> vcmpneq_oqsd: the predicate is in the name, not an operand. */
static inline bool oracle_is_predicate(const char *ours, const char *theirs)
{
    const char *stem = ours[0] == 'v' ? "vcmp" : "cmp";
    const size_t n = strlen(stem), a = strlen(ours), b = strlen(theirs);

    return a == n + 2 && b > a && !strncmp(ours, stem, n) && !strncmp(theirs, stem, n) &&
           !strcmp(ours + a - 2, theirs + b - 2);
}

/* capstone writes "lock add", "rep movsb", "bnd jmp". */
static inline const char *oracle_plain_name(const char *name)
{
    const char *space = strrchr(name, ' ');

    return space ? space + 1 : name;
}

static inline bool oracle_same_mnemonic(const char *ours, const char *theirs)
{
    theirs = oracle_plain_name(theirs);
    if (!strcmp(ours, theirs) || oracle_is_predicate(ours, theirs))
        return true;
    for (size_t i = 0; i < sizeof oracle_names / sizeof oracle_names[0]; i++)
        if (!strcmp(oracle_names[i].ours, ours) && !strcmp(oracle_names[i].theirs, theirs))
            return true;
    return false;
}

/* ---- single forms ---- */

/* What a rule looks at. */
struct oracle_case {
    const char *difference;
    const struct insn *in;
    const uint8_t *bytes;
    const cs_insn *insn;
    const struct oracle_view *ours, *theirs;
};

static inline bool oracle_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(name, *list))
            return true;
    return false;
}

static inline bool oracle_ours_is(const struct oracle_case *c, const char *const *list)
{
    return c->ours->valid && oracle_one_of(c->ours->mnemonic, list);
}

static inline bool oracle_theirs_is(const struct oracle_case *c, const char *const *list)
{
    return c->theirs->valid && oracle_one_of(oracle_plain_name(c->theirs->mnemonic), list);
}

static inline bool oracle_is(const struct oracle_case *c, const char *difference)
{
    return !strcmp(c->difference, difference);
}

static inline bool known_branch_66(const struct oracle_case *c)
{
    /* SDM 2A "Jcc", "CALL": in 64-bit mode the operand size is 64 bits, 66 is ignored (AMD's
     * processors honour it; capstone follows them).  In 16- and 32-bit code capstone does
     * not wrap the target as the prefix asks, or wraps it where it should not; it takes 67 for 66.
     */
    return c->ours->valid && c->theirs->valid && c->in->prefixes & (PREFIX_66 | PREFIX_67) &&
           (c->in->ops[0].kind == OPERAND_REL || oracle_ours_is(c, (const char *[]){"ret", NULL}) ||
            oracle_ours_is(c, (const char *[]){"call", "jmp", NULL})) &&
           (c->in->code_size == CODE64 || oracle_is(c, "immediate"));
}

static inline bool known_null_segment(const struct oracle_case *c)
{
    /* FS or GS followed by an ES, CS, SS or DS prefix in 64-bit mode: the latter is null (AMD APM 3
     * 1.2.4; confirmed on a processor), capstone lets it replace FS or GS. */
    return oracle_is(c, "address") && c->in->code_size == CODE64 && c->in->prefixes & PREFIX_SEG &&
           c->theirs->valid;
}

static inline bool known_register_width(const struct oracle_case *c)
{
    /* Sources of which 16 bits are used: capstone names the 32- or 64-bit register. */
    return oracle_is(c, "register") &&
           (oracle_ours_is(c, (const char *[]){"lar", "lsl", "lldt", "ltr", "verr", "verw", "lmsw",
                                               "arpl", NULL}) ||
            (c->in->opcode == 0x8e && insn_row(c->in)->map == M0));
}

static inline bool known_movsxd(const struct oracle_case *c)
{
    /* Without REX.W the destination is 32 bits (16 with 66). */
    return oracle_ours_is(c, (const char *[]){"movsxd", NULL}) && !(c->in->rex & 8);
}

static inline bool known_commutative(const struct oracle_case *c)
{
    const struct oracle_operand *a = c->ours->ops, *b = c->theirs->ops;

    return oracle_ours_is(c, (const char *[]){"xchg", "test", NULL}) && c->theirs->valid &&
           c->ours->count == 2 && c->theirs->count == 2 && a[0].type == b[1].type &&
           a[1].type == b[0].type && a[0].reg == b[1].reg && a[1].reg == b[0].reg;
}

static inline bool known_memory_size(const struct oracle_case *c)
{
    /* Sizes of special images and far pointers, which capstone does not know or gives as that of
     * the register operand; scalar compares, which it gives as 16 bytes. */
    static const char *const names[] = {"comiss",
                                        "comisd",
                                        "ucomiss",
                                        "ucomisd",
                                        "vcomiss",
                                        "vcomisd",
                                        "vucomiss",
                                        "vucomisd",
                                        "fnstsw",
                                        "fnsave",
                                        "frstor",
                                        "fldenv",
                                        "fnstenv",
                                        "fxsave",
                                        "fxrstor",
                                        "xsave",
                                        "xrstor",
                                        "xsaveopt",
                                        "xsavec",
                                        "xsaves",
                                        "xrstors",
                                        "lds",
                                        "les",
                                        "lss",
                                        "lfs",
                                        "lgs",
                                        "bound",
                                        "callf",
                                        "jmpf",
                                        "sgdt",
                                        "sidt",
                                        "lgdt",
                                        "lidt",
                                        "invlpg",
                                        "lea",
                                        "nop",
                                        "prefetchnta",
                                        "prefetcht0",
                                        "prefetcht1",
                                        "prefetcht2",
                                        "prefetchw",
                                        "sldt",
                                        "str",
                                        "smsw",
                                        "lar",
                                        "lsl",
                                        "mov",
                                        "invpcid",
                                        "vpgatherdd",
                                        "vpgatherdq",
                                        "vpgatherqd",
                                        "vpgatherqq",
                                        "vgatherdps",
                                        "vgatherdpd",
                                        "vgatherqps",
                                        "vgatherqpd",
                                        "insertps",
                                        "vinsertps",
                                        "movddup",
                                        "punpcklbw",
                                        "punpcklwd",
                                        "punpckldq",
                                        "cmpxchg8b",
                                        "cmpxchg16b",
                                        "vbroadcastf128",
                                        "vbroadcasti128",
                                        "vpmovsxbw",
                                        "vpmovsxbd",
                                        "vpmovsxbq",
                                        "vpmovsxwd",
                                        "vpmovsxwq",
                                        "vpmovsxdq",
                                        "vpmovzxbw",
                                        "vpmovzxbd",
                                        "vpmovzxbq",
                                        "vpmovzxwd",
                                        "vpmovzxwq",
                                        "vpmovzxdq",
                                        NULL};

    return oracle_is(c, "memory size") && oracle_ours_is(c, names);
}

static inline bool known_is4(const struct oracle_case *c)
{
    /* Bit 7 of the register in an immediate is ignored outside 64-bit mode. */
    return oracle_is(c, "register") && c->in->code_size != CODE64 &&
           oracle_ours_is(c, (const char *[]){"vblendvps", "vblendvpd", "vpblendvb", NULL});
}

static inline bool known_extension(const struct oracle_case *c)
{
    static const uint8_t groups[] = {X86_GRP_VM,   X86_GRP_3DNOW,  X86_GRP_SSE4A, X86_GRP_XOP,
                                     X86_GRP_FMA4, X86_GRP_AVX512, X86_GRP_TBM,   X86_GRP_RTM,
                                     X86_GRP_SGX,  X86_GRP_CDI,    X86_GRP_ERI,   X86_GRP_DQI,
                                     X86_GRP_BWI,  X86_GRP_PFI,    X86_GRP_VLX};
    static const char *const names[] = {
        "getsec",    "femms",       "encls",     "enclu",      "clgi",       "stgi",
        "skinit",    "invlpga",     "invept",    "invvpid",    "vmcall",     "vmmcall",
        "vmfunc",    "vmclear",     "vmptrld",   "vmptrst",    "vmxon",      "vmxoff",
        "vmlaunch",  "vmresume",    "vmread",    "vmwrite",    "vmload",     "vmsave",
        "vmrun",     "montmul",     "xsha1",     "xsha256",    "xstore",     "xstorerng",
        "xcryptecb", "xcryptcbc",   "xcryptctr", "xcryptcfb",  "xcryptofb",  "xbegin",
        "xend",      "xabort",      "xtest",     "extrq",      "insertq",    "movntss",
        "movntsd",   "rdpkru",      "wrpkru",    "monitorx",   "mwaitx",     "clzero",
        "pcommit",   "prefetchwt1", "cflush",    "vpermil2ps", "vpermil2pd", "data16",
        "pswapd",    NULL};

    if (!oracle_is(c, "valid for capstone only"))
        return false;
    for (size_t i = 0; i < sizeof groups; i++)
        for (unsigned j = 0; j < c->insn->detail->groups_count; j++)
            if (c->insn->detail->groups[j] == groups[i])
                return true;
    return oracle_theirs_is(c, names);
}

static inline bool known_missing(const struct oracle_case *c)
{
    static const char *const names[] = {
        "movdiri", "serialize", "rdpid",  "clwb", "prefetchw",      "ud0", "nop",
        "lfence",  "mfence",    "sfence", "salc", "vbroadcasti128", NULL};

    return oracle_is(c, "valid here only") && oracle_ours_is(c, names);
}

static inline bool known_segment_rex(const struct oracle_case *c)
{
    /* REX.R is ignored where ModRM.reg is a segment register.  [SDM 2A 2.2.1.2] */
    return oracle_is(c, "valid here only") && oracle_ours_is(c, (const char *[]){"mov", NULL}) &&
           (c->in->opcode == 0x8c || c->in->opcode == 0x8e) && c->in->rex & 4;
}

static inline bool known_ud(const struct oracle_case *c)
{
    struct insn whole;

    /* capstone ends before the ModRM byte, with which there may be more than 15 bytes. */
    if (oracle_is(c, "valid for capstone only"))
        return oracle_theirs_is(c, (const char *[]){"ud2b", NULL}) &&
               decode(c->bytes, INSN_MAX_LENGTH + 1, c->in->code_size, &whole) == DECODE_TOO_LONG;
    return oracle_is(c, "length") && oracle_ours_is(c, (const char *[]){"ud0", "ud1", NULL});
}

static inline bool known_moffs(const struct oracle_case *c)
{
    return oracle_is(c, "valid here only") && c->ours->valid && c->in->opcode >= 0xa0 &&
           c->in->opcode <= 0xa3 && insn_row(c->in)->map == M0;
}

static inline bool known_operand_count(const struct oracle_case *c)
{
    return oracle_is(c, "operand count") &&
           oracle_ours_is(c, (const char *[]){"aam", "aad", "nop", NULL});
}

static inline bool known_control_register(const struct oracle_case *c)
{
    return oracle_is(c, "valid for capstone only") && insn_row(c->in) &&
           oracle_theirs_is(c, (const char *[]){"mov", NULL});
}

static inline bool known_port_width(const struct oracle_case *c)
{
    /* REX.W beats 66 [SDM 2A 2.2.1.2]; the operand is then 32 bits.  capstone takes 67 for 66. */
    return oracle_ours_is(c, (const char *[]){"in", "out", "ins", "outs", NULL}) &&
           c->in->rex & 8 && c->in->prefixes & (PREFIX_66 | PREFIX_67);
}

static inline bool known_vex_w32(const struct oracle_case *c)
{
    /* VEX.W does not make general registers 64 bits wide outside 64-bit mode. */
    return c->in->code_size != CODE64 && c->in->prefixes & PREFIX_VEX && c->in->rex & 8 &&
           c->ours->valid && (oracle_is(c, "register") || oracle_is(c, "memory size"));
}

static inline bool known_pause(const struct oracle_case *c)
{
    return oracle_ours_is(c, (const char *[]){"pause", NULL}) &&
           oracle_theirs_is(c, (const char *[]){"nop", "xchg", NULL});
}

static inline bool known_gather(const struct oracle_case *c)
{
    static const char *const names[] = {"vpgatherdd", "vpgatherdq", "vpgatherqd",
                                        "vpgatherqq", "vgatherdps", "vgatherdpd",
                                        "vgatherqps", "vgatherqpd", NULL};

    const unsigned dst = (c->in->modrm >> 3 & 7) | (c->in->rex & 4 ? 8 : 0);

    return oracle_is(c, "valid for capstone only") && oracle_theirs_is(c, names) &&
           ((c->in->modrm & 7) != 4 || c->in->addr_size == 2 || dst == c->in->index ||
            dst == c->in->vex_v || c->in->index == c->in->vex_v);
}

static inline bool known_swapgs(const struct oracle_case *c)
{
    return oracle_is(c, "valid for capstone only") && c->in->code_size != CODE64 &&
           oracle_theirs_is(c, (const char *[]){"swapgs", NULL});
}

static inline bool known_rdpid(const struct oracle_case *c)
{
    return oracle_ours_is(c, (const char *[]){"rdpid", NULL}) &&
           oracle_theirs_is(c, (const char *[]){"rdseed", NULL});
}

static inline bool known_push_rex(const struct oracle_case *c)
{
    return (oracle_is(c, "immediate") || oracle_is(c, "memory size")) &&
           oracle_ours_is(c, (const char *[]){"push", "pop", NULL}) && c->in->rex & 8;
}

static inline bool known_evex_missing(const struct oracle_case *c)
{
    return oracle_is(c, "valid here only") && insn_row(c->in)->traits & AVX512;
}

static inline bool known_newer(const struct oracle_case *c)
{
    const uint8_t feature = insn_row(c->in)->feature;

    return oracle_is(c, "valid here only") && feature >= GFNI && feature <= VPCLMUL;
}

static inline bool known_evex_tables(const struct oracle_case *c)
{
    /* Forms where W is ignored are read as if W were part of the opcode, with another length or
     * element; some displacements are scaled by the wrong size, memory sizes are those of the
     * registers; V' of an ordinary operand makes a vector index; outside 64-bit mode the registers'
     * fifth bit counts. */
    return c->ours->valid && c->theirs->valid && c->in->evex &&
           (oracle_is(c, "register") || oracle_is(c, "mnemonic") || oracle_is(c, "address") ||
            oracle_is(c, "memory size"));
}

static inline bool known_evex_rounding(const struct oracle_case *c)
{
    /* {er} and {sae}: a byte too many. */
    return oracle_is(c, "length") && c->ours->valid && c->in->evex & EVEX_ROUNDING &&
           c->theirs->length == c->ours->length + 1;
}

static inline bool known_evex_67(const struct oracle_case *c)
{
    /* With 67 an index register of 8 and up, and its SIB byte, get lost. */
    return oracle_is(c, "length") && c->ours->valid && c->in->evex && c->in->prefixes & PREFIX_67;
}

static inline bool known_evex_immediate(const struct oracle_case *c)
{
    return c->ours->valid && c->theirs->valid && c->in->evex &&
           (oracle_is(c, "operand count") || oracle_is(c, "operand type")) &&
           oracle_is_predicate(c->ours->mnemonic, oracle_plain_name(c->theirs->mnemonic));
}

static const struct {
    bool (*matches)(const struct oracle_case *c);
    const char *reason;
} oracle_known[] = {
    {known_branch_66, "66 on a near branch: ignored in 64-bit mode, wraps the target elsewhere"},
    {known_null_segment, "null segment prefixes of 64-bit mode do not cancel FS or GS"},
    {known_register_width, "capstone names a wider register than is used"},
    {known_movsxd, "capstone gives MOVSXD without REX.W a 64-bit destination"},
    {known_commutative, "operands of XCHG and TEST in the other order"},
    {known_memory_size, "capstone has no or a wrong size for this memory operand"},
    {known_is4, "register bit 3 of an immediate is ignored outside 64-bit mode"},
    {known_extension, "extension that Ringer does not have"},
    {known_missing, "form that capstone does not know"},
    {known_segment_rex, "REX.R does not extend segment registers"},
    {known_ud, "UD0 and UD1 have a ModRM byte"},
    {known_moffs, "capstone mixes up prefixes of MOV with a direct offset"},
    {known_operand_count, "capstone hides base 10 of AAM and AAD, gives hint NOPs two operands"},
    {known_control_register,
     "control, debug or segment register that does not exist, or CS as a destination"},
    {known_port_width, "REX.W and 66 on port instructions: REX.W wins"},
    {known_vex_w32, "VEX.W outside 64-bit mode: registers stay 32 bits"},
    {known_pause, "capstone misses PAUSE beside other prefixes and in 16-bit code"},
    {known_gather, "gather without SIB, with 16-bit addresses or a register used twice: #UD"},
    {known_swapgs, "SWAPGS exists in 64-bit mode only"},
    {known_rdpid, "capstone does not know RDPID and ignores F3"},
    {known_evex_missing, "AVX-512 form that capstone 4 does not know; the host oracle runs each"},
    {known_newer, "GFNI, VAES, VPCLMULQDQ: newer than capstone 4"},
    {known_evex_tables, "capstone 4 misreads W, R', V' or the displacement of this EVEX form"},
    {known_evex_rounding, "capstone counts a byte too many with {er} and {sae}"},
    {known_evex_67, "capstone loses EVEX index registers beside 67"},
    {known_evex_immediate, "the predicate is in capstone's mnemonic"},
    {known_push_rex, "REX.W on PUSH: beats 66, and the immediate is sign-extended"},
};

static inline const char *oracle_known_reason(const struct oracle_case *c)
{
    for (size_t i = 0; i < sizeof oracle_known / sizeof oracle_known[0]; i++)
        if (oracle_known[i].matches(c))
            return oracle_known[i].reason;
    return NULL;
}

#endif
