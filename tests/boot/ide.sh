#!/bin/sh
# ide.sh ACCEL dma|pio: an unmodified kernel of Debian's on a disk with a partition table, GRUB and
# ext4, loaded through the firmware, with its own IDE drivers for disk and CD-ROM; what it wrote is
# there in the next start, and the host finds the file system clean.
. "$(dirname "$0")/common.sh"

sh "$loader/guest/get.sh" modules-amd64 > /dev/null
modules=$guest/modules-amd64 grub=/usr/lib/grub/i386-pc
PATH=$PATH:/sbin:/usr/sbin
for tool in grub-mkimage mke2fs e2fsck sfdisk cpio; do
    command -v $tool > /dev/null || exit 77
done
[ -f $grub/boot.img ] && [ -f /usr/share/seabios/bios-256k.bin ] || exit 77

# ---- the initrd: busybox and the modules

root=$work/root
mkdir -p "$root/mod" "$work/fs/boot/grub"
(cd "$root" && gzip -dc "$guest/initrd-amd64.gz" | cpio -i -d --quiet)
cp "$modules"/*.ko "$modules/order" "$root/mod"
cat > "$root/init" << 'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /bin /proc /sys /dev /mnt /cd
for applet in mount insmod sleep dd md5sum cat sync umount dmesg grep poweroff echo ls tail; do
    /bin/busybox ln -sf busybox /bin/$applet
done
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    [ $module = floppy.ko ] || insmod /mod/$module || echo "BAD: $module"
done < /mod/order
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -e /dev/sda1 ] && [ -e /dev/sr0 ] && break
    sleep 1
done
mount -t ext4 /dev/sda1 /mnt || echo "BAD: no file system"
mount -t iso9660 -o ro /dev/sr0 /cd || echo "BAD: no disc"
echo "CD $(dd if=/dev/sr0 bs=2048 2> /dev/null | md5sum)"
umount /cd
if [ -f /mnt/big ]; then
    echo "AGAIN $(md5sum < /mnt/big)"
else
    dd if=/dev/urandom of=/mnt/big bs=1M count=24 2> /dev/null
    sync
    echo 3 > /proc/sys/vm/drop_caches
    echo "FIRST $(md5sum < /mnt/big)"
fi
grep -E ' ata_piix' /proc/interrupts
dmesg | grep -E 'ata[0-9](\.0[01])?: '
dmesg -r | grep -E '^<[0-4]>.*(ata|scsi|sd |sr |EXT4|I/O)' && echo "BAD: warnings"
umount /mnt || echo "BAD: umount"
echo GUEST DONE
poweroff -f
INIT
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 > "$work/fs/boot/initrd.gz"

# ---- the disk

cp "$modules/vmlinuz" "$work/fs/boot/vmlinuz"
options=console=ttyS0
[ "$2" = dma ] || options="$options libata.dma=0"
cat > "$work/fs/boot/grub/grub.cfg" << CFG
serial
terminal_output serial
linux /boot/vmlinuz $options
initrd /boot/initrd.gz
boot
CFG
truncate -s 95M "$work/part"
mke2fs -q -t ext4 -d "$work/fs" "$work/part"
truncate -s 96M "$work/disk"
echo '2048,,83,*' | sfdisk -q "$work/disk"
dd if="$work/part" of="$work/disk" bs=1M seek=1 conv=notrunc,sparse status=none
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$work/core" biosdisk part_msdos ext2 \
    linux normal serial terminal configfile
dd if=$grub/boot.img of="$work/disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core" of="$work/disk" bs=512 seek=1 conv=notrunc status=none
# The disc to mount.
cd=/usr/lib/grub-rescue/grub-rescue-cdrom.iso
[ -f $cd ] || exit 77

# ---- two starts

again()
{
    start -accel "$1" -m 256 -drive "file=$work/disk,format=raw" -cdrom $cd -boot c -nographic
    expect 'GUEST DONE' 280
    finish 0
    if grep -a BAD "$out"; then fail "the guest found something wrong"; fi
    grep -q -a "CD $(md5sum < $cd)" "$out" || fail "the disc reads wrong"
}

again "$1"
first=$(sed -n 's/^FIRST //p' "$out" | tr -d '\r')
[ -n "$first" ] || fail "nothing was written"
case $2 in
dma) grep -q -a 'ATA-7: RINGER HARDDISK' "$out" || fail "no disk" ;;
pio) grep -q -a 'ata1.00: .*LBA48' "$out" || fail "no disk" ;;
esac
again "$1"
second=$(sed -n 's/^AGAIN //p' "$out" | tr -d '\r')
[ "$first" = "$second" ] || fail "the disk held $second, not $first"
dd if="$work/disk" of="$work/part" bs=1M skip=1 status=none
e2fsck -f -n "$work/part" || fail "the file system is damaged"
