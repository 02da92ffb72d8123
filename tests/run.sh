#!/bin/sh
# Installs what is needed, builds, runs every test; ends with ctest's summary.
#
#   sh tests/run.sh            everything, in two builds:
#     build/tests     gcc, optimised: unit tests, oracles, guest programs, guest boots
#     build/sanitize  clang, ASan + UBSan: unit tests, guest programs, fuzzers (no boots)
#   sh tests/run.sh REGEX      only the tests whose names match
#
# Two jobs at a time, or as many as the machine has processors.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
jobs=$(nproc 2> /dev/null || echo 2)
[ "$jobs" -ge 2 ] || jobs=2

build_packages="gcc libc6-dev clang libclang-rt-14-dev cmake ninja-build pkg-config nasm
    libcapstone-dev libelf-dev libcmocka-dev libsdl2-dev libvncserver-dev libncurses-dev libpng-dev
    libnbd-dev"
guest_packages="seabios ipxe memtest86+ grub-common grub-pc-bin grub-rescue-pc debootstrap
    debian-installer-12-netboot-amd64 debian-installer-12-netboot-i386"
tool_packages="acpica-tools bsdutils cpio dosfstools e2fsprogs fdisk gdb gzip imagemagick mount mtools
    nbdkit procps python3 qemu-utils tightvncpasswd tigervnc-viewer util-linux vncsnapshot xdotool
    xvfb xz-utils"
# shellcheck disable=SC2086 # one word a package
sh "$top/loader/guest/install.sh" $build_packages $guest_packages $tool_packages

build() # DIRECTORY CMAKE-OPTION...
{
    dir=$1
    shift
    echo "ringer: building $dir" >&2
    cmake -S "$top" -B "$top/build/$dir" -G Ninja "$@" > /dev/null
    cmake --build "$top/build/$dir" -j "$jobs"
}

build tests -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Release
build sanitize -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo -DRINGER_SANITIZE=ON \
    -DRINGER_FUZZ=ON
sh "$top/loader/guest/get.sh" vmlinuz-686 vmlinuz-686-pae initrd.gz vmlinuz-amd64 \
    initrd-amd64.gz installer-amd64-linux installer-amd64-initrd.gz installer-i386-linux \
    installer-i386-initrd.gz userland.cpio modules-amd64 > /dev/null
# Needs root or sudo: without, and without an older one, its tests are skipped.
if [ "$(id -u)" = 0 ] || sudo -n true 2> /dev/null; then
    sh "$top/loader/guest/get.sh" debian-amd64.img > /dev/null || true # they will say so
fi

status=0
echo "ringer: tests with sanitizers" >&2
ctest --test-dir "$top/build/sanitize" -j "$jobs" --output-on-failure ${1:+-R "$1"} || status=1
echo "ringer: tests" >&2
ctest --test-dir "$top/build/tests" -j "$jobs" --output-on-failure ${1:+-R "$1"} || status=1
exit $status
