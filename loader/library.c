/*
 * loader/library.c -- shared libraries, loaded when needed.
 */
#include "loader/library.h"

#include <dlfcn.h>
#include <string.h>

bool library_load(const char *what, const char *file, const char *const *names, void *pointers,
                  size_t count, struct error *error)
{
    /* Never closed: libraries with threads and exit handlers of their own do not bear it. */
    void *handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    char *to = pointers;

    if (handle == NULL)
        return error_set(error, "%s: %s", what, dlerror());
    for (size_t i = 0; i < count; i++) {
        void *symbol = dlsym(handle, names[i]);

        if (symbol == NULL)
            return error_set(error, "%s: %s has no %s", what, file, names[i]);
        memcpy(to + i * sizeof(symbol), &symbol, sizeof(symbol));
    }
    return true;
}
