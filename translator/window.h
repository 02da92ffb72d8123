/*
 * translator/window.h -- one address space mirrored in host address space; translator/windows.c has
 * several of them and decides which one generated code sees.
 *
 * A window has regions, ranges of host address space that stand for 512 GiB of linear addresses
 * each, and chunks: what is mapped in 2 MiB of linear addresses, and by which entries of the
 * guest's page tables.  Entries of the root table are known by their place in it, as the
 * supervisor's window is used under all roots.
 */
#ifndef RINGER_TRANSLATOR_WINDOW_H
#define RINGER_TRANSLATOR_WINDOW_H

#include "translator/windows.h"

#define WINDOW_REGION_BYTES (UINT64_C(1) << WINDOW_REGION_SHIFT)

/* What all windows of a CPU share. */
struct window_host {
    struct cpu *cpu;
    uint8_t *backing; /* guest RAM's memfd, as the host has it */
    uint64_t backing_bytes;
    uint8_t *writers;  /* by page of it: writable mappings; stays at 255 */
    unsigned mappings; /* in the host's list of them, at the most, and chunks */
    unsigned regions;
    struct windows_counters counters;
};

struct window_region {
    uint64_t slot; /* linear address >> WINDOW_REGION_SHIFT */
    uint8_t *host; /* of the region's first linear address */
};

/* An entry of the root table through which something is mapped. */
struct window_root {
    linaddr_t linear;
    uint64_t value;
};

enum {
    WINDOW_REGIONS_MAX = 12,
    WINDOW_REGIONS_MOST = 128, /* of all windows: 80 of the 128 TiB of host address space */
    WINDOW_ROOTS_MAX = 512,
    WINDOW_HASH_BITS = 8,
};

struct window_chunk;

struct window {
    enum tlb_view view; /* the user's: one for each root; the supervisor's: one */
    uint64_t root;      /* of the user's: CR3 without the bits that do not name the tables */
    unsigned pcid;
    uint64_t control; /* the control bits it was made under */
    unsigned ticks;   /* how often it was found in use */
    bool stale;       /* flushed while it was not current */
    bool global;      /* has global pages, which flushes of other address spaces can drop */
    uint64_t used_at;
    unsigned pages;    /* mapped */
    unsigned mappings; /* of the host, at the most, and chunks */
    unsigned chunk_count;
    unsigned largest;      /* of the guest's pages that chunks stand for, as a power of two */
    unsigned local_chunks; /* with pages that are not global */
    struct window_region regions[WINDOW_REGIONS_MAX];
    unsigned region_count;
    struct window_root roots[WINDOW_ROOTS_MAX]; /* of the supervisor's */
    unsigned root_count;
    struct window_chunk *chunks[1 << WINDOW_HASH_BITS];
};

/* Host address space in which nothing is mapped; the guards around it are reserved with it.  NULL:
 * the host refuses. */
uint8_t *window_reserve(void);
void window_release(uint8_t *at);
/* Is the host address in the range or its guards? */
bool window_reserved(const uint8_t *at, uint64_t host);

/* For the current address space.  NULL: no memory. */
struct window *window_create(struct window_host *host, enum tlb_view view);
void window_destroy(struct window_host *host, struct window *w);
/* Nothing is mapped afterwards. */
void window_empty(struct window_host *host, struct window *w);

/* Is it that of the current address space? */
bool window_is_current(const struct window_host *host, const struct window *w);
/* A region for each part of the address space that the root table mentions.  True: there is a new
 * one. */
bool window_add_regions(struct window_host *host, struct window *w);
/* Host address of a linear one; NULL: it has no region. */
uint8_t *window_host_of(const struct window *w, linaddr_t linear);
/* The region around a host address, guards included, or NULL. */
const struct window_region *window_region_at(const struct window *w, uint64_t host);

/* Map the page at this host address, and what is mapped around it.  The interpreter has just used
 * it, so its accessed and dirty bits are set.  False: it must not be there. */
bool window_fill(struct window_host *host, struct window *w, uint64_t address);

/* Drop what the guest's page tables no longer say. */
void window_revalidate(struct window_host *host, struct window *w);
/* The same after a load of CR3 that leaves global pages alone; of the supervisor's. */
void window_revalidate_local(struct window_host *host, struct window *w);
void window_drop_page(struct window_host *host, struct window *w, linaddr_t linear);
/* No stores to page `frame` of guest RAM's memfd. */
void window_drop_writes(struct window_host *host, struct window *w, uint64_t frame);

#endif
