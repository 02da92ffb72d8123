#!/bin/sh
# The benchmarks: sh bench/run.sh NAME [ARGUMENT...] runs bench/NAME.sh.
#
#   sh bench/run.sh boot [RUNS]     boot time here and under qemu-system-x86_64 -accel tcg
set -eu

here=$(cd "$(dirname "$0")" && pwd)
name=${1:-}
if [ -z "$name" ] || [ ! -f "$here/$name.sh" ] || [ "$name" = run ]; then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 1
fi
shift
exec sh "$here/$name.sh" "$@"
