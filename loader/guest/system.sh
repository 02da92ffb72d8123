#!/bin/sh
# Makes a Debian system on a raw disk image: partition table, GRUB in the master boot record, ext4,
# systemd; a login on the serial console and on the screen, root's password is `ringer`.
#
#   sh loader/guest/system.sh MIRROR KERNEL.deb DIRECTORY    (as root)
#
# leaves DIRECTORY/disk.img.  Nothing is mounted and no loop device is needed: debootstrap makes a
# tree in DIRECTORY, mke2fs packs it.  The kernel's package is installed without most of its modules,
# its initrd is made by its own scripts.
set -eu

mirror=$1 kernel=$2 dir=$3
grub=/usr/lib/grub/i386-pc
root=$dir/system
size_mb=700
packages=systemd-sysv,udev,dbus,login,kmod,linux-base,initramfs-tools,zstd,e2fsprogs,grub2-common,grub-pc-bin
PATH=$PATH:/sbin:/usr/sbin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

# Mounts that debootstrap makes shall go with it, however it ends.
alone=
unshare -m true 2> /dev/null && alone='unshare -m'

logged()
{
    "$@" > "$dir/log" 2>&1 || { cat "$dir/log" >&2; echo "system.sh: failed: $*" >&2; exit 1; }
}

inside() { logged chroot "$root" "$@"; }

# ---- packages

logged $alone debootstrap --variant=minbase --include=$packages \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg bookworm "$root" "$mirror"

modules=/lib/modules/*/kernel
{
    echo "path-exclude=$modules/*"
    for kept in arch block crypto lib fs/ext4 fs/jbd2 fs/mbcache.ko fs/fat fs/nls fs/isofs \
        fs/autofs fs/configfs fs/fuse drivers/ata drivers/scsi/s drivers/cdrom drivers/block/floppy \
        drivers/block/loop drivers/acpi drivers/input drivers/char drivers/parport \
        drivers/i2c drivers/md/dm-mod drivers/net/ethernet/intel/e1000/ \
        drivers/net/ethernet/realtek/8139 drivers/virtio drivers/block/virtio drivers/firmware; do
        echo "path-include=$modules/$kept*"
    done
} > "$root/etc/dpkg/dpkg.cfg.d/ringer"
# The initrd gets the file system's checker if the table names the file system.
echo 'LABEL=system / ext4 errors=remount-ro 0 1' > "$root/etc/fstab"
echo 'MODULES=list' > "$root/etc/initramfs-tools/conf.d/ringer"
printf '%s\n' ata_piix sd_mod ext4 > "$root/etc/initramfs-tools/modules"
cp "$kernel" "$root/kernel.deb"
inside dpkg -i /kernel.deb
rm "$root/kernel.deb"

# ---- configuration

echo ringer > "$root/etc/hostname"
echo '127.0.0.1 localhost ringer' > "$root/etc/hosts"
echo 72696e67657272696e67657272696e67 > "$root/etc/machine-id"
echo 'root:ringer' | chroot "$root" chpasswd
# There is no network to update from.
inside systemctl mask apt-daily.timer apt-daily-upgrade.timer
line='console=tty0 console=ttyS0,115200'
cat > "$root/etc/default/grub" << CFG
GRUB_TIMEOUT=1
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="$line"
GRUB_TERMINAL="console serial"
GRUB_SERIAL_COMMAND="serial --speed=115200"
CFG
# What grub-mkconfig would write needs the disk; the system itself can do it later.
mkdir -p "$root/boot/grub"
cat > "$root/boot/grub/grub.cfg" << CFG
serial --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=1
menuentry 'Debian GNU/Linux' {
    linux /boot/$(cd "$root/boot" && echo vmlinuz-*) root=LABEL=system ro $line
    initrd /boot/$(cd "$root/boot" && echo initrd.img-*)
}
CFG
cp -r $grub "$root/boot/grub"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/* \
    "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/var/log/*.log

# ---- the disk: MBR and core image before the first partition at 1 MiB

truncate -s $((size_mb - 1))M "$dir/partition"
mke2fs -q -t ext4 -L system -d "$root" "$dir/partition"
truncate -s ${size_mb}M "$dir/image"
echo '2048,,83,*' | sfdisk -q "$dir/image"
dd if="$dir/partition" of="$dir/image" bs=1M seek=1 conv=notrunc,sparse status=none
grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' -o "$dir/core" biosdisk part_msdos ext2
dd if=$grub/boot.img of="$dir/image" bs=440 count=1 conv=notrunc status=none
dd if="$dir/core" of="$dir/image" bs=512 seek=1 conv=notrunc status=none
mv "$dir/image" "$dir/disk.img"
rm -rf --one-file-system "$root" "$dir/partition" "$dir/core" "$dir/log"
