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

sh "$top/loader/guest/install.sh" gcc libc6-dev cmake ninja-build pkg-config libcapstone-dev \
    libelf-dev libsdl2-dev libvncserver-dev libncurses-dev libpng-dev xvfb xdotool \
    imagemagick vncsnapshot tigervnc-viewer tightvncpasswd \
    debian-installer-12-netboot-amd64 debian-installer-12-netboot-i386 libcmocka-dev clang libclang-rt-14-dev nasm cpio gzip seabios bsdutils procps \
    python3 gdb grub-rescue-pc grub-pc-bin grub-common memtest86+ ipxe dosfstools mtools acpica-tools \
    xz-utils util-linux mount fdisk e2fsprogs libnbd-dev qemu-utils nbdkit debootstrap

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
