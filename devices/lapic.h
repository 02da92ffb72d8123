/*
 * devices/lapic.h -- the local APIC of one virtual CPU: xAPIC registers, timer, IPIs.
 */
#ifndef RINGER_DEVICES_LAPIC_H
#define RINGER_DEVICES_LAPIC_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "devices/apicbus.h"
#include "devices/bus.h"
#include "devices/clock.h"
#include "devices/line.h"

enum {
    LAPIC_SIZE = 0x1000,
    LAPIC_TIMER_HZ = 1000000000, /* the bus clock before the divider */
    LAPIC_NONE = -1,             /* lapic_acknowledge(): no request */
    LAPIC_EXTINT = -2,           /* lapic_acknowledge(): ask the interrupt controller on LINT0 */
};
#define LAPIC_BASE           0xFEE00000u
#define LAPIC_MSR_BASE       0x1Bu /* IA32_APIC_BASE */
#define LAPIC_BASE_BSP       (1u << 8)
#define LAPIC_BASE_X2APIC    (1u << 10)
#define LAPIC_BASE_ENABLE    (1u << 11)
#define LAPIC_MSR_DEADLINE   0x6E0u /* IA32_TSC_DEADLINE */
#define LAPIC_MSR_X2APIC     0x800u
#define LAPIC_MSR_X2APIC_END 0x900u

struct lapic_config {
    uint32_t id;
    bool bsp;
    bool present;       /* false: a CPU model without APIC; LINT0 is its INTR pin */
    bool x2apic;        /* the model has x2APIC mode */
    unsigned phys_bits; /* of the APIC base */
    struct line *intr;  /* the CPU's INTR, owned by the board */
    struct apic_bus bus;
    void *ctx; /* for the callbacks below */
    void (*nmi)(void *ctx);
    void (*init)(void *ctx);
    void (*startup)(void *ctx, uint8_t vector);
    void (*base_changed)(void *ctx, uint64_t base_msr); /* move or remove the register page */
    uint64_t (*tsc)(void *ctx);                         /* what RDTSC gives the guest */
    uint64_t tsc_hz;
};

struct lapic;

struct lapic *lapic_create(struct bus *bus, struct clock *clock, const struct lapic_config *config);
void lapic_destroy(struct lapic *dev);
void lapic_describe(const struct lapic *dev, FILE *out); /* its registers, for a monitor */
void lapic_reset(struct lapic *dev); /* RESET: APIC base too */
void lapic_init(struct lapic *dev);  /* INIT: all but APIC base and ID */
/* The registers, for the board to map where base_changed says, with the device as context. */
extern const struct bus_mmio_ops lapic_mmio;
/* False: reserved bits, or not a register: #GP. */
bool lapic_msr_read(struct lapic *dev, uint32_t msr, uint64_t *value);
bool lapic_msr_write(struct lapic *dev, uint32_t msr, uint64_t value);
uint64_t lapic_base(const struct lapic *dev);

/* Listener of LINT0 and LINT1; ctx is the device. For line_connect(). */
void lapic_set_lint(void *ctx, unsigned index, bool level);
/* Is this local APIC among the destinations? */
bool lapic_matches(const struct lapic *dev, uint32_t destination, bool logical);
/* Take a message addressed to it. */
void lapic_accept(struct lapic *dev, const struct apic_message *message);
/* The CPU takes the interrupt: its vector, LAPIC_EXTINT or LAPIC_NONE. */
int lapic_acknowledge(struct lapic *dev);
/* CR8: bits 7:4 of TPR. */
uint8_t lapic_cr8_read(const struct lapic *dev);
void lapic_cr8_write(struct lapic *dev, uint8_t value);

#endif
