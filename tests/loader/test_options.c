/*
 * tests/loader/test_options.c -- the command line: meanings, defaults, and clear errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loader/options.h"
#include "tests/loader/words.h"
#include "translator/translator.h"

/* Parse a command line given as one string, words separated by blanks. */
static bool parse(const char *line, struct options *options, struct error *error)
{
    char *argv[WORDS_MAX] = {"ringer"};

    return options_parse(words_split(line, argv, 1), argv, options, error);
}

static void accepts(const char *line, struct options *options)
{
    struct error error;

    if (!parse(line, options, &error))
        fail_msg("%s: %s", line, error.text);
}

static void test_memory_sizes(void **state)
{
    static const struct {
        const char *line;
        uint64_t mib;
    } cases[] = {
        {"", 128},          {"-m 512", 512},    {"-m 512M", 512}, {"-m 1G", 1024}, {"-m 1g", 1024},
        {"-m size=64", 64}, {"-m 1T", 1 << 20}, {"-m 2048K", 2},  {"--m 16", 16},
    };
    struct options options;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        accepts(cases[i].line, &options);
        assert_int_equal(options.ram_bytes, cases[i].mib << 20);
    }
}

static void test_errors_name_the_option(void **state)
{
    static const struct {
        const char *line, *message; /* the message begins so */
    } cases[] = {
        {"-m 0", "-m 0: the guest needs"},
        {"-m", "-m: needs an argument"},
        {"-m -5", "-m -5: not a size"},
        {"-m 12Q", "-m 12Q: not a size"},
        {"-m 12MB", "-m 12MB: not a size"},
        {"-m 99999999999999999999", "-m 9"},
        {"-m 18446744073709551615G", "-m 1"},
        {"-m 2T", "-m 2T: more than"},
        {"-m 512,slots=2", "-m 512,slots=2: hot-plugged"},
        {"-foo", "unknown option -foo (see ringer -help)"},
        {"--foo", "unknown option --foo"},
        {"a.img -hda b.img", "-hda: there is a drive already"},
        {"-blockdev x", "-blockdev: not supported yet"},
        {"-netdev user", "-netdev: not supported yet"},
        {"-nic user", "-nic user: not supported yet"},
        {"-monitor vc", "-monitor vc: supported are stdio"},
        {"-monitor mon:stdio", "-monitor mon:stdio: a serial port shares"},
        {"-monitor file:x", "-monitor file:x: nobody types"},
        {"-monitor stdio -serial stdio", "-serial, -debugcon, -monitor, -gdb: only one"},
        {"-gdb file:x", "-gdb file:x: gdb needs"},
        {"-gdb device", "-gdb device: supported are"},
        {"-s -accel lockstep", "-gdb, -monitor, -S: not with -accel lockstep"},
        {"-smp 2", "-smp 2: more than one CPU"},
        {"-smp cpus=1,cores=2", "-smp cpus=1,cores=2: more than one CPU"},
        {"-smp x", "-smp x: not a number"},
        {"-machine q35", "-machine q35: only the machine pc"},
        {"-machine pc,usb=on", "-machine pc,usb=on: usb is not supported yet"},
        {"-accel kvm", "-accel kvm: Ringer needs no hardware"},
        {"-enable-kvm", "-enable-kvm: Ringer needs no hardware"},
        {"-accel magic", "-accel magic: known are"},
        {"-accel tcg,foo=1", "-accel tcg,foo=1: it takes"},
        {"-accel tcg,tb-size=0", "-accel tcg,tb-size=0: tb-size is"},
        {"-accel tcg,cache-size=4K", "-accel tcg,cache-size=4K: cache-size is"},
        {"-accel tcg,cache-policy=lru", "-accel lru: known are fifo"},
        {"-serial udp::4444", "-serial udp::4444: supported are"},
        {"-serial file:", "-serial file:: supported are"},
        {"-nographic -debugcon stdio -serial stdio",
         "-serial, -debugcon, -monitor, -gdb: only one"},
        {"-serial stdio -serial mon:stdio", "-serial, -debugcon, -monitor, -gdb: only one"},
        {"-serial null -serial null -serial null -serial null -serial null", "-serial null: more"},
        {"-append x", "-append: only with -kernel"},
        {"-initrd x", "-initrd: only with -kernel"},
        {"-device e1000", "-device e1000: not supported yet"},
        {"-device pc-testdev,x=y", "-device pc-testdev,x=y: not supported yet"},
        {"-machine pc,hpet=perhaps", "-machine pc,hpet=perhaps: hpet is on or off"},
        {"-device isa-debug-exit,iobase=0x10000", "-device isa-debug-exit,iobase=0x10000: isa-"},
        {"-device isa-debug-exit,iobase=0xffff,iosize=4", "-device isa-debug-exit,iobase=0xffff"},
        {"-device isa-debug-exit,iosize=3", "-device isa-debug-exit,iosize=3: isa-debug-exit"},
        {"-rtc base=yesterday", "-rtc base=yesterday: base is"},
        {"-rtc driftfix=slew", "-rtc driftfix=slew: not supported yet"},
        {"-display gtk", "-display gtk: supported are"},
        {"-vga qxl", "-vga qxl: not supported yet"},
        {"-d nonsense", "-d nonsense: not supported"},
        {"-x no-chain=yes", "-x no-chain: no such switch"},
        {"-x warp", "-x warp: no such switch"},
        {"-icount auto", "-icount auto: supported is"},
        {"-boot order=xyz", "-boot order=xyz: an order"},
        {"-boot order=cc", "-boot order=cc: 'c' is given twice"},
        {"-boot menu=maybe", "-boot menu=maybe: menu is on or off"},
        {"-boot splash=x", "-boot splash=x: it takes order, once"},
        {"-boot reboot-timeout=-2", "-boot reboot-timeout=-2: it takes"},
    };
    struct options options;
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (parse(cases[i].line, &options, &error))
            fail_msg("%s: accepted", cases[i].line);
        if (strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: says \"%s\"", cases[i].line, error.text);
    }
}

static void test_serial_ports(void **state)
{
    struct options options;

    (void)state;
    accepts("-display none", &options);
    assert_int_equal(options.serial_count, 0);
    accepts("-nographic", &options);
    assert_int_equal(options.serial_count, 1);
    assert_int_equal(options.serial[0].kind, CHARDEV_STDIO);
    assert_true(options.serial[0].mux);
    accepts("-nographic -serial none", &options);
    assert_int_equal(options.serial[0].kind, CHARDEV_NONE);
    accepts("-serial stdio -serial file:/x,y -serial null -serial pty", &options);
    assert_int_equal(options.serial_count, 4);
    assert_false(options.serial[0].mux);
    assert_string_equal(options.serial[1].path, "/x,y");
    assert_int_equal(options.serial[2].kind, CHARDEV_NULL);
    assert_int_equal(options.serial[3].kind, CHARDEV_PTY);
    /* The debug console on the terminal: -nographic leaves it alone. */
    accepts("-nographic -debugcon stdio", &options);
    assert_int_equal(options.serial_count, 0);
    accepts("-nodefaults -nographic", &options);
    assert_int_equal(options.serial_count, 0);
}

static void test_acceleration(void **state)
{
    struct options options;
    const char *summary;

    (void)state;
    accepts("", &options);
    assert_int_equal(options.accel, RUN_TRANSLATE);
    assert_false(options.counted);
    assert_int_equal(options.max_insns, UINT64_MAX);
    accepts("-accel tcg,thread=multi,tb-size=32", &options);
    assert_int_equal(options.accel, RUN_TRANSLATE);
    assert_int_equal(options.cache_bytes, 32 << 20);
    accepts("-accel translate,cache-policy=generational,cache-size=3M", &options);
    assert_int_equal(options.cache_bytes, 3 << 20);
    assert_string_equal(translator_cache_policy(options.cache_policy, &summary), "generational");
    accepts("-accel interpret,counted=on,insns=2M", &options);
    assert_int_equal(options.accel, RUN_INTERPRET);
    assert_true(options.counted);
    assert_int_equal(options.max_insns, 2 << 20);
    accepts("-machine pc,accel=interpret", &options);
    assert_int_equal(options.accel, RUN_INTERPRET);
    accepts("-accel lockstep", &options);
    assert_true(options.counted);
    accepts("-icount shift=3 -x no-chain,no-bmi2", &options);
    assert_int_equal(options.ns_per_insn, 8);
    assert_true(options.no_chain && options.no_bmi2 && !options.no_group);
    accepts("-x help", &options);
    assert_int_equal(options.action, ACTION_SWITCH_HELP);
}

static void test_the_rest(void **state)
{
    struct options options;

    (void)state;
    accepts("-kernel k -initrd i -append a -bios b -L d1 -L d2 -vga none -no-reboot -no-shutdown",
            &options);
    assert_string_equal(options.kernel, "k");
    assert_string_equal(options.initrd, "i");
    assert_string_equal(options.append, "a");
    assert_string_equal(options.bios, "b");
    assert_int_equal(options.firmware_dir_count, 2);
    assert_string_equal(options.firmware_dirs[1], "d2");
    assert_true(options.no_vga && options.no_reboot && options.no_shutdown);
    assert_false(options.no_hpet || options.testdev);
    accepts("-no-hpet -device pc-testdev", &options);
    assert_true(options.no_hpet && options.testdev);
    accepts("-M pc,hpet=off", &options);
    assert_true(options.no_hpet);
    accepts("-no-hpet -machine pc,hpet=on", &options);
    assert_false(options.no_hpet);
    accepts("-device isa-debug-exit", &options);
    assert_int_equal(options.debug_exit_port, 0x501);
    assert_int_equal(options.debug_exit_size, 2);
    accepts("-device isa-debug-exit,iobase=0xf4,iosize=0x04", &options);
    assert_int_equal(options.debug_exit_port, 0xf4);
    assert_int_equal(options.debug_exit_size, 4);
    accepts("-rtc base=2000-01-02T03:04:05", &options);
    assert_int_equal(options.rtc, RTC_DATE);
    assert_int_equal(options.rtc_epoch_s, 946782245);
    accepts("-rtc base=localtime,clock=vm", &options);
    assert_int_equal(options.rtc, RTC_LOCALTIME);
    accepts("-d in_asm,stats,screen -D log", &options);
    assert_int_equal(options.log, LOG_IN_ASM | LOG_STATS | LOG_SCREEN);
    assert_string_equal(options.log_file, "log");
    accepts("-boot once=d,order=c,menu=on,splash-time=2000,reboot-timeout=-1,strict=on", &options);
    assert_string_equal(options.boot_once, "d");
    assert_string_equal(options.boot_order, "c");
    assert_true(options.boot_menu && options.boot_strict);
    assert_int_equal(options.boot_menu_wait_ms, 2000);
    assert_int_equal(options.boot_fail_wait_ms, BOOT_FAIL_STAY);
    accepts("-boot nc", &options);
    assert_string_equal(options.boot_order, "nc");
    assert_int_equal(options.boot_fail_wait_ms, -1);
    accepts("disk.img -cdrom cd.iso -fda floppy -snapshot -nodefaults", &options);
    assert_int_equal(options.drives.count, 3);
    assert_string_equal(options.drives.drives[0].image.file, "disk.img");
    assert_true(options.drives.drives[0].image.snapshot);
    accepts("-smp 1 -boot order=dc,menu=off -nic none -net none -monitor none -M pc", &options);
    accepts("-s -S -monitor unix:m,server,nowait -serial tcp:localhost:4444,server", &options);
    assert_true(options.start_paused);
    assert_int_equal(options.gdb.kind, CHARDEV_SOCKET);
    assert_true(options.gdb.server);
    assert_string_equal(options.gdb.path, "tcp::1234");
    assert_string_equal(options.monitor.path, "unix:m,server,nowait");
    assert_int_equal(options.serial[0].kind, CHARDEV_SOCKET);
    /* as for QEMU: the monitor shares the terminal with the serial port, or has what that leaves */
    accepts("-nographic", &options);
    assert_true(options.serial[0].mux);
    assert_int_equal(options.monitor.kind, CHARDEV_NONE);
    accepts("-nographic -monitor none", &options);
    assert_false(options.serial[0].mux);
    accepts("-nographic -serial null", &options);
    assert_int_equal(options.monitor.kind, CHARDEV_STDIO);
    accepts("-help -nonsense", &options);
    assert_int_equal(options.action, ACTION_HELP);
    accepts("-cpu help", &options);
    assert_int_equal(options.action, ACTION_CPU_HELP);
}

static void test_table_of_options(void **state)
{
    const char *help = NULL;
    size_t count = 0;

    (void)state;
    assert_true(options_takes_argument("-m") && options_takes_argument("--kernel"));
    assert_false(options_takes_argument("-snapshot") || options_takes_argument("-none") ||
                 options_takes_argument("m") || options_takes_argument("-"));
    while (options_switch(count, &help) != NULL) {
        assert_true(help[0] != '\0');
        count++;
    }
    assert_true(count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_sizes), cmocka_unit_test(test_errors_name_the_option),
        cmocka_unit_test(test_serial_ports), cmocka_unit_test(test_acceleration),
        cmocka_unit_test(test_the_rest),     cmocka_unit_test(test_table_of_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
