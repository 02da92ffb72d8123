/*
 * devices/fw_cfg.h -- QEMU's firmware configuration device: items and files for the firmware.
 */
#ifndef RINGER_DEVICES_FW_CFG_H
#define RINGER_DEVICES_FW_CFG_H

#include <stddef.h>
#include <stdint.h>

#include "devices/bus.h"

enum { /* selector keys */
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_BOOT_MENU = 0x0E,
    FW_CFG_MAX_CPUS = 0x0F,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_ARCH_LOCAL = 0x8000,
    FW_CFG_IRQ0_OVERRIDE = FW_CFG_ARCH_LOCAL + 2,
};

enum { FW_CFG_FILE_NAME_SIZE = 56 }; /* the terminating zero included */

struct fw_cfg;

/* Ports 0x510..0x51B.  NULL when out of memory or when a port is taken. */
struct fw_cfg *fw_cfg_create(struct bus *bus);
void fw_cfg_destroy(struct fw_cfg *dev);
void fw_cfg_reset(struct fw_cfg *dev);
/* Add an item (a key below FW_CFG_FILE_FIRST, or an FW_CFG_ARCH_LOCAL one below 0x8020) or a file;
 * the bytes are copied; an item that exists is replaced.  0, -ENOMEM, -EINVAL (bad key or name),
 * -ENOSPC (too many files). */
int fw_cfg_add(struct fw_cfg *dev, uint16_t key, const void *data, size_t size);
int fw_cfg_add16(struct fw_cfg *dev, uint16_t key, uint16_t value);
int fw_cfg_add32(struct fw_cfg *dev, uint16_t key, uint32_t value);
int fw_cfg_add64(struct fw_cfg *dev, uint16_t key, uint64_t value);
int fw_cfg_add_file(struct fw_cfg *dev, const char *name, const void *data, size_t size);

#endif
