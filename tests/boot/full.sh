#!/bin/sh
# full.sh: the host's disk runs full while the guest writes: the machine pauses, "cont" without more
# room pauses it again, with more room it goes on, and the guest has noticed nothing.
#
# The disk is on a small file system of its own, in a mount name space of the script's own; the
# guest is kill.sh's.
if [ "${FULL_INSIDE:-}" != yes ]; then
    export FULL_INSIDE=yes
    for how in -m -rm; do
        unshare $how true 2> /dev/null && exec unshare $how sh "$0" "$@"
    done
    exit 77
fi
. "$(dirname "$0")/common.sh"

sh "$loader/guest/get.sh" modules-amd64 > /dev/null
modules=$guest/modules-amd64
PATH=$PATH:/sbin:/usr/sbin
for tool in gcc mke2fs e2fsck cpio; do
    command -v $tool > /dev/null || exit 77
done
small=$work/small
mkdir -p "$small"
trap '[ -z "$pid" ] || kill -KILL "$pid" || true; umount -l "$small" || true; cleanup' EXIT
mount -t tmpfs -o size=100m small "$small" || exit 77

mkdir -p "$work/root/mod"
gcc -O2 -static -I "$boot/../.." -o "$work/root/init" "$boot/kill/writer.c" || exit 77
grep -v -E '^(cdrom|sr_mod|floppy|isofs|fat|vfat|nls_.*)\.ko$' "$modules/order" > "$work/root/mod/order"
while read -r module; do
    cp "$modules/$module" "$work/root/mod"
done < "$work/root/mod/order"
(cd "$work/root" && find . | cpio -o -H newc --quiet) > "$work/initrd"

disk=$small/disk
truncate -s 64M "$disk"
mke2fs -q -t ext4 "$disk"
used_kb=$(du -k "$disk" | cut -f 1)
room() { mount -o "remount,size=$((used_kb + $1))k" "$small"; }
room 1024

says() # STATE
{
    left=300
    until tail -n 3 "$out" | grep -q "VM status: $1"; do
        kill -0 "$pid" || fail "ended"
        left=$((left - 1))
        [ $left -gt 0 ] || fail "the monitor does not say \"$1\""
        type info status
        sleep 0.2
    done
}
flushed() { grep -a -c . "$work/serial"; }

start -m 256 -kernel "$modules/vmlinuz" -initrd "$work/initrd" -display none \
    -serial "file:$work/serial" -append 'console=ttyS0 quiet panic=-1 mitigations=off' -no-reboot \
    -drive "file=$disk,format=raw" -monitor stdio
says 'paused (io-error)'
grep -q 'No space left on device; the machine is paused' "$err" || fail 'no line for the user'
lines=$(wc -l < "$err")
type cont
says 'paused (io-error)'
wait_for 30 'another line' eval '[ "$(wc -l < "$err")" -gt "$lines" ]'
before=$(flushed)
room 65536
type cont
says running
wait_for 120 'more to be written' eval '[ "$(flushed)" -gt $((before + 20)) ]'
if grep -a -E 'BAD|panic|I/O error|EXT4-fs error' "$work/serial"; then
    fail 'the guest noticed'
fi
type quit
finish 0
status=0
e2fsck -f -p "$disk" > "$work/fsck" 2>&1 || status=$?
[ $status -le 1 ] || fail "e2fsck: status $status: $(cat "$work/fsck")"
