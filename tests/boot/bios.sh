#!/bin/sh
# bios.sh ACCEL: without a kernel the firmware runs: its log on the debug console, its screen.
. "$(dirname "$0")/common.sh"

[ -f /usr/share/seabios/bios-256k.bin ] || exit 77
start -accel "$1" -m 64 -display none -debugcon "file:$work/bioslog" -d screen -D "$work/screen" \
    -serial mon:stdio
left=300
until grep -q 'No bootable device' "$work/bioslog" 2> /dev/null; do
    kill -0 "$pid" 2> /dev/null || fail "ended early"
    [ "$left" -gt 0 ] || fail "no end of the power-on self test: $(tail -5 "$work/bioslog")"
    left=$((left - 1))
    sleep 0.2
done
sleep 1
key 001
printf x >&3
finish 0
grep -q SeaBIOS "$work/bioslog" || fail "no SeaBIOS banner in the log"
grep -q SeaBIOS "$work/screen" || fail "no SeaBIOS banner on the screen: $(cat "$work/screen")"
grep -q 'No bootable device' "$work/screen" || fail "the screen says $(cat "$work/screen")"
