#!/bin/sh
# Gets the guests that the quickstart, the tests and the benchmark boot: Debian 12's unmodified
# i386 and amd64 kernels and busybox initrds.  Prints the directory; a second run finds everything
# there.
#
#   sh loader/guest/get.sh [FILE ...]          (default: the three of i386)
#
# FILE: vmlinuz-686 vmlinuz-686-pae initrd.gz, vmlinuz-amd64 initrd-amd64.gz.
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

# A private apt for i386: same mirror and proxies as the host's, nothing else of it.
apt_setup()
{
    [ ! -f "$work/apt.conf" ] || return 0
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -f $keyring ] || return 1
    mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(ORIGIN) $(REPO_URI)' \
        'Created-By: Packages' 2> /dev/null |
        awk '$1 == "bookworm" && $2 == "main" && $3 == "Debian" { print $4; exit }')
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    : > "$work/state/status"
    [ -n "$mirror" ] || return 1
    echo "deb [signed-by=$keyring] $mirror bookworm main" > "$work/sources.list"
    cat > "$work/apt.conf" << CONF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "$work/state";
Dir::State::status "$work/state/status";
Dir::Cache "$work/cache";
APT::Architecture "i386";
APT::Architectures { "i386"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    say "reading Debian's i386 package list"
    apt-get -q -q -c "$work/apt.conf" update || { rm -f "$work/apt.conf"; return 1; }
}

# fetch PACKAGE: unpacked under $work/PACKAGE.
fetch()
{
    apt_setup || return 1
    say "getting $1 (i386)"
    mkdir -p "$work/debs"
    (cd "$work/debs" && rm -f ./*.deb &&
        apt-get -q -q -c "$work/apt.conf" download "$1") || return 1
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
        (cd "$installer" && apt-get -q -q download "debian-installer-12-netboot-$1") ||
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
    mv "$installer/linux" "$guest/vmlinuz-amd64"
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
        (cd "$work" && apt-get -q -q download busybox-static) || fail "cannot get busybox-static"
        dpkg-deb -x "$work"/busybox-static*.deb "$work/busybox"
        cp "$work/busybox/bin/busybox" "$root/bin/busybox"
    fi
    pack initrd-amd64.gz
}

kernel()
{
    flavour=$1
    mkdir -p "$work"
    if apt_setup; then
        package=$(apt-cache -c "$work/apt.conf" depends "linux-image-$flavour" |
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
    *)
        fail "$file: not a file of the guest" ;;
    esac
done
echo "$guest"
