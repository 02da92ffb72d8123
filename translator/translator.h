/*
 * translator/translator.h -- the dynamic binary translator, as the board sees it.
 */
#ifndef RINGER_TRANSLATOR_TRANSLATOR_H
#define RINGER_TRANSLATOR_TRANSLATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "cpu/interp.h"

struct translator;

struct translator_options {
    uint64_t cache_bytes;  /* 0: default (128 MiB); 1 MiB to 2 GiB */
    unsigned cache_policy; /* number of one, see translator_cache_policy() */
    bool no_chain;         /* every block returns to the dispatcher */
    bool no_superblock;    /* blocks end at the first control transfer */
    bool count_heads;      /* superblocks by visits that blocks count, not by samples */
    bool eager_path;       /* loops become superblocks when first seen; for tests */
    bool eager_superblock; /* none does that needs not, from the start; for tests */
    bool no_rename;        /* superblocks have the registers of all blocks */
    bool no_loop;          /* LOOP nowhere, even where the host is quick at it */
    bool no_extend;        /* blocks end at their first jump */
    bool no_tree;          /* superblocks go one way */
    bool no_hosted;        /* superblocks keep no host addresses of bases */
    bool no_copy;          /* code at another linear address is translated anew */
    bool no_adopt;         /* what processes leave behind is copied, too */
    bool check_copy;       /* so it is, and compared with the copy; for tests */
    bool no_guard;         /* superblocks end at jumps whose target is computed */
    bool no_guess;         /* superblocks look the regions of operands up, as other blocks do */
    bool no_retcache;      /* returns go by the jump cache */
    bool no_group;         /* probe every access by itself */
    bool no_window;        /* no windows: every access is probed */
    bool eager_window;     /* every address space gets a window at once */
    bool no_smc;    /* nothing special for code that is rewritten and what is stored beside it */
    bool eager_smc; /* all immediates that can be data are, all stores look beside code */
    bool no_bmi2;   /* emit for a host without SHRX and RORX */
    bool counted;   /* keep cpu->icount exact at every block boundary (counted time) */
    FILE *log;      /* for log_in_asm / log_out_asm; NULL: stderr */
    bool log_in_asm, log_out_asm;
};

/* Name of what the translation cache does when it is full, and in *summary what that is; 0 is the
 * default, NULL comes after the last. */
const char *translator_cache_policy(unsigned number, const char **summary);

/* One per machine; NULL when the host refuses the mappings. */
struct translator *translator_create(struct physmem *mem, const struct translator_options *options);
void translator_destroy(struct translator *tr);
/* Let `cpu` run through this translator. 0 or -ENOMEM. */
int translator_attach(struct translator *tr, struct cpu *cpu);
void translator_detach(struct translator *tr, struct cpu *cpu);

/*
 * As interp_run().  With a finite max_insns the translator stops at the first block boundary at or
 * after max_insns (only meaningful with options.counted); events are serviced at boundaries.
 */
enum run_exit translator_run(struct translator *tr, struct cpu *cpu, uint64_t max_insns);

/* A debugger has set a breakpoint at `linear` (cpu/debugger.h): code that runs across it is
 * dropped. While the CPU does not run. */
void translator_add_breakpoint(struct translator *tr, linaddr_t linear);

/* Log blocks that are translated from now on, to options.log. */
void translator_set_log(struct translator *tr, bool in_asm, bool out_asm);

/* Counters, one "name value" line each, for -d stats. */
void translator_print_stats(const struct translator *tr, FILE *out);

#endif
