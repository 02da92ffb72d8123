#!/bin/sh
# media.sh MEDIUM: a medium that nobody prepared for us boots through the firmware, is seen on the
# VGA screen and answers the keyboard.
#
#   grub-floppy    GRUB's rescue floppy: menu, command line, `halt` through ACPI
#   memtest-x64, memtest-ia32   memtest86+ on a floppy: a full pass over 32 MiB without an error
#   ipxe-floppy    ipxe.lkrn on a FAT floppy that GRUB boots: its shell
#   grub-cd        GRUB's rescue CD: menu, command line; its files, and those of a disk beside it
#   grub-disk      the same image as a hard disk: GRUB in the master boot record
#   memtest-cd     memtest86+ from its CD until it tests (the whole pass is the floppy's)
#   ipxe-cd        ipxe.iso: its shell
#   installer-amd64, installer-i386   the installer's text dialogs, another language chosen by keys
#
# With RINGER_PICTURES a directory, the last screen that was waited for is there as MEDIUM.png.
. "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || exit 77

medium=$1 monitor=$work/monitor
[ -z "${RINGER_PICTURES:-}" ] || mkdir -p "$RINGER_PICTURES"
vga() { python3 "$boot/vga.py" "$monitor" "$@"; }
vga_has() { vga screen > "$work/screen" 2> /dev/null && grep -q -F -e "$1" "$work/screen"; }
press() { vga type "$1" > /dev/null || fail "the monitor does not take keys"; }

# vga_expect TEXT [SECONDS]
vga_expect()
{
    until_s=$(($(date +%s) + ${2:-120}))
    until vga_has "$1"; do
        kill -0 "$pid" 2> /dev/null || fail "ended while waiting for \"$1\""
        [ "$(date +%s)" -lt "$until_s" ] || fail "no \"$1\" on the screen:
$(cat "$work/screen")"
        sleep 0.3
    done
    [ -z "${RINGER_PICTURES:-}" ] ||
        vga screendump "$RINGER_PICTURES/$medium.png" > /dev/null || fail "no picture"
}

boot_floppy() # IMAGE OPTION...
{
    image=$1
    shift
    start -drive "file=$image,if=floppy,format=raw" -boot a -display none -serial none \
        -monitor "unix:$monitor,server,nowait" "$@"
}

boot_cd() # IMAGE OPTION...
{
    image=$1
    shift
    start -cdrom "$image" -boot d -display none -serial none \
        -monitor "unix:$monitor,server,nowait" "$@"
}

# An image of 1.44 MB that begins with FILE.
floppy_of() # FILE IMAGE
{
    dd if=/dev/zero of="$2" bs=1024 count=1440 2> /dev/null
    dd if="$1" of="$2" conv=notrunc 2> /dev/null
}

needs() { for file; do [ -f "$file" ] || exit 77; done; }

grub_floppy()
{
    needs /usr/lib/grub-rescue/grub-rescue-floppy.img
    cp /usr/lib/grub-rescue/grub-rescue-floppy.img "$work/a.img"
    boot_floppy "$work/a.img" -m 64
    vga_expect 'GNU GRUB'
    press c
    vga_expect 'grub>'
    press 'set x=dead; echo ${x}BEEF\n'
    vga_expect deadBEEF
    press 'ls (fd0)/boot/grub\n'
    vga_expect i386-pc
    press 'halt\n'
    finish 0
}

memtest() # x64 or ia32
{
    needs "/boot/memtest86+$1.bin"
    floppy_of "/boot/memtest86+$1.bin" "$work/a.img"
    boot_floppy "$work/a.img" -m 32
    vga_expect 'Memtest86+'
    vga_expect 'Pass:  1' 1500
    cat "$work/screen"
    grep -q -E 'Errors: 0( |$)' "$work/screen" || fail "memory errors"
    vga quit > /dev/null
    finish 0
}

# GRUB's boot sector, its core image in the reserved sectors, a FAT behind them.
ipxe_image()
{
    modules=/usr/lib/grub/i386-pc
    printf 'linux16 (fd0)/ipxe.lkrn\nboot\n' > "$work/early"
    grub-mkimage -O i386-pc -p '(fd0)/' -c "$work/early" -o "$work/core" \
        biosdisk fat linux16 boot
    sectors=$((($(stat -c %s "$work/core") + 511) / 512 + 1))
    dd if=/dev/zero of="$1" bs=1024 count=1440 2> /dev/null
    mkfs.fat -F 12 -R "$sectors" "$1" > /dev/null
    mcopy -i "$1" /boot/ipxe.lkrn ::ipxe.lkrn
    # The jump, and the code behind the BIOS parameter block.
    dd if="$modules/boot.img" of="$1" bs=1 count=3 conv=notrunc 2> /dev/null
    dd if="$modules/boot.img" of="$1" bs=1 skip=90 seek=90 count=420 conv=notrunc 2> /dev/null
    dd if="$work/core" of="$1" bs=512 seek=1 conv=notrunc 2> /dev/null
}

ipxe_floppy()
{
    needs /boot/ipxe.lkrn /usr/lib/grub/i386-pc/boot.img
    command -v grub-mkimage > /dev/null && command -v mkfs.fat > /dev/null &&
        command -v mcopy > /dev/null || exit 77
    ipxe_image "$work/a.img"
    boot_floppy "$work/a.img" -m 64 -no-reboot
    vga_expect 'Press Ctrl-B for the iPXE command line'
    press '^b'
    vga_expect 'iPXE>'
    press 'set x hot && echo ${x}dog\n'
    vga_expect hotdog
    press 'reboot\n'
    finish 0
}

rescue=/usr/lib/grub-rescue/grub-rescue-cdrom.iso

grub_cd()
{
    needs $rescue
    cp $rescue "$work/c.img"
    boot_cd $rescue -m 64 -drive "file=$work/c.img,format=raw"
    vga_expect 'GNU GRUB'
    press c
    vga_expect 'grub>'
    press 'set x=dead; echo ${x}BEEF\n'
    vga_expect deadBEEF
    press 'ls\n'
    vga_expect '(hd0) (hd0,msdos1) (cd)'
    press 'ls (cd)/\n'
    vga_expect 'boot/ boot.catalog'
    press 'clear; ls (hd0)/boot/grub\n'
    vga_expect 'i386-pc/'
    press 'clear; cmp (cd)/boot/grub/i386-pc/normal.mod (hd0)/boot/grub/i386-pc/normal.mod\n'
    vga_expect 'identical'
    press 'halt\n'
    finish 0
}

grub_disk()
{
    needs $rescue
    cp $rescue "$work/c.img"
    start -drive "file=$work/c.img,format=raw" -boot c -display none -serial none \
        -monitor "unix:$monitor,server,nowait" -m 64
    vga_expect 'GNU GRUB'
    press c
    vga_expect 'grub>'
    press 'ls (hd0)/boot/grub\n'
    vga_expect i386-pc
    press 'halt\n'
    finish 0
}

memtest_cd()
{
    needs /usr/lib/memtest86+/memtest86+x64.iso
    boot_cd /usr/lib/memtest86+/memtest86+x64.iso -m 32
    vga_expect 'Memtest86+'
    vga_expect 'Testing'
    vga quit > /dev/null
    finish 0
}

ipxe_cd()
{
    needs /usr/lib/ipxe/ipxe.iso
    boot_cd /usr/lib/ipxe/ipxe.iso -m 64 -no-reboot
    vga_expect 'Press Ctrl-B for the iPXE command line'
    press '^b'
    vga_expect 'iPXE>'
    press 'set x hot && echo ${x}dog\n'
    vga_expect hotdog
    press 'reboot\n'
    finish 0
}

installer() # ARCH
{
    sh "$loader/guest/get.sh" "installer-$1-linux" "installer-$1-initrd.gz" > /dev/null
    # Its own fonts and a frame buffer are graphics.sh's; here the firmware's text mode stays.
    start -m 1G -kernel "$guest/installer-$1-linux" -initrd "$guest/installer-$1-initrd.gz" \
        -append 'vga=normal fb=false nomodeset' -display none -serial none \
        -monitor "unix:$monitor,server,nowait"
    vga_expect 'Select a language' 600
    vga_expect 'Deutsch'
    for language in Finnish French Galician German; do
        vga sendkey down > /dev/null
    done
    vga sendkey ret > /dev/null
    vga_expect 'Deutschland' 120
    vga quit > /dev/null
    finish 0
}

case $1 in
installer-*) installer "${1#installer-}" ;;
grub-cd) grub_cd ;;
grub-disk) grub_disk ;;
memtest-cd) memtest_cd ;;
ipxe-cd) ipxe_cd ;;
grub-floppy) grub_floppy ;;
memtest-x64) memtest x64 ;;
memtest-ia32) memtest ia32 ;;
ipxe-floppy) ipxe_floppy ;;
*) fail "unknown medium $1" ;;
esac
