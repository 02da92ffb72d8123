/*
 * loader/monitor.h -- the machine's control panel: QEMU's human monitor, for the words we have.
 *
 * A session is a line editor on a byte stream (-monitor, or the terminal behind Ctrl-A c); every
 * line goes to monitor_command(), which gdb's `monitor` command uses as well.  The prompt is QEMU's,
 * "(qemu) ", since scripts wait for it.
 */
#ifndef RINGER_LOADER_MONITOR_H
#define RINGER_LOADER_MONITOR_H

#include <stdio.h>

#include "loader/chardev.h"

struct machine;
struct monitor;

/* Execute one line; what it has to say goes to `out`, lines ended by \n. */
void monitor_command(struct machine *m, const char *line, FILE *out);

/*
 * A session on `dev`, which outlives it.  mux: dev is a serial port's as well, and the session has
 * the terminal while Ctrl-A c says so; else it has dev for itself.  NULL: not enough host memory.
 */
struct monitor *monitor_open(struct machine *m, struct chardev *dev, bool mux);
void monitor_close(struct monitor *monitor); /* NULL is allowed */

#endif
