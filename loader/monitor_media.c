/*
 * loader/monitor_media.c -- info block, eject, change, screendump.
 */
#include <stdlib.h>
#include <string.h>

#include "loader/display.h"
#include "loader/image.h"
#include "loader/monitor_internal.h"

enum { DESCRIPTION_BYTES = IMAGE_PATH_BYTES + 256 };

void monitor_info_block(struct monitor_line *line)
{
    struct image_host *host = line->m->images;
    char text[DESCRIPTION_BYTES];

    for (const struct image *image = host != NULL ? image_next(host, NULL) : NULL; image != NULL;
         image = image_next(host, image)) {
        image_describe(image, text, sizeof(text));
        fprintf(line->out, "%s\n", text);
    }
}

/* "[-f] DRIVE": *first is the number of the word behind it. */
static struct image *take_drive(struct monitor_line *line, bool *force, unsigned *first)
{
    const unsigned at = line->count > 1 && !strcmp(line->word[1], "-f") ? 2 : 1;
    struct image *image;

    *force = at == 2;
    *first = at + 1;
    if (at >= line->count) {
        fprintf(line->out, "%s: which drive? (info block lists them)\n", line->word[0]);
        return NULL;
    }
    image = line->m->images != NULL ? image_find(line->m->images, line->word[at]) : NULL;
    if (image == NULL)
        fprintf(line->out, "Device '%s' not found\n", line->word[at]);
    return image;
}

void monitor_eject(struct monitor_line *line)
{
    struct error error = {0};
    unsigned first;
    bool force;
    struct image *image = take_drive(line, &force, &first);

    if (image != NULL && !image_eject(image, force, &error))
        fprintf(line->out, "%s\n", error.text);
}

/* An empty CD-ROM drive does not say yet that its media are read only. */
static bool is_cdrom(const struct machine *m, struct image *image)
{
    for (unsigned i = 0; i < 4; i++) {
        const struct pc_drive *drive = &m->config.ide[i / 2][i % 2];

        if (drive->backend == image_backend(image))
            return drive->is_cdrom;
    }
    return false;
}

static void change_password(struct monitor_line *line)
{
    if (line->count != 4 || strcmp(line->word[2], "password") != 0)
        fprintf(line->out, "change vnc password WORD\n");
    else if (!displays_set_vnc_password(line->m->displays, line->word[3]))
        fprintf(line->out, "there is no VNC server\n");
}

/* "FILE [FORMAT [retain|read-only|read-write]]" from word `first` on. */
static bool take_medium(struct monitor_line *line, unsigned first, struct image *image,
                        struct image_spec *spec)
{
    const char *format = first + 1 < line->count ? line->word[first + 1] : "";
    const char *mode = first + 2 < line->count ? line->word[first + 2] : "retain";

    if (first >= line->count || first + 3 < line->count ||
        strlen(line->word[first]) >= sizeof(spec->file) || strlen(format) >= sizeof(spec->format) ||
        (strcmp(mode, "retain") != 0 && strcmp(mode, "read-only") != 0 &&
         strcmp(mode, "read-write") != 0)) {
        fprintf(line->out, "change [-f] DRIVE FILE [FORMAT [retain|read-only|read-write]]\n");
        return false;
    }
    strcpy(spec->file, line->word[first]);
    strcpy(spec->format, format);
    spec->read_only = is_cdrom(line->m, image) || !strcmp(mode, "read-only") ||
                      (!strcmp(mode, "retain") && image_backend(image)->read_only);
    spec->snapshot = line->m->options->drives.snapshot;
    return true;
}

void monitor_change(struct monitor_line *line)
{
    struct image_spec spec = {0};
    struct error error = {0};
    struct image *image;
    unsigned first;
    bool force;

    if (line->count > 1 && !strcmp(line->word[1], "vnc")) {
        change_password(line);
        return;
    }
    image = take_drive(line, &force, &first);
    if (image == NULL || !take_medium(line, first, image, &spec))
        return;
    if (!image_change(image, &spec, force, &error))
        fprintf(line->out, "%s\n", error.text);
}

void monitor_screendump(struct monitor_line *line)
{
    struct error error = {0};

    if (line->count != 2)
        fprintf(line->out, "screendump FILE.png\n");
    else if (!display_screendump(line->m->pc, line->word[1], &error))
        fprintf(line->out, "%s\n", error.text);
}
