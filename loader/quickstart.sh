#!/bin/sh
# From a fresh Debian 12 to a root prompt in a guest kernel:
#
#   sh loader/quickstart.sh [--i386]        install what is needed, build, get a guest, boot it
#   sh loader/quickstart.sh [--i386] -- COMMAND
#                                           run one shell command in the guest; its output and its
#                                           exit status are those of this script
#
# The guest is Debian's amd64 kernel; with --i386 it is the 686 kernel of Debian's i386.
# Packages are installed with root's rights (sudo when run by a user).  Everything that is made goes
# to build/ here and to ${XDG_CACHE_HOME:-~/.cache}/ringer; a second run finds it there.
# RINGER_KERNEL=686-pae chooses the other i386 kernel; RINGER names another ringer to run.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=$top/build
kernel=${RINGER_KERNEL:-amd64}
usage="usage: sh loader/quickstart.sh [--i386] [-- COMMAND]"

say() { echo "ringer: $*" >&2; }
fail() { say "$*"; exit 1; }

if [ "${1:-}" = --i386 ]; then
    kernel=${RINGER_KERNEL:-686}
    shift
fi
command=
if [ $# -gt 0 ]; then
    [ "$1" = -- ] && [ $# -gt 1 ] || fail "$usage"
    shift
    command=$*
fi
case $kernel in
amd64 | 686 | 686-pae) ;;
*) fail "RINGER_KERNEL=$kernel: known are amd64, 686, 686-pae" ;;
esac

if [ -z "${RINGER:-}" ]; then
    sh "$top/loader/guest/install.sh" gcc libc6-dev cmake ninja-build pkg-config \
        libcapstone-dev libelf-dev nasm cpio gzip seabios
    if [ ! -f "$build/build.ninja" ]; then
        say "configuring the build in $build"
        cmake -S "$top" -B "$build" -G Ninja -DRINGER_TESTS=OFF > /dev/null
    fi
    if [ ! -x "$build/ringer" ]; then
        say "building (a minute or so)"
        cmake --build "$build" --target ringer >&2
    else # up to date, most of the time
        cmake --build "$build" --target ringer > "$build/quickstart.log" 2>&1 ||
            { cat "$build/quickstart.log" >&2; fail "the build failed"; }
    fi
    RINGER=$build/ringer
fi

case $kernel in
amd64) initrd=initrd-amd64.gz ;;
*) initrd=initrd.gz ;;
esac
guest=$(sh "$top/loader/guest/get.sh" "vmlinuz-$kernel" $initrd)

if [ -z "$command" ]; then
    say "booting Debian's $kernel kernel; poweroff -f ends it, Ctrl-A x quits"
    exec "$RINGER" -m 512 -kernel "$guest/vmlinuz-$kernel" -initrd "$guest/$initrd" \
        -append "console=ttyS0" -nographic
fi

# One command: a second archive with /command goes behind the initrd; the kernel's console is the
# first serial port, the command's output the second, its errors the third, its status the fourth.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
printf '%s\n' "$command" > "$work/command"
(cd "$work" && echo command | cpio -o -H newc --quiet | gzip -n > command.gz)
cat "$guest/$initrd" "$work/command.gz" > "$work/initrd.gz"
mkfifo "$work/errors"
cat "$work/errors" >&2 &
"$RINGER" -m 512 -kernel "$guest/vmlinuz-$kernel" -initrd "$work/initrd.gz" \
    -append "console=ttyS0 quiet panic=-1" -display none -no-reboot \
    -serial "file:$work/console" -serial stdio -serial "file:$work/errors" \
    -serial "file:$work/status" < /dev/null || fail "the machine ended with status $?"
wait
status=$(tr -cd 0-9 < "$work/status")
if [ -z "$status" ]; then
    cat "$work/console" >&2
    fail "the guest ended without running the command; its console is above"
fi
exit "$status"
