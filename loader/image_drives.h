/*
 * loader/image_drives.h -- from the drives on the command line to drives of the board, and what the
 * firmware is told about booting from them.
 */
#ifndef RINGER_LOADER_IMAGE_DRIVES_H
#define RINGER_LOADER_IMAGE_DRIVES_H

#include "devices/pc.h"
#include "loader/drive_options.h"
#include "loader/image.h"
#include "loader/options.h"

enum { FIRMWARE_BOOT_ITEMS = 3, FIRMWARE_ORDER_BYTES = 2048 };

/* Open the images and put them into config->ide and config->floppy; their strings stay the list's.
 * isolated: for machines beside each other (lockstep): nothing is written to an image, and requests
 * end at once.  The images live until image_host_destroy(), after the machine.  NULL: see error. */
struct image_host *image_drives_open(const struct drive_list *list, bool synchronous, bool isolated,
                                     struct pc_config *config, struct error *error);

/* What -boot and bootindex= ask for. */
struct firmware_boot {
    struct pc_fw_item items[FIRMWARE_BOOT_ITEMS];
    unsigned count;
    char order[FIRMWARE_ORDER_BYTES];
    uint8_t menu_wait[2], fail_wait[4];
};

/* Into the board's configuration, too: order and menu.  *boot lives until the machine is created. */
void image_drives_boot(const struct options *options, struct firmware_boot *boot,
                       struct pc_config *config);
/* The order from the second start on, when -boot once= was for the first only; else NULL. */
const char *image_drives_next_order(const struct options *options);

#endif
