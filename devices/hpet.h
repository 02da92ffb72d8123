/*
 * devices/hpet.h -- high precision event timers: a 64-bit counter and three comparators.
 */
#ifndef RINGER_DEVICES_HPET_H
#define RINGER_DEVICES_HPET_H

#include <stdint.h>

#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"

#define HPET_BASE 0xFED00000u
enum {
    HPET_SIZE = 0x400,
    HPET_TIMER_COUNT = 3,
    HPET_NS_PER_TICK = 10,
    HPET_FIRST_PIN = 16, /* the I/O APIC's pins that a timer can be routed to */
    HPET_PIN_COUNT = 8,
};
/* The low half of the capabilities register, for the ACPI table: 8086, legacy route, 64 bits. */
#define HPET_BLOCK_ID 0x8086A201u

/* All owned by the board. */
struct hpet_lines {
    struct line *irq0, *irq8; /* used while `legacy` is high */
    struct line *legacy;      /* high: takes IRQ 0 from the 8254 and IRQ 8 from the RTC */
    struct line *pins;        /* HPET_PIN_COUNT lines, to pins HPET_FIRST_PIN and up */
};

struct hpet;

struct hpet *hpet_create(struct bus *bus, struct clock *clock, const struct hpet_lines *lines);
void hpet_destroy(struct hpet *dev);
void hpet_reset(struct hpet *dev);
/* Whoever listens to irq0 has taken its last interrupt: one that the host was too late for may follow. */
void hpet_irq0_taken(struct hpet *dev);
/* The registers, for the board to map at HPET_BASE with the device as context. */
extern const struct bus_mmio_ops hpet_mmio;

#endif
