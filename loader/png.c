/*
 * loader/png.c -- a picture of the screen as a file: PNG through libpng, or PPM.
 *
 * PPM needs no library: "P6", width, height, 255, then three bytes a pixel.
 */
#include "loader/png.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef RINGER_HAVE_PNG
#include <png.h>
#endif

static bool wants_png(const char *path)
{
    const size_t length = strlen(path);

    return length >= 4 && strcasecmp(path + length - 4, ".png") == 0;
}

/* Three bytes a pixel, as both formats have them. */
static void row_bytes(const struct display_surface *surface, uint32_t y, uint8_t *out)
{
    const uint32_t *pixels = surface->pixels + (size_t)y * surface->width;

    for (uint32_t x = 0; x < surface->width; x++) {
        *out++ = (uint8_t)(pixels[x] >> 16);
        *out++ = (uint8_t)(pixels[x] >> 8);
        *out++ = (uint8_t)pixels[x];
    }
}

/* errno says why it failed. */
static bool write_ppm(FILE *file, const struct display_surface *surface, uint8_t *row)
{
    if (fprintf(file, "P6\n%u %u\n255\n", surface->width, surface->height) < 0)
        return false;
    for (uint32_t y = 0; y < surface->height; y++) {
        row_bytes(surface, y, row);
        if (fwrite(row, 3, surface->width, file) != surface->width)
            return false;
    }
    return true;
}

#ifdef RINGER_HAVE_PNG
static bool write_png(FILE *file, const struct display_surface *surface, uint8_t *row)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;

    errno = ENOMEM;
    if (info == NULL || setjmp(png_jmpbuf(png)) != 0) { /* libpng's errors come back here */
        png_destroy_write_struct(&png, &info);
        return false;
    }
    errno = EIO;
    png_init_io(png, file);
    png_set_IHDR(png, info, surface->width, surface->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, 3);
    png_write_info(png, info);
    for (uint32_t y = 0; y < surface->height; y++) {
        row_bytes(surface, y, row);
        png_write_row(png, row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}
#else
static bool write_png(FILE *file, const struct display_surface *surface, uint8_t *row)
{
    (void)file, (void)surface, (void)row;
    errno = ENOSYS; /* picture_write() has refused already */
    return false;
}
#endif

bool picture_write(const char *path, const struct display_surface *surface, struct error *error)
{
    const bool png = wants_png(path);
    struct stat status;
    uint8_t *row;
    FILE *file;
    bool ok;

#ifndef RINGER_HAVE_PNG
    if (png)
        return error_set(error, "%s: built without libpng; a name ending in .ppm works", path);
#endif
    row = malloc((size_t)surface->width * 3);
    if (row == NULL)
        return error_set(error, "%s: not enough host memory", path);
    file = fopen(path, "we");
    if (file == NULL) {
        free(row);
        return error_set(error, "%s: %s", path, strerror(errno));
    }
    errno = 0;
    ok = png ? write_png(file, surface, row) : write_ppm(file, surface, row);
    free(row);
    if (fclose(file) != 0)
        ok = false;
    if (ok)
        return true;
    ok = error_set(error, "%s: %s", path, strerror(errno != 0 ? errno : EIO));
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode)) /* not somebody's device */
        unlink(path);
    return ok;
}
