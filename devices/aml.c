/*
 * devices/aml.c -- a writer of ACPI Machine Language.
 * Source: ACPI specification 6.3, 20.2 "AML Grammar Definition", 6.4 "Resource Data Types for
 * ACPI".
 *
 * A package's length stands in front of it and counts its own bytes: 1 to 4 of them.  aml_end()
 * knows the length, moves the contents up, and writes it.  [20.2.4]
 */
#include "devices/aml.h"

#include <stdlib.h>
#include <string.h>

#define OP_NAME       0x08
#define OP_BYTE       0x0A
#define OP_WORD       0x0B
#define OP_DWORD      0x0C
#define OP_STRING     0x0D
#define OP_QWORD      0x0E
#define OP_SCOPE      0x10
#define OP_BUFFER     0x11
#define OP_PACKAGE    0x12
#define OP_METHOD     0x14
#define OP_DUAL_NAME  0x2E
#define OP_MULTI_NAME 0x2F
#define OP_EXT        0x5B
#define OP_EXT_REGION 0x80
#define OP_EXT_FIELD  0x81
#define OP_EXT_DEVICE 0x82
#define OP_IF         0xA0
#define OP_ELSE       0xA1

#define METHOD_SERIALIZED 0x08
#define FIELD_BYTE_ACCESS 0x01
#define PKG_SHORT_MAX     0x3F

void aml_init(struct aml *aml)
{
    memset(aml, 0, sizeof(*aml));
}

bool aml_finish(struct aml *aml)
{
    if (!aml->failed && aml->depth == 0)
        return true;
    free(aml->data);
    aml_init(aml);
    return false;
}

void aml_bytes(struct aml *aml, const void *data, size_t size)
{
    if (aml->failed)
        return;
    if (aml->size + size > aml->capacity) {
        const size_t capacity = 2 * (aml->size + size) + 256;
        uint8_t *grown = realloc(aml->data, capacity);

        if (grown == NULL) {
            aml->failed = true;
            return;
        }
        aml->data = grown;
        aml->capacity = capacity;
    }
    memcpy(aml->data + aml->size, data, size);
    aml->size += size;
}

void aml_byte(struct aml *aml, uint8_t value)
{
    aml_bytes(aml, &value, 1);
}

static void little_endian(struct aml *aml, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        aml_byte(aml, (uint8_t)(value >> (8 * i)));
}

/* ---- packages ---- */

static void package_open(struct aml *aml)
{
    if (aml->depth == AML_DEPTH_MAX)
        aml->failed = true;
    if (!aml->failed)
        aml->open[aml->depth++] = aml->size;
}

void aml_end(struct aml *aml)
{
    size_t start, contents, total;
    unsigned bytes;
    uint8_t length[4];

    if (aml->failed || aml->depth == 0) {
        aml->failed = true;
        return;
    }
    start = aml->open[--aml->depth];
    contents = aml->size - start;
    bytes = contents + 1 <= PKG_SHORT_MAX ? 1 : contents + 2 < 1 << 12 ? 2 : 3;
    total = contents + bytes;
    if (bytes == 1) {
        length[0] = (uint8_t)total;
    } else {
        length[0] = (uint8_t)((bytes - 1) << 6 | (total & 15));
        length[1] = (uint8_t)(total >> 4);
        length[2] = (uint8_t)(total >> 12);
    }
    aml_bytes(aml, length, bytes); /* makes room */
    if (aml->failed)
        return;
    memmove(aml->data + start + bytes, aml->data + start, contents);
    memcpy(aml->data + start, length, bytes);
}

/* ---- names and data ---- */

static size_t segment_length(const char *name)
{
    return strcspn(name, ".");
}

void aml_name_string(struct aml *aml, const char *name)
{
    unsigned segments = 1;

    while (*name == '\\' || *name == '^')
        aml_byte(aml, (uint8_t)*name++);
    for (const char *p = name; *p != '\0'; p++)
        segments += *p == '.';
    if (*name == '\0') {
        aml_byte(aml, 0); /* NullName: the root */
        return;
    }
    if (segments == 2)
        aml_byte(aml, OP_DUAL_NAME);
    if (segments > 2) {
        aml_byte(aml, OP_MULTI_NAME);
        aml_byte(aml, (uint8_t)segments);
    }
    while (*name != '\0') {
        const size_t length = segment_length(name);

        for (size_t i = 0; i < 4; i++)
            aml_byte(aml, i < length ? (uint8_t)name[i] : '_');
        name += length + (name[length] == '.');
    }
}

void aml_integer(struct aml *aml, uint64_t value)
{
    if (value <= 1) {
        aml_byte(aml, (uint8_t)value); /* ZeroOp, OneOp */
    } else if (value <= UINT8_MAX) {
        aml_byte(aml, OP_BYTE);
        little_endian(aml, value, 1);
    } else if (value <= UINT16_MAX) {
        aml_byte(aml, OP_WORD);
        little_endian(aml, value, 2);
    } else if (value <= UINT32_MAX) {
        aml_byte(aml, OP_DWORD);
        little_endian(aml, value, 4);
    } else {
        aml_byte(aml, OP_QWORD);
        little_endian(aml, value, 8);
    }
}

void aml_string(struct aml *aml, const char *text)
{
    aml_byte(aml, OP_STRING);
    aml_bytes(aml, text, strlen(text) + 1);
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

void aml_eisa_id(struct aml *aml, const char *id)
{
    uint32_t value = 0;

    /* Three letters of 5 bits, four hexadecimal digits; stored big-endian. [19.3.4] */
    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | (uint32_t)(id[i] - '@');
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | hex_digit(id[i]);
    aml_byte(aml, OP_DWORD);
    little_endian(aml, __builtin_bswap32(value), 4);
}

void aml_scope_begin(struct aml *aml, const char *name)
{
    aml_byte(aml, OP_SCOPE);
    package_open(aml);
    aml_name_string(aml, name);
}

void aml_device_begin(struct aml *aml, const char *name)
{
    aml_byte(aml, OP_EXT);
    aml_byte(aml, OP_EXT_DEVICE);
    package_open(aml);
    aml_name_string(aml, name);
}

void aml_method_begin(struct aml *aml, const char *name, unsigned arguments, bool serialized)
{
    aml_byte(aml, OP_METHOD);
    package_open(aml);
    aml_name_string(aml, name);
    aml_byte(aml, (uint8_t)(arguments | (serialized ? METHOD_SERIALIZED : 0)));
}

void aml_package_begin(struct aml *aml, uint8_t count)
{
    aml_byte(aml, OP_PACKAGE);
    package_open(aml);
    aml_byte(aml, count);
}

void aml_if_begin(struct aml *aml)
{
    aml_byte(aml, OP_IF);
    package_open(aml);
}

void aml_else_begin(struct aml *aml)
{
    aml_byte(aml, OP_ELSE);
    package_open(aml);
}

void aml_name(struct aml *aml, const char *name)
{
    aml_byte(aml, OP_NAME);
    aml_name_string(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

void aml_name_string_value(struct aml *aml, const char *name, const char *text)
{
    aml_name(aml, name);
    aml_string(aml, text);
}

void aml_name_eisa_id(struct aml *aml, const char *name, const char *id)
{
    aml_name(aml, name);
    aml_eisa_id(aml, id);
}

void aml_operation_region(struct aml *aml, const char *name, enum aml_space space, uint64_t offset,
                          uint64_t length)
{
    aml_byte(aml, OP_EXT);
    aml_byte(aml, OP_EXT_REGION);
    aml_name_string(aml, name);
    aml_byte(aml, (uint8_t)space);
    aml_integer(aml, offset);
    aml_integer(aml, length);
}

void aml_field_begin(struct aml *aml, const char *region)
{
    aml_byte(aml, OP_EXT);
    aml_byte(aml, OP_EXT_FIELD);
    package_open(aml);
    aml_name_string(aml, region);
    aml_byte(aml, FIELD_BYTE_ACCESS);
}

void aml_field(struct aml *aml, const char *name, unsigned bits)
{
    aml_bytes(aml, name, 4);
    aml_byte(aml, (uint8_t)bits); /* a PkgLength of one byte */
}

void aml_op(struct aml *aml, enum aml_op op)
{
    aml_byte(aml, (uint8_t)op);
}

/* ---- resource templates ---- */

/*
 * A buffer: its PkgLength, its size as an integer, its bytes.  The size is written as a word when
 * the template is complete.
 */
void aml_resources_begin(struct aml *aml, const char *name)
{
    aml_name(aml, name);
    aml_byte(aml, OP_BUFFER);
    package_open(aml);
    aml_byte(aml, OP_WORD);
    little_endian(aml, 0, 2);
    aml->resources = aml->size;
}

void aml_resources_end(struct aml *aml)
{
    size_t length;

    aml_byte(aml, 0x79); /* end tag; a checksum of 0 is taken as correct */
    aml_byte(aml, 0);
    if (aml->failed)
        return;
    length = aml->size - aml->resources;
    aml->data[aml->resources - 2] = (uint8_t)length;
    aml->data[aml->resources - 1] = (uint8_t)(length >> 8);
    aml_end(aml);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t alignment, uint8_t length)
{
    aml_byte(aml, 0x47);
    aml_byte(aml, 1); /* decodes 16 bits */
    little_endian(aml, base, 2);
    little_endian(aml, base, 2);
    aml_byte(aml, alignment);
    aml_byte(aml, length);
}

void aml_irq_no_flags(struct aml *aml, uint8_t irq)
{
    aml_byte(aml, 0x22);
    little_endian(aml, 1u << irq, 2);
}

void aml_dma(struct aml *aml, uint8_t channel)
{
    aml_byte(aml, 0x2A);
    aml_byte(aml, (uint8_t)(1u << channel));
    aml_byte(aml, 0x04); /* compatibility timing, bus master, 8 bits */
}

void aml_interrupt(struct aml *aml, const uint32_t *irqs, uint8_t count)
{
    aml_byte(aml, 0x89);
    little_endian(aml, 2u + 4u * count, 2);
    aml_byte(aml, 0x09); /* consumer, level, active high, shared */
    aml_byte(aml, count);
    for (unsigned i = 0; i < count; i++)
        little_endian(aml, irqs[i], 4);
}

void aml_memory32(struct aml *aml, uint32_t base, uint32_t length)
{
    aml_byte(aml, 0x86);
    little_endian(aml, 9, 2);
    aml_byte(aml, 1); /* read-write */
    little_endian(aml, base, 4);
    little_endian(aml, length, 4);
}

/* Address space descriptors: fixed minimum and maximum, positive decode, producer. [6.4.3.5] */
static void address_space(struct aml *aml, unsigned width, uint8_t type, uint8_t flags,
                          uint64_t first, uint64_t last)
{
    aml_byte(aml, width == 2 ? 0x88 : 0x87);
    little_endian(aml, 3 + 5 * width, 2);
    aml_byte(aml, type);
    aml_byte(aml, 0x0C);
    aml_byte(aml, flags);
    little_endian(aml, 0, width); /* granularity */
    little_endian(aml, first, width);
    little_endian(aml, last, width);
    little_endian(aml, 0, width); /* translation */
    little_endian(aml, last - first + 1, width);
}

void aml_word_bus(struct aml *aml, uint16_t first, uint16_t last)
{
    address_space(aml, 2, 2, 0, first, last);
}

void aml_word_io(struct aml *aml, uint16_t first, uint16_t last)
{
    address_space(aml, 2, 1, 3, first, last); /* the entire range */
}

void aml_dword_memory(struct aml *aml, bool cacheable, uint32_t first, uint32_t last)
{
    address_space(aml, 4, 0, cacheable ? 3 : 1, first, last); /* read-write */
}
