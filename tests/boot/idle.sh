#!/bin/sh
# idle.sh: a guest at its prompt costs a few percent of one host core.
. "$(dirname "$0")/common.sh"

ticks() { awk '{ print $14 + $15 }' "/proc/$pid/stat"; }

start_kernel 686
expect '/ #'
sleep 3
before=$(ticks)
sleep 5
used=$(($(ticks) - before))
hundred=$(($(getconf CLK_TCK) * 5))
echo "idle: $((used * 100 / hundred)) % of a core"
[ $((used * 100)) -le $((hundred * 8)) ] || fail "an idle guest used $used of $hundred ticks"
type 'poweroff -f'
finish 0
