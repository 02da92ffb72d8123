/*
 * loader/argument.c -- what the arguments of options are made of.
 */
#include "loader/argument.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool argument_size(const char *text, uint64_t unit, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    char *end;
    uint64_t value;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtoull(text, &end, 0);
    if (errno != 0)
        return false;
    if (*end != '\0') {
        const char upper = (char)(*end >= 'a' && *end <= 'z' ? *end - 'a' + 'A' : *end);
        const char *suffix = strchr(suffixes, upper);

        if (suffix == NULL || end[1] != '\0')
            return false;
        unit = UINT64_C(1) << (10 * (suffix - suffixes + 1));
    }
    return !__builtin_mul_overflow(value, unit, bytes);
}

bool argument_number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && *end == '\0' && *value <= max;
}

bool argument_switch(const char *text, bool *value)
{
    *value =
        text[0] == '\0' || !strcmp(text, "on") || !strcmp(text, "yes") || !strcmp(text, "true");
    return *value || !strcmp(text, "off") || !strcmp(text, "no") || !strcmp(text, "false");
}

bool argument_next(struct argument_pair *pair, const char *option, struct error *error)
{
    const size_t length = strcspn(pair->rest, ",");
    const char *equals = memchr(pair->rest, '=', length);
    const size_t key_length = equals != NULL ? (size_t)(equals - pair->rest) : length;
    const size_t value_length = equals != NULL ? length - key_length - 1 : 0;

    if (pair->rest[0] == '\0' || error->text[0] != '\0')
        return false;
    if (key_length >= ARGUMENT_PAIR_BYTES || value_length >= ARGUMENT_PAIR_BYTES)
        return error_set(error, "-%s: the argument is too long", option);
    memcpy(pair->key, pair->rest, key_length);
    pair->key[key_length] = '\0';
    if (equals != NULL)
        memcpy(pair->value, equals + 1, value_length);
    pair->value[value_length] = '\0';
    pair->has_value = equals != NULL;
    pair->rest += length;
    if (*pair->rest == ',')
        pair->rest++;
    return true;
}

bool argument_begins(const char *text, const char *word)
{
    const size_t length = strlen(word);

    return !strncmp(text, word, length) && (text[length] == '\0' || text[length] == ',');
}

bool argument_refuse(const char *option, const char *argument, const char *what,
                     struct error *error)
{
    return error_set(error, "-%s %s: %s", option, argument, what);
}
