#!/bin/sh
# boot.sh [RUNS]: the time from starting the program until the guest, a Debian kernel with a busybox
# initrd, has reached user space and switched itself off: Ringer and qemu-system-x86_64 -accel tcg by
# turns, same kernel, same initrd, same options; one row for Debian's amd64 kernel, one for its 686.
# Prints each run, the medians and their ratios.
# RINGER_KERNEL="686-pae ..." takes other kernels, RINGER another program.
set -eu

runs=${1:-5}
top=$(cd "$(dirname "$0")/.." && pwd)
kernels=${RINGER_KERNEL:-amd64 686}

sh "$top/loader/guest/install.sh" qemu-system-x86 cpio gzip seabios gcc libc6-dev cmake \
    ninja-build pkg-config libcapstone-dev libelf-dev
if [ -z "${RINGER:-}" ]; then
    cmake -S "$top" -B "$top/build" -G Ninja -DRINGER_TESTS=OFF > /dev/null
    cmake --build "$top/build" --target ringer > /dev/null
    RINGER=$top/build/ringer
fi

initrd_of()
{
    case $1 in
    amd64) echo initrd-amd64.gz ;;
    *) echo initrd.gz ;;
    esac
}

for kernel in $kernels; do
    guest=$(sh "$top/loader/guest/get.sh" "vmlinuz-$kernel" "$(initrd_of "$kernel")")
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
echo true > "$work/command"
(cd "$work" && echo command | cpio -o -H newc --quiet | gzip -n > command.gz)

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

# row KERNEL: runs by turns; leaves "KERNEL OURS THEIRS RATIO" in $work/table.
row()
{
    kernel=$1
    cat "$guest/$(initrd_of "$kernel")" "$work/command.gz" > "$work/initrd.gz"
    : > "$work/ringer"
    : > "$work/qemu"
    echo "boot of Debian's $kernel kernel to user space and off, $runs runs each, milliseconds"
    echo "  ringer  qemu"
    run=0
    while [ $run -lt "$runs" ]; do
        ringer=$(boot "$RINGER" translate)
        qemu=$(boot qemu-system-x86_64 tcg)
        echo "$ringer" >> "$work/ringer"
        echo "$qemu" >> "$work/qemu"
        printf '  %6d  %6d\n' "$ringer" "$qemu"
        run=$((run + 1))
    done
    ours=$(median "$work/ringer")
    theirs=$(median "$work/qemu")
    printf '%-8s  %6d  %6d  %5.2f\n' "$kernel" "$ours" "$theirs" \
        "$(awk "BEGIN { print $ours / $theirs }")" >> "$work/table"
}

for kernel in $kernels; do
    row "$kernel"
done
echo "medians   ringer    qemu  ratio"
cat "$work/table"
