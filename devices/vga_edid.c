/*
 * devices/vga_edid.c -- the monitor's own description, read by drivers through BAR 2.
 * Source: VESA Enhanced EDID Standard, Release A, Revision 1 ("EDID 1.3"), chapter 3; timing of
 * 1280x800 from VESA Coordinated Video Timings.
 */
#include <string.h>

#include "devices/vga_internal.h"

enum {
    EDID_HEADER = 0,
    EDID_MANUFACTURER = 8,
    EDID_VERSION = 18,
    EDID_BASIC = 20,
    EDID_CHROMATICITY = 25,
    EDID_ESTABLISHED = 35,
    EDID_STANDARD = 38,
    EDID_STANDARD_COUNT = 8,
    EDID_DETAILED = 54,
    EDID_DESCRIPTOR_SIZE = 18,
    EDID_CHECKSUM = 127,

    DESCRIPTOR_NAME = 0xFC,
    DESCRIPTOR_RANGES = 0xFD,
};

/* Aspect ratio of a standard timing, in its two high bits. */
enum { ASPECT_16_10 = 0 << 6, ASPECT_4_3 = 1 << 6, ASPECT_5_4 = 2 << 6, ASPECT_16_9 = 3 << 6 };

/* 1280x800 at 60 Hz, the preferred mode: pixel clock 83.5 MHz, 1680 x 831 with blanking. */
static const uint8_t preferred[EDID_DESCRIPTOR_SIZE] = {
    0x9E, 0x20,             /* 8350 * 10 kHz */
    0x00, 0x90, 0x51,       /* 1280 active, 400 blank */
    0x20, 0x1F, 0x30,       /* 800 active, 31 blank */
    0x48, 0x80, 0x36, 0x00, /* sync: 72 after active, 128 wide; 3 after, 6 wide */
    0x40, 0xC8, 0x10,       /* 320 mm by 200 mm */
    0x00, 0x00, 0x1C,       /* no border; separate sync, vertical positive */
};

static void put_text(uint8_t *at, uint8_t type, const char *text)
{
    const size_t length = strlen(text);

    memset(at, 0, 5);
    at[3] = type;
    memset(at + 5, ' ', 13);
    memcpy(at + 5, text, length);
    at[5 + length] = '\n';
}

void vga_edid_make(uint8_t edid[VGA_EDID_SIZE])
{
    static const uint8_t header[8] = {0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0};
    static const uint8_t srgb[10] = {0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54};
    static const struct {
        uint16_t width;
        uint8_t aspect;
    } standard[] = {{1920, ASPECT_16_10}, {1920, ASPECT_16_9},  {1680, ASPECT_16_10},
                    {1600, ASPECT_4_3},   {1440, ASPECT_16_10}, {1280, ASPECT_5_4},
                    {1280, ASPECT_4_3},   {1152, ASPECT_4_3}};
    /* vertical 50..125 Hz, horizontal 30..160 kHz, up to 240 MHz */
    static const uint8_t ranges[EDID_DESCRIPTOR_SIZE] = {
        0, 0, 0, DESCRIPTOR_RANGES, 0, 50, 125, 30, 160, 24, 0, '\n', ' ', ' ', ' ', ' ', ' ', ' '};
    uint8_t sum = 0;

    memset(edid, 0, VGA_EDID_SIZE);
    memcpy(edid + EDID_HEADER, header, sizeof(header));
    edid[EDID_MANUFACTURER] = ('R' - '@') << 2 | ('G' - '@') >> 3;
    edid[EDID_MANUFACTURER + 1] = (uint8_t)(('G' - '@') << 5 | ('R' - '@'));
    edid[EDID_MANUFACTURER + 2] = 1; /* product */
    edid[EDID_MANUFACTURER + 9] = 2020 - 1990;
    edid[EDID_VERSION] = 1;
    edid[EDID_VERSION + 1] = 3;
    edid[EDID_BASIC] = 0x80; /* digital */
    edid[EDID_BASIC + 1] = 32;
    edid[EDID_BASIC + 2] = 20;   /* cm */
    edid[EDID_BASIC + 3] = 120;  /* gamma 2.2 */
    edid[EDID_BASIC + 4] = 0x0A; /* RGB colour; the first detailed timing is preferred */
    memcpy(edid + EDID_CHROMATICITY, srgb, sizeof(srgb));
    edid[EDID_ESTABLISHED] = 0xA1;     /* 720x400 at 70, 640x480 and 800x600 at 60 Hz */
    edid[EDID_ESTABLISHED + 1] = 0x08; /* 1024x768 at 60 Hz */
    for (unsigned i = 0; i < EDID_STANDARD_COUNT; i++) {
        edid[EDID_STANDARD + 2 * i] = (uint8_t)(standard[i].width / 8 - 31);
        edid[EDID_STANDARD + 2 * i + 1] = standard[i].aspect; /* 60 Hz */
    }
    memcpy(edid + EDID_DETAILED, preferred, sizeof(preferred));
    memcpy(edid + EDID_DETAILED + EDID_DESCRIPTOR_SIZE, ranges, sizeof(ranges));
    put_text(edid + EDID_DETAILED + 2 * EDID_DESCRIPTOR_SIZE, DESCRIPTOR_NAME, "Ringer");
    put_text(edid + EDID_DETAILED + 3 * EDID_DESCRIPTOR_SIZE, 0x10, "");
    memset(edid + EDID_DETAILED + 3 * EDID_DESCRIPTOR_SIZE + 5, 0, 13);
    for (unsigned i = 0; i < EDID_CHECKSUM; i++)
        sum = (uint8_t)(sum + edid[i]);
    edid[EDID_CHECKSUM] = (uint8_t)-sum;
}
