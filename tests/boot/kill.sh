#!/bin/sh
# kill.sh raw|qcow2 [KILLS] [CACHE]: kill -9 while the guest writes; after each time what it had
# flushed is there, the journal brings the file system back, on the host as in the next start.
#
# The guest is a kernel of Debian's with one program, kill/writer.c, on ext4: it replaces and removes
# files with fsync() and says so on the serial line.  After a kill the host recovers a copy of the
# image and checks it against these lines; the image itself is left to the next guest, which must
# find the same files as the host did.  KILLS (5) by the argument or RINGER_KILLS.
. "$(dirname "$0")/common.sh"

format=$1 kills=${RINGER_KILLS:-${2:-5}} cache=${3:-writeback}
sh "$loader/guest/get.sh" modules-amd64 > /dev/null
modules=$guest/modules-amd64
PATH=$PATH:/sbin:/usr/sbin
for tool in gcc mke2fs e2fsck debugfs cpio; do
    command -v $tool > /dev/null || exit 77
done
[ "$format" = raw ] || { command -v qemu-img && command -v qemu-nbd; } > /dev/null || exit 77

# ---- the guest

mkdir -p "$work/root/mod" "$work/found"
gcc -O2 -static -I "$boot/../.." -o "$work/writer" "$boot/kill/writer.c" || exit 77
cp "$work/writer" "$work/root/init"
grep -v -E '^(cdrom|sr_mod|floppy|isofs|fat|vfat|nls_.*)\.ko$' "$modules/order" > "$work/root/mod/order"
while read -r module; do
    cp "$modules/$module" "$work/root/mod"
done < "$work/root/mod/order"
(cd "$work/root" && find . | cpio -o -H newc --quiet) > "$work/initrd"

disk=$work/disk
truncate -s 64M "$work/raw"
mke2fs -q -t ext4 "$work/raw"
case $format in
raw) mv "$work/raw" "$disk" ;;
*) qemu-img convert -O "$format" "$work/raw" "$disk" ;;
esac

# ---- after a kill

# The image as it is now, raw, in $work/copy.
copy_image()
{
    if [ "$format" = raw ]; then
        cp --sparse=always "$disk" "$work/copy"
        return
    fi
    # The server ends with its connection and gives up its lock.
    left=100
    until qemu-img check -q "$disk" > "$work/check" 2>&1; do
        [ $left -gt 0 ] || fail "qemu-img check: $(cat "$work/check")"
        left=$((left - 1))
        sleep 0.1
    done
    qemu-img convert -O raw "$disk" "$work/copy"
}

# Recover the copy with nothing but what a journal explains, and take the files out of it.
recover()
{
    status=0
    e2fsck -f -p "$work/copy" > "$work/fsck" 2>&1 || status=$?
    [ $status -le 1 ] || fail "e2fsck: status $status: $(cat "$work/fsck")"
    if grep -v -E 'recovering journal|orphaned inode|Setting free (blocks|inodes) count|files \(' \
        "$work/fsck" | grep .; then
        fail "e2fsck had to repair"
    fi
    grep -q 'recovering journal' "$work/fsck" && recovered=$((recovered + 1))
    e2fsck -f -n "$work/copy" > "$work/fsck" 2>&1 || fail "damaged: $(cat "$work/fsck")"
    rm -rf "$work/found/d"
    debugfs -R "rdump /d $work/found" "$work/copy" > /dev/null 2>&1
}

# The lines that have arrived whole.
lines() { tr -d '\r' < "$out"; }
have() { lines | sed -n '/^WRITING/q; /^HAVE/p'; }
has_started() { grep -q -a '^WRITING' "$out"; }

kill_number=0 recovered=0 operations=0
: > "$work/before"
while [ $kill_number -lt "$kills" ]; do
    kill_number=$((kill_number + 1))
    start -m 256 -kernel "$modules/vmlinuz" -initrd "$work/initrd" -display none -serial stdio \
        -append 'console=ttyS0 quiet panic=-1 mitigations=off' -no-reboot \
        -drive "file=$disk,format=$format,cache=$cache"
    wait_for 120 'the guest to write' has_started
    # Up to 2 seconds.
    sleep "$(od -A n -t u2 -N 2 /dev/urandom | awk '{ printf "%.3f", $1 % 2000 / 1000 }')"
    kill -0 "$pid" || fail "kill $kill_number: it had ended"
    kill -KILL "$pid"
    wait "$pid" 2> /dev/null || true
    pid=
    exec 3>&-
    rm -f "$work/in"
    grep -a -E 'BAD|panic|EXT4-fs error' "$out" && fail "kill $kill_number: the guest says so"
    ! grep -a "^ringer:" "$err" || fail "kill $kill_number: errors"
    have > "$work/have"
    cmp "$work/before" "$work/have" || fail "kill $kill_number: guest and host recovered differently"
    copy_image
    recover
    lines | "$work/writer" check "$work/found/d" > "$work/result" ||
        fail "kill $kill_number: $(cat "$work/result")"
    "$work/writer" list "$work/found/d" > "$work/before"
    operations=$((operations + $(sed -n 's/ operations flushed.*//p' "$work/result")))
    echo "kill $kill_number: $(cat "$work/result")"
done
echo "$kills kills, $operations operations flushed, the journal was needed $recovered times"
[ $recovered -gt 0 ] || fail "no kill hit a write"
[ $operations -ge "$kills" ] || fail "hardly anything was written"
