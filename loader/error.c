/*
 * loader/error.c -- one line that says what is wrong.
 */
#include "loader/error.h"

#include <stdarg.h>
#include <stdio.h>

void error_format(struct error *error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    for (char *c = error->text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
}
