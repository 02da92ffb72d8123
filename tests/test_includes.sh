#!/bin/sh
# The include directions of the folders, as the top README has them:
#   cpu/ -> cpu/      translator/ -> translator/ cpu/      loader/ -> devices/ cpu/ translator.h
#   devices/: a chip sees only the bus side of devices/, never another chip; the board (pc.c and its
#   parts, pc_*.c) sees everything below it.
# Prints every directive that breaks this; fails if there is one.
set -eu
cd "$(dirname "$0")/.."

includes() # FILES: lines "file:included", project headers only
{
    grep -n -H -o '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]*"' "$@" /dev/null |
        sed 's/^\([^:]*\):[0-9]*:[^"]*"\([^"]*\)"/\1:\2/'
}

{
    includes cpu/*.c cpu/*.h cpu/*.def | grep -v -E ':(cpu/.*|generated/.*|[^/]*\.inc)$' || true
    includes translator/*.c translator/*.h | grep -v -E ':(translator|cpu)/' || true
    includes loader/*.c loader/*.h |
        grep -v -E ':(loader/|devices/|cpu/|translator/translator\.h$)' || true

    # Chips: the bus-side headers, the interfaces between a bus and what sits on it, and the chip's
    # own headers (vga.c, vga_draw.c: vga*.h).  acpi.c writes the board's tables, it is no chip.
    for file in devices/*.c devices/*.h; do
        stem=$(basename "$file")
        stem=${stem%.*}
        case $stem in
        pc | pc_*) allowed='devices/.*|cpu/.*|translator/translator\.h' ;;
        acpi | aml) allowed='devices/.*' ;;
        *) allowed="devices/((bus|line|clock|backend|block|display|dma|ata|pci|ps2|apicbus)|${stem%%_*}[^/]*)\.h" ;;
        esac
        includes "$file" | grep -v -E ":($allowed)\$" || true
    done
} > "${TMPDIR:-/tmp}/includes.$$"

status=0
if [ -s "${TMPDIR:-/tmp}/includes.$$" ]; then
    echo "forbidden includes (file:included):"
    cat "${TMPDIR:-/tmp}/includes.$$"
    status=1
fi
rm -f "${TMPDIR:-/tmp}/includes.$$"
exit $status
