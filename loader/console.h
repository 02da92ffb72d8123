/*
 * loader/console.h -- the user's terminal (or pipes) as a serial port: -serial stdio, -nographic.
 */
#ifndef RINGER_LOADER_CONSOLE_H
#define RINGER_LOADER_CONSOLE_H

#include "loader/chardev.h"

/*
 * Standard input and output.  A terminal is put into raw mode (loader/signals.h restores it).
 * mux: Ctrl-A begins a command, and Ctrl-C goes to the guest; otherwise every byte is the guest's
 * and Ctrl-C ends the process.
 */
bool console_open(bool mux, struct chardev **out, struct error *error);

#endif
