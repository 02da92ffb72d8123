#!/bin/sh
# system.sh ACCEL raw|qcow2|nbd: an installed Debian from the first sector of its disk on: GRUB,
# systemd, a login.  A package is installed, files are written, the machine goes off; the next start
# finds all of it, and the host finds the file system clean.
#
#   raw      -hda; GRUB is installed anew by the guest, the next start uses that; `reboot`; a login
#            with keyboard and screen; off by the power button
#   qcow2    -hda of such an image; off by the power button first
#   nbd      the image behind a server
#
# With RINGER_PICTURES a directory, the screen is there as system.png.
#
# The second disk has the package and what the guest shall do.  Disks go by label: which of them is
# sda may change from one start to the next.
. "$(dirname "$0")/common.sh"

accel=$1 kind=$2 monitor=$work/monitor disk=$work/disk server=
PATH=$PATH:/sbin:/usr/sbin
for tool in debootstrap mke2fs e2fsck sfdisk grub-mkimage dpkg-deb python3; do
    command -v $tool > /dev/null || exit 77
done
[ "$kind" = raw ] || { command -v qemu-nbd && command -v qemu-img && has_libnbd; } > /dev/null ||
    exit 77
[ -s "$guest/debian-amd64.img" ] || [ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null || exit 77
sh "$loader/guest/get.sh" debian-amd64.img > /dev/null

end_server()
{
    [ -z "$server" ] || { kill "$server" && wait "$server"; } 2> /dev/null || true
    server=
}
trap 'end_server; cleanup' EXIT

# ---- the second disk

# A package whose service notes each boot.
package=$work/package tools=$work/tools
mkdir -p "$package/DEBIAN" "$package/usr/lib/systemd/system" "$tools"
cat > "$package/DEBIAN/control" << 'CONTROL'
Package: witness
Version: 1.0
Architecture: all
Depends: systemd
Maintainer: Nobody <nobody@localhost>
Description: notes each boot
CONTROL
cat > "$package/DEBIAN/postinst" << 'POSTINST'
#!/bin/sh
set -e
systemctl daemon-reload
systemctl --quiet enable --now witness.service
POSTINST
cat > "$package/usr/lib/systemd/system/witness.service" << 'SERVICE'
[Unit]
Description=Notes each boot
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/boot_id >> /var/lib/witness'
[Install]
WantedBy=multi-user.target
SERVICE
chmod 755 "$package/DEBIAN/postinst"
dpkg-deb --root-owner-group -b "$package" "$tools/witness.deb" > /dev/null

cat > "$tools/first" << 'FIRST'
dpkg -i /mnt/witness.deb || echo BAD: dpkg
mkdir -p /srv/deep/er
dd if=/dev/urandom of=/srv/big bs=1M count=24 status=none
dd if=/dev/urandom of=/srv/holes bs=4k count=1 seek=100000 status=none
cp -a /etc /usr/lib/systemd /srv/deep/er
ln -s ../big /srv/deep/link
rm -rf /srv/deep/er/systemd/network
(cd /srv && find . -type f -exec md5sum {} + > /root/sums)
sync
echo 3 > /proc/sys/vm/drop_caches
(cd /srv && md5sum -c --quiet /root/sums) || echo BAD: sums
FIRST
cat > "$tools/grub" << 'GRUB'
disk=$(findmnt -n -o SOURCE /)
grub-install ${disk%1} || echo BAD: grub-install
update-grub || echo BAD: update-grub
GRUB
cat > "$tools/next" << 'NEXT'
(cd /srv && md5sum -c --quiet /root/sums) || echo BAD: sums
[ $(stat -c %s /srv/holes) = 409604096 ] || echo BAD: size
cmp /srv/big /srv/deep/link || echo BAD: link
[ ! -e /srv/deep/er/systemd/network ] || echo BAD: removed
[ "$(dpkg-query -W -f '${db:Status-Abbrev}${Version}' witness)" = 'ii 1.0' ] || echo BAD: package
dpkg --verify witness || echo BAD: files
[ $(sort -u /var/lib/witness | wc -l) = $1 ] || echo BAD: boots
dmesg | grep -i recover && echo BAD: shutdown
NEXT
cat > "$tools/always" << 'ALWAYS'
systemctl --failed --plain --no-legend | grep . && echo BAD: units
dmesg -r | grep -E '^<[0-4]>.*(ata|scsi|sd |EXT4|I/O|BUG|WARN|segfault|lockup|rcu)' && echo BAD: warnings
ALWAYS
truncate -s 4M "$work/tools.img"
mke2fs -q -t ext4 -L tools -d "$tools" "$work/tools.img"

# ---- the disk

base=$guest/debian-amd64.img
case $kind in
raw)
    cp --reflink=auto --sparse=always "$base" "$disk"
    drive="-hda $disk"
    ;;
qcow2)
    qemu-img convert -f raw -O qcow2 "$base" "$disk"
    drive="-hda $disk"
    ;;
nbd)
    cp --reflink=auto --sparse=always "$base" "$disk"
    drive="-drive file=nbd+unix:///?socket=$work/nbd"
    qemu-nbd --persistent --format=raw --socket="$work/nbd" "$disk" &
    server=$!
    left=100
    until [ -S "$work/nbd" ] || [ $left = 0 ]; do
        left=$((left - 1))
        sleep 0.1
    done
    ;;
*) fail "$kind: not a kind of image" ;;
esac

# ---- what a person does

power_on()
{
    # shellcheck disable=SC2086 # two words
    start -accel "$accel" -m 512 $drive -drive "file=$work/tools.img,format=raw,readonly=on" \
        -display none -serial stdio -monitor "unix:$monitor,server,nowait"
    log_in
}

log_in()
{
    since=$(date +%s)
    expect 'GNU GRUB' 60
    grub_s=$(($(date +%s) - since))
    expect ' login: ' 280
    echo "$kind: GRUB after $grub_s s, login after $(($(date +%s) - since)) s"
    type root
    expect Password: 60
    type ringer
    expect 'root@ringer' 60
    type 'stty -echo; PS1=; mount -o ro LABEL=tools /mnt && echo mounted-$((1+1))'
    expect mounted-2 60
}

# run SCRIPT [ARGUMENT]: it and the general questions; it must say nothing bad.
run()
{
    type "sh /mnt/$1 $2; sh /mnt/always; echo $1-\$((1+1))"
    expect "$1-2" 280
    if grep -a -F BAD: "$out"; then fail "the guest found something wrong"; fi
}

# The screen and the keyboard, through the monitor.
vga_has()
{
    python3 "$boot/vga.py" "$monitor" screen > "$work/screen" && grep -q -F -e "$1" "$work/screen"
}

vga_expect()
{
    left=120
    until vga_has "$1"; do
        [ "$left" -gt 0 ] || fail "no \"$1\" on the screen: $(cat "$work/screen")"
        left=$((left - 1))
        sleep 0.5
    done
}

press() { python3 "$boot/vga.py" "$monitor" type "$1" > /dev/null; }

power_off() # command|button
{
    case $1 in
    command) type 'systemctl poweroff' ;;
    button) python3 "$boot/vga.py" "$monitor" system_powerdown > /dev/null ;;
    esac
    finish 0 120
    grep -q -a 'reboot: Power down' "$out" || fail "the guest did not shut down"
    rm -f "$monitor"
}

power_on
run first ''
[ "$kind" != raw ] || run grub ''
case $kind in
qcow2) power_off button ;;
*) power_off command ;;
esac

power_on
run next 2
if [ "$kind" = raw ]; then
    : > "$out"
    type reboot
    log_in
    run next 3
    vga_expect 'ringer login:'
    press 'root\n'
    vga_expect Password:
    press 'ringer\n'
    vga_expect 'root@ringer:~#'
    press 'clear; tty; echo "$((6*7)) & more"\n'
    vga_expect '42 & more'
    vga_expect /dev/tty1
    [ -z "${RINGER_PICTURES:-}" ] || { mkdir -p "$RINGER_PICTURES" &&
        python3 "$boot/vga.py" "$monitor" screendump "$RINGER_PICTURES/system.png" > /dev/null; }
    power_off button
else
    power_off command
fi

end_server
case $kind in
qcow2)
    qemu-img check -q "$disk" || fail "the image is damaged"
    qemu-img convert -f qcow2 -O raw "$disk" "$work/raw"
    disk=$work/raw
    ;;
esac
[ "$kind" != raw ] || ! cmp -s -n 440 "$base" "$disk" || echo "note: GRUB wrote the same boot sector"
dd if="$disk" of="$work/part" bs=1M skip=1 conv=sparse status=none
e2fsck -f -n "$work/part" || fail "the file system is damaged"
