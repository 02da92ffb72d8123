/*
 * devices/i8259.h -- the pair of interrupt controllers of a PC, cascaded at IR2, with ELCR.
 */
#ifndef RINGER_DEVICES_I8259_H
#define RINGER_DEVICES_I8259_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "devices/bus.h"
#include "devices/line.h"

struct i8259;

/* Ports 0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1.  intr: the master's INT output, high while an
 * unmasked request waits.  NULL when out of memory or when a port is taken. */
struct i8259 *i8259_create(struct bus *bus, struct line *intr);
void i8259_destroy(struct i8259 *dev);
void i8259_describe(const struct i8259 *dev, FILE *out); /* its registers, for a monitor */
void i8259_reset(struct i8259 *dev);

/* The listener of an interrupt line: index 0..15 is ISA IRQ 0..15 (2 is the cascade and has no
 * pin).  ctx is the struct i8259.  For line_connect().  As on the real chip, a request counts only
 * while its line is high: a driver keeps it high until the guest has served it. */
void i8259_set_irq(void *ctx, unsigned index, bool level);
/* The CPU's two INTA cycles: the vector.  A request that is gone by now gives the spurious one. */
uint8_t i8259_acknowledge(struct i8259 *dev);
/* Does ISA IRQ 0..15 send this vector? */
bool i8259_sends(const struct i8259 *dev, unsigned irq, uint8_t vector);

#endif
