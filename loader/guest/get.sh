#!/bin/sh
# Gets the guests that the quickstart, the tests and the benchmark boot: Debian 12's unmodified
# i386 and amd64 kernels and busybox initrds.  Prints the directory; a second run finds everything
# there.
#
#   sh loader/guest/get.sh [FILE ...]          (default: the three of i386)
#
# FILE: vmlinuz-686 vmlinuz-686-pae initrd.gz, vmlinuz-amd64 initrd-amd64.gz; of Debian's installer
# installer-ARCH-linux installer-ARCH-initrd.gz (ARCH: amd64, i386).  userland.cpio is a root file
# system of amd64 programs for an initrd (without an /init), userland/ the same tree unpacked.
# modules-amd64/ has vmlinuz and the kernel modules for disks, with their order in `order`.
# debian-amd64.img is a disk with an installed system (see system.sh; made as root, or through sudo).
#
# The packages come from Debian's i386 repository through a private apt configuration, so that the
# host's own is not touched.  Where that repository cannot be reached, the kernel and the busybox of
# debian-installer-12-netboot-i386 serve (a package for every architecture; 686 only).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/ringer
guest=$cache/guest
work=$cache/fetch.$$

say() { echo "ringer: $*" >&2; }
fail() { say "$*"; exit 1; }

mkdir -p "$guest"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP

# Two runs at once (tests in parallel) must not fetch twice.
if command -v flock > /dev/null; then
    exec 9> "$cache/lock"
    flock 9
fi

# download PACKAGE: the host's package to this folder, which is ours alone: apt, as root, would say
# that its unprivileged user cannot write there.
download() { apt-get -q -q -o APT::Sandbox::User=root download "$1"; }

# A private apt: same mirror and proxies as the host's, nothing else of it.  apt_setup ARCH makes
# $apt, its configuration: no package is installed there, so that every dependency is seen.
apt_setup()
{
    apt=$work/apt-$1.conf
    [ ! -f "$apt" ] || return 0
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f $keyring ] || return 1
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(ORIGIN) $(REPO_URI)' \
        'Created-By: Packages' 2> /dev/null |
        awk '$1 == "bookworm" && $2 == "main" && $3 == "Debian" { print $4; exit }')
    [ -n "$mirror" ] || return 1
    dir=$work/apt-$1
    mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
    : > "$dir/state/status"
    echo "deb [signed-by=$keyring] $mirror bookworm main" > "$dir/sources.list"
    cat > "$apt" << CONF
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$dir/state";
Dir::State::status "$dir/state/status";
Dir::Cache "$dir/cache";
APT::Architecture "$1";
APT::Architectures { "$1"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    say "reading Debian's $1 package list"
    apt-get -q -q -c "$apt" update || { rm -f "$apt"; return 1; }
}

# fetch PACKAGE: the i386 package unpacked under $work/PACKAGE.
fetch()
{
    apt_setup i386 || return 1
    say "getting $1 (i386)"
    mkdir -p "$work/debs"
    (cd "$work/debs" && rm -f ./*.deb &&
        apt-get -q -q -c "$apt" download "$1") || return 1
    dpkg-deb -x "$work"/debs/*.deb "$work/$1" || return 1
    rm -f "$work"/debs/*.deb
}

# The installer's image of an architecture: $installer/linux and $installer/initrd.gz.
installer_find()
{
    installer=$work/installer-$1
    [ ! -f "$installer/linux" ] || return 0
    dir=usr/lib/debian-installer/images/12/$1/text/debian-installer/$1
    mkdir -p "$installer"
    if [ ! -f "/$dir/linux" ]; then
        say "getting debian-installer-12-netboot-$1"
        (cd "$installer" && download "debian-installer-12-netboot-$1") ||
            fail "cannot get a Debian kernel for $1: no package source answers"
        dpkg-deb -x "$installer"/*.deb "$installer/root"
        cp "$installer/root/$dir/linux" "$installer/root/$dir/initrd.gz" "$installer"
        rm -rf "$installer/root" "$installer"/*.deb
    else
        cp "/$dir/linux" "/$dir/initrd.gz" "$installer"
    fi
}

kernel_amd64()
{
    installer_find amd64
    cp "$installer/linux" "$work/vmlinuz"
    mv "$work/vmlinuz" "$guest/vmlinuz-amd64"
}

# installer_file installer-ARCH-NAME
installer_file()
{
    name=${1#installer-}
    installer_find "${name%%-*}"
    [ -f "$installer/${name#*-}" ] || fail "$1: not a file of the guest"
    cp "$installer/${name#*-}" "$work/file"
    mv "$work/file" "$guest/$1"
}

# pack FILE: $root as an initrd.
pack()
{
    cp "$here/init" "$root/init"
    chmod 755 "$root/init" "$root/bin/busybox"
    (cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -9n > "$work/$1"
    cp "$here/init" "$guest/${1%.gz}.init" # what the initrd was made from
    mv "$work/$1" "$guest/$1"
}

# The host's own busybox-static: the same architecture.
initrd_amd64()
{
    root=$work/root-amd64
    mkdir -p "$root/bin"
    if [ -x /bin/busybox ] && ! ldd /bin/busybox > /dev/null 2>&1; then
        cp /bin/busybox "$root/bin/busybox"
    else
        say "getting busybox-static"
        (cd "$work" && download busybox-static) || fail "cannot get busybox-static"
        dpkg-deb -x "$work"/busybox-static*.deb "$work/busybox"
        cp "$work/busybox/bin/busybox" "$root/bin/busybox"
    fi
    pack initrd-amd64.gz
}

kernel()
{
    flavour=$1
    mkdir -p "$work"
    if apt_setup i386; then
        package=$(apt-cache -c "$apt" depends "linux-image-$flavour" |
            awk '$1 == "Depends:" && /linux-image-[0-9]/ { print $2; exit }')
        if [ -n "$package" ] && fetch "$package"; then
            cp "$work/$package"/boot/vmlinuz-* "$work/vmlinuz"
            rm -rf "${work:?}/$package"
        fi
    fi
    if [ ! -f "$work/vmlinuz" ]; then
        [ "$flavour" = 686 ] || fail "cannot get the package linux-image-$flavour (i386)"
        installer_find i386
        cp "$installer/linux" "$work/vmlinuz"
    fi
    mv "$work/vmlinuz" "$guest/vmlinuz-$flavour"
}

initrd()
{
    root=$work/root
    mkdir -p "$root/bin" "$root/lib"
    if fetch busybox-static; then
        cp "$work/busybox-static/bin/busybox" "$root/bin/busybox"
    else
        installer_find i386
        mkdir -p "$work/image"
        (cd "$work/image" && gzip -dc "$installer/initrd.gz" |
            cpio -i -d -m --quiet 'bin/busybox' 'lib/ld-linux*' 'lib/i386-linux-gnu/*' \
                2> /dev/null) || true
        cp "$work/image/bin/busybox" "$root/bin/busybox"
        cp -a "$work/image/lib/." "$root/lib"
    fi
    pack initrd.gz
}

# A root file system: packages and all they depend on, unpacked but not configured.
userland_packages="bash coreutils grep sed gawk diffutils findutils procps util-linux mount
    python3 perl sqlite3 openssl xz-utils zstd gzip bzip2 bc gcc libc6-dev gcc-multilib musl-tools
    gosu fzf age busybox-static:i386"

userland()
{
    apt_setup amd64 || fail "no Debian package source for amd64 programs"
    apt_amd64=$apt
    tree=$work/tree
    # Merged /usr: the directories that packages still ship as /bin and so on are links.
    mkdir -p "$tree/usr" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/tmp" "$tree/root" "$tree/etc"
    for dir in bin sbin lib lib32 lib64 libx32; do
        mkdir "$tree/usr/$dir"
        ln -s "usr/$dir" "$tree/$dir"
    done
    say "getting a root file system of Debian packages (amd64)"
    amd64=
    for package in $userland_packages; do
        case $package in
        *:i386) fetch "${package%:i386}" || fail "cannot get $package" ;;
        *) amd64="$amd64 $package" ;;
        esac
    done
    # shellcheck disable=SC2086 # one word a package
    apt-get -q -q -y -c "$apt_amd64" install --download-only $amd64 > "$work/apt.log" 2>&1 ||
        { cat "$work/apt.log" >&2; fail "cannot get the packages of the root file system"; }
    for deb in "$work"/apt-amd64/cache/archives/*.deb; do
        # Whole files only: nothing is configured, so nothing may be asked to.
        dpkg-deb --fsys-tarfile "$deb" | tar -x -k --keep-directory-symlink --no-same-owner             -C "$tree" --exclude './usr/share/doc' --exclude './usr/share/man'             --exclude './usr/share/locale' --exclude './usr/share/info' --exclude './var' ||
            fail "$deb does not unpack"
    done
    cp "$work/busybox-static/bin/busybox" "$tree/bin/busybox-i386"
    # What the packages' configuration would have made.
    ln -sf mawk "$tree/usr/bin/awk"
    [ -e "$tree/usr/bin/mawk" ] || ln -sf gawk "$tree/usr/bin/awk"
    ln -sf bash "$tree/usr/bin/sh"
    echo 'root:x:0:0:root:/root:/bin/bash' > "$tree/etc/passwd"
    echo 'root:x:0:' > "$tree/etc/group"
    # The compiler's other languages and link-time passes, and what only they need.
    find "$tree/usr/lib/gcc" ! -type d \( -name lto1 -o -name '*san*' \) -exec rm -f {} +
    rm -rf "$tree/usr/share/bash-completion" "$tree/usr/share/zoneinfo" "$tree/usr/share/perl/5.36.0/pod"
    echo "$userland_packages" > "$tree/etc/packages"
    rm -rf "${guest:?}/userland"
    (cd "$tree" && find . | cpio -o -H newc -R 0:0 --quiet) > "$work/userland.cpio"
    mv "$tree" "$guest/userland"
    mv "$work/userland.cpio" "$guest/userland.cpio"
}

userland_is_there()
{
    [ -s "$guest/userland.cpio" ] && [ -f "$guest/userland/etc/packages" ] &&
        [ "$(cat "$guest/userland/etc/packages")" = "$userland_packages" ]
}

# What an installed system's initrd has: the kernel's drivers for disks and their file systems.
# The package has no modules.dep, so this is the order, too.
disk_modules="crypto/crct10dif_common lib/crc-t10dif lib/crc64 crypto/crc64_rocksoft_generic
    lib/crc64-rocksoft block/t10-pi drivers/scsi/scsi_common drivers/scsi/scsi_mod
    drivers/cdrom/cdrom drivers/scsi/sd_mod drivers/scsi/sr_mod drivers/ata/libata
    drivers/ata/ata_piix drivers/block/floppy fs/isofs/isofs lib/crc16 fs/mbcache fs/jbd2/jbd2
    crypto/crc32c_generic lib/libcrc32c fs/ext4/ext4 fs/fat/fat fs/fat/vfat fs/nls/nls_ascii"
# Also there, but not in `order`.
other_modules="drivers/acpi/button drivers/input/evdev"

# $work/debs has the amd64 kernel's package, and nothing else.
kernel_package_amd64()
{
    apt_setup amd64 || fail "no Debian package source for an amd64 kernel"
    package=$(apt-cache -c "$apt" depends linux-image-amd64 |
        awk '$1 == "Depends:" && /linux-image-[0-9]/ { print $2; exit }')
    say "getting $package (amd64)"
    mkdir -p "$work/debs"
    (cd "$work/debs" && rm -f ./*.deb && apt-get -q -q -c "$apt" download "$package") ||
        fail "cannot get $package"
}

modules_amd64()
{
    kernel_package_amd64
    dpkg-deb -x "$work"/debs/*.deb "$work/kernel"
    tree=$work/modules
    mkdir -p "$tree"
    cp "$work"/kernel/boot/vmlinuz-* "$tree/vmlinuz"
    for module in $disk_modules; do
        file=$(echo "$work"/kernel/lib/modules/*/kernel/"$module".ko)
        [ -f "$file" ] || continue # built in
        cp "$file" "$tree"
        basename "$file" >> "$tree/order"
    done
    for module in $other_modules; do
        cp "$work"/kernel/lib/modules/*/kernel/"$module".ko "$tree"
    done
    rm -rf "${work:?}/kernel" "$work"/debs/*.deb "${guest:?}/modules-amd64"
    mv "$tree" "$guest/modules-amd64"
}

# An installed system on a disk; made anew when the recipe has changed.
debian_amd64()
{
    for tool in debootstrap mke2fs sfdisk grub-mkimage; do
        PATH=$PATH:/sbin:/usr/sbin command -v $tool > /dev/null || fail "$1 needs $tool"
    done
    kernel_package_amd64
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    eval "$(apt-config shell proxy Acquire::http::Proxy)" # debootstrap does not read apt's
    [ -z "${proxy:-}" ] || as_root="$as_root env http_proxy=$proxy"
    say "making $1"
    mkdir -p "$work/disk"
    $as_root sh "$here/system.sh" "$mirror" "$work"/debs/*.deb "$work/disk" || fail "cannot make $1"
    [ "$(id -u)" = 0 ] || sudo chown "$(id -u)" "$work/disk/disk.img"
    rm -f "$work"/debs/*.deb
    mv "$work/disk/disk.img" "$guest/$1"
    cp "$here/system.sh" "$guest/${1%.img}.recipe"
}

[ $# -gt 0 ] || set -- vmlinuz-686 vmlinuz-686-pae initrd.gz
for file; do
    case $file in
    initrd.gz | initrd-amd64.gz)
        { [ -s "$guest/$file" ] && cmp -s "$here/init" "$guest/${file%.gz}.init"; } || {
            mkdir -p "$work"
            case $file in
            initrd.gz) initrd ;;
            *) initrd_amd64 ;;
            esac
        } ;;
    vmlinuz-amd64)
        [ -s "$guest/$file" ] || { mkdir -p "$work"; kernel_amd64; } ;;
    vmlinuz-686 | vmlinuz-686-pae)
        [ -s "$guest/$file" ] || kernel "${file#vmlinuz-}" ;;
    userland.cpio)
        userland_is_there || { mkdir -p "$work"; userland; } ;;
    modules-amd64)
        [ -s "$guest/$file/button.ko" ] || { mkdir -p "$work"; modules_amd64; } ;;
    debian-amd64.img)
        { [ -s "$guest/$file" ] && cmp -s "$here/system.sh" "$guest/${file%.img}.recipe"; } || {
            mkdir -p "$work"
            debian_amd64 "$file"
        } ;;
    installer-amd64-* | installer-i386-*)
        [ -s "$guest/$file" ] || { mkdir -p "$work"; installer_file "$file"; } ;;
    *)
        fail "$file: not a file of the guest" ;;
    esac
done
echo "$guest"
