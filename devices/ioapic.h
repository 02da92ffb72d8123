/*
 * devices/ioapic.h -- 82093AA I/O APIC: 24 pins, redirected to local APICs.
 */
#ifndef RINGER_DEVICES_IOAPIC_H
#define RINGER_DEVICES_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "devices/apicbus.h"
#include "devices/bus.h"

enum { IOAPIC_PIN_COUNT = 24, IOAPIC_SIZE = 0x1000 };
#define IOAPIC_BASE 0xFEC00000u

struct ioapic;

struct ioapic *ioapic_create(struct bus *bus, const struct apic_bus *apics);
void ioapic_destroy(struct ioapic *dev);
void ioapic_describe(const struct ioapic *dev, FILE *out); /* its registers, for a monitor */
void ioapic_reset(struct ioapic *dev);
/* The registers, for the board to map at IOAPIC_BASE with the device as context. */
extern const struct bus_mmio_ops ioapic_mmio;
/* Listener of pin 0..23 (level true: asserted); ctx is the device. For line_connect(). */
void ioapic_set_pin(void *ctx, unsigned index, bool level);
/* Does the pin send this vector? */
bool ioapic_sends(const struct ioapic *dev, unsigned pin, uint8_t vector);
/* A local APIC ended a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *dev, uint8_t vector);

#endif
