/*
 * loader/display_curses.c -- a text screen in the user's terminal, through ncurses.
 *
 * All of it runs on the machine's thread: cells are put on the terminal when the screen changed,
 * keys are read when the terminal has some.  A graphics mode is named, not shown.  Keys of a US
 * keyboard are pressed for what is typed; Ctrl-A is the escape, as with -nographic:
 *
 *   Ctrl-A x       quit            Ctrl-A Ctrl-A  send Ctrl-A
 *   Ctrl-A d       Ctrl-Alt-Del    Ctrl-A l       draw the terminal anew
 */
#define _XOPEN_SOURCE_EXTENDED 1
#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "loader/display_front.h"
#include "loader/keys.h"
#include "loader/signals.h"

enum {
    ESCAPE = 0x1B,
    DELETE = 0x7F,
    CTRL_A = 'A' - '@',
    COLORS_PC = 16,
    ESCAPE_DELAY_MS = 25,
    KEY_ROOM = 64, /* bytes that one typed character may need in the keyboard */
};

struct display_curses {
    struct pc *pc;
    struct display_user user;
    SCREEN *terminal;
    bool escaped;     /* the last key was Ctrl-A */
    bool many_colors; /* the terminal has 16 for the background too */
    struct display_text text, shown;
    bool anything_shown;
};

/* ---- output ---- */

/* The PC counts blue, green, red; terminals red, green, blue. */
static short terminal_color(unsigned color)
{
    return (short)((color & 8) | (color & 1) << 2 | (color & 2) | (color >> 2 & 1));
}

static void make_colors(struct display_curses *curses)
{
    if (!has_colors() || start_color() != OK)
        return;
    curses->many_colors = COLORS >= COLORS_PC && COLOR_PAIRS > COLORS_PC * 8;
    for (unsigned back = 0; back < 8; back++) {
        for (unsigned fore = 0; fore < COLORS_PC; fore++) {
            if (!curses->many_colors && fore >= 8)
                continue;
            init_pair((short)(1 + back * COLORS_PC + fore), terminal_color(fore),
                      terminal_color(back));
            if (!curses->many_colors && 1 + back * COLORS_PC + fore >= (unsigned)COLOR_PAIRS)
                return;
        }
    }
}

static void put_cell(const struct display_curses *curses, int row, int column,
                     const struct display_cell *cell)
{
    const unsigned fore = cell->attribute & 15, back = cell->attribute >> 4 & 7;
    const bool bold = fore >= 8 && !curses->many_colors;
    const short pair = (short)(1 + back * COLORS_PC + (bold ? fore - 8 : fore));
    const wchar_t text[2] = {(wchar_t)display_unicode(cell->character), 0};
    cchar_t character;

    setcchar(&character, text, bold ? A_BOLD : A_NORMAL, has_colors() ? pair : 0, NULL);
    mvadd_wch(row, column, &character);
}

static void show_text(struct display_curses *curses)
{
    const struct display_text *text = &curses->text;

    if (text->columns != curses->shown.columns || text->rows != curses->shown.rows)
        erase();
    for (unsigned row = 0; row < text->rows && (int)row < LINES; row++)
        for (unsigned column = 0; column < text->columns && (int)column < COLS; column++)
            put_cell(curses, (int)row, (int)column, &text->cells[row * text->columns + column]);
    curs_set(text->cursor ? 1 : 0);
    if (text->cursor)
        move((int)text->cursor_row, (int)text->cursor_column);
    refresh();
}

static bool same_text(const struct display_text *a, const struct display_text *b)
{
    return a->columns == b->columns && a->rows == b->rows && a->cursor == b->cursor &&
           a->cursor_column == b->cursor_column && a->cursor_row == b->cursor_row &&
           memcmp(a->cells, b->cells, (size_t)a->rows * a->columns * sizeof(a->cells[0])) == 0;
}

static void draw(struct display_curses *curses, const struct display_surface *surface)
{
    if (!pc_screen_cells(curses->pc, &curses->text)) {
        if (curses->anything_shown && curses->shown.columns == 0 && surface == NULL)
            return;
        erase();
        curs_set(0);
        if (surface != NULL)
            mvprintw(0, 0, "(graphics, %u x %u; Ctrl-A x quits)", surface->width, surface->height);
        refresh();
    } else if (!curses->anything_shown || !same_text(&curses->text, &curses->shown)) {
        show_text(curses);
    } else {
        return;
    }
    curses->shown = curses->text;
    curses->anything_shown = true;
}

static void on_resized(void *ctx, const struct display_surface *surface)
{
    struct display_curses *curses = ctx;

    curses->anything_shown = false;
    draw(curses, surface);
}

static void on_updated(void *ctx, const struct display_surface *surface,
                       const struct display_rect *rects, size_t count)
{
    struct display_curses *curses = ctx;

    (void)rects, (void)count;
    /* Of a graphics mode only the size is shown, and that comes through on_resized(). */
    draw(curses, curses->anything_shown && curses->shown.columns == 0 ? NULL : surface);
}

static void redraw_all(struct display_curses *curses)
{
    clearok(curscr, TRUE);
    curses->anything_shown = false;
    draw(curses, pc_screen_surface(curses->pc));
}

/* ---- input ---- */

static void send(struct display_curses *curses, const char *name, bool down)
{
    const struct key *key = key_by_name(name, strlen(name));
    uint8_t bytes[KEY_BYTES_MAX];

    if (key != NULL)
        pc_key(curses->pc, bytes, key_bytes(key, down, bytes));
}

struct chord {
    bool ctrl, alt, shift;
    const struct key *key;
};

static void press(struct display_curses *curses, const struct chord *chord)
{
    uint8_t bytes[KEY_BYTES_MAX];

    if (chord->key == NULL)
        return;
    if (chord->ctrl)
        send(curses, "ctrl", true);
    if (chord->alt)
        send(curses, "alt", true);
    if (chord->shift)
        send(curses, "shift", true);
    pc_key(curses->pc, bytes, key_bytes(chord->key, true, bytes));
    pc_key(curses->pc, bytes, key_bytes(chord->key, false, bytes));
    if (chord->shift)
        send(curses, "shift", false);
    if (chord->alt)
        send(curses, "alt", false);
    if (chord->ctrl)
        send(curses, "ctrl", false);
}

static const struct key *named(const char *name)
{
    return key_by_name(name, strlen(name));
}

/* What curses has names for. */
static struct chord function_key(wint_t code)
{
    static const struct {
        wint_t code;
        const char *name;
    } names[] = {
        {KEY_UP, "up"},     {KEY_DOWN, "down"}, {KEY_LEFT, "left"},  {KEY_RIGHT, "right"},
        {KEY_HOME, "home"}, {KEY_END, "end"},   {KEY_NPAGE, "pgdn"}, {KEY_PPAGE, "pgup"},
        {KEY_IC, "insert"}, {KEY_DC, "delete"}, {KEY_ENTER, "ret"},  {KEY_BACKSPACE, "backspace"},
        {KEY_BTAB, "tab"},
    };
    struct chord chord = {.shift = code == KEY_BTAB};
    char name[8];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == code)
            chord.key = named(names[i].name);
    if (code >= (wint_t)KEY_F(1) && code <= (wint_t)KEY_F(24)) {
        chord.shift = code > (wint_t)KEY_F(12);
        snprintf(name, sizeof(name), "f%u", (unsigned)(code - (wint_t)KEY_F(1)) % 12 + 1);
        chord.key = named(name);
    }
    return chord;
}

static struct chord typed(wint_t code)
{
    struct chord chord = {0};

    if (code == DELETE || code == '\b')
        chord.key = named("backspace");
    else if (code == 0 || code == ' ')
        chord = (struct chord){.ctrl = code == 0, .key = named("spc")};
    else if (code < ' ' && code != '\r' && code != '\n' && code != '\t' && code != ESCAPE) {
        chord.ctrl = true;
        chord.key = key_by_character((char)(code + (code <= 26 ? 'a' - 1 : '@')), &chord.shift);
    } else if (code < DELETE)
        chord.key = key_by_character((char)code, &chord.shift);
    return chord; /* without a key: no US keyboard has it */
}

static void command(struct display_curses *curses, wint_t code)
{
    struct chord chord = {.ctrl = true, .alt = true, .key = named("delete")};

    switch (code) {
    case 'x':
    case 'X':
        curses->user.quit(curses->user.ctx);
        break;
    case 'd':
        press(curses, &chord);
        break;
    case 'l':
        redraw_all(curses);
        break;
    case CTRL_A:
        chord = typed(CTRL_A);
        press(curses, &chord);
        break;
    default:
        break;
    }
}

static void take_key(struct display_curses *curses, int kind, wint_t code)
{
    struct chord chord;
    wint_t next;

    if (kind == KEY_CODE_YES && code == KEY_RESIZE) {
        redraw_all(curses);
    } else if (curses->escaped) {
        curses->escaped = false;
        command(curses, kind == KEY_CODE_YES ? 0 : code);
    } else if (kind == KEY_CODE_YES) {
        chord = function_key(code);
        press(curses, &chord);
    } else if (code == CTRL_A) {
        curses->escaped = true;
    } else if (code == ESCAPE && get_wch(&next) == OK) {
        chord = typed(next); /* terminals put ESC before what is typed with Alt */
        chord.alt = true;
        press(curses, &chord);
    } else {
        chord = typed(code);
        press(curses, &chord);
    }
}

static bool wants_keys(void *ctx)
{
    const struct display_curses *curses = ctx;

    return pc_keyboard_room(curses->pc) >= KEY_ROOM;
}

static void on_input(void *ctx, int fd)
{
    struct display_curses *curses = ctx;
    char probe;
    wint_t code;
    int kind;

    while (wants_keys(ctx)) {
        kind = get_wch(&code);
        if (kind == ERR)
            break;
        take_key(curses, kind, code);
    }
    /* A terminal that is gone stays readable: do not look again and again. */
    if (kind == ERR && !isatty(fd) && read(fd, &probe, 1) <= 0)
        pc_unwatch_fd(curses->pc, fd);
}

/* ---- life ---- */

/* signals.c keeps what the terminal was like, for the ways out that do not come by here; curses
 * must find it like that too. */
static void terminal_prepare(void)
{
    struct termios cooked;

    if (tcgetattr(STDIN_FILENO, &cooked) != 0)
        return;
    (void)signals_raw_terminal(STDIN_FILENO, false);
    tcsetattr(STDIN_FILENO, TCSANOW, &cooked);
}

static bool terminal_open(struct display_curses *curses, struct error *error)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return error_set(error, "-display curses: standard input and output are no terminal");
    setlocale(LC_CTYPE, "");
    terminal_prepare();
    curses->terminal = newterm(NULL, stdout, stdin);
    if (curses->terminal == NULL) {
        const char *type = getenv("TERM");

        signals_restore_terminal();
        return error_set(error, "-display curses: unknown terminal \"%s\"",
                         type != NULL ? type : "");
    }
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(ESCAPE_DELAY_MS);
    make_colors(curses);
    return true;
}

static void terminal_close(struct display_curses *curses)
{
    if (curses->terminal == NULL)
        return;
    endwin();
    delscreen(curses->terminal);
    signals_restore_terminal();
}

struct display_curses *display_curses_open(const struct display_spec *spec, struct pc *pc,
                                           const struct display_user *user, struct error *error)
{
    struct display_curses *curses = calloc(1, sizeof(*curses));
    const struct display_client client = {curses, on_resized, on_updated};
    int status;

    (void)spec;
    if (curses == NULL) {
        (void)error_set(error, "-display curses: not enough host memory");
        return NULL;
    }
    curses->pc = pc;
    curses->user = *user;
    if (!terminal_open(curses, error)) {
        free(curses);
        return NULL;
    }
    status = pc_watch_fd(pc, STDIN_FILENO, on_input, wants_keys, curses);
    if (status == 0) {
        status = pc_screen_attach(pc, &client);
        if (status == 0)
            return curses;
        pc_unwatch_fd(pc, STDIN_FILENO);
    }
    terminal_close(curses);
    (void)error_set(error, "-display curses: %s", strerror(-status));
    free(curses);
    return NULL;
}

void display_curses_close(struct display_curses *curses)
{
    if (curses == NULL)
        return;
    pc_screen_detach(curses->pc, curses);
    pc_unwatch_fd(curses->pc, STDIN_FILENO);
    terminal_close(curses);
    free(curses);
}
