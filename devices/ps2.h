/*
 * devices/ps2.h -- the cable between the keyboard controller and a PS/2 device.
 *
 * The device owns the struct and fills its half when it is created; the controller fills the
 * other half when it is given the port.  The device queues what it has to say; the controller
 * takes a byte at a time, when its output buffer is free and the cable is not inhibited.
 */
#ifndef RINGER_DEVICES_PS2_H
#define RINGER_DEVICES_PS2_H

#include <stdbool.h>
#include <stdint.h>

struct ps2_port {
    void *device;
    void (*write)(void *device, uint8_t byte); /* controller to device */
    bool (*pending)(void *device);             /* has the device a byte to send? */
    uint8_t (*take)(void *device);             /* that byte; 0 when there is none */
    void *controller;
    void (*ready)(void *controller); /* the device has a byte to send; NULL: nobody listens */
};

#endif
