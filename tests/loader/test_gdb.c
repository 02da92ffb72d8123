/*
 * tests/loader/test_gdb.c -- the gdb stub: packets, registers, memory, breakpoints, watchpoints,
 * steps, in both engines; and what a hostile gdb may send.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loader/gdb.h"
#include "loader/monitor.h"
#include "tests/loader/machine_fake.h"

struct session {
    struct fake *f;
    struct gdb *gdb;
};

static struct session session_open(const char *model, enum pc_accel accel)
{
    struct session s = {.f = fake_open(model, accel)};

    s.gdb = gdb_open(&s.f->m, &s.f->dev);
    assert_non_null(s.gdb);
    return s;
}

static void session_close(struct session *s)
{
    gdb_close(s->gdb);
    fake_close(s->f);
}

static void send_packet(struct session *s, const char *data, size_t size)
{
    uint8_t sum = 0;
    char tail[4];

    for (size_t i = 0; i < size; i++)
        sum += (uint8_t)data[i];
    snprintf(tail, sizeof(tail), "#%02x", sum);
    fake_type(s->f, "$", 1);
    fake_type(s->f, data, size);
    fake_type(s->f, tail, 3);
}

/* The data of the one packet in the output, after its '+'. */
static const char *packet_data(const char *output)
{
    static char data[FAKE_OUTPUT_BYTES];
    const char *start = strchr(output, '$'), *end = start != NULL ? strchr(start, '#') : NULL;
    uint8_t sum = 0;
    unsigned told;

    if (start == NULL || end == NULL)
        return "(no packet)";
    for (const char *at = start + 1; at < end; at++)
        sum += (uint8_t)*at;
    assert_int_equal(sscanf(end + 1, "%2x", &told), 1);
    assert_int_equal(told, sum);
    memcpy(data, start + 1, (size_t)(end - start - 1));
    data[end - start - 1] = '\0';
    return data;
}

static const char *ask(struct session *s, const char *packet)
{
    fake_output(s->f);
    send_packet(s, packet, strlen(packet));
    return packet_data(fake_output(s->f));
}

static void expect(struct session *s, const char *packet, const char *wanted)
{
    assert_string_equal(ask(s, packet), wanted);
}

/* Send what lets the machine go on, and wait for its stop reply. */
static const char *go(struct session *s, const char *packet)
{
    fake_output(s->f);
    send_packet(s, packet, strlen(packet));
    s->f->stop_at = "$T";
    assert_int_equal(pc_run(s->f->m.pc, UINT64_MAX), PC_STOPPED);
    s->f->stop_at = NULL;
    return packet_data(fake_output(s->f));
}

static struct cpu *cpu_of(const struct session *s)
{
    return pc_cpu(s->f->m.pc);
}

static unsigned word_at(const struct session *s, uint64_t address)
{
    return (unsigned)physmem_read(pc_memory(s->f->m.pc), address, 2);
}

/* Type Ctrl-C after some virtual time: the loop runs meanwhile and gets translated. */
struct later {
    struct session *s;
    struct clock_timer timer;
};

static void type_interrupt(void *ctx, uint64_t now_ns)
{
    struct later *later = ctx;

    (void)now_ns;
    fake_type(later->s->f, "\x03", 1);
}

static const char *go_for_a_while(struct session *s)
{
    struct later later = {.s = s, .timer = {.fire = type_interrupt, .ctx = &later}};
    struct clock *clock = pc_clock(s->f->m.pc);

    clock_arm(clock, &later.timer, clock_now_ns(clock) + 5000000);
    return go(s, "c");
}

static void begin(struct session *s)
{
    assert_non_null(strstr(ask(s, "qSupported:swbreak+;hwbreak+"), "qXfer:features:read+"));
    assert_true(pc_is_paused(s->f->m.pc));
}

/* ---- framing ---- */

static void test_framing(void **state)
{
    struct session s = session_open("max", ACCEL_INTERPRET);

    (void)state;
    begin(&s);
    fake_type(s.f, "$?#00", 5);
    assert_string_equal(fake_output(s.f), "-");
    fake_type(s.f, "$?#zz", 5); /* no checksum at all */
    assert_string_equal(fake_output(s.f), "-");
    fake_type(s.f, "$?#3f", 5);
    assert_true(strncmp(fake_output(s.f), "+$T02", 5) == 0);
    fake_type(s.f, "-", 1);
    assert_true(strncmp(fake_output(s.f), "$T02", 4) == 0); /* again */
    fake_type(s.f, "$qC$?#3f", 8);                          /* the first was cut off */
    assert_true(strncmp(fake_output(s.f), "+$T02", 5) == 0);
    expect(&s, "QStartNoAckMode", "OK");
    fake_type(s.f, "$?#3f", 5);
    assert_true(strncmp(fake_output(s.f), "$T02", 4) == 0);
    fake_type(s.f, "$?#00", 5);
    assert_string_equal(fake_output(s.f), "");
    expect(&s, "no such packet", "");
    expect(&s, "vMustReplyEmpty", "");
    expect(&s, "Z7,1000,1", "");
    expect(&s, "Hg0", "OK");
    expect(&s, "qC", "QC01");
    expect(&s, "qfThreadInfo", "m01");
    expect(&s, "qAttached", "1");
    expect(&s, "vCont?", "vCont;c;C;s;S");
    session_close(&s);
}

/* ---- description and registers ---- */

static void read_description(struct session *s, char *xml, size_t room)
{
    size_t length = 0;

    for (;;) {
        char packet[100];
        const char *part;

        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,3e8", length);
        part = ask(s, packet);
        assert_true(part[0] == 'm' || part[0] == 'l');
        assert_true(length + strlen(part) < room);
        strcpy(xml + length, part + 1);
        length += strlen(part + 1);
        if (part[0] == 'l')
            return;
    }
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned count = 0;

    while ((text = strstr(text, what)) != NULL) {
        text += strlen(what);
        count++;
    }
    return count;
}

static void test_description(void **state)
{
    static const struct {
        const char *model, *architecture, *first, *absent;
        unsigned pc, pc_bytes;
    } rows[] = {
        {"qemu64", ">i386:x86-64<", "\"rax\" bitsize=\"64\" regnum=\"0\"", "\"ecx\"", 16, 8},
        {"pentium3", ">i386<", "\"eax\" bitsize=\"32\" regnum=\"0\"", "\"r8\"", 8, 4},
        {"486", ">i386<", "\"eax\" bitsize=\"32\" regnum=\"0\"", "\"xmm0\"", 8, 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct session s = session_open(rows[i].model, ACCEL_INTERPRET);
        static char xml[100000];
        char packet[20];
        unsigned registers;

        begin(&s);
        read_description(&s, xml, sizeof(xml));
        assert_non_null(strstr(xml, rows[i].architecture));
        assert_non_null(strstr(xml, rows[i].first));
        assert_null(strstr(xml, rows[i].absent));
        assert_non_null(strstr(xml, "org.gnu.gdb.i386.core"));
        assert_non_null(strstr(xml, "</target>"));
        registers = count_of(xml, "<reg ");
        snprintf(packet, sizeof(packet), "p%x", registers - 1);
        assert_true(ask(&s, packet)[0] != 'E');
        snprintf(packet, sizeof(packet), "p%x", registers);
        expect(&s, packet, "E22");
        snprintf(packet, sizeof(packet), "p%x", rows[i].pc);
        assert_true(strncmp(ask(&s, packet), "f0ff0000", 8) == 0);
        assert_int_equal(strlen(ask(&s, packet)), 2 * rows[i].pc_bytes);
        session_close(&s);
    }
}

enum {
    NUMBER_RAX = 0,
    NUMBER_RCX = 2,
    NUMBER_RIP = 16,
    NUMBER_EFLAGS = 17,
    NUMBER_CS = 18,
    NUMBER_ST0 = 24,
    NUMBER_FTAG = 34,
    NUMBER_XMM0 = 40,
    NUMBER_MXCSR = 56
};

static void test_registers(void **state)
{
    struct session s = session_open("qemu64", ACCEL_INTERPRET);
    static char all[8192], again[8192];
    char packet[8200];

    (void)state;
    begin(&s);
    expect(&s, "P0=8877665500000000", "OK"); /* little-endian */
    assert_int_equal(cpu_of(&s)->gpr[RAX], 0x55667788);
    expect(&s, "p0", "8877665500000000");
    expect(&s, "P28=000102030405060708090a0b0c0d0e0f", "OK"); /* xmm0 */
    expect(&s, "p28", "000102030405060708090a0b0c0d0e0f");
    expect(&s, "P18=01020304050607800940", "OK"); /* st0 */
    expect(&s, "p18", "01020304050607800940");
    expect(&s, "p22", "54550000"); /* after RESET: eight zeros; st0 is something now */
    session_close(&s);

    s = session_open("qemu64", ACCEL_INTERPRET);
    begin(&s);
    strcpy(all, ask(&s, "g"));
    snprintf(packet, sizeof(packet), "G%s", all);
    expect(&s, packet, "OK");
    strcpy(again, ask(&s, "g"));
    assert_string_equal(all, again);
    expect(&s, "P11=ffffffff", "OK"); /* eflags: what may be set is, and bit 1 stays 1, VM 0 */
    assert_int_equal(cpu_of(&s)->rflags & (FLAG_VM | 2), 2);
    assert_true(cpu_of(&s)->rflags & FLAG_CF);
    expect(&s, "P38=ffffffff", "E22"); /* mxcsr's reserved bits */
    expect(&s, "P12=34120000", "OK");  /* cs, in real mode: a base as well */
    assert_int_equal(cpu_of(&s)->seg[CS].base, 0x12340);
    expect(&s, "P10=00000000ffff0000", "E22"); /* no such address in 16-bit code */
    expect(&s, "P0=88", "E22");
    expect(&s, "P0", "E22");
    expect(&s, "Pffff=00", "E22");
    expect(&s, "G00zz", "E22");
    session_close(&s);
}

/* ---- memory ---- */

static void test_memory(void **state)
{
    struct session s = session_open("max", ACCEL_TRANSLATE);
    static const char binary[] = "X700,4:\x01}\x03}\x5d\x04"; /* } escapes # and } */
    struct cpu *cpu;

    (void)state;
    begin(&s);
    expect(&s, "mf000b,3", "41ff06");
    expect(&s, "M600,4:deadbeef", "OK");
    expect(&s, "m600,4", "deadbeef");
    send_packet(&s, binary, sizeof(binary) - 1);
    fake_output(s.f);
    expect(&s, "m700,4", "01237d04");
    expect(&s, "M600,4:dead", "E22");
    expect(&s, "M600,2:deadbe", "E22");
    expect(&s, "m600", "E14");
    expect(&s, "m,4", "E14");
    expect(&s, "m600,", "E14");
    expect(&s, "m600,0", "");
    /* Devices are not touched: the keyboard controller is I/O, the APIC is MMIO. */
    expect(&s, "mfee00020,4", "ffffffff");
    /* What is mapped up to the end of a page is read up to it. */
    cpu = cpu_of(&s);
    physmem_write(pc_memory(s.f->m.pc), 0x1000, 4, 0x2000 | 3); /* page directory */
    physmem_write(pc_memory(s.f->m.pc), 0x2000, 4, 0x3000 | 3); /* page 0 only */
    physmem_write(pc_memory(s.f->m.pc), 0x3ffe, 2, 0xaabb);
    cpu->cr3 = 0x1000;
    cpu->cr0 |= CR0_PE | CR0_PG;
    expect(&s, "mffe,8", "bbaa");
    expect(&s, "m1000,8", "E14");
    expect(&s, "M1000,1:00", "E22");
    assert_int_equal(word_at(&s, 0x2000), 0x3003); /* A and D stay clear */
    expect(&s, "Qqemu.PhyMemMode:1", "OK");
    expect(&s, "m3ffe,2", "bbaa");
    session_close(&s);
}

/* ---- running ---- */

static void check_engine(enum pc_accel accel)
{
    struct session s = session_open("max", accel);
    struct cpu *cpu = cpu_of(&s);
    unsigned before;

    begin(&s);
    /* A software breakpoint: stops before the instruction, is not in memory, and again at once. */
    expect(&s, "Z0,f0010,1", "OK");
    assert_string_equal(go(&s, "c"), "T05thread:01;swbreak:;");
    assert_int_equal(debugger_pc(cpu), FAKE_STORE);
    assert_int_equal(cpu->gpr[RCX], 1);
    assert_int_equal(word_at(&s, 0x500), 1);
    assert_int_equal(word_at(&s, 0x502), 0);
    expect(&s, "mf0010,4", "890e0205");
    assert_string_equal(go(&s, "c"), "T05thread:01;swbreak:;");
    assert_int_equal(cpu->gpr[RCX], 1);
    /* As gdb does it: a step over, and on. */
    for (unsigned i = 2; i < 200; i++) {
        assert_string_equal(go(&s, "s"), "T05thread:01;");
        assert_int_equal(debugger_pc(cpu), FAKE_LOAD);
        assert_int_equal(word_at(&s, 0x502), i - 1);
        assert_string_equal(go(&s, "vCont;c:1"), "T05thread:01;swbreak:;");
        assert_int_equal(cpu->gpr[RCX], i);
    }
    /* Hot code without breakpoints; then one in the middle of what was translated. */
    expect(&s, "z0,f0010,1", "OK");
    before = (unsigned)cpu->gpr[RCX];
    assert_string_equal(go_for_a_while(&s), "T02thread:01;");
    assert_true(cpu->gpr[RCX] != before);
    expect(&s, "Z1,f0014,1", "OK");
    assert_string_equal(go(&s, "c"), "T05thread:01;hwbreak:;");
    assert_int_equal(debugger_pc(cpu), FAKE_LOAD);
    assert_int_equal(word_at(&s, 0x502), (uint16_t)cpu->gpr[RCX]);
    /* The same address twice: taking one away leaves the other. */
    expect(&s, "Z0,f0014,1", "OK");
    expect(&s, "z1,f0014,1", "OK");
    before = (uint16_t)cpu->gpr[RCX];
    go(&s, "s");
    assert_string_equal(go(&s, "c"), "T05thread:01;swbreak:;");
    assert_int_equal((uint16_t)cpu->gpr[RCX], (uint16_t)(before + 1));
    expect(&s, "z0,f0014,1", "OK");

    /* Watchpoints: the access has happened. */
    expect(&s, "Z2,502,2", "OK");
    assert_string_equal(go(&s, "c"), "T05thread:01;watch:502;");
    assert_int_equal(debugger_pc(cpu), FAKE_LOAD);
    assert_string_equal(go(&s, "c"), "T05thread:01;watch:502;");
    expect(&s, "z2,502,2", "OK");
    expect(&s, "Z3,504,1", "OK");
    assert_string_equal(go(&s, "c"), "T05thread:01;rwatch:504;");
    assert_int_equal(debugger_pc(cpu), FAKE_JUMP);
    expect(&s, "z3,504,1", "OK");
    expect(&s, "Z4,501,1", "OK"); /* inside the word */
    assert_string_equal(go(&s, "c"), "T05thread:01;awatch:501;");
    assert_int_equal(debugger_pc(cpu), FAKE_STORE);
    expect(&s, "z4,501,1", "OK");
    expect(&s, "Z3,502,2", "OK"); /* nobody reads it */
    assert_string_equal(go_for_a_while(&s), "T02thread:01;");
    expect(&s, "z3,502,2", "OK");
    assert_null(cpu->debugger);

    /* An address to go on at, a signal, a step that the guest's interrupts do not see. */
    assert_string_equal(go(&s, "s17"), "T05thread:01;");
    assert_int_equal(debugger_pc(cpu), FAKE_LOOP);
    assert_string_equal(go(&s, "S05"), "T05thread:01;");
    assert_int_equal(debugger_pc(cpu), FAKE_INC);
    session_close(&s);
}

static void test_interpret(void **state)
{
    (void)state;
    check_engine(ACCEL_INTERPRET);
}

static void test_translate(void **state)
{
    (void)state;
    check_engine(ACCEL_TRANSLATE);
}

/* REP MOVS over a watched byte stops at the element that stores it, and goes on where it was. */
static void check_rep(enum pc_accel accel)
{
    struct session s = session_open("max", accel);
    struct cpu *cpu = cpu_of(&s);
    static const uint8_t code[] = {0xF3, 0xA4, 0xEB, 0xFE}; /* rep movsb; jmp $ */

    begin(&s);
    go(&s, "s"); /* over the reset vector */
    physmem_write_bytes(pc_memory(s.f->m.pc), 0x800, code, sizeof(code));
    cpu->seg[CS].selector = 0;
    cpu->seg[CS].base = 0;
    cpu_update_mode(cpu);
    cpu->rip = 0x800;
    cpu->gpr[RCX] = 100;
    cpu->gpr[RSI] = 0xF000;
    cpu->gpr[RDI] = 0x1000;
    expect(&s, "Z2,1020,1", "OK");
    assert_string_equal(go(&s, "c"), "T05thread:01;watch:1020;");
    assert_int_equal(cpu->gpr[RDI], 0x1021);
    assert_int_equal(cpu->rip, 0x800);
    assert_false(cpu->rflags & FLAG_RF); /* the guest is not to see it */
    assert_string_equal(go_for_a_while(&s), "T02thread:01;");
    assert_int_equal(cpu->gpr[RDI], 0x1064);
    session_close(&s);
}

static void test_rep_is_watched(void **state)
{
    (void)state;
    check_rep(ACCEL_INTERPRET);
    check_rep(ACCEL_TRANSLATE);
}

static void test_detach_and_kill(void **state)
{
    struct session s = session_open("max", ACCEL_TRANSLATE);

    (void)state;
    begin(&s);
    expect(&s, "Z0,f0010,1", "OK");
    expect(&s, "Z2,500,2", "OK");
    expect(&s, "D", "OK");
    assert_false(pc_is_paused(s.f->m.pc));
    assert_null(cpu_of(&s)->debugger);
    /* another gdb: the machine stops */
    fake_type(s.f, "+$?#3f", 6);
    assert_non_null(strstr(fake_output(s.f), "$T02"));
    assert_true(pc_is_paused(s.f->m.pc));
    /* it is gone: so are its breakpoints */
    expect(&s, "Z0,f0010,1", "OK");
    s.f->dev.connected(s.f->dev.connected_ctx, false);
    assert_null(cpu_of(&s)->debugger);
    s.f->dev.connected(s.f->dev.connected_ctx, true);
    send_packet(&s, "k", 1);
    assert_true(s.f->m.quit);
    session_close(&s);
}

static void test_monitor_lines(void **state)
{
    struct session s = session_open("max", ACCEL_INTERPRET);
    static const char wanted[] = "VM status: paused\n";
    char hex[100] = "O";

    (void)state;
    begin(&s);
    for (size_t i = 0; wanted[i] != '\0'; i++)
        snprintf(hex + 1 + 2 * i, 3, "%02x", (uint8_t)wanted[i]);
    fake_output(s.f);
    send_packet(&s, "qRcmd,696e666f20737461747573", 28); /* info status */
    assert_string_equal(packet_data(fake_output(s.f)), hex);
    session_close(&s);
}

static void test_end_is_told(void **state)
{
    struct session s = session_open("max", ACCEL_INTERPRET);

    (void)state;
    begin(&s);
    send_packet(&s, "c", 1);
    fake_output(s.f);
    gdb_exited(s.gdb, 43);
    assert_string_equal(packet_data(fake_output(s.f)), "W2b");
    session_close(&s);
}

/* ---- a hostile gdb ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void test_hostile_packets(void **state)
{
    static const char *const starts[] = {"?",
                                         "g",
                                         "G",
                                         "p",
                                         "P",
                                         "m",
                                         "M",
                                         "X",
                                         "c",
                                         "s",
                                         "C",
                                         "S",
                                         "vCont;",
                                         "vCont;c:",
                                         "vKill",
                                         "Z0,",
                                         "Z1,",
                                         "Z2,",
                                         "Z3,",
                                         "Z4,",
                                         "z0,",
                                         "z2,",
                                         "H",
                                         "T",
                                         "D",
                                         "q",
                                         "Q",
                                         "qSupported:",
                                         "qXfer:features:read:target.xml:",
                                         "qRcmd,",
                                         "QStartNoAckMode",
                                         "qqemu.PhyMemMode",
                                         "Qqemu.PhyMemMode:",
                                         "qThreadExtraInfo,",
                                         "qAttached:"};
    static const char letters[] = "0123456789abcdefFFF,,,:;=-}*$#\x03";
    struct session s = session_open("max", ACCEL_TRANSLATE);
    const char *asked = getenv("RINGER_FUZZ_ROUNDS");
    const unsigned rounds = asked != NULL ? (unsigned)strtoul(asked, NULL, 0) : 30000;
    uint32_t seed = rounds + 12345;

    (void)state;
    begin(&s);
    for (unsigned round = 0; round < rounds; round++) {
        char data[600];
        size_t size = 0;
        const unsigned length = next_random(&seed) % (round % 16 == 0 ? 500 : 24);
        const char *start = starts[next_random(&seed) % (sizeof(starts) / sizeof(starts[0]))];

        if (next_random(&seed) % 16 != 0)
            size = (size_t)snprintf(data, sizeof(data), "%s", start);
        for (unsigned i = 0; i < length; i++)
            data[size++] = next_random(&seed) % 8 == 0
                               ? (char)next_random(&seed)
                               : letters[next_random(&seed) % (sizeof(letters) - 1)];
        if (next_random(&seed) % 32 == 0)
            fake_type(s.f, data, size); /* no frame at all */
        else
            send_packet(&s, data, size);
        if (s.f->size > FAKE_OUTPUT_BYTES / 2)
            fake_output(s.f);
        s.f->m.quit = false;
        if (round % 64 == 0 && !pc_is_paused(s.f->m.pc)) {
            pc_stop(s.f->m.pc);
            pc_run(s.f->m.pc, UINT64_MAX);
        }
    }
    /* a packet longer than any buffer */
    fake_type(s.f, "#00#00$", 7);
    for (unsigned i = 0; i < 100000; i++)
        fake_type(s.f, "a", 1);
    fake_type(s.f, "#00", 3);
    fake_output(s.f);
    send_packet(&s, "qC", 2);
    assert_non_null(strstr(fake_output(s.f), "QC01"));
    session_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framing),         cmocka_unit_test(test_description),
        cmocka_unit_test(test_registers),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_interpret),       cmocka_unit_test(test_translate),
        cmocka_unit_test(test_rep_is_watched),  cmocka_unit_test(test_detach_and_kill),
        cmocka_unit_test(test_monitor_lines),   cmocka_unit_test(test_end_is_told),
        cmocka_unit_test(test_hostile_packets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
