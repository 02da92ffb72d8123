/*
 * loader/keys.c -- keys, by the names that front ends know them under, as the keyboard's bytes.
 */
#include "loader/keys.h"

#include <string.h>

static const struct key keys[] = {
#define KEY(...) {__VA_ARGS__},
#include "loader/keys.def"
#undef KEY
};

/* Keysyms of keys that have another in the table; what the number pad sends without num lock. */
static const struct {
    uint16_t keysym, same_as;
} keysym_aliases[] = {
    {0xFE03, 0xFFEA}, /* ISO_Level3_Shift: right alt */
    {0xFE20, 0xFF09}, /* ISO_Left_Tab: tab with shift */
    {0xFFE7, 0xFFE9}, /* Meta_L: alt */
    {0xFFE8, 0xFFEA}, /* Meta_R: right alt */
    {0xFF0A, 0xFF0D}, /* Linefeed */
    {0xFF15, 0xFF61}, /* Sys_Req: print */
    {0xFF6B, 0xFF13}, /* Break: pause */
    {0xFF95, 0xFFB7}, /* KP_Home */
    {0xFF96, 0xFFB4}, /* KP_Left */
    {0xFF97, 0xFFB8}, /* KP_Up */
    {0xFF98, 0xFFB6}, /* KP_Right */
    {0xFF99, 0xFFB2}, /* KP_Down */
    {0xFF9A, 0xFFB9}, /* KP_Page_Up */
    {0xFF9B, 0xFFB3}, /* KP_Page_Down */
    {0xFF9C, 0xFFB1}, /* KP_End */
    {0xFF9D, 0xFFB5}, /* KP_Begin */
    {0xFF9E, 0xFFB0}, /* KP_Insert */
    {0xFF9F, 0xFFAE}, /* KP_Delete */
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

const struct key *key_by_name(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT(keys); i++)
        if (strlen(keys[i].name) == length && memcmp(keys[i].name, name, length) == 0)
            return &keys[i];
    return NULL;
}

const struct key *key_by_usage(unsigned usage)
{
    for (size_t i = 0; i < COUNT(keys); i++)
        if (keys[i].usage == usage)
            return &keys[i];
    return NULL;
}

const struct key *key_by_character(char character, bool *shift)
{
    *shift = false;
    if (character == '\n')
        character = '\r';
    if (character == 0)
        return NULL;
    for (size_t i = 0; i < COUNT(keys); i++) {
        *shift = keys[i].shifted == character;
        if (*shift || keys[i].plain == character)
            return &keys[i];
    }
    return NULL;
}

const struct key *key_by_keysym(uint32_t keysym, bool *shift)
{
    *shift = false;
    if (keysym == 0)
        return NULL;
    if (keysym >= ' ' && keysym <= '~')
        return key_by_character((char)keysym, shift);
    for (size_t i = 0; i < COUNT(keysym_aliases); i++)
        if (keysym_aliases[i].keysym == keysym)
            keysym = keysym_aliases[i].same_as;
    for (size_t i = 0; i < COUNT(keys); i++)
        if (keys[i].keysym == keysym)
            return &keys[i];
    return NULL;
}

size_t key_bytes(const struct key *key, bool down, uint8_t bytes[KEY_BYTES_MAX])
{
    static const uint8_t pause[KEY_BYTES_MAX] = {0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5};
    size_t count = 0;

    if (key->set1 >> 8 == 0xE1) { /* Pause has no break code */
        if (!down)
            return 0;
        memcpy(bytes, pause, sizeof(pause));
        return sizeof(pause);
    }
    if (key->set1 >> 8 != 0)
        bytes[count++] = (uint8_t)(key->set1 >> 8);
    bytes[count++] = (uint8_t)((key->set1 & 0x7F) | (down ? 0 : 0x80));
    return count;
}
