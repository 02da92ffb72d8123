/*
 * loader/setup_rom.c -- an option ROM that starts a Linux kernel by its own real-mode code.
 * Sources: Plug and Play BIOS Specification 1.0A section 3 (expansion ROM, bootstrap entry vector);
 * fw_cfg's DMA interface and keys as in devices/fw_cfg.c; Linux, Documentation/arch/x86/boot.rst
 * ("Running the Kernel").
 *
 * The firmware finds the ROM among fw_cfg's files, lists it as something to boot from, and calls
 * its bootstrap entry in real mode.  That has fw_cfg write four things into memory, each where its
 * address item says, and jumps to the kernel's setup, loaded last:
 *
 *              address key  size key  data key
 *   cmdline    13           14        15
 *   initrd     0A           0B        12        (absent: size 0)
 *   kernel     07           08        11        protected-mode code
 *   setup      16           17        18        real-mode code
 *
 * A descriptor for the DMA lies at 0x8000, which nobody owns while an operating system is booted:
 *   0 control  4 length  8 address, all big-endian;  16 the item's address  20 its size
 */
#include "loader/setup_boot.h"

#include <string.h>

enum { ROM_PNP_AT = 0x20, ROM_PNP_BYTES = 32, ROM_PNP_SUM_AT = ROM_PNP_AT + 9 };

extern const uint8_t setup_rom_start[SETUP_ROM_BYTES] __attribute__((visibility("hidden")));

/* clang-format off */
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    "setup_rom_start:\n"
    ".code16\n"
    ".byte 0x55, 0xaa\n"
    ".byte 1\n"                     /* length in units of 512 bytes */
    "lretw\n"                       /* offset 3: initialisation: nothing to do */
    ".org setup_rom_start + 0x1a\n"
    ".word 0x20\n"                  /* offset of the expansion header */
    ".org setup_rom_start + 0x20\n"
    ".ascii \"$PnP\"\n"
    ".byte 1, 2\n"                  /* revision; length in units of 16 bytes */
    ".word 0\n"                     /* no further header */
    ".byte 0, 0\n"                  /* reserved; checksum */
    ".long 0\n"                     /* device identifier */
    ".word 0\n"                     /* manufacturer's name */
    ".word 6f - setup_rom_start\n"  /* product's name, for the boot menu */
    ".byte 0, 0, 0\n"               /* device type: none */
    ".byte 0xe4\n"                  /* a ROM that may be shadowed, an initial program loader */
    ".word 0, 0\n"                  /* no boot connection vector, no disconnect vector */
    ".word 1f - setup_rom_start\n"  /* bootstrap entry vector */
    ".word 0, 0\n"                  /* reserved; static resource vector */

    /* The bootstrap entry. */
    "1: cld\n"
    "movw $0x0800, %ax\n"           /* DS:0 is the descriptor */
    "movw %ax, %ds\n"
    "movl $0x00151413, %ebx\n"      /* keys: data, size, address */
    "call 2f\n"
    "movl $0x00120b0a, %ebx\n"
    "call 2f\n"
    "movl $0x00110807, %ebx\n"
    "call 2f\n"
    "movl $0x00181716, %ebx\n"
    "call 2f\n"
    /* Real-mode registers as the protocol asks: all segments at the setup code's, the stack at the
     * end of its 64 KiB, interrupts off. */
    "cli\n"
    "movl 16, %eax\n"
    "shrl $4, %eax\n"
    "movw %ax, %ds\n"
    "movw %ax, %es\n"
    "movw %ax, %fs\n"
    "movw %ax, %gs\n"
    "movw %ax, %ss\n"
    "movl $0xfff0, %esp\n"
    "addw $0x20, %ax\n"             /* past the boot sector */
    "pushw %ax\n"
    "pushw $0\n"
    "lretw\n"

    /* Load one thing.  in: EBX keys.  clobbers: EAX, EBX, ECX, EDX, ESI. */
    "2: movl $4, %ecx\n"
    "movl $0x8010, %esi\n"
    "call 3f\n"                     /* address */
    "movl $4, %ecx\n"
    "movl $0x8014, %esi\n"
    "call 3f\n"                     /* size */
    "movl 20, %ecx\n"
    "movl 16, %esi\n"
    "jecxz 5f\n"

    /* Read an item.  in: BL key, ECX length, ESI physical address.  out: EBX >> 8.
     * clobbers: EAX, ECX, EDX, ESI. */
    "3: movzbl %bl, %eax\n"
    "shll $16, %eax\n"
    "orb $0x0a, %al\n"              /* select, read */
    "bswapl %eax\n"
    "movl %eax, 0\n"
    "bswapl %ecx\n"
    "movl %ecx, 4\n"
    "xorl %eax, %eax\n"
    "movl %eax, 8\n"
    "bswapl %esi\n"
    "movl %esi, 12\n"
    "movw $0x514, %dx\n"
    "outl %eax, %dx\n"
    "addw $4, %dx\n"
    "movl $0x00800000, %eax\n"      /* 0x8000, big-endian */
    "outl %eax, %dx\n"
    "4: movl 0, %eax\n"             /* until all bits but the error bit are clear */
    "andl $0xfeffffff, %eax\n"
    "jnz 4b\n"
    "shrl $8, %ebx\n"
    "5: ret\n"
    "6: .asciz \"Linux kernel\"\n"
    ".org setup_rom_start + 511\n" /* an error when the code has become too long */
    ".byte 0\n"                    /* checksum */
    ".code64\n"
    ".popsection\n");
/* clang-format on */

/* What makes the bytes' sum 0. */
static uint8_t checksum(const uint8_t *bytes, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + bytes[i]);
    return (uint8_t)-sum;
}

void setup_rom_make(uint8_t rom[SETUP_ROM_BYTES])
{
    memcpy(rom, setup_rom_start, SETUP_ROM_BYTES);
    rom[ROM_PNP_SUM_AT] = checksum(rom + ROM_PNP_AT, ROM_PNP_BYTES);
    rom[SETUP_ROM_BYTES - 1] = checksum(rom, SETUP_ROM_BYTES);
}
