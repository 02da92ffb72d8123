/* tests/loader/test_display.c -- what -display and -vnc take, keys, pictures as files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/display.h"
#include "loader/keys.h"
#include "loader/png.h"

static bool display_ok(const char *arg, struct display_spec *spec)
{
    struct error error = {0};
    const bool ok = display_parse(arg, spec, &error);

    assert_int_equal(ok, error.text[0] == '\0');
    return ok;
}

static bool vnc_ok(const char *arg, struct display_spec *spec)
{
    struct error error = {0};
    const bool ok = display_parse_vnc(arg, spec, &error);

    assert_int_equal(ok, error.text[0] == '\0');
    return ok;
}

static void test_display_argument(void **state)
{
    static const char *const wrong[] = {"",         "gtk",           "sdl,gl=on", "none,x",
                                        "sdl,what", "curses,lines=", "vnc=",      "vnc=:x",
                                        "sdl=on",   "none=on"};
    struct display_spec spec = {0};

    (void)state;
    assert_true(display_ok("none", &spec));
    assert_int_equal(spec.kind, DISPLAY_NONE);
    assert_true(display_ok("curses", &spec));
    assert_int_equal(spec.kind, DISPLAY_CURSES);
    assert_true(display_wants_terminal(&spec));
    assert_true(display_ok("sdl,full-screen=on,show-cursor=off,gl=off", &spec));
    assert_int_equal(spec.kind, DISPLAY_SDL);
    assert_true(spec.full_screen && !spec.show_cursor && !spec.vnc);
    assert_true(display_ok("vnc=:3", &spec));
    assert_true(spec.kind == DISPLAY_NONE && spec.vnc && spec.vnc_number == 3);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(display_ok(wrong[i], &spec));
}

static void test_vnc_argument(void **state)
{
    static const char *const wrong[] = {"5",
                                        ":",
                                        ":-1",
                                        ":59636",
                                        "unix:/x",
                                        ":0,to=9",
                                        ":0,password=maybe",
                                        ":0,password-file=",
                                        "host:1x",
                                        "password=on"};
    char longer[600];
    struct display_spec spec = {0};

    (void)state;
    assert_true(vnc_ok(":0", &spec));
    assert_true(spec.vnc && !spec.vnc_password && spec.vnc_number == 0);
    assert_string_equal(spec.vnc_host, "127.0.0.1"); /* not the whole world */
    assert_true(vnc_ok("0.0.0.0:59635,password=on", &spec));
    assert_string_equal(spec.vnc_host, "0.0.0.0");
    assert_true(spec.vnc_password);
    assert_int_equal(spec.vnc_number, 59635);
    assert_true(vnc_ok("[::1]:7,password-file=/etc/secret", &spec));
    assert_string_equal(spec.vnc_host, "::1");
    assert_string_equal(spec.vnc_password_file, "/etc/secret");
    assert_true(vnc_ok("none", &spec));
    assert_false(spec.vnc);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(vnc_ok(wrong[i], &spec));
    memset(longer, 'a', sizeof(longer));
    strcpy(longer + sizeof(longer) - 3, ":1");
    assert_false(vnc_ok(longer, &spec));
}

static void test_keys(void **state)
{
    uint8_t bytes[KEY_BYTES_MAX];
    const struct key *key;
    bool shift;

    (void)state;
    for (char c = ' '; c <= '~'; c++) { /* all that a US keyboard can type */
        key = key_by_character(c, &shift);
        assert_non_null(key);
        assert_int_equal(shift ? key->shifted : key->plain, c);
        assert_ptr_equal(key_by_keysym((uint32_t)c, &shift), key);
    }
    assert_null(key_by_character('\x01', &shift));
    assert_null(key_by_keysym(0x20AC, &shift));
    assert_null(key_by_keysym(0, &shift));
    assert_null(key_by_name("ret", 2));
    key = key_by_name("ret", 3);
    assert_non_null(key);
    assert_ptr_equal(key, key_by_character('\n', &shift));
    assert_ptr_equal(key, key_by_usage(0x28));
    assert_null(key_by_usage(0));
    assert_int_equal(key_bytes(key, true, bytes), 1);
    assert_int_equal(bytes[0], 0x1C);
    assert_int_equal(key_bytes(key, false, bytes), 1);
    assert_int_equal(bytes[0], 0x9C);
    assert_int_equal(key_bytes(key_by_name("delete", 6), false, bytes), 2);
    assert_memory_equal(bytes, "\xE0\xD3", 2);
    assert_int_equal(key_bytes(key_by_name("pause", 5), true, bytes), 6);
    assert_memory_equal(bytes, "\xE1\x1D\x45\xE1\x9D\xC5", 6);
    assert_int_equal(key_bytes(key_by_name("pause", 5), false, bytes), 0);
    /* the number pad without num lock, and with */
    assert_ptr_equal(key_by_keysym(0xFF95, &shift), key_by_keysym(0xFFB7, &shift));
    assert_false(shift);
}

static void test_pictures(void **state)
{
    static uint32_t pixels[6] = {0xFF0000, 0x00FF00, 0x0000FF, 0x123456, 0x000000, 0xFFFFFF};
    const struct display_surface surface = {.width = 3, .height = 2, .pixels = pixels};
    char path[] = "/tmp/ringer-picture-XXXXXX", png[64];
    struct error error = {0};
    uint8_t read[64];
    FILE *file;
    const int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_true(picture_write(path, &surface, &error));
    file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(read, 1, sizeof(read), file), 11 + 18);
    fclose(file);
    assert_memory_equal(read, "P6\n3 2\n255\n\xFF\0\0\0\xFF\0\0\0\xFF\x12\x34\x56", 23);
    unlink(path);
    snprintf(png, sizeof(png), "%s.PNG", path);
    if (picture_write(png, &surface, &error)) {
        file = fopen(png, "r");
        assert_non_null(file);
        assert_true(fread(read, 1, sizeof(read), file) > 24);
        fclose(file);
        assert_memory_equal(read, "\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2\x08\2", 26);
        unlink(png);
    } else {
        assert_non_null(strstr(error.text, "without libpng"));
    }
    error = (struct error){0};
    assert_false(picture_write("/nonexistent/x.ppm", &surface, &error));
    assert_string_equal(error.text, "/nonexistent/x.ppm: No such file or directory");
    error = (struct error){0};
    assert_false(picture_write("/dev/full", &surface, &error));
    assert_non_null(strstr(error.text, "No space left"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_display_argument),
        cmocka_unit_test(test_vnc_argument),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
