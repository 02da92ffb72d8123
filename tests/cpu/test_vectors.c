/*
 * tests/cpu/test_vectors.c -- the interpreter against single instructions recorded on an 80286 in
 * real mode.  The data lies outside the source tree, in ../shared/vectors; its README describes
 * the format.  Without it the test says so and is skipped.
 *
 * Every test of every form runs.  Where later processors differ from an 80286, or where the manual
 * leaves flags undefined, `known` says for which form, what is not compared, and why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/interp.h"
#include "cpu/physmem.h"
#include "cpu/segment.h"

#ifndef RINGER_SOURCE_DIR
#define RINGER_SOURCE_DIR "."
#endif
#define VECTOR_DIR RINGER_SOURCE_DIR "/../shared/vectors/80286-real-mode"

enum { MEMORY_BYTES = 16 << 20, RAM_MAX = 256 };

/* ---- the format ---- */

enum {
    R_AX,
    R_BX,
    R_CX,
    R_DX,
    R_CS,
    R_SS,
    R_DS,
    R_ES,
    R_SP,
    R_BP,
    R_SI,
    R_DI,
    R_IP,
    R_FLAGS,
    R_COUNT
};
static const char *const register_names[R_COUNT] = {"ax", "bx", "cx", "dx", "cs", "ss", "ds",
                                                    "es", "sp", "bp", "si", "di", "ip", "flags"};

struct ram_byte {
    uint32_t at;
    uint8_t value;
};
struct state {
    uint16_t mask; /* registers that are given */
    uint16_t reg[R_COUNT];
    unsigned ram_count;
    struct ram_byte ram[RAM_MAX];
};
struct vector_test {
    char name[64];
    uint8_t bytes[16];
    struct state init, final;
    bool has_exception;
    uint8_t exception;
    uint32_t flags_at; /* where an exception's flags were pushed */
};

/* A piece of a file. */
struct span {
    const uint8_t *at, *end;
};

static uint32_t get32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The next chunk: its name, its payload.  False at the end. */
static bool next_chunk(struct span *from, char name[5], struct span *payload)
{
    uint32_t size;

    if (from->end - from->at < 8)
        return false;
    memcpy(name, from->at, 4);
    name[4] = 0;
    size = get32(from->at + 4);
    assert_true(size <= (size_t)(from->end - from->at - 8));
    payload->at = from->at + 8;
    payload->end = payload->at + size;
    from->at = payload->end;
    return true;
}

static void parse_state(struct span in, struct state *out)
{
    struct span payload;
    char name[5];

    while (next_chunk(&in, name, &payload)) {
        const uint8_t *p = payload.at;

        if (strcmp(name, "REGS") == 0) {
            out->mask = (uint16_t)(p[0] | p[1] << 8);
            p += 2;
            for (unsigned i = 0; i < R_COUNT; i++) {
                if (!(out->mask >> i & 1))
                    continue;
                out->reg[i] = (uint16_t)(p[0] | p[1] << 8);
                p += 2;
            }
        } else if (strcmp(name, "RAM ") == 0) {
            out->ram_count = get32(p);
            assert_true(out->ram_count <= RAM_MAX);
            for (unsigned i = 0; i < out->ram_count; i++)
                out->ram[i] = (struct ram_byte){get32(p + 4 + 5 * i), p[8 + 5 * i]};
        }
    }
}

static void parse_test(struct span in, struct vector_test *test)
{
    struct span payload;
    char name[5];

    memset(test, 0, sizeof *test);
    in.at += 4; /* index */
    while (next_chunk(&in, name, &payload)) {
        const uint32_t length = payload.end - payload.at >= 4 ? get32(payload.at) : 0;

        if (strcmp(name, "NAME") == 0 && length < sizeof test->name)
            memcpy(test->name, payload.at + 4, length);
        else if (strcmp(name, "BYTS") == 0 && length <= sizeof test->bytes)
            memcpy(test->bytes, payload.at + 4, length);
        else if (strcmp(name, "INIT") == 0)
            parse_state(payload, &test->init);
        else if (strcmp(name, "FINA") == 0)
            parse_state(payload, &test->final);
        else if (strcmp(name, "EXCP") == 0) {
            test->has_exception = true;
            test->exception = payload.at[0];
        }
    }
    /* What FINA does not give has not changed. */
    for (unsigned i = 0; i < R_COUNT; i++)
        if (!(test->final.mask >> i & 1))
            test->final.reg[i] = test->init.reg[i];
    /* The recorded address of the pushed flags is one too low when SP was odd. */
    test->flags_at = test->final.reg[R_SS] * 16u + (uint16_t)(test->final.reg[R_SP] + 4);
}

/* ---- what differs, and why ---- */

enum { AS_RECORDED = -1, RUNS = -2 };

struct known {
    const char *form; /* file name without suffix; a prefix when it ends in '*' */
    bool (*applies)(const struct vector_test *test); /* NULL: to every test of the form */
    uint16_t flags;     /* not compared: undefined, or defined otherwise */
    uint16_t registers; /* not compared, 1 << R_... */
    int outcome;        /* the vector raised instead of what was recorded, AS_RECORDED or RUNS:
                           the instruction completes where the 80286 took an exception */
    const char *reason;
};

/* What our decoder says; the decoder itself is tested against another one elsewhere. */
static bool decoded(const struct vector_test *test, struct insn *in)
{
    return decode(test->bytes, sizeof test->bytes, CODE16, in) == DECODE_OK;
}

static bool is_prefix(uint8_t byte)
{
    return byte == 0xf0 || byte == 0xf2 || byte == 0xf3 || byte == 0x26 || byte == 0x2e ||
           byte == 0x36 || byte == 0x3e;
}

/* LOCK on an instruction that does not allow it, or without a memory destination. */
static bool lock_is_illegal(const struct vector_test *test)
{
    struct insn in;
    bool lock = false;

    for (unsigned i = 0; i < sizeof test->bytes && is_prefix(test->bytes[i]); i++)
        lock |= test->bytes[i] == 0xf0;
    return lock && !decoded(test, &in);
}

static bool longer_than_ten_bytes(const struct vector_test *test)
{
    struct insn in;

    return decoded(test, &in) && in.length > 10 && !(in.prefixes & PREFIX_VEX);
}

/* A word of the stack segment at offset FFFF, by [BP + ...], SS: or an implicit pop. */
static bool stack_word_wraps(const struct vector_test *test)
{
    struct insn in;

    if (!test->has_exception || test->exception != VEC_GP || !decoded(test, &in) || in.length > 10)
        return false;
    if (in.has_mem || insn_row(&in)->traits & STRING)
        return in.seg == SS;
    return insn_row(&in)->traits & STACK;
}

static bool string_word_wraps(const struct vector_test *test)
{
    struct insn in;

    return test->has_exception && test->exception == VEC_GP && decoded(test, &in) &&
           insn_row(&in)->traits & STRING;
}

static bool uses_fs_or_gs(const struct vector_test *test)
{
    struct insn in;

    return decoded(test, &in) && ((in.ops[0].kind == OPERAND_SEG && in.ops[0].reg >= FS) ||
                                  (in.ops[1].kind == OPERAND_SEG && in.ops[1].reg >= FS));
}

#define OSZP             (FLAG_OF | FLAG_SF | FLAG_ZF | FLAG_PF)
#define SZAP             (FLAG_SF | FLAG_ZF | FLAG_AF | FLAG_PF)
#define STRING_REGISTERS (1u << R_CX | 1u << R_SI | 1u << R_DI)

/* clang-format off */
static const struct known known[] = {
    {"*", lock_is_illegal, 0, 0, VEC_UD,
     "an 80286 takes LOCK before any instruction, later processors raise #UD [SDM 2A \"LOCK\"]"},
    {"*", longer_than_ten_bytes, 0, 0, RUNS,
     "an 80286 limits instructions to 10 bytes, later processors to 15"},
    {"*", stack_word_wraps, 0, 0, VEC_SS,
     "in real mode an 80286 raises 13 for a word at FFFF of any segment, later processors 12 for "
     "the stack's [SDM 3B 22.33.1]"},
    {"6D", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED,
     "a string instruction that faults has advanced its registers on an 80286; later processors "
     "leave them at the element [SDM 2B \"REP\"]"},
    {"6F", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED, "as 6D"},
    {"A5", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED, "as 6D"},
    {"A7", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED, "as 6D"},
    {"AB", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED, "as 6D"},
    {"AD", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED, "as 6D"},
    {"AF", string_word_wraps, 0, STRING_REGISTERS, AS_RECORDED, "as 6D"},
    {"8C", uses_fs_or_gs, 0, 0, RUNS, "an 80286 has no FS and GS"},
    {"8E", uses_fs_or_gs, 0, 0, RUNS, "an 80286 has no FS and GS"},
    {"37", NULL, OSZP, 0, AS_RECORDED, "undefined after AAA [SDM 2A]"},
    {"3F", NULL, OSZP, 0, AS_RECORDED, "undefined after AAS [SDM 2A]"},
    {"69", NULL, SZAP, 0, AS_RECORDED, "undefined after IMUL [SDM 2A]"},
    {"6B", NULL, SZAP, 0, AS_RECORDED, "undefined after IMUL [SDM 2A]"},
    {"C0.*", NULL, FLAG_AF, 0, AS_RECORDED, "undefined after a shift [SDM 2B]"},
    {"C1.*", NULL, FLAG_AF, 0, AS_RECORDED, "undefined after a shift [SDM 2B]"},
    {"D0.*", NULL, FLAG_AF, 0, AS_RECORDED, "undefined after a shift [SDM 2B]"},
    {"D1.*", NULL, FLAG_AF, 0, AS_RECORDED, "undefined after a shift [SDM 2B]"},
    {"D2.*", NULL, FLAG_AF, 0, AS_RECORDED, "undefined after a shift [SDM 2B]"},
    {"D3.*", NULL, FLAG_AF, 0, AS_RECORDED, "undefined after a shift [SDM 2B]"},
    {"D5", NULL, FLAG_OF | FLAG_AF | FLAG_CF, 0, AS_RECORDED, "undefined after AAD [SDM 2A]"},
    {"F6.4", NULL, SZAP, 0, AS_RECORDED, "undefined after MUL [SDM 2B]"},
    {"F6.5", NULL, SZAP, 0, AS_RECORDED, "undefined after IMUL [SDM 2A]"},
    {"F7.4", NULL, SZAP, 0, AS_RECORDED, "undefined after MUL [SDM 2B]"},
    {"F7.5", NULL, SZAP, 0, AS_RECORDED, "undefined after IMUL [SDM 2A]"},
    {"F6.6", NULL, FLAGS_OSZAPC, 0, AS_RECORDED, "undefined after DIV [SDM 2A]"},
    {"F6.7", NULL, FLAGS_OSZAPC, 0, AS_RECORDED, "undefined after IDIV [SDM 2A]"},
    {"F7.6", NULL, FLAGS_OSZAPC, 0, AS_RECORDED, "undefined after DIV [SDM 2A]"},
    {"F7.7", NULL, FLAGS_OSZAPC, 0, AS_RECORDED, "undefined after IDIV [SDM 2A]"},
    {NULL, NULL, 0, 0, AS_RECORDED, NULL},
};
/* clang-format on */

/* ---- the machine ---- */

static uint32_t bus_read(void *ctx, uint16_t port, unsigned size)
{
    (void)ctx;
    (void)port;
    return size == 1 ? 0xff : 0xffff;
}
static void bus_write(void *ctx, uint16_t port, unsigned size, uint32_t value)
{
    (void)ctx;
    (void)port;
    (void)size;
    (void)value;
}
static int no_interrupt(void *ctx)
{
    (void)ctx;
    return -1;
}
static void ignore(void *ctx)
{
    (void)ctx;
}
static const struct cpu_ops ops = {
    .io_read = bus_read,
    .io_write = bus_write,
    .interrupt_acknowledge = no_interrupt,
    .shutdown = ignore,
    .ferr = ignore,
};

static struct physmem *memory;
static struct cpu *cpu;

/* A wrong turn may fault for ever; nothing retires then. */
static void kick(int signal)
{
    (void)signal;
    cpu_kick(cpu);
}
static void deadline(unsigned seconds)
{
    const struct itimerval timer = {.it_value.tv_sec = seconds};

    setitimer(ITIMER_REAL, &timer, NULL);
}

static int machine_setup(void **state)
{
    static struct cpu_model model;
    char message[256];

    (void)state;
    memory = physmem_create(MEMORY_BYTES, 32);
    if (memory == NULL || physmem_map(memory, 0, MEMORY_BYTES, 0, true) != 0 ||
        !cpu_model_parse("max", 1000000000, &model, message, sizeof message))
        return -1;
    cpu = cpu_create(memory, &model, &ops, NULL);
    signal(SIGALRM, kick);
    return cpu ? 0 : -1;
}
static int machine_teardown(void **state)
{
    (void)state;
    deadline(0);
    cpu_destroy(cpu);
    physmem_destroy(memory);
    return 0;
}

static const uint8_t gpr_of[R_COUNT] = {
    [R_AX] = RAX, [R_BX] = RBX, [R_CX] = RCX, [R_DX] = RDX,
    [R_SP] = RSP, [R_BP] = RBP, [R_SI] = RSI, [R_DI] = RDI,
};
static const uint8_t seg_of[R_COUNT] = {[R_CS] = CS, [R_SS] = SS, [R_DS] = DS, [R_ES] = ES};

static void load_state(const struct state *s)
{
    cpu_reset(cpu);
    for (unsigned i = 0; i < R_COUNT; i++) {
        if (i == R_IP)
            cpu->rip = s->reg[i];
        else if (i == R_FLAGS)
            cpu->rflags = (s->reg[i] & 0x0fd5) | 2;
        else if (i >= R_CS && i <= R_ES)
            segment_load_real(cpu, seg_of[i], s->reg[i]);
        else
            cpu->gpr[gpr_of[i]] = s->reg[i];
    }
    cpu_update_mode(cpu);
    for (unsigned i = 0; i < s->ram_count; i++)
        physmem_write(memory, s->ram[i].at, 1, s->ram[i].value);
}
static uint16_t register_value(unsigned i)
{
    if (i == R_IP)
        return (uint16_t)cpu->rip;
    if (i == R_FLAGS)
        return (uint16_t)cpu->rflags;
    if (i >= R_CS && i <= R_ES)
        return cpu->seg[seg_of[i]].selector;
    return (uint16_t)cpu->gpr[gpr_of[i]];
}

static bool form_matches(const char *pattern, const char *form)
{
    const size_t length = strlen(pattern);

    if (length > 0 && pattern[length - 1] == '*')
        return strncmp(pattern, form, length - 1) == 0;
    return strcmp(pattern, form) == 0;
}

/* Writes what differs into `text`; true when nothing does. */
static bool compare(const struct vector_test *test, uint16_t flags_ignored,
                    uint16_t registers_ignored, char *text, size_t text_size)
{
    size_t used = 0;

    text[0] = 0;
    for (unsigned i = 0; i < R_COUNT; i++) {
        uint16_t got = register_value(i), want = test->final.reg[i];

        if (i == R_FLAGS) { /* bits 12 to 15 read as 1 or 0 by processor in real mode */
            got &= 0x0fff & ~flags_ignored;
            want &= 0x0fff & ~flags_ignored;
        }
        if (got != want && !(registers_ignored >> i & 1) && used < text_size)
            used += snprintf(text + used, text_size - used, " %s %04x want %04x", register_names[i],
                             got, want);
    }
    for (unsigned i = 0; i < test->final.ram_count; i++) {
        const struct ram_byte *byte = &test->final.ram[i];
        uint8_t got = (uint8_t)physmem_read(memory, byte->at, 1), want = byte->value;

        if (test->has_exception && byte->at == test->flags_at) {
            got &= (uint8_t)~flags_ignored;
            want &= (uint8_t)~flags_ignored;
        } else if (test->has_exception && byte->at == test->flags_at + 1) {
            got &= 0x0f & ~(flags_ignored >> 8);
            want &= 0x0f & ~(flags_ignored >> 8);
        }
        if (got != want && used < text_size)
            used += snprintf(text + used, text_size - used, " [%x] %02x want %02x", byte->at, got,
                             want);
    }
    for (unsigned i = 0; i < test->init.ram_count; i++) { /* and what must not have changed */
        const struct ram_byte *byte = &test->init.ram[i];
        bool listed = false;

        for (unsigned k = 0; k < test->final.ram_count; k++)
            listed |= test->final.ram[k].at == byte->at;
        if (!listed && physmem_read(memory, byte->at, 1) != byte->value && used < text_size)
            used += snprintf(text + used, text_size - used, " [%x] changed", byte->at);
    }
    return used == 0;
}

static void clean_memory(const struct state *s)
{
    for (unsigned i = 0; i < s->ram_count; i++)
        physmem_write(memory, s->ram[i].at, 1, 0);
}

/*
 * An exception that is expected instead goes to a HLT of our own, out of the recorded memory's
 * way.  Its frame must point at the instruction, and no other register may have changed.
 */
enum { HANDLER = 0x100000, HANDLER_SEGMENT = 0xffff, HANDLER_OFFSET = 0x10 };

static void expect_exception(int vector)
{
    physmem_write(memory, (unsigned)vector * 4, 2, HANDLER_OFFSET);
    physmem_write(memory, (unsigned)vector * 4 + 2, 2, HANDLER_SEGMENT);
    physmem_write(memory, HANDLER, 1, 0xf4);
}
static void forget_exception(int vector)
{
    physmem_write(memory, (unsigned)vector * 4, 4, 0);
    physmem_write(memory, HANDLER, 1, 0);
}
static bool was_raised(const struct vector_test *test, uint16_t ignored, char *text,
                       size_t text_size)
{
    const uint32_t frame = cpu->seg[SS].base + (uint16_t)cpu->gpr[RSP];
    bool same = true;

    for (unsigned i = R_AX; i <= R_DI; i++)
        if (i != R_CS && i != R_SP && !(ignored >> i & 1) && register_value(i) != test->init.reg[i])
            same = false;
    if (cpu->seg[CS].selector == HANDLER_SEGMENT && cpu->rip == HANDLER_OFFSET + 1 && same &&
        physmem_read(memory, frame, 2) == test->init.reg[R_IP] &&
        physmem_read(memory, frame + 2, 2) == test->init.reg[R_CS])
        return true;
    snprintf(text, text_size, " the expected exception was not raised");
    return false;
}

/* The instruction was completed, and the HLT after it. */
static bool was_completed(const struct vector_test *test, char *text, size_t text_size)
{
    struct insn in;

    if (decoded(test, &in) && cpu->seg[CS].selector == test->init.reg[R_CS] &&
        cpu->rip == (uint16_t)(test->init.reg[R_IP] + in.length + 1))
        return true;
    snprintf(text, text_size, " did not complete");
    return false;
}

enum { STEPS_MAX = 70000 }; /* a REP of 64 Ki elements retires once, a loop may go round */

/* Run one recorded test.  Returns whether it agrees; explains in `text`. */
static bool vector_agrees(const struct vector_test *test, const char *form, char *text,
                          size_t text_size)
{
    uint16_t flags_ignored = 0, registers_ignored = 0;
    int outcome = AS_RECORDED;
    enum run_exit exit;
    bool agrees;

    for (const struct known *k = known; k->form != NULL; k++) {
        if (!form_matches(k->form, form) || (k->applies && !k->applies(test)))
            continue;
        flags_ignored |= k->flags;
        registers_ignored |= k->registers;
        if (k->outcome != AS_RECORDED)
            outcome = k->outcome;
    }
    load_state(&test->init);
    if (outcome >= 0)
        expect_exception(outcome);
    cpu->exit_request = 0;
    deadline(1);
    exit = interp_run(cpu, STEPS_MAX);
    if (exit != RUN_HALTED) {
        snprintf(text, text_size, " did not reach HLT (%d) at %04x:%04x", exit,
                 cpu->seg[CS].selector, (unsigned)cpu->rip);
        agrees = false;
    } else if (outcome >= 0) {
        agrees = was_raised(test, registers_ignored, text, text_size);
    } else if (outcome == RUNS) {
        agrees = was_completed(test, text, text_size);
    } else {
        agrees = compare(test, flags_ignored, registers_ignored, text, text_size);
    }
    if (outcome >= 0)
        forget_exception(outcome);
    clean_memory(&test->init);
    clean_memory(&test->final);
    return agrees;
}

/* ---- files ---- */

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    long length;

    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    length = ftell(file);
    rewind(file);
    data = malloc((size_t)length);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)length, file), length);
    fclose(file);
    *size = (size_t)length;
    return data;
}

/* Returns the number of tests that disagree. */
static unsigned run_file(const char *file_name, unsigned *tests)
{
    static struct vector_test test;
    char path[512], form[32], chunk[5], text[512];
    struct span file, payload;
    unsigned failures = 0;
    uint8_t *data;
    size_t size;

    snprintf(path, sizeof path, VECTOR_DIR "/%s", file_name);
    snprintf(form, sizeof form, "%.*s", (int)(strlen(file_name) - 4), file_name);
    data = read_whole(path, &size);
    file = (struct span){data, data + size};
    while (next_chunk(&file, chunk, &payload)) {
        if (strcmp(chunk, "TEST") != 0)
            continue;
        parse_test(payload, &test);
        ++*tests;
        if (vector_agrees(&test, form, text, sizeof text))
            continue;
        if (failures++ < 3)
            print_message("%s: %s:%s\n", form, test.name, text);
    }
    if (failures)
        print_message("%s: %u differ\n", form, failures);
    free(data);
    return failures;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_all_vectors(void **state)
{
    DIR *directory = opendir(VECTOR_DIR);
    static char *names[1024];
    unsigned count = 0, tests = 0, failures = 0;

    (void)state;
    if (directory == NULL) {
        print_message("no recorded vectors at " VECTOR_DIR ": skipped\n");
        skip();
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        const size_t length = strlen(entry->d_name);

        if (length > 4 && length < 32 && strcmp(entry->d_name + length - 4, ".MOO") == 0 &&
            count < 1024)
            names[count++] = strdup(entry->d_name);
    }
    closedir(directory);
    qsort(names, count, sizeof names[0], by_name);
    for (unsigned i = 0; i < count; i++) {
        failures += run_file(names[i], &tests);
        free(names[i]);
    }
    print_message("%u recorded tests in %u forms, %u differ\n", tests, count, failures);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_vectors, machine_setup, machine_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
