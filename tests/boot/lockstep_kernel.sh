#!/bin/sh
# lockstep_kernel.sh: translator and interpreter agree over the whole life of a 64-bit kernel: from
# its own first instruction (the ELF file inside the bzImage, entered by PVH, so that no unpacker
# comes first) to a shell, a few processes and the power-off.
. "$(dirname "$0")/common.sh"
command -v xz > /dev/null || exit 77

# A little-endian number in the kernel's setup header. [Linux, Documentation/arch/x86/boot.rst]
header() { od -A n -t "u$2" -j "$1" -N "$2" "$guest/vmlinuz-amd64" | tr -d ' '; }

start=$((($(header 497 1) + 1) * 512 + $(header 584 4))) # setup_sects, payload
length=$(($(header 588 4) - 4)) # behind the compressed data, its size when unpacked
tail -c +$((start + 1)) "$guest/vmlinuz-amd64" | head -c "$length" | xz -dc > "$work/vmlinux" ||
    fail "no xz payload in the kernel"

# Without windows, and with them and superblocks from the first instruction on.
for switch in no-window eager-window,eager-superblock; do
    start -accel lockstep -m 256 -kernel "$work/vmlinux" -initrd "$guest/initrd-amd64.gz" \
        -append "console=ttyS0" -nographic -d stats -x $switch
    expect '/ #' 500
    type 'seq 1 3000 | md5sum; awk "BEGIN { print 22 / 7 }"'
    expect 'ee9762749fc5338b6c9b0948d14219c7' 100
    expect '3.14286' 100
    type 'poweroff -f'
    finish 0 100
    insns=$(sed -n 's/^instructions *//p' "$err")
    echo "$insns instructions in $(($(date +%s) - started)) s"
    [ "$insns" -gt 600000000 ] || fail "only $insns instructions"
done
