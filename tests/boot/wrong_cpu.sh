#!/bin/sh
# wrong_cpu.sh: a kernel on a CPU that it cannot run on says so on its own console, as on hardware;
# and one whose real-mode code has been asked for nothing boots by that way, too.
. "$(dirname "$0")/common.sh"

[ -f /usr/share/seabios/bios-256k.bin ] || exit 77

# refused FLAVOUR CPU TEXT WARNING
refused()
{
    start_kernel "$1" -cpu "$2"
    expect "$3" 30
    expect 'Unable to boot - please use a kernel appropriate for your CPU.' 10
    grep -q -F -e "$4" "$err" || fail "the user is not told: $4"
    key 001
    key 170
    finish 0 20
}

refused amd64 pentium3 'This kernel requires an x86-64 CPU, but only detected an i686 CPU.' \
    'is a 64-bit kernel, and -cpu pentium3 has no long mode'
refused 686-pae 486 'This kernel requires an i686 CPU, but only detected an i486 CPU.' \
    'may want more than -cpu 486 has'
refused amd64 max,-fxsr 'fxsr sse sse2' 'not there: fxsr sse sse2'

# What the 686 kernel can do without: it boots, initrd and command line included.
start_kernel 686 -cpu max,-msr
expect 'Booting from ROM' 30
expect '/ #'
grep -q -F 'not there: msr' "$err" || fail 'no warning'
type 'cat /proc/cmdline; poweroff -f'
expect 'console=ttyS0' 30
finish 0
