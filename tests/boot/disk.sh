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

server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; cleanup' EXIT
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
serve()
{
    rm -f "$work/socket"
    qemu-nbd --persistent --format=raw --socket="$work/socket" "$hd" &
    server=$!
    left=100
    until [ -S "$work/socket" ] || [ $left = 0 ]; do
        left=$((left - 1))
        sleep 0.1
    done
}

if command -v qemu-nbd > /dev/null && command -v qemu-img > /dev/null && has_libnbd; then
    for format in qcow2 vmdk vdi; do
        qemu-img convert -q -f raw -O $format "$hd" "$work/disk.$format"
        boots 'C count=0' -hda "$work/disk.$format"
        boots 'C count=1' -snapshot -hda "$work/disk.$format"
        boots 'C count=1' -hda "$work/disk.$format"
    done
    serve
    boots 'C count=0' -hda "nbd+unix:///?socket=$work/socket"
    boots 'C count=1' -drive "file=nbd:unix:$work/socket"
    kill $server
    wait $server || true
    server=
fi

# The server dies and comes back: with werror=stop the machine waits for it.
serial_has() { grep -q -s -F -e "$1" "$work/serial"; }

# says STATE: asks the monitor until it answers so.
says()
{
    left=100
    until tail -n 3 "$out" | grep -q "VM status: $1"; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "werror=stop: the monitor does not say \"$1\""
        type info status
        sleep 0.2
    done
}

if command -v qemu-nbd > /dev/null && has_libnbd; then
    image "$hd" C W 1M
    serve
    start -m 32 -display none -serial "file:$work/serial" -monitor stdio \
        -drive "file=nbd:unix:$work/socket,werror=stop,rerror=stop"
    wait_for 30 'the first writes' serial_has 00000010
    says running
    kill -KILL $server
    wait $server 2> /dev/null || true
    says 'paused (io-error)'
    grep -q 'failed: .*; the machine is paused' "$err" || fail 'werror=stop: no line for the user'
    serve
    reached=$(wc -l < "$work/serial")
    # Once for the request; perhaps once for a flush, since the old server may have lost something.
    type cont
    sleep 0.5
    type cont
    says running
    wait_for 30 'more writes' eval "[ \"\$(wc -l < '$work/serial')\" -gt $((reached + 16)) ]"
    type quit
    finish 0
    # Every number once: no write was lost or shown as an error.
    grep -a '^[0-9A-F]\{8\}' "$work/serial" | tr -d '\r' > "$work/numbers"
    awk '$1 != sprintf("%08X", NR) { bad = 1 } END { exit bad }' "$work/numbers" ||
        fail 'werror=stop: a number is missing or there twice'
    kill $server
    wait $server || true
    server=
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
    if has_libnbd; then
        qemu-img convert -q -f raw -O qcow2 "$hd" "$work/killed.qcow2"
        killed qcow2 "$work/killed.qcow2"
        killed qcow2 "$work/killed.qcow2"
    fi
fi
