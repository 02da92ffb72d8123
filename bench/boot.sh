#!/bin/sh
# boot.sh [RUNS]: the time from starting the program until the guest, a Debian kernel with a busybox
# initrd, has reached user space and switched itself off: Ringer and qemu-system-i386 -accel tcg by
# turns, same kernel, same initrd, same options.  Prints each run, both medians and their ratio.
# RINGER_KERNEL=686-pae takes the other kernel, RINGER another program.
set -eu

runs=${1:-5}
top=$(cd "$(dirname "$0")/.." && pwd)
kernel=${RINGER_KERNEL:-686}

sh "$top/loader/guest/install.sh" qemu-system-x86 cpio gzip seabios gcc libc6-dev cmake \
    ninja-build pkg-config libcapstone-dev libelf-dev
if [ -z "${RINGER:-}" ]; then
    cmake -S "$top" -B "$top/build" -G Ninja -DRINGER_TESTS=OFF > /dev/null
    cmake --build "$top/build" --target ringer > /dev/null
    RINGER=$top/build/ringer
fi
guest=$(sh "$top/loader/guest/get.sh" "vmlinuz-$kernel" initrd.gz)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
echo true > "$work/command"
(cd "$work" && echo command | cpio -o -H newc --quiet | gzip -n > command.gz)
cat "$guest/initrd.gz" "$work/command.gz" > "$work/initrd.gz"

# boot PROGRAM ACCEL: milliseconds of one boot.
boot()
{
    rm -f "$work/status"
    start=$(date +%s%N)
    timeout 120 "$1" -accel "$2" -m 512 -kernel "$guest/vmlinuz-$kernel" \
        -initrd "$work/initrd.gz" -append "console=ttyS0" -nodefaults -display none -no-reboot \
        -serial "file:$work/console" -serial null -serial null -serial "file:$work/status" \
        < /dev/null > "$work/out" 2>&1 || {
            echo "bench: $1 failed or took more than two minutes" >&2
            tail -5 "$work/out" "$work/console" >&2
            exit 1
        }
    end=$(date +%s%N)
    if [ "$(tr -cd 0-9 < "$work/status")" != 0 ]; then
        echo "bench: $1: the guest did not get to its command" >&2
        tail -5 "$work/console" >&2
        exit 1
    fi
    echo $(((end - start) / 1000000))
}

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

echo "boot of Debian's $kernel kernel to user space and off, $runs runs each, milliseconds"
echo "  ringer  qemu"
run=0
while [ $run -lt "$runs" ]; do
    ringer=$(boot "$RINGER" translate)
    qemu=$(boot qemu-system-i386 tcg)
    echo "$ringer" >> "$work/ringer"
    echo "$qemu" >> "$work/qemu"
    printf '  %6d  %6d\n' "$ringer" "$qemu"
    run=$((run + 1))
done
ours=$(median "$work/ringer")
theirs=$(median "$work/qemu")
printf 'median: ringer %d ms, qemu %d ms, ratio %s\n' "$ours" "$theirs" \
    "$(awk "BEGIN { printf \"%.2f\", $ours / $theirs }")"
