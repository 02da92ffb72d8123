/*
 * tests/loader/test_monitor.c -- the monitor: commands, expressions, memory dumps, keys, the line
 * editor, and input that means nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "devices/pc_internal.h"
#include "loader/image.h"
#include "loader/monitor.h"
#include "loader/monitor_internal.h"
#include "tests/loader/machine_fake.h"

static char said[1 << 20];

static const char *command(struct fake *f, const char *line)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    monitor_command(&f->m, line, out);
    fclose(out);
    assert_true(size < sizeof(said));
    memcpy(said, text, size + 1);
    free(text);
    return said;
}

static void expect(struct fake *f, const char *line, const char *wanted)
{
    assert_string_equal(command(f, line), wanted);
}

static void expect_part(struct fake *f, const char *line, const char *wanted)
{
    if (strstr(command(f, line), wanted) == NULL)
        fail_msg("%s: no \"%s\" in: %s", line, wanted, said);
}

/* ---- control ---- */

static void test_run_state(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);

    (void)state;
    expect(f, "info status", "VM status: running\n");
    expect(f, "stop", "");
    expect(f, "info status", "VM status: paused\n");
    expect(f, "  cont  ", "");
    expect(f, "info status", "VM status: running\n");
    pc_pause(f->m.pc, PC_PAUSE_START);
    expect(f, "info status", "VM status: paused (prelaunch)\n");
    expect(f, "c", "");
    pc_pause(f->m.pc, PC_PAUSE_IO_ERROR);
    expect(f, "info status", "VM status: paused (io-error)\n");
    expect(f, "cont", "");
    expect(f, "stop", "");
    pc_pause(f->m.pc, PC_PAUSE_IO_ERROR); /* of a request that was under way */
    expect(f, "info status", "VM status: paused (io-error)\n");
    pc_reset(f->m.pc); /* nothing waits any more */
    expect(f, "info status", "VM status: paused\n");
    expect(f, "cont", "");
    pc_pause(f->m.pc, PC_PAUSE_SHUTDOWN);
    expect(f, "info status", "VM status: paused (shutdown)\n");
    expect_part(f, "cont", "system_reset");
    expect(f, "system_reset", "");
    assert_int_equal(pc_run(f->m.pc, UINT64_MAX), PC_RESET);
    pc_reset(f->m.pc);
    expect(f, "info status", "VM status: paused\n");
    expect(f, "cont", "");
    expect(f, "info status", "VM status: running\n");
    expect(f, "quit", "");
    assert_true(f->m.quit);
    fake_close(f);
}

/* Virtual time stands still while the machine is paused, and no timer fires. */
static void count_call(void *ctx, uint64_t now_ns)
{
    (void)now_ns;
    ++*(unsigned *)ctx;
}

static void test_time_stands_still(void **state)
{
    struct fake *f = fake_open("max", ACCEL_TRANSLATE);
    struct clock *clock = pc_clock(f->m.pc);
    unsigned calls = 0;
    struct clock_timer timer = {.fire = count_call, .ctx = &calls};
    uint64_t before_ns, before_tsc;

    (void)state;
    command(f, "stop");
    before_ns = clock_now_ns(clock);
    before_tsc = pc_tsc(f->m.pc);
    clock_arm(clock, &timer, before_ns + 1000000);
    usleep(20000);
    pc_stop(f->m.pc);
    assert_int_equal(pc_run(f->m.pc, UINT64_MAX), PC_STOPPED);
    assert_int_equal(clock_now_ns(clock), before_ns);
    assert_int_equal(pc_tsc(f->m.pc), before_tsc);
    assert_int_equal(calls, 0);
    command(f, "cont");
    assert_true(clock_now_ns(clock) - before_ns < 15000000);
    assert_true(pc_tsc(f->m.pc) - before_tsc < 15000000 * 8ull);
    clock_cancel(clock, &timer);
    fake_close(f);
}

/* ---- expressions ---- */

static void test_expressions(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct cpu *cpu = pc_cpu(f->m.pc);
    char deep[600] = "print ";

    (void)state;
    cpu->gpr[RAX] = 0x1122334455667788;
    cpu->gpr[R15] = 7;
    expect(f, "print 1+2*3", "0x7\n");
    expect(f, "p (1+2)*3", "0x9\n");
    expect(f, "p/d 10 - 3 - 2", "5\n");
    expect(f, "p/d -7/2", "-3\n");
    expect(f, "p/d -7 % 4", "-3\n");
    expect(f, "p/x ~0 & 0xff | 0x100 ^ 1", "0x1ff\n");
    expect(f, "p 1 << 63 >> 60", "0x8\n");
    expect(f, "p 1 << 64", "0\n");
    expect(f, "p !0 + !5", "0x1\n");
    expect(f, "p 'A'", "0x41\n");
    expect(f, "p/c 0x41", "'A'\n");
    expect(f, "p $rax", "0x1122334455667788\n");
    expect(f, "p $eax", "0x55667788\n");
    expect(f, "p $ax", "0x7788\n");
    expect(f, "p $r15 * 2", "0xe\n");
    expect(f, "p $cs", "0xf000\n");
    expect(f, "p $pc", "0xfffffff0\n");
    expect(f, "p $eip", "0xfff0\n");
    expect_part(f, "p 1/0", "division by zero");
    expect_part(f, "p 1%0", "division by zero");
    expect(f, "p (1<<63) / -1", "0x8000000000000000\n");
    expect(f, "p (1<<63) % -1", "0\n");
    expect_part(f, "p $nonsense", "unknown register");
    expect_part(f, "p (1", "')' expected");
    expect_part(f, "p 1 2", "more behind");
    expect_part(f, "p", "expected");
    expect_part(f, "p 99999999999999999999", "too large");
    memset(deep + 6, '(', 500);
    expect_part(f, deep, "too deep");
    memset(deep + 6, '-', 500);
    expect_part(f, deep, "too deep");
    fake_close(f);
}

/* ---- memory ---- */

static void test_memory_dumps(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct physmem *mem = pc_memory(f->m.pc);
    char path[] = "/tmp/ringer-monitor-XXXXXX", line[200], bytes[8];
    const int fd = mkstemp(path);

    (void)state;
    physmem_write_bytes(mem, 0x1000, "Ringer\n\0two\0\xff", 13);
    physmem_write(mem, 0x2000, 8, 0x8000000000000001);
    expect(f, "x/2xb 0x1000", "00001000: 0x52 0x69\n");
    expect(f, "xp /2xh 0x1000", "0000000000001000: 0x6952 0x676e\n");
    expect(f, "x/1xg 0x2000", "00002000: 0x8000000000000001\n");
    expect(f, "x/1dg 0x2000", "00002000: -9223372036854775807\n");
    expect(f, "x/1ub 0x100c", "0000100c: 255\n");
    expect(f, "x/1db 0x100c", "0000100c: -1\n");
    expect(f, "x/3c 0x1005", "00001005: 'r' '\\n' '\\x00'\n");
    expect(f, "x/2s 0x1000", "00001000: \"Ringer\\n\"\n00001008: \"two\"\n");
    expect(f, "x 0x1000", "00001000: 0x676e6952\n");
    expect(f, "x/5xw 0x1000",
           "00001000: 0x676e6952 0x000a7265 0x006f7774 0x000000ff\n00001010: 0x00000000\n");
    expect_part(f, "x/2i 0xf000b", "inc");
    expect_part(f, "x/2i $pc", "ljmp");
    expect_part(f, "x/99999x 0", "at most");
    expect_part(f, "x/z 0", "a format is");
    expect_part(f, "x/0123456789012345678 0", "too long");
    expect_part(f, "x", "expected");
    /* a page that is not mapped */
    pc_cpu(f->m.pc)->cr3 = 0x3000;
    pc_cpu(f->m.pc)->cr0 |= CR0_PE | CR0_PG;
    expect(f, "x/1xb 0x1000", "00001000: Cannot access memory\n");
    expect_part(f, "x/1s 0x1000", "Cannot access memory");
    expect_part(f, "x/1i 0x1000", "Cannot access memory");
    expect_part(f, "xp/1xb 0x1000", "0x52");
    expect_part(f, "memsave 0x1000 4 /dev/null", "Cannot access memory");
    snprintf(line, sizeof(line), "pmemsave 0x1000 6 \"%s\"", path);
    expect(f, line, "");
    assert_int_equal(read(fd, bytes, sizeof(bytes)), 6);
    assert_memory_equal(bytes, "Ringer", 6);
    expect_part(f, "pmemsave 0 1 /nowhere/at/all", "No such file");
    unlink(path);
    close(fd);
    fake_close(f);
}

static void test_ports(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);

    (void)state;
    expect(f, "i /b 0x64", "portb[0x0064] = 0x10\n");
    expect(f, "i/h 0x8000", "portw[0x8000] = 0xffff\n");
    expect(f, "i 0xcf8", "portl[0x0cf8] = 0x00000000\n");
    expect(f, "o /w 0xcf8 0x80000000", "");
    expect(f, "i /w 0xcfc", "portl[0x0cfc] = 0x12378086\n");
    expect(f, "o /b 0x70 0x10f", ""); /* cut to the byte */
    expect(f, "o /b 0x71 0x5a", "");
    expect(f, "i /b 0x71", "portb[0x0071] = 0x5a\n");
    expect_part(f, "i /g 0x64", "1, 2 or 4 bytes");
    expect_part(f, "i /b 0x10000", "16 bits wide");
    expect_part(f, "i", "i /FMT PORT\n");
    expect_part(f, "o /b 1", "o /FMT PORT VALUE\n");
    expect(f, "boot_set dc", "");
    expect(f, "o /b 0x70 0x3d", "");
    expect(f, "i /b 0x71", "portb[0x0071] = 0x23\n");
    expect_part(f, "boot_set x", "boot_set ORDER");
    expect_part(f, "boot_set acda", "boot_set ORDER");
    physmem_write(f->m.pc->mem, 0x500, 4, 0x04030201);
    expect(f, "sum 0x500 4", "08198\n"); /* as sum(1) has it */
    expect_part(f, "sum 0 0xffffffffff", "more than there is memory");
    expect_part(f, "sum 0", "sum ADDRESS SIZE");
    fake_close(f);
}

static void test_page_tables(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct physmem *mem = pc_memory(f->m.pc);
    struct cpu *cpu = pc_cpu(f->m.pc);

    (void)state;
    expect(f, "info mem", "PG disabled\n");
    physmem_write(mem, 0x3000, 4, 0x4000 | 7);      /* 4 MiB of 4 KiB pages */
    physmem_write(mem, 0x3004, 4, 0x800000 | 0x83); /* one 4 MiB page, supervisor's */
    physmem_write(mem, 0x4000, 4, 0x5000 | 7);
    physmem_write(mem, 0x4004, 4, 0x9000 | 7);
    physmem_write(mem, 0x400c, 4, 0x5000 | 5);
    cpu->cr3 = 0x3000;
    cpu->cr4 = CR4_PSE;
    cpu->cr0 |= CR0_PE | CR0_PG;
    expect(f, "info mem",
           "0000000000000000-0000000000002000 0000000000002000 urw\n"
           "0000000000003000-0000000000004000 0000000000001000 ur-\n"
           "0000000000400000-0000000000800000 0000000000400000 -rw\n");
    expect(f, "info tlb",
           "0000000000000000: 0000000000005000 -------UW\n"
           "0000000000001000: 0000000000009000 -------UW\n"
           "0000000000003000: 0000000000005000 -------U-\n"
           "0000000000400000: 0000000000800000 --P-----W\n");
    cpu->cr3 = 0xfffff000; /* nothing there: reads as ones, whatever that means */
    command(f, "info mem");
    fake_close(f);
}

/* ---- what there is ---- */

static void test_info(void **state)
{
    struct fake *f = fake_open("max", ACCEL_TRANSLATE);

    (void)state;
    expect_part(f, "info", "info registers");
    expect_part(f, "info registers", "EIP=0000fff0 EFL=00000002 [-------] CPL=0");
    expect_part(f, "info registers", "CS =f000 ffff0000 0000ffff");
    expect_part(f, "info registers", "XMM07=");
    expect_part(f, "info cpus", "pc=0x00000000fffffff0");
    expect_part(f, "info pci", "VGA controller: PCI device 1234:1111");
    expect_part(f, "info pci", "Bus  0, device   1, function 0:\n    ISA bridge");
    expect_part(f, "info mtree", "00000000fee00000-00000000fee00fff (prio 4 apic, i/o): apic");
    expect_part(f, "info mtree", "(prio 1 ram, ram): ram");
    expect_part(f, "info irq", "pic0: irr=00 imr=ff");
    expect_part(f, "info irq", "pin 23");
    expect_part(f, "info lapic", "LVTT");
    expect_part(f, "info jit", "translations");
    expect_part(f, "info version", "Ringer");
    expect(f, "info block", "");
    expect_part(f, "info nonsense", "unknown subject");
    expect_part(f, "nonsense", "unknown command: 'nonsense'");
    expect_part(f, "help", "system_powerdown");
    expect_part(f, "? x", "dump memory at a linear");
    expect_part(f, "log nonsense", "not supported");
    expect(f, "log guest_errors,stats", "");
    assert_int_equal(f->m.log_items, LOG_GUEST_ERRORS | LOG_STATS);
    expect(f, "log none", "");
    assert_int_equal(f->m.log_items, 0);
    expect_part(f, "eject", "which drive");
    expect_part(f, "eject floppy0", "not found");
    expect_part(f, "change ide1-cd0 x.iso", "not found");
    expect_part(f, "change vnc password x", "no VNC");
    expect_part(f, "screendump", "FILE");
    expect_part(f, "screendump /nowhere/x.png", "/nowhere/x.png");
    expect_part(f, "p \"1", "quote that does not end");
    fake_close(f);
}

static void test_media(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    const struct image_spec nothing = {0};
    char path[] = "/tmp/ringer-test-XXXXXX", line[128];
    const int fd = mkstemp(path);
    struct error error = {0};

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 4096), 0);
    f->m.images = image_host_create(true);
    assert_non_null(image_open(f->m.images, "floppy0", &nothing, true, &error));
    expect(f, "info block", "floppy0: [not inserted]\n");
    snprintf(line, sizeof(line), "change floppy0 %s raw read-only", path);
    expect(f, line, "");
    expect_part(f, "info block", "(raw, read-only)");
    snprintf(line, sizeof(line), "change floppy0 %s raw", path);
    expect(f, line, "");
    expect_part(f, "info block", "(raw, read-only)"); /* as it was */
    expect(f, "eject floppy0", "");
    snprintf(line, sizeof(line), "change floppy0 %s raw read-write", path);
    expect(f, line, "");
    expect_part(f, "info block", "(raw), 4096 bytes");
    expect_part(f, "change floppy0 x raw sideways", "change [-f] DRIVE FILE");
    expect_part(f, "change floppy0 x raw retain more", "change [-f] DRIVE FILE");
    expect_part(f, "change floppy0", "change [-f] DRIVE FILE");
    expect_part(f, "change floppy0 /nowhere/x raw", "/nowhere/x: No such file");
    expect(f, "eject floppy0", "");
    expect(f, "info block", "floppy0: [not inserted]\n");
    image_host_destroy(f->m.images);
    close(fd);
    unlink(path);
    fake_close(f);
}

/* ---- keys ---- */

/* What the keyboard controller has for the guest. */
static unsigned next_key(struct fake *f)
{
    struct bus *bus = f->m.pc->bus;

    return bus_io_read(bus, 0x64, 1) & 1 ? bus_io_read(bus, 0x60, 1) : 0;
}

static void run_timers(struct fake *f, unsigned milliseconds)
{
    usleep(milliseconds * 1000);
    clock_run(pc_clock(f->m.pc));
}

static unsigned key_after(struct fake *f, unsigned milliseconds)
{
    for (unsigned i = 0; i < milliseconds; i++) {
        const unsigned key = next_key(f);

        if (key != 0)
            return key;
        run_timers(f, 1);
    }
    return 0;
}

static void test_keys(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct bus *bus = f->m.pc->bus;

    (void)state;
    bus_io_write(bus, 0x64, 1, 0x60); /* command byte: translation to set 1, no interrupts */
    bus_io_write(bus, 0x60, 1, 0x40);
    expect_part(f, "sendkey", "KEY");
    expect_part(f, "sendkey nokey", "unknown key: 'nokey'");
    expect_part(f, "sendkey a-", "unknown key: ''");
    expect_part(f, "sendkey 0x00", "unknown key");
    expect_part(f, "sendkey a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a", "more than");
    expect(f, "sendkey ctrl-alt-delete 20", "");
    expect(f, "sendkey 0x1e 5", "");
    assert_int_equal(key_after(f, 20), 0x1D);
    assert_int_equal(key_after(f, 20), 0x38);
    assert_int_equal(key_after(f, 20), 0xE0);
    assert_int_equal(key_after(f, 20), 0x53);
    assert_int_equal(key_after(f, 1000), 0xE0); /* released in the other order */
    assert_int_equal(key_after(f, 20), 0xD3);
    assert_int_equal(key_after(f, 20), 0xB8);
    assert_int_equal(key_after(f, 20), 0x9D);
    assert_int_equal(key_after(f, 1000), 0x1E); /* the next group */
    assert_int_equal(key_after(f, 1000), 0x9E);
    assert_int_equal(key_after(f, 20), 0);
    for (unsigned i = 0; i < 1024; i++)
        expect(f, "sendkey b 60000", "");
    expect_part(f, "sendkey b", "too many");
    expect_part(f, "mouse_move 1", "DX DY");
    expect_part(f, "mouse_move 1 x", "not a number");
    expect(f, "mouse_move 5 -7 1", "");
    expect(f, "mouse_button 1", "");
    monitor_keys_stop(&f->m);
    fake_close(f);
}

/* ---- the line editor ---- */

static const char *type(struct fake *f, const char *text)
{
    fake_output(f);
    fake_type(f, text, strlen(text));
    return fake_output(f);
}

static void test_line_editor(void **state)
{
    struct fake *f = fake_open("max", ACCEL_INTERPRET);
    struct monitor *monitor = monitor_open(&f->m, &f->dev, false);

    (void)state;
    assert_non_null(strstr(fake_output(f), "for more information\r\n(qemu) "));
    assert_string_equal(type(f, "info status\n"), "info status\r\nVM status: running\r\n(qemu) ");
    assert_string_equal(type(f, "\r\n"), "\r\n(qemu) "); /* one line, not two */
    assert_string_equal(type(f, "sx\btop\r"), "sx\b \btop\r\n(qemu) ");
    assert_true(pc_is_paused(f->m.pc));
    assert_string_equal(type(f, "zz\x15"
                                "c\r"),
                        "zz\b \b\b \bc\r\n(qemu) ");
    assert_false(pc_is_paused(f->m.pc));
    assert_string_equal(type(f, "p 7 x\x17\x7f\r"), "p 7 x\b \b\b \b\r\n0x7\r\n(qemu) ");
    assert_string_equal(type(f, "\x1b[A\r"), "p 7\r\n0x7\r\n(qemu) ");
    assert_string_equal(type(f, "\x1b[A\x1b[A\x1b[A\x1b[B\r"),
                        "p 7\b \b\b \b\b \bp 7\b \b\b \b\b \bc\b \bp 7\r\n0x7\r\n(qemu) ");
    assert_string_equal(type(f, "abc\x03"), "abc^C\r\n(qemu) ");
    assert_string_equal(
        type(f, "system_p\t\x15"),
        "system_powerdown \b \b\b \b\b \b\b \b\b \b\b \b\b \b\b \b\b \b\b \b\b \b\b "
        "\b\b \b\b \b\b \b\b \b\b \b");
    assert_non_null(strstr(type(f, "system_\t\x15"), "system_reset  system_powerdown"));
    for (unsigned i = 0; i < 5000; i++)
        type(f, "a");
    assert_non_null(strstr(type(f, "\r"), "unknown command"));
    for (unsigned i = 0; i < 100; i++)
        type(f, "\x1b[A");
    type(f, "\x15\x1b[B\x1b[B\x1bOA\x1b[1;5C\x1bx\x15");
    assert_string_equal(type(f, "quit\r"), "quit\r\n"); /* no prompt after it */
    monitor_close(monitor);
    fake_close(f);
}

/* ---- anything ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static void test_hostile_lines(void **state)
{
    static const char *const words[] = {
        "info",         "x",     "xp",     "print", "sendkey", "mouse_move",
        "mouse_button", "eject", "change", "log",   "help",    "stop",
        "cont",         "/",     "i",      "s",     "xg",      "10",
        "$rip",         "(",     ")",      "-",     "ctrl",    "registers",
        "mem",          "tlb",   "pci",    "mtree", "irq",     "\"",
        "0x",           "<<",    "'",      "-f",    "nmi",     "system_reset"};
    struct fake *f = fake_open("max", ACCEL_TRANSLATE);
    struct monitor *monitor = monitor_open(&f->m, &f->dev, false);
    const char *asked = getenv("RINGER_FUZZ_ROUNDS");
    const unsigned rounds = asked != NULL ? (unsigned)strtoul(asked, NULL, 0) : 20000;
    uint32_t seed = rounds + 99;

    (void)state;
    for (unsigned round = 0; round < rounds; round++) {
        char line[400] = "";
        size_t size = 0;

        for (unsigned i = next_random(&seed) % 8; i > 0; i--) {
            if (next_random(&seed) % 4 == 0)
                line[size++] = (char)next_random(&seed);
            else
                size +=
                    (size_t)snprintf(line + size, 20, "%s%s",
                                     words[next_random(&seed) % (sizeof(words) / sizeof(words[0]))],
                                     next_random(&seed) % 2 ? " " : "");
        }
        line[size++] = '\r';
        fake_type(f, line, size);
        fake_output(f);
        f->m.quit = false;
    }
    monitor_keys_stop(&f->m);
    monitor_close(monitor);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_state),     cmocka_unit_test(test_time_stands_still),
        cmocka_unit_test(test_expressions),   cmocka_unit_test(test_memory_dumps),
        cmocka_unit_test(test_ports),         cmocka_unit_test(test_media),
        cmocka_unit_test(test_page_tables),   cmocka_unit_test(test_info),
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_line_editor),
        cmocka_unit_test(test_hostile_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
