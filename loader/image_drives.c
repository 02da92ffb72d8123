/*
 * loader/image_drives.c -- from the drives on the command line to drives of the board.
 * Source of the items' names: SeaBIOS, docs/Runtime_config.md.
 */
#include "loader/image_drives.h"

#include <stdio.h>
#include <string.h>

#define BOOT_ORDER_DEFAULT "cad"

static bool open_drive(const struct drive_spec *drive, bool isolated, struct image_host *host,
                       struct pc_config *config, struct error *error)
{
    struct pc_drive *place = drive->interface == DRIVE_FLOPPY
                                 ? &config->floppy[drive->unit]
                                 : &config->ide[drive->bus][drive->unit];
    struct image_spec spec = drive->image;
    struct image *image;

    spec.snapshot |= isolated;
    if (isolated) /* nobody could let one of them go on */
        spec.on_read_error = spec.on_write_error = ON_ERROR_REPORT;
    image = image_open(host, drive->name, &spec,
                       drive->is_cdrom || drive->interface == DRIVE_FLOPPY, error);
    if (image == NULL)
        return false;
    *place = (struct pc_drive){
        .backend = image_backend(image),
        .is_cdrom = drive->is_cdrom,
        .serial = drive->serial[0] != '\0' ? drive->serial : NULL,
        .model = drive->model[0] != '\0' ? drive->model : NULL,
        .geometry = drive->geometry,
    };
    return true;
}

struct image_host *image_drives_open(const struct drive_list *list, bool synchronous, bool isolated,
                                     struct pc_config *config, struct error *error)
{
    struct image_host *host = image_host_create(synchronous || isolated);

    if (host == NULL) {
        (void)error_set(error, "not enough host memory or descriptors for the drives");
        return NULL;
    }
    for (unsigned i = 0; i < list->count; i++) {
        if (!open_drive(&list->drives[i], isolated, host, config, error)) {
            image_host_destroy(host);
            return NULL;
        }
    }
    return host;
}

static void put(uint8_t *to, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void add(struct firmware_boot *boot, const char *file, const void *data, size_t size)
{
    boot->items[boot->count++] = (struct pc_fw_item){.file = file, .data = data, .size = size};
}

void image_drives_boot(const struct options *o, struct firmware_boot *boot,
                       struct pc_config *config)
{
    size_t used;

    boot->count = 0;
    config->boot_order = o->boot_once[0] != '\0'    ? o->boot_once
                         : o->boot_order[0] != '\0' ? o->boot_order
                                                    : NULL;
    config->boot_menu = o->boot_menu;
    drive_boot_order(&o->drives, boot->order, sizeof(boot->order) - sizeof("\nHALT"));
    used = strlen(boot->order);
    if (o->boot_strict) /* nothing that is not in the list */
        used += (size_t)sprintf(boot->order + used, "%sHALT", used != 0 ? "\n" : "");
    if (used != 0)
        add(boot, "bootorder", boot->order, used + 1);
    if (o->boot_menu_wait_ms >= 0) {
        put(boot->menu_wait, (uint32_t)o->boot_menu_wait_ms, sizeof(boot->menu_wait));
        add(boot, "etc/boot-menu-wait", boot->menu_wait, sizeof(boot->menu_wait));
    }
    if (o->boot_fail_wait_ms >= 0 || o->boot_fail_wait_ms == BOOT_FAIL_STAY) {
        put(boot->fail_wait,
            o->boot_fail_wait_ms >= 0 ? (uint32_t)o->boot_fail_wait_ms : UINT32_MAX,
            sizeof(boot->fail_wait));
        add(boot, "etc/boot-fail-wait", boot->fail_wait, sizeof(boot->fail_wait));
    }
}

const char *image_drives_next_order(const struct options *o)
{
    if (o->boot_once[0] == '\0')
        return NULL;
    return o->boot_order[0] != '\0' ? o->boot_order : BOOT_ORDER_DEFAULT;
}
