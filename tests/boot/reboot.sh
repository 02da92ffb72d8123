#!/bin/sh
# reboot.sh ACCEL: reboot -f ends the process with 0 under -no-reboot, and boots again without it
# (the second half only translated, for time's sake).
. "$(dirname "$0")/common.sh"

start_kernel 686 -accel "$1" -no-reboot
expect '/ #'
type 'reboot -f'
finish 0
[ "$1" = translate ] || exit 0

start_kernel 686 -accel "$1"
expect '/ #'
type 'echo first-$((1 + 1))'
expect 'first-2' 60
: > "$out"
type 'reboot -f'
expect 'in Ringer.'
expect '/ #'
type 'poweroff -f'
finish 0
