/*
 * loader/signals.h -- every way out of the process leaves the terminal as it was.
 *
 * Holds the loader's one piece of global state, because a signal handler has no argument: which
 * terminal is in raw mode, what it was like before, and whom to tell that the process must end.
 */
#ifndef RINGER_LOADER_SIGNALS_H
#define RINGER_LOADER_SIGNALS_H

#include <stdbool.h>

/*
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT: restore the terminal and call stop(ctx), once, in signal
 * context; if the process has not ended three seconds later, or on a second signal, it dies of it.
 * SIGSEGV and its like: restore the terminal and die of it.  Call before the machine is created.
 */
void signals_install(void (*stop)(void *ctx), void *ctx);
/*
 * Let the handlers that libraries have installed (ncurses: the terminal's size) run on the alternate
 * stack, as ours do: the CPU's thread may be in translated code, whose RSP has no room for them.
 */
void signals_use_alternate_stack(void);
/* The signal that asked the process to end, or 0. */
int signals_pending(void);
/* The orderly end after signals_pending(): die of it, so that the parent sees it. */
void signals_die(void);

/*
 * Put the terminal `fd` into raw mode: every key goes to the reader, and Ctrl-C too unless
 * keep_signals.  False (errno) when fd is no terminal.  Restored by signals_restore_terminal(), at
 * exit(), and by the handlers above; entered again on SIGCONT.
 */
bool signals_raw_terminal(int fd, bool keep_signals);
void signals_restore_terminal(void);

#endif
