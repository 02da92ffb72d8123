#!/bin/sh
# paste.sh: a line pasted into the firmware's serial console, which reads it a timer tick at a time
# and keeps 15 keys: all of it arrives, and so does an arrow key's sequence.
. "$(dirname "$0")/common.sh"

floppy=/usr/lib/grub-rescue/grub-rescue-floppy.img
[ -f $floppy ] && [ -f /usr/share/seabios/bios-256k.bin ] || exit 77
cp $floppy "$work/a.img"
start -m 64 -nographic -fda "$work/a.img" -boot a
screen_expect 'GNU GRUB' 60
printf c >&3
screen_expect 'grub>' 60
line='echo abcdefghijklmnopqrstuvwxyz 0123456789 ABCDEFGHIJKLM'
printf '%s\r' "$line" >&3
shown() { [ "$(python3 "$boot/screen.py" < "$out" | grep -c -F "$2")" = "$1" ]; }
wait_for 60 'the answer' shown 2 "${line#echo }"
key_up
wait_for 60 'the line again' shown 3 "${line#echo }"
key 001
key 170
finish 0
