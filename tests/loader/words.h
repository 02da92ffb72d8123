/*
 * tests/loader/words.h -- a command line given as one string; for tests that have cmocka.h.
 */
#ifndef RINGER_TESTS_LOADER_WORDS_H
#define RINGER_TESTS_LOADER_WORDS_H

#include <string.h>

enum { WORDS_MAX = 32 };

/* Words of `line`, separated by blanks, behind the argc that are in argv: how many there are then.
 * They are there until the next call. */
static int words_split(const char *line, char *argv[WORDS_MAX], int argc)
{
    static char copy[1024];

    assert_true(strlen(line) < sizeof(copy));
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    return argc;
}

#endif
