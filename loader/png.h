/*
 * loader/png.h -- a picture of the screen as a file.
 */
#ifndef RINGER_LOADER_PNG_H
#define RINGER_LOADER_PNG_H

#include <stdbool.h>

#include "devices/display.h"
#include "loader/error.h"

/* Write a file: PNG when its name ends in .png, else binary PPM.  False with the error set ("FILE:
 * why"); an incomplete file is removed. */
bool picture_write(const char *path, const struct display_surface *surface, struct error *error);

#endif
