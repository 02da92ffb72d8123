#!/bin/sh
# testdev.sh ACCEL: a kernel as test suites have them runs with the command line that they use.
. "$(dirname "$0")/common.sh"
command -v nasm > /dev/null || exit 77

nasm -f elf32 -o "$work/kernel.o" "$(dirname "$0")/testdev.asm"
ld -m elf_i386 -Ttext-segment=0x200000 -e entry -o "$work/kernel.flat" "$work/kernel.o" \
    2> "$work/ld" || fail "ld: $(cat "$work/ld")"

# run STATUS OUTPUT OPTION...
run()
{
    wanted=$1 says=$2 status=0
    shift 2
    timeout 60 "$RINGER" -nodefaults -accel "$accel" -m 48 -vga none -serial stdio -display none \
        -device isa-debug-exit,iobase=0xf4,iosize=0x4 -kernel "$work/kernel.flat" "$@" \
        < /dev/null > "$out" 2> "$err" || status=$?
    [ "$status" = "$wanted" ] || fail "exit status $status, not $wanted"
    [ "$(cat "$out")" = "$says" ] || fail "it does not say \"$says\""
}

accel=$1
run 1 'testdev: good' -device pc-testdev
run 3 'testdev: bad e'
