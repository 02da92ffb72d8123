#!/bin/sh
# test_bad_input.sh: every wrong file and option gives one line that begins "ringer: " and exit
# status 1; never a crash, never a hang.
set -eu

RINGER=${RINGER:?the program to test}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
failures=0

# refuse TEXT OPTION...: refused with one line that contains TEXT.
refuse()
{
    text=$1
    shift
    status=0
    timeout 20 "$RINGER" -display none "$@" < /dev/null > "$work/out" 2> "$work/err" || status=$?
    lines=$(wc -l < "$work/err")
    if [ "$status" != 1 ] || [ "$lines" != 1 ] || [ -s "$work/out" ] ||
        ! grep -q '^ringer: ' "$work/err" || ! grep -q -F -e "$text" "$work/err"; then
        echo "FAILED: ringer $*"
        echo "  status $status, wanted \"$text\", got $lines lines:"
        head -5 "$work/err"
        failures=$((failures + 1))
    fi
}

# A small valid Linux header to spoil, and other files.
head -c 4096 /dev/zero > "$work/zeros"
head -c 4096 /dev/urandom > "$work/noise"
: > "$work/empty"
mkdir "$work/dir"
: > "$work/secret"
{
    head -c 497 /dev/zero
    printf '\001\000\000\000\001\000\000\000\000\000\000\000\000\125\252\353\152HdrS\017\002'
    head -c 3566 /dev/zero
} > "$work/header"
head -c 600 "$work/header" > "$work/cut"
printf '\177ELF\001\001\001' > "$work/elf-cut"
{ printf '\177ELF\001\001\001' && cat "$work/zeros"; } > "$work/elf-zeros"
{ printf '\177ELF\002\002\001' && cat "$work/noise"; } > "$work/elf-noise"
truncate -s 3G "$work/huge"

# Options.
refuse 'unknown option -foo' -foo
refuse '-m 0:' -m 0
refuse '-m lots:' -m lots
refuse '-m 9999999999T:' -m 9999999999T
refuse '-m: needs an argument' -m
refuse "$work/none: No such file" -hda "$work/none"
refuse "$work/dir: is a directory" -cdrom "$work/dir"
refuse "$work/empty: the image is empty" -drive "file=$work/empty,format=raw"
refuse "unknown image format 'qcow3'; known: raw qcow2" -drive "file=$work/zeros,format=qcow3"
refuse 'neither a file nor a block device' -hda /dev/zero
refuse '-netdev: not supported yet' -netdev user,id=n0
refuse '-drive if=virtio: not supported yet' -drive "file=$work/zeros,if=virtio"
refuse "-cpu i8080: unknown CPU model 'i8080'; known: max qemu64 qemu32 pentium3 486" -cpu i8080
refuse "-cpu max,+warp: unknown CPU feature 'warp'; known: fpu" -cpu max,+warp
refuse ' invtsc' -cpu max,+warp # the end of the list
refuse '-smp 4' -smp 4
refuse '-serial carrier-pigeon' -serial carrier-pigeon
refuse 'No such file or directory' -serial "file:$work/no/such"
refuse 'No such file or directory' -D "$work/no/such"
refuse 'are taken' -device isa-debug-exit,iobase=0x40 -kernel "$work/zeros"

# Kernels.
refuse "$work/none: No such file" -kernel "$work/none"
refuse "$work/dir: is a directory" -kernel "$work/dir"
refuse "$work/empty: the file is empty" -kernel "$work/empty"
refuse 'larger than' -kernel "$work/huge"
refuse 'neither a Linux bzImage nor' -kernel "$work/zeros"
refuse 'neither a Linux bzImage nor' -kernel "$work/noise"
refuse 'Linux kernel' -kernel "$work/cut"
refuse 'zImage' -kernel "$work/header"
refuse 'damaged ELF' -kernel "$work/elf-cut"
refuse 'ELF' -kernel "$work/elf-zeros"
refuse 'ELF' -kernel "$work/elf-noise"
if [ "$(id -u)" != 0 ]; then
    chmod 0 "$work/secret"
    refuse 'Permission denied' -kernel "$work/secret"
fi

# Firmware.
refuse "$work/none: No such file" -bios "$work/none"
refuse "$work/empty: the file is empty" -bios "$work/empty"
refuse 'no multiple of 64 KiB' -bios "$work/zeros"
refuse "$work/dir: is a directory" -bios "$work/dir"
refuse 'larger than' -bios "$work/huge"

# A real kernel: its pieces cut short, and initrds that are not there or too large.
kernel=${XDG_CACHE_HOME:-$HOME/.cache}/ringer/guest/vmlinuz-686
if [ -f "$kernel" ]; then
    for bytes in 513 1000 8192 100000 5000000; do
        head -c "$bytes" "$kernel" > "$work/part"
        refuse "$work/part" -m 64 -kernel "$work/part"
    done
    refuse "$work/none: No such file" -m 64 -kernel "$kernel" -initrd "$work/none"
    refuse "$work/empty: the file is empty" -m 64 -kernel "$kernel" -initrd "$work/empty"
    truncate -s 100M "$work/large"
    refuse "$work/large: 101 MiB do not fit" -m 64 -kernel "$kernel" -initrd "$work/large"
    refuse 'MiB of RAM' -m 16 -kernel "$kernel"
    refuse '-append: 3000 characters' -m 64 -kernel "$kernel" \
        -append "$(head -c 3000 /dev/zero | tr '\0' x)"
fi

# -cpu help is an answer, no complaint.
"$RINGER" -cpu help > "$work/out" 2> "$work/err" && [ ! -s "$work/err" ] &&
    grep -q '^  qemu64$' "$work/out" && grep -q '^  avx2$' "$work/out" &&
    ! grep -q unknown "$work/out" || {
    echo "FAILED: ringer -cpu help"
    failures=$((failures + 1))
}

[ "$failures" = 0 ] || exit 1
echo "all refused as they should be"
