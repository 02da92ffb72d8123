/*
 * tests/loader/test_drive_options.c -- the drives of a command line: places, names, keys, errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "loader/drive_options.h"

static struct drive_list list;
static struct error error;

static void start(void)
{
    memset(&list, 0, sizeof(list));
    memset(&error, 0, sizeof(error));
}

static struct drive_spec *drive(const char *text)
{
    if (!drive_take_spec(&list, text, &error))
        fail_msg("%s: %s", text, error.text);
    return &list.drives[list.count - 1];
}

static struct drive_spec *file(const char *option, const char *name)
{
    if (!drive_take_file(&list, option, name, &error))
        fail_msg("-%s: %s", option, error.text);
    return &list.drives[list.count - 1];
}

static void check_place(const struct drive_spec *d, unsigned bus, unsigned unit, const char *name)
{
    assert_int_equal(d->bus, bus);
    assert_int_equal(d->unit, unit);
    assert_string_equal(d->name, name);
}

static void test_short_options(void **state)
{
    (void)state;
    start();
    check_place(file("hda", "a,b.img"), 0, 0, "ide0-hd0");
    assert_string_equal(list.drives[0].image.file, "a,b.img"); /* commas are nothing special */
    check_place(file("hdb", "b"), 0, 1, "ide0-hd1");
    check_place(file("hdd", "d"), 1, 1, "ide1-hd1");
    check_place(file("cdrom", "c"), 1, 0, "ide1-cd0");
    assert_true(list.drives[3].is_cdrom && list.drives[3].image.read_only);
    check_place(file("fdb", "f"), 0, 1, "floppy1");
    assert_int_equal(list.drives[4].interface, DRIVE_FLOPPY);
    assert_false(drive_take_file(&list, "hda", "again", &error));
    assert_non_null(strstr(error.text, "a drive already at bus 0, unit 0 (IDE index 0)"));
}

static void test_places(void **state)
{
    (void)state;
    start();
    check_place(drive("file=a"), 0, 0, "ide0-hd0");
    check_place(drive("file=b,if=ide,media=disk"), 0, 1, "ide0-hd1");
    check_place(drive("file=c,index=3"), 1, 1, "ide1-hd1");
    check_place(drive("media=cdrom"), 1, 0, "ide1-cd0"); /* the one that is left */
    assert_false(drive_take_spec(&list, "file=e", &error));
    assert_string_equal(error.text, "-drive: there are only 4 places for IDE drives");
    start();
    check_place(drive("file=a,bus=1,unit=1"), 1, 1, "ide1-hd1");
    check_place(drive("file=a,bus=1"), 1, 0, "ide1-hd0");
    check_place(drive("file=f,if=floppy"), 0, 0, "floppy0");
    check_place(drive("file=f,if=floppy,unit=1"), 0, 1, "floppy1");
    check_place(drive("file=a,id=root"), 0, 0, "root");
}

static void test_keys(void **state)
{
    const struct drive_spec *d;

    (void)state;
    start();
    d = drive(
        "file=/a,,b,format=qcow2,readonly=on,snapshot=off,cache=none,discard=unmap,aio=native,"
        "werror=ignore,rerror=report,detect-zeroes=off,copy-on-read=off");
    assert_string_equal(d->image.file, "/a,b");
    assert_string_equal(d->image.format, "qcow2");
    assert_true(d->image.read_only && d->image.unmap);
    assert_true(d->snapshot_given && !d->image.snapshot);
    assert_int_equal(d->image.cache, CACHE_NONE);
    assert_int_equal(d->image.on_write_error, ON_ERROR_IGNORE);
    assert_int_equal(d->image.on_read_error, ON_ERROR_REPORT);
    assert_true(d->werror_given && d->rerror_given);
    d = drive("file=nbd+unix:///x?socket=/s,snapshot,rerror=stop");
    assert_int_equal(d->image.on_read_error, ON_ERROR_STOP);
    d = drive("file=c,werror=report");
    d = drive("file=d,werror=stop");
    d = &list.drives[1];
    assert_string_equal(d->image.file, "nbd+unix:///x?socket=/s");
    assert_true(d->image.snapshot);
    assert_false(d->image.read_only || d->image.unmap);
    list.snapshot = true;
    assert_true(drive_complete(&list, false, &error));
    assert_false(list.drives[0].image.snapshot); /* asked for by name */
    assert_int_equal(list.drives[0].image.on_write_error, ON_ERROR_IGNORE);
    assert_int_equal(list.drives[1].image.on_write_error, ON_ERROR_ENOSPC); /* as with QEMU */
    assert_int_equal(list.drives[2].image.on_write_error, ON_ERROR_REPORT);
    assert_int_equal(list.drives[2].image.on_read_error, ON_ERROR_REPORT);
    assert_int_equal(list.drives[3].image.on_write_error, ON_ERROR_STOP);
}

static void test_cache_in_parts(void **state)
{
    static const struct {
        const char *text;
        enum image_cache cache;
    } cases[] = {
        {"file=a,driver=raw,cache.direct=on", CACHE_NONE},
        {"file=b,cache.writeback=off,cache.direct=off", CACHE_WRITETHROUGH},
        {"file=c,cache.direct,cache.writeback=off", CACHE_DIRECTSYNC},
        {"file=d,cache.no-flush=on", CACHE_UNSAFE},
    };

    (void)state;
    start();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(drive(cases[i].text)->image.cache, cases[i].cache);
    assert_string_equal(list.drives[0].image.format, "raw");
    start();
    assert_int_equal(drive("cache.direct=off,file=a,cache=none")->image.cache, CACHE_WRITEBACK);
    assert_int_equal(drive("cache=unsafe,file=a")->image.cache, CACHE_UNSAFE);
    assert_int_equal(drive("cache=directsync,file=a,cache.writeback=on")->image.cache, CACHE_NONE);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"file=a,colour=red", "-drive colour: not supported; known are file, if"},
        {"file=a,if=virtio", "-drive if=virtio: not supported yet"},
        {"file=a,if=usb", "-drive if=usb: known are ide floppy none"},
        {"file=a,index=4", "-drive: there are only 4 places"},
        {"file=a,index=-1", "-drive index=-1: not a number"},
        {"file=a,index=1x", "-drive index=1x: not a number"},
        {"file=a,index=99999999999999999999", "-drive index=9"},
        {"file=a,index=0,unit=1", "-drive: index= or bus= and unit=, not both"},
        {"file=a,unit=2", "-drive: unit 2: there are 2 IDE drives on a bus"},
        {"file=a,bus=2", "-drive: there are only 4 places"},
        {"file=a,if=floppy,index=2", "-drive: there are only 2 places for floppy"},
        {"file=a,cache=magic", "-drive cache=magic: known are writeback none"},
        {"file=a,cache.direct=perhaps", "-drive cache.direct=perhaps: on or off"},
        {"file=a,cache.direct=on,cache.no-flush=on", "-drive cache.no-flush=on: only with"},
        {"file=a,readonly=perhaps", "-drive readonly=perhaps: on or off"},
        {"file=a,werror=halt", "-drive werror=halt: known are report ignore stop enospc"},
        {"file=a,rerror=enospc", "-drive rerror=enospc: known are report ignore stop"},
        {"file=a,detect-zeroes=on", "-drive detect-zeroes=on: not supported yet"},
        {"file=a,if=none", "-drive if=none: needs an id="},
        {"file=a,if=floppy,media=cdrom", "-drive if=floppy,media=cdrom: one or"},
        {"file=a,format=0123456789abcdef", "-drive format=0123456789abcdef: too long"},
        {"file=a,a-key-that-is-longer-than-all-of-them=1", "-drive a-key"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start();
        if (drive_take_spec(&list, cases[i].text, &error))
            fail_msg("%s: accepted", cases[i].text);
        if (strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: says \"%s\"", cases[i].text, error.text);
    }
}

static void device(const char *text)
{
    assert_true(drive_is_device(text));
    if (!drive_take_device(&list, text, &error))
        fail_msg("%s: %s", text, error.text);
}

static void test_devices(void **state)
{
    char order[256];

    (void)state;
    start();
    assert_false(drive_is_device("e1000"));
    assert_false(drive_is_device("ide-hdx,drive=a"));
    drive("if=none,id=a,file=A");
    drive("if=none,id=c,file=C");
    drive("if=none,id=f,file=F");
    device("ide-hd,drive=a,bootindex=2,serial=S1,model=M,id=disk0,werror=stop,rerror=auto");
    assert_int_equal(list.drives[0].geometry.cylinders, 0);
    device("ide-cd,drive=c,bus=ide.1,unit=1,bootindex=0");
    device("floppy,drive=f,unit=0,bootindex=1");
    device("ide-cd,bus=ide.1"); /* empty */
    check_place(&list.drives[0], 0, 0, "a");
    assert_string_equal(list.drives[0].serial, "S1");
    check_place(&list.drives[1], 1, 1, "c");
    assert_true(list.drives[1].is_cdrom && list.drives[1].image.read_only);
    check_place(&list.drives[3], 1, 0, "ide-cd-3");
    drive_boot_order(&list, order, sizeof(order));
    assert_string_equal(order, "/pci@i0cf8/ide@1,1/drive@1/disk@1\n"
                               "/pci@i0cf8/isa@1/fdc@03f0/floppy@0\n"
                               "/pci@i0cf8/ide@1,1/drive@0/disk@0");
    assert_true(drive_complete(&list, true, &error));
    assert_int_equal(list.count, 4); /* nothing had to be added */
    assert_int_equal(list.drives[0].image.on_write_error, ON_ERROR_STOP);
    assert_int_equal(list.drives[0].image.on_read_error, ON_ERROR_REPORT);
    assert_int_equal(list.drives[2].image.on_write_error, ON_ERROR_REPORT); /* a floppy */
}

static void test_geometry(void **state)
{
    (void)state;
    start();
    drive("if=none,id=a,file=A");
    device("ide-hd,cyls=615,heads=4,secs=17,drive=a");
    assert_int_equal(list.drives[0].geometry.cylinders, 615);
    assert_int_equal(list.drives[0].geometry.heads, 4);
    assert_int_equal(list.drives[0].geometry.sectors, 17);
}

static void test_device_errors(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"ide-hd,drive=b", "-device ide-hd: no -drive id=b before it"},
        {"ide-hd,drive=placed", "-device ide-hd: drive placed has its place already"},
        {"ide-hd,drive=a,bus=ide.2", "-device bus=ide.2: no such bus"},
        {"ide-hd,drive=a,bus=scsi.0", "-device bus=scsi.0: no such bus"},
        {"ide-hd,drive=a,unit=7", "-device: unit 7"},
        {"ide-hd,drive=a,unit=0", "-device: there is a drive already"},
        {"ide-hd,drive=a,serial=0123456789012345678901", "-device serial=0"},
        {"ide-hd,drive=a,werror=x", "-device werror=x: known are report"},
        {"floppy,drive=a,werror=stop", "-device floppy: werror is not supported"},
        {"ide-hd,drive=a,cyls=100", "-device ide-hd: cyls, heads and secs: all"},
        {"ide-hd,drive=a,cyls=0,heads=16,secs=63", "-device cyls=0: must not be 0"},
        {"ide-hd,drive=a,cyls=9,heads=17,secs=63", "-device heads=17: not a number that"},
        {"ide-cd,drive=a,cyls=9,heads=17,secs=63", "-device ide-cd: cyls is not supported"},
        {"ide-hd,drive=a,wwn=1", "-device ide-hd: wwn is not supported"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start();
        drive("if=none,id=a,file=A");
        drive("id=placed,file=B");
        if (drive_take_device(&list, cases[i].text, &error))
            fail_msg("%s: accepted", cases[i].text);
        if (strncmp(error.text, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: says \"%s\"", cases[i].text, error.text);
    }
}

static void test_completion(void **state)
{
    (void)state;
    start();
    file("hda", "a");
    assert_true(drive_complete(&list, true, &error));
    assert_int_equal(list.count, 3);
    check_place(&list.drives[1], 1, 0, "ide1-cd0");
    assert_true(list.drives[1].is_cdrom && list.drives[1].image.file[0] == '\0');
    check_place(&list.drives[2], 0, 0, "floppy0");
    start();
    assert_true(drive_complete(&list, false, &error));
    assert_int_equal(list.count, 0);
    start();
    drive("if=none,id=lost,file=x");
    assert_false(drive_complete(&list, false, &error));
    assert_non_null(strstr(error.text, "id=lost: no -device uses it"));
    start();
    drive("if=floppy,file=x,werror=stop");
    assert_false(drive_complete(&list, false, &error));
    assert_non_null(strstr(error.text, "floppy drives have no werror="));
    start();
    drive("if=ide");
    assert_false(drive_complete(&list, false, &error));
    assert_non_null(strstr(error.text, "a hard disk needs an image"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_short_options),  cmocka_unit_test(test_places),
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_errors),
        cmocka_unit_test(test_devices),        cmocka_unit_test(test_device_errors),
        cmocka_unit_test(test_cache_in_parts), cmocka_unit_test(test_geometry),
        cmocka_unit_test(test_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
