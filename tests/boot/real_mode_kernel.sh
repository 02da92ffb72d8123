#!/bin/sh
# real_mode_kernel.sh: what uses Linux's format without being Linux is started by its own real-mode
# code: iPXE's .lkrn, whose header names no 32-bit entry, to its shell; memtest86+ to its first test.
. "$(dirname "$0")/common.sh"

[ -f /usr/share/seabios/bios-256k.bin ] || exit 77
ran=

quit()
{
    key 001
    key 170
    finish 0 20
}

for lkrn in /usr/lib/ipxe/ipxe.lkrn /boot/ipxe.lkrn; do
    [ -z "$ran" ] && [ -f "$lkrn" ] || continue
    ran=$lkrn
    start -m 128 -kernel "$lkrn" -append shell -nographic
    expect 'iPXE>' 60
    # As a person types: the firmware keeps no more than 16 characters.
    for part in 'set said ' 'here ' '&& echo ' 'this is ' '${said}'; do
        printf '%s' "$part" >&3
        sleep 0.5
    done
    type ''
    expect 'this is here' 30
    quit
done

for memtest in /boot/memtest86+x64.bin /boot/memtest86+ia32.bin; do
    [ -f "$memtest" ] || continue
    ran=$memtest
    start -m 32 -kernel "$memtest" -append console=ttyS0,115200 -nographic
    expect 'Status: Testing' 60
    quit
done

[ -n "$ran" ] || exit 77
