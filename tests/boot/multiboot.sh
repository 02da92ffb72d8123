#!/bin/sh
# multiboot.sh ACCEL: multiboot by address fields and as ELF, PVH; command line, modules, memory
# map, entry state, and the exit status of isa-debug-exit.
. "$(dirname "$0")/common.sh"
command -v nasm > /dev/null || exit 77

source=$(dirname "$0")/multiboot.asm
nasm -f bin -DFLAT -o "$work/flat" "$source"
for kind in elf pvh; do
    nasm -f elf32 "$([ $kind = pvh ] && echo -DPVH || echo -DELF)" -o "$work/$kind.o" "$source"
    ld -m elf_i386 -Ttext-segment=0x200000 -e entry -o "$work/$kind" "$work/$kind.o" 2> "$work/ld" ||
        fail "ld: $(cat "$work/ld")"
done
# A multiboot kernel in an ELF file of the 64-bit class, as 64-bit kernels with a 32-bit start are.
objcopy -I elf32-i386 -O elf64-x86-64 "$work/elf" "$work/elf64" 2> "$work/ld" ||
    fail "objcopy: $(cat "$work/ld")"

printf 'module one' > "$work/m1"
printf 'module two' > "$work/m2"

# run KIND INITRD EXPECTED
run()
{
    status=0
    timeout 100 "$RINGER" -accel "$accel" -m 32 -display none -kernel "$work/$1" -append 'a b' \
        -initrd "$2" -debugcon "file:$work/log" -device isa-debug-exit,iobase=0xf4,iosize=1 \
        < /dev/null > "$out" 2> "$err" || status=$?
    [ "$status" = 43 ] || fail "$1: exit status $status, not 43: $(cat "$work/log")"
    printf '%s\n' "$3" > "$work/expected"
    cmp -s "$work/log" "$work/expected" || fail "$1 says: $(cat "$work/log")"
}

accel=$1
for kind in flat elf elf64; do
    run "$kind" "$work/m1 -v,$work/m2" "$work/$kind a b
$work/m1 -v
module one
$work/m2
module two"
done
run pvh "$work/m1" "a b
module one"
