/*
 * loader/chardev_socket.h -- a stream socket as the host end of a byte stream: serial ports,
 * monitor, gdb.
 *
 *   unix:PATH[,server[=on|off]][,nowait | ,wait=on|off]
 *   tcp:[HOST]:PORT[,server...][,nowait...][,telnet=on|off][,nodelay...]
 *   telnet:[HOST]:PORT[,server...][,nowait...]
 *
 * as QEMU's users write it.  A server serves one client at a time, the next when that has gone.
 * Without a host it is the loopback address: other machines reach it only when an address is named.
 * A unix socket is for the user alone (mode 0600), and is removed at the end.
 */
#ifndef RINGER_LOADER_CHARDEV_SOCKET_H
#define RINGER_LOADER_CHARDEV_SOCKET_H

#include "loader/chardev.h"

/* Does `text` begin as one of the forms above? */
bool chardev_socket_probe(const char *text);
/* Bind and listen, or connect.  `text` as above; server: as if ",server,nowait" were there. */
bool chardev_socket_open(const char *text, bool server, const char *label, struct chardev **out,
                         struct error *error);

#endif
