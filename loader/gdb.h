/*
 * loader/gdb.h -- a stub for gdb's remote serial protocol: the guest under a stock gdb.
 * Source: the gdb manual, appendix "GDB Remote Serial Protocol".
 *
 * The machine is one process with one thread, its CPU.  When gdb connects, the machine stops.  Detach
 * lets it go on, kill ends the program.  A gdb that vanishes leaves the machine as it was, without
 * the breakpoints.
 */
#ifndef RINGER_LOADER_GDB_H
#define RINGER_LOADER_GDB_H

#include "loader/chardev.h"

struct machine;
struct gdb;

/* A stub on `dev`, which outlives it.  NULL: not enough host memory. */
struct gdb *gdb_open(struct machine *m, struct chardev *dev);
/* The program ends with this status: tell gdb. */
void gdb_exited(struct gdb *gdb, int status);
void gdb_close(struct gdb *gdb); /* NULL is allowed; before pc_destroy() */

#endif
