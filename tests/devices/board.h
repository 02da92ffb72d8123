/*
 * tests/devices/board.h -- a whole board around a few bytes of guest code: a ROM of 64 KiB that is
 * entered at F000:0000, in real mode.  For files that include cmocka.h first.
 */
#ifndef RINGER_TESTS_DEVICES_BOARD_H
#define RINGER_TESTS_DEVICES_BOARD_H

#include <string.h>

#include "cpu/cpuid.h"
#include "devices/pc.h"

enum { ROM_BYTES = 0x10000 };

struct rom {
    uint8_t bytes[ROM_BYTES];
    unsigned at; /* where the next bytes go */
};

static inline void rom_emit(struct rom *rom, const void *code, size_t size)
{
    memcpy(rom->bytes + rom->at, code, size);
    rom->at += (unsigned)size;
}
#define EMIT(rom, ...) \
    rom_emit(rom, (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}))

/* HLT everywhere but where the CPU starts; the next bytes are the first that run. */
static inline void rom_clear(struct rom *rom)
{
    memset(rom, 0xF4, sizeof(*rom));
    rom->at = 0xFFF0;
    EMIT(rom, 0xEA, 0x00, 0x00, 0x00, 0xF0); /* jmp far F000:0000 */
    rom->at = 0;
}

/* The same, and a first few instructions: DS and SS are 0, SP is 7000h. */
static inline void rom_init(struct rom *rom)
{
    rom_clear(rom);
    EMIT(rom, 0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0, 0xBC, 0x00, 0x70);
}

/* mov dx, port; mov al, value; out dx, al */
static inline void rom_out8(struct rom *rom, uint16_t port, uint8_t value)
{
    EMIT(rom, 0xBA, (uint8_t)port, (uint8_t)(port >> 8), 0xB0, value, 0xEE);
}

/* mov dx, port; mov eax, value; out dx, eax */
static inline void rom_out32(struct rom *rom, uint16_t port, uint32_t value)
{
    EMIT(rom, 0xBA, (uint8_t)port, (uint8_t)(port >> 8), 0x66, 0xB8, (uint8_t)value,
         (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24), 0x66, 0xEF);
}

/* 16 MiB of RAM and nothing else; rom: NULL for none. */
static inline struct pc_config board_config(const struct rom *rom, const char *model,
                                            enum pc_accel accel)
{
    struct pc_config config = {.ram_bytes = 16 << 20, .accel = accel};
    char message[2048];

    assert_true(cpu_model_parse(model, 2000000000, &config.model, message, sizeof(message)));
    config.bios = rom != NULL ? rom->bytes : NULL;
    config.bios_bytes = rom != NULL ? sizeof(rom->bytes) : 0;
    return config;
}

static inline struct pc *board_create(const struct pc_config *config)
{
    char message[2048];
    struct pc *pc = pc_create(config, message, sizeof(message));

    if (pc == NULL)
        fail_msg("%s", message);
    return pc;
}

#endif
