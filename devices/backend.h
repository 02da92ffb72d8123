/*
 * devices/backend.h -- the host side of a device, as the chip sees it.
 */
#ifndef RINGER_DEVICES_BACKEND_H
#define RINGER_DEVICES_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A byte stream (serial port, debug console).  The loader fills ctx/write, the chip fills the
 * receiving half when it is created.  All calls are made on the machine's thread.
 */
struct char_backend {
    void *ctx;
    /* Takes all bytes (buffers or drops them when the host side is slow or gone). */
    void (*write)(void *ctx, const uint8_t *data, size_t size);
    /* Chip side: how many bytes it can take now; hand it some. */
    void *chip;
    size_t (*can_receive)(void *chip);
    void (*receive)(void *chip, const uint8_t *data, size_t size);
    void (*send_break)(void *chip);
    /* Called by the chip when it can take input again, may be NULL. */
    void (*accept_input)(void *ctx);
};

#endif
