/*
 * loader/keys.h -- keys, by the names that front ends know them under, as the keyboard's bytes.
 */
#ifndef RINGER_LOADER_KEYS_H
#define RINGER_LOADER_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key {
    const char *name;
    uint16_t set1;   /* make code; E0 or E1 in the high byte */
    uint8_t usage;   /* USB HID usage, page 7: also SDL's scancode */
    uint16_t keysym; /* X11, without shift */
    char plain, shifted;
};

enum { KEY_BYTES_MAX = 6 };

/* NULL where there is none. */
const struct key *key_by_name(const char *name, size_t length);
const struct key *key_by_usage(unsigned usage);
/* *shift: the character needs the shift key. */
const struct key *key_by_character(char character, bool *shift);
const struct key *key_by_keysym(uint32_t keysym, bool *shift);

/* Set-1 bytes of pressing or releasing it; returns how many. */
size_t key_bytes(const struct key *key, bool down, uint8_t bytes[KEY_BYTES_MAX]);

#endif
