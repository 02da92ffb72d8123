#!/bin/sh
# The benchmarks.
#
#   sh bench/run.sh [GROUP...] [RUNS] [-m ROW...] [--cpu] [-o DIRECTORY]
#   sh bench/run.sh --ablate ROW [GROUP...] [RUNS] [--cpu]
#
# GROUP: all (the default) compute kernel real nano boot disk translator, or one of compute64 compute32
# kernel64 kernel32.  RUNS: how often each, 5 by default.  -m: only these rows (`*` stands for
# anything).  --cpu: for a machine that is not idle, rows of compute by the CPU time of the process.
# --ablate: the row in Ringer with each switch of -x by itself.
#
# Natively, in Ringer and in qemu-system-x86_64 -accel tcg, by turns.  Prints a table; leaves
# table.txt, results.json, plot.svg and plot.png in build/bench (-o: elsewhere).  RINGER and QEMU name
# other programs.  The exit status is 1 when a run failed or gave a wrong result.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
case "${1:-}" in
-h | --help | help)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
    exit 0
    ;;
esac

sh "$top/loader/guest/install.sh" qemu-system-x86 cpio gzip seabios gcc libc6-dev gcc-multilib nasm \
    cmake ninja-build pkg-config libcapstone-dev libelf-dev python3 util-linux librsvg2-bin grub-common grub-pc-bin \
    fonts-dejavu-core

build=$top/build
mkdir -p "$build/bench/programs"
if [ -z "${RINGER:-}" ]; then
    [ -f "$build/build.ninja" ] ||
        cmake -S "$top" -B "$build" -G Ninja -DRINGER_TESTS=OFF > /dev/null
    cmake --build "$build" --target ringer > "$build/bench.log" 2>&1 ||
        { cat "$build/bench.log" >&2; exit 1; }
    RINGER=$build/ringer
fi
programs=$build/bench/programs
for size in 64 32; do
    for program in compute kernel; do
        gcc -O2 -static -m$size -o "$programs/$program$size" "$here/guest/$program.c" -lm
    done
done
gcc -O2 -static -I "$top" -o "$programs/disk" "$here/guest/disk.c"
nasm -f bin -o "$programs/nano" "$here/guest/nano.asm"

export RINGER
export PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/runner/main.py" "$@"
