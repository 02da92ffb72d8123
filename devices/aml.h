/*
 * devices/aml.h -- writes ACPI Machine Language: named objects, packages, methods, resources.
 * Source: ACPI specification 6.3, 20 "ACPI Machine Language (AML) Specification", 6.4 "Resource
 * Data Types for ACPI".
 *
 * Calls follow the text of the ASL that they stand for; what ASL puts in braces is between a
 * ..._begin and aml_end().  Errors (out of memory, nesting too deep) stick: check aml_finish().
 */
#ifndef RINGER_DEVICES_AML_H
#define RINGER_DEVICES_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AML_DEPTH_MAX = 8 };

struct aml {
    uint8_t *data;
    size_t size, capacity;
    size_t open[AML_DEPTH_MAX]; /* where the open packages' lengths will go */
    unsigned depth;
    size_t resources; /* start of the open resource template */
    bool failed;
};

void aml_init(struct aml *aml);
/* False when something failed; the bytes are then freed.  They are the caller's otherwise. */
bool aml_finish(struct aml *aml);

void aml_byte(struct aml *aml, uint8_t value);
void aml_bytes(struct aml *aml, const void *data, size_t size);
/* Names are written as in ASL: "\\_SB.PCI0", "_HID", "^FOO"; segments are padded with '_'. */
void aml_name_string(struct aml *aml, const char *name);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0A03", as an integer */

void aml_scope_begin(struct aml *aml, const char *name);
void aml_device_begin(struct aml *aml, const char *name);
void aml_method_begin(struct aml *aml, const char *name, unsigned arguments, bool serialized);
void aml_package_begin(struct aml *aml, uint8_t count);
void aml_if_begin(struct aml *aml); /* the predicate follows */
void aml_else_begin(struct aml *aml);
void aml_end(struct aml *aml);

void aml_name(struct aml *aml, const char *name); /* the object follows */
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
void aml_name_string_value(struct aml *aml, const char *name, const char *text);
void aml_name_eisa_id(struct aml *aml, const char *name, const char *id);

enum aml_space { AML_SYSTEM_MEMORY = 0, AML_SYSTEM_IO = 1, AML_PCI_CONFIG = 2 };
void aml_operation_region(struct aml *aml, const char *name, enum aml_space space, uint64_t offset,
                          uint64_t length);
/* Field (region, ByteAcc, NoLock, Preserve); each field follows with aml_field(). */
void aml_field_begin(struct aml *aml, const char *region);
void aml_field(struct aml *aml, const char *name, unsigned bits); /* bits < 64; 4-letter name */

/* Opcodes for the few expressions there are; operands follow in ASL's order. */
enum aml_op {
    AML_RETURN = 0xA4,
    AML_STORE = 0x70,
    AML_AND = 0x7B,
    AML_OR = 0x7D,
    AML_NOT = 0x92, /* logical */
    AML_LOCAL0 = 0x60,
    AML_ARG0 = 0x68,
    AML_NO_TARGET = 0x00,
    AML_CREATE_DWORD_FIELD = 0x8A, /* source, index, name */
};
void aml_op(struct aml *aml, enum aml_op op);

/* Name (name, ResourceTemplate () { ... }); descriptors follow, then aml_resources_end(). */
void aml_resources_begin(struct aml *aml, const char *name);
void aml_resources_end(struct aml *aml);
void aml_io(struct aml *aml, uint16_t base, uint8_t alignment, uint8_t length);
void aml_irq_no_flags(struct aml *aml, uint8_t irq); /* edge, active high, exclusive */
void aml_dma(struct aml *aml, uint8_t channel);
/* Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { irqs } */
void aml_interrupt(struct aml *aml, const uint32_t *irqs, uint8_t count);
void aml_memory32(struct aml *aml, uint32_t base, uint32_t length);
/* Address ranges that the bridge passes on: bus numbers, I/O ports, memory. */
void aml_word_bus(struct aml *aml, uint16_t first, uint16_t last);
void aml_word_io(struct aml *aml, uint16_t first, uint16_t last);
void aml_dword_memory(struct aml *aml, bool cacheable, uint32_t first, uint32_t last);

#endif
