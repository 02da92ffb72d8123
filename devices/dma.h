/*
 * devices/dma.h -- an ISA DMA channel, as the device on it sees it.
 */
#ifndef RINGER_DEVICES_DMA_H
#define RINGER_DEVICES_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dma_channel {
    void *ctx;
    unsigned index; /* 0..3 and 5..7 */
    /* DREQ: drive the request line. */
    void (*request)(void *ctx, unsigned index, bool level);
    /*
     * Move up to size bytes now, in the direction that the guest programmed: from buffer into
     * memory, or from memory into buffer.  Returns how many were moved: 0 when the channel is
     * masked or its controller disabled, fewer than size when the count ran out.
     * *terminal_count says whether it did.
     */
    size_t (*transfer)(void *ctx, unsigned index, uint8_t *buffer, size_t size,
                       bool *terminal_count);
};

#endif
