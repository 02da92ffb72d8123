/*
 * cpu/physmem.h -- the guest-physical address space: RAM, ROM, MMIO, page by page.
 *
 * Guest RAM (and ROM copies) live in one memfd, mapped once in the host, so that further
 * mappings of it (windows) can be made.  MMIO goes to callbacks.  Every page that holds decoded or
 * translated code is marked, so that a store to it is noticed.
 * Accesses to addresses that nothing claims read as all ones and ignore writes.
 */
#ifndef RINGER_CPU_PHYSMEM_H
#define RINGER_CPU_PHYSMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t physaddr_t;

struct physmem;

struct mmio_ops {
    /* offset from the start of the region; size 1, 2, 4 or 8 bytes, never crossing the region. */
    uint64_t (*read)(void *ctx, uint64_t offset, unsigned size);
    void (*write)(void *ctx, uint64_t offset, unsigned size, uint64_t value);
};

enum phys_flag {
    PHYS_RAM = 1,   /* host pointer may be read */
    PHYS_WRITE = 2, /* host pointer may be written (RAM, not ROM) */
    PHYS_MMIO = 4,  /* neither: call the region's mmio_ops */
    PHYS_CODE = 8,  /* some cache holds code of this page: report stores */
};

/* Page descriptor.  host == NULL for MMIO and holes. */
struct phys_page {
    uint8_t *host;
    uint8_t flags; /* enum phys_flag */
};

/* backing_bytes: size of the memfd: RAM plus ROMs plus VGA memory, as the board lays it out. */
struct physmem *physmem_create(uint64_t backing_bytes, unsigned phys_bits);
void physmem_destroy(struct physmem *pm);
/* Host address of byte `offset` of the backing; for the board to load ROMs into. */
uint8_t *physmem_backing(struct physmem *pm, uint64_t offset);
uint64_t physmem_backing_size(const struct physmem *pm);
int physmem_fd(const struct physmem *pm);

/* Map [gpa, gpa + size) to the backing at `offset`.  writable false: ROM, stores are dropped.
 * Page-aligned.  Replaces what was there (PAM, BARs that move).  Returns 0 or -EINVAL. */
int physmem_map(struct physmem *pm, physaddr_t gpa, uint64_t size, uint64_t offset, bool writable);
/* Every access to [gpa, gpa + size) goes to the callbacks, in naturally aligned pieces.  Any
 * alignment; replaces what was there, and a page that it shares with RAM loses that RAM.
 * Returns 0, -EINVAL (empty, or beyond phys_bits) or -ENOMEM. */
int physmem_map_mmio(struct physmem *pm, physaddr_t gpa, uint64_t size, const struct mmio_ops *ops,
                     void *ctx);
/* Make it a hole: whole pages of RAM, exact bytes of MMIO. */
int physmem_unmap(struct physmem *pm, physaddr_t gpa, uint64_t size);

/* Never NULL: holes yield a descriptor without host pointer and flags. */
const struct phys_page *physmem_page(const struct physmem *pm, physaddr_t gpa);

/* Access by the CPU or by a device (DMA); any alignment; size 1, 2, 4, 8. May cross pages. */
uint64_t physmem_read(struct physmem *pm, physaddr_t gpa, unsigned size);
void physmem_write(struct physmem *pm, physaddr_t gpa, unsigned size, uint64_t value);
/* Bulk copies for DMA and loaders: RAM and ROM only, MMIO and holes read as ones, drop writes. */
void physmem_read_bytes(struct physmem *pm, physaddr_t gpa, void *buffer, size_t size);
void physmem_write_bytes(struct physmem *pm, physaddr_t gpa, const void *buffer, size_t size);

/*
 * Code tracking, at 64-byte grain.  A cache that keeps code made from guest bytes marks them; a
 * store (CPU slow path or DMA) that overlaps a marked grain calls every listener with the written
 * range; the listener drops its code and physmem_code_clear()s what no cache needs any more.
 * While a page has marked grains, physmem_page()->flags has PHYS_CODE, and no TLB write tag may
 * be valid for it: on_mark is called the moment a page gets its first mark, so that CPUs drop them.
 * A store counts from the first to the last byte that it changes.
 */
typedef void (*physmem_store_fn)(void *ctx, physaddr_t gpa, size_t size);
typedef void (*physmem_page_fn)(void *ctx, physaddr_t page);
int physmem_add_code_listener(struct physmem *pm, physmem_store_fn on_store,
                              physmem_page_fn on_mark, void *ctx);
void physmem_remove_code_listener(struct physmem *pm, void *ctx);
void physmem_code_mark(struct physmem *pm, physaddr_t gpa, size_t size);
/* Drop all marks of the page (the owner of the last code on it calls this). Marks are the union
 * of all caches', so clear only through physmem_code_release(). */
/* Per-cache reference counts: each cache calls mark once when a block begins to use a grain range
 * and release once when the block is dropped. */
void physmem_code_release(struct physmem *pm, physaddr_t gpa, size_t size);
/* The same by who is likely to make code there again if it is a store that drops it: then the page
 * keeps PHYS_CODE until some more stores have come. */
void physmem_code_drop(struct physmem *pm, physaddr_t gpa, size_t size);
bool physmem_code_overlaps(const struct physmem *pm, physaddr_t gpa, size_t size);
/* How many stores by physmem_write() went to pages with PHYS_CODE, and where the last was. */
uint64_t physmem_code_page_stores(const struct physmem *pm, physaddr_t *last);
/*
 * For each byte of the page at gpa: 0 if no cache has code of it.  Stores to such bytes may be made
 * unseen, PHYS_CODE notwithstanding.  The page gets such a map when it is first asked for with make,
 * which has all caches drop their code of it.  Good until on_forget is called for the page.
 * NULL: there is none.
 */
const uint8_t *physmem_code_bytes(struct physmem *pm, physaddr_t gpa, bool make);
/* For the listener that was added with ctx. */
void physmem_on_code_forgotten(struct physmem *pm, physmem_page_fn on_forget, void *ctx);
/* Report a store that the caller has already made through a host pointer to a PHYS_CODE page. */
void physmem_code_stored(struct physmem *pm, physaddr_t gpa, size_t size);

/* Called after the map changed (PAM, BAR, A20): CPUs flush TLBs and code caches. */
typedef void (*physmem_changed_fn)(void *ctx, physaddr_t gpa, uint64_t size);
int physmem_add_map_listener(struct physmem *pm, physmem_changed_fn fn, void *ctx);
void physmem_remove_map_listener(struct physmem *pm, void *ctx);

#endif
