#!/bin/sh
# disk.sh: a boot sector of our own from every kind of image; what it writes is there afterwards, or
# is not where that was asked for; boot order; and the process killed while it writes.
. "$(dirname "$0")/common.sh"

[ -f /usr/share/seabios/bios-256k.bin ] || exit 77
command -v nasm > /dev/null || exit 77
nasm -f bin -o "$work/sector" "$(dirname "$0")/disk.asm"

# image FILE LABEL THEN BYTES: a disk with the boot sector.
image()
{
    cp "$work/sector" "$1"
    printf '%s%s' "$2" "$3" | dd of="$1" bs=1 seek=3 conv=notrunc status=none
    printf 0 | dd of="$1" bs=512 seek=1 conv=notrunc status=none
    truncate -s "$4" "$1"
}

# boots WANTED OPTION...: the lines on COM1, joined by blanks.
boots()
{
    wanted=$1
    shift
    status=0
    timeout 60 "$RINGER" -m 32 -display none -serial "file:$out" -device isa-debug-exit "$@" \
        < /dev/null > /dev/null 2> "$err" || status=$?
    [ "$status" = 17 ] || fail "$*: status $status, not 17"
    [ "$(tr '\n' ' ' < "$out")" = "$wanted " ] || fail "$*: not \"$wanted\""
}

hd=$work/hd fd=$work/fd
image "$hd" C X 1M
boots 'C count=0' -hda "$hd"
grep -q 'warning: .*hd: no format given, taken as raw' "$err" || fail 'no warning of a guessed format'
boots 'C count=1' "$hd"
boots 'C count=2' -drive "file=$hd,format=raw"
[ ! -s "$err" ] || fail 'a warning for nothing'
boots 'C count=3' -snapshot -hda "$hd"
boots 'C count=3' -drive "file=$hd,snapshot=on" -accel interpret
boots 'C count=3' -drive "file=$hd,format=raw,cache=writethrough"
boots 'C count=4' -drive "file=$hd,format=raw,cache=unsafe,if=none,id=x" \
    -device ide-hd,drive=x,bus=ide.1,unit=1
boots 'C count=5' -hdb "$hd" -icount shift=0
boots 'C count=6' -hda "$hd" -accel lockstep
boots 'C count=6' -hda "$hd"

# Which drive first.
image "$fd" A X 1440K
boots 'A count=0' -fda "$fd" -hda "$hd" -boot a
boots 'C count=7' -fda "$fd" -hda "$hd" -boot c
boots 'C count=8' -fda "$fd" -hda "$hd"
boots 'A count=1' -fda "$fd" -hda "$hd" -boot order=ac,menu=off
image "$fd" A R 1440K
image "$hd" C X 1M
boots 'A count=0 C count=0' -fda "$fd" -hda "$hd" -boot once=a,order=c
boots 'A count=1 C count=1' -fda "$fd" -drive "file=$hd,snapshot=on" -boot once=a
image "$hd" C X 1M
image "$fd" D X 1M
boots 'D count=0' -hda "$hd" -drive "file=$fd,if=none,id=second" \
    -device ide-hd,drive=second,bootindex=0

# Behind a server.
if command -v qemu-nbd > /dev/null && command -v qemu-img > /dev/null &&
    ldd "$RINGER" | grep -q libnbd; then
    for format in qcow2 vmdk vdi; do
        qemu-img convert -q -f raw -O $format "$hd" "$work/disk.$format"
        boots 'C count=0' -hda "$work/disk.$format"
        boots 'C count=1' -snapshot -hda "$work/disk.$format"
        boots 'C count=1' -hda "$work/disk.$format"
    done
    qemu-nbd --persistent --format=raw --socket="$work/socket" "$hd" &
    server=$!
    left=100
    until [ -S "$work/socket" ] || [ $left = 0 ]; do
        left=$((left - 1))
        sleep 0.1
    done
    boots 'C count=0' -hda "nbd+unix:///?socket=$work/socket"
    boots 'C count=1' -drive "file=nbd:unix:$work/socket"
    kill $server
    wait $server || true
fi

# Killed while it writes: what it said was flushed is on the disk, or something newer.
killed() # FORMAT FILE
{
    start -m 32 -display none -serial stdio -drive "file=$2,format=$1"
    expect 00000010 30
    kill -KILL "$pid"
    wait "$pid" 2> /dev/null || true
    pid=
    exec 3>&-
    rm -f "$work/in"
    said=$(grep -a '^[0-9A-F]\{8\}$' "$out" | tail -1)
    # A server lets go of the file when it has seen that its client is gone.
    left=50
    until qemu-img convert -q -f "$1" -O raw "$2" "$work/after" 2> /dev/null || [ $left = 0 ]; do
        left=$((left - 1))
        sleep 0.1
    done
    found=$(od -A n -t x4 -j 1024 -N 4 "$work/after" | tr -d ' ' | tr a-f A-F)
    [ "$((0x$found))" -ge "$((0x$said))" ] ||
        fail "$1: $said was flushed, $found is on the disk"
}

if command -v qemu-img > /dev/null; then
    image "$hd" C W 1M
    for round in 1 2 3 4 5; do
        killed raw "$hd"
    done
    if ldd "$RINGER" | grep -q libnbd; then
        qemu-img convert -q -f raw -O qcow2 "$hd" "$work/killed.qcow2"
        killed qcow2 "$work/killed.qcow2"
        killed qcow2 "$work/killed.qcow2"
    fi
fi
