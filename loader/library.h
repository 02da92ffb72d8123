/*
 * loader/library.h -- shared libraries that are loaded when somebody asks for what they do.
 *
 * SDL2, libvncserver and libnbd bring some sixty others along, which cost each start 10 to 20 ms
 * and 8 MiB, and most machines have neither screen nor NBD.  NAME.def lists the symbols that are
 * used, each as SYMBOL(name); their user makes a struct of typed pointers of it, in that order, and
 * calls through that, so that the compiler still checks calls against the library's own header.
 */
#ifndef RINGER_LOADER_LIBRARY_H
#define RINGER_LOADER_LIBRARY_H

#include <stddef.h>

#include "loader/error.h"

#define LIBRARY_POINTER(name) __typeof__(name) *name;
#define LIBRARY_NAME(name)    #name,

/*
 * Load a library for good and look its symbols up.  file: its soname, as the program was built
 * with; names: `count` of them; pointers: a struct of as many pointers, filled.  False with the
 * error set ("WHAT: what is wrong") when the library or a symbol is not there.
 */
bool library_load(const char *what, const char *file, const char *const *names, void *pointers,
                  size_t count, struct error *error);

#endif
