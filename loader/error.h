/*
 * loader/error.h -- one line that says what is wrong, on its way to the user.
 *
 * Every function of the loader that can fail takes a struct error, fills it ("FILE: what is wrong")
 * and returns false; main() prints it once.
 */
#ifndef RINGER_LOADER_ERROR_H
#define RINGER_LOADER_ERROR_H

#include <stdbool.h>

struct error {
    char text[2048];
};

/* Format the message; control characters from file names become '?'.  The value is false, also for
 * the compiler, so that a caller can `return error_set(...)`. */
#define error_set(...) (error_format(__VA_ARGS__), false)
void error_format(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
