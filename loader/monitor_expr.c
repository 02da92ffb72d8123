/*
 * loader/monitor_expr.c -- expressions: `print`, the addresses of `x` and `xp`.
 *
 * By precedence climbing; 64-bit unsigned arithmetic that wraps, but / and % are signed as in C
 * with a long.  Nesting is bounded, so no line can exhaust the stack.
 */
#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "loader/monitor_internal.h"

enum { DEPTH_MAX = 64 };

/* ---- registers ---- */

static const char *const gpr_names[8] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
static const char *const seg_names[] = {"es", "cs", "ss", "ds", "fs", "gs"};

static bool is_name(const char *name, size_t length, const char *prefix, const char *rest)
{
    const size_t head = strlen(prefix), tail = strlen(rest);

    return length == head + tail && !strncmp(name, prefix, head) &&
           !strncmp(name + head, rest, tail);
}

bool monitor_register(struct cpu *cpu, const char *name, size_t length, uint64_t *value)
{
    const struct {
        const char *name;
        uint64_t value;
    } others[] = {
        {"rip", cpu->rip},
        {"eip", (uint32_t)cpu->rip},
        {"pc", debugger_pc(cpu)},
        {"rflags", cpu->rflags},
        {"eflags", (uint32_t)cpu->rflags},
        {"cr0", cpu->cr0},
        {"cr2", cpu->cr2},
        {"cr3", cpu->cr3},
        {"cr4", cpu->cr4},
        {"efer", cpu->efer},
        {"gdt", cpu->gdtr.base},
        {"idt", cpu->idtr.base},
        {"fs_base", cpu->seg[FS].base},
        {"gs_base", cpu->seg[GS].base},
        {"k_gs_base", cpu->kernel_gs_base},
    };

    for (unsigned i = 0; i < 8; i++) {
        if (is_name(name, length, "r", gpr_names[i]))
            *value = cpu->gpr[i];
        else if (is_name(name, length, "e", gpr_names[i]))
            *value = (uint32_t)cpu->gpr[i];
        else if (is_name(name, length, "", gpr_names[i]))
            *value = (uint16_t)cpu->gpr[i];
        else
            continue;
        return true;
    }
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        if (!is_name(name, length, "", seg_names[i]))
            continue;
        *value = cpu->seg[i].selector;
        return true;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (!is_name(name, length, "", others[i].name))
            continue;
        *value = others[i].value;
        return true;
    }
    if (length >= 2 && length <= 3 && name[0] == 'r' && isdigit((unsigned char)name[1])) {
        const unsigned number = (unsigned)strtoul(name + 1, NULL, 10);

        if (number < 8 || number > 15 || (length == 3 && !isdigit((unsigned char)name[2])))
            return false;
        *value = cpu->gpr[number];
        return true;
    }
    return false;
}

/* ---- grammar ---- */

struct parser {
    struct cpu *cpu;
    const char *at, *wrong;
    unsigned depth;
};

static void skip_blanks(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool parse_binary(struct parser *p, unsigned level, uint64_t *value);

static bool complain(struct parser *p, const char *wrong)
{
    p->wrong = wrong;
    return false;
}

static bool parse_register(struct parser *p, uint64_t *value)
{
    size_t length = 0;

    p->at++;
    while (isalnum((unsigned char)p->at[length]) || p->at[length] == '_')
        length++;
    if (!monitor_register(p->cpu, p->at, length, value))
        return complain(p, "unknown register");
    p->at += length;
    return true;
}

static bool parse_primary(struct parser *p, uint64_t *value)
{
    char *end;

    switch (*p->at) {
    case '$':
        return parse_register(p, value);
    case '(':
        p->at++;
        if (!parse_binary(p, 0, value))
            return false;
        skip_blanks(p);
        if (*p->at != ')')
            return complain(p, "')' expected");
        p->at++;
        return true;
    case '\'':
        if (p->at[1] == '\0' || p->at[2] != '\'')
            return complain(p, "a character in quotes expected");
        *value = (unsigned char)p->at[1];
        p->at += 3;
        return true;
    default:
        if (!isdigit((unsigned char)*p->at))
            return complain(p, *p->at == '\0' ? "an expression expected" : "a number expected");
        errno = 0;
        *value = strtoull(p->at, &end, 0);
        if (errno != 0)
            return complain(p, "the number is too large");
        p->at = end;
        return true;
    }
}

static bool parse_unary(struct parser *p, uint64_t *value)
{
    char sign;
    bool ok;

    skip_blanks(p);
    sign = *p->at;
    if (++p->depth > DEPTH_MAX)
        return complain(p, "the expression is too deep");
    if (sign != '\0' && strchr("+-~!", sign) != NULL) {
        p->at++;
        ok = parse_unary(p, value);
        if (sign == '-')
            *value = 0 - *value;
        else if (sign == '~')
            *value = ~*value;
        else if (sign == '!')
            *value = !*value;
    } else {
        ok = parse_primary(p, value);
    }
    p->depth--;
    return ok;
}

/* Loosest first. */
static const struct {
    const char *text;
    unsigned level;
    enum { OR, XOR, AND, SHL, SHR, ADD, SUB, MUL, DIV, MOD } op;
} operators[] = {
    {"|", 0, OR},  {"^", 1, XOR}, {"&", 2, AND}, {"<<", 3, SHL}, {">>", 3, SHR},
    {"+", 4, ADD}, {"-", 4, SUB}, {"*", 5, MUL}, {"/", 5, DIV},  {"%", 5, MOD},
};
enum { LEVELS = 6 };

static bool apply(struct parser *p, unsigned op, uint64_t *left, uint64_t right)
{
    switch (op) {
    case OR:
        *left |= right;
        break;
    case XOR:
        *left ^= right;
        break;
    case AND:
        *left &= right;
        break;
    case SHL:
        *left = right < 64 ? *left << right : 0;
        break;
    case SHR:
        *left = right < 64 ? *left >> right : 0;
        break;
    case ADD:
        *left += right;
        break;
    case SUB:
        *left -= right;
        break;
    case MUL:
        *left *= right;
        break;
    default:
        if (right == 0)
            return complain(p, "division by zero");
        if (right == UINT64_MAX) /* -1: the quotient may not fit */
            *left = op == DIV ? 0 - *left : 0;
        else if (op == DIV)
            *left = (uint64_t)((int64_t)*left / (int64_t)right);
        else
            *left = (uint64_t)((int64_t)*left % (int64_t)right);
    }
    return true;
}

static bool parse_binary(struct parser *p, unsigned level, uint64_t *value)
{
    if (level == LEVELS)
        return parse_unary(p, value);
    if (!parse_binary(p, level + 1, value))
        return false;
    for (;;) {
        uint64_t right;
        size_t i;

        skip_blanks(p);
        for (i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
            if (operators[i].level == level &&
                !strncmp(p->at, operators[i].text, strlen(operators[i].text)))
                break;
        if (i == sizeof(operators) / sizeof(operators[0]))
            return true;
        p->at += strlen(operators[i].text);
        if (!parse_binary(p, level + 1, &right) || !apply(p, operators[i].op, value, right))
            return false;
    }
}

bool monitor_eval(struct cpu *cpu, const char **text, uint64_t *value, const char **wrong)
{
    struct parser p = {.cpu = cpu, .at = *text};

    *value = 0;
    if (!parse_binary(&p, 0, value)) {
        *wrong = p.wrong;
        return false;
    }
    skip_blanks(&p);
    *text = p.at;
    return true;
}

bool monitor_eval_all(struct monitor_line *line, const char *text, uint64_t *value)
{
    const char *at = text, *wrong = "there is more behind the expression";

    if (monitor_eval(pc_cpu(line->m->pc), &at, value, &wrong) && *at == '\0')
        return true;
    fprintf(line->out, "%s: %s\n", text, wrong);
    return false;
}
