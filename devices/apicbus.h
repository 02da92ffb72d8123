/*
 * devices/apicbus.h -- what local and I/O APICs say to each other.  The board carries it.
 * Source: [SDM 3A 10.6 "Issuing Interprocessor Interrupts", 10.6.2 "Determining IPI Destination"].
 */
#ifndef RINGER_DEVICES_APICBUS_H
#define RINGER_DEVICES_APICBUS_H

#include <stdbool.h>
#include <stdint.h>

enum apic_delivery {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_STARTUP = 6,
    APIC_EXTINT = 7,
};
enum apic_shorthand { APIC_DESTINATION, APIC_SELF, APIC_ALL, APIC_ALL_BUT_SELF };
#define APIC_BROADCAST 0xFFu

struct apic_message {
    uint32_t destination; /* xAPIC: 8 bits */
    enum apic_shorthand shorthand;
    enum apic_delivery delivery;
    uint8_t vector;
    bool logical; /* destination mode */
    bool level;   /* trigger mode */
};

struct apic_bus {
    void *ctx;
    /* sender: APIC ID of the local APIC that sends, for the shorthands. */
    void (*send)(void *ctx, const struct apic_message *message, uint32_t sender);
    /* End of a level-triggered interrupt, for every I/O APIC to see. */
    void (*eoi)(void *ctx, uint8_t vector);
};

#endif
