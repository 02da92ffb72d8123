#!/bin/sh
# bench.sh: `ringer bench`, from the program alone: rows, JSON, ablation; what it refuses, guests
# that end badly or never.
set -eu

RINGER=${RINGER:?the program to test}
work=$(mktemp -d)
out=$work/out err=$work/err
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
command -v nasm > /dev/null || exit 77

fail()
{
    echo "FAILED: $*"
    echo "---- output"
    cat "$out"
    echo "---- errors"
    cat "$err"
    exit 1
}

# bench STATUS ARGUMENT...
bench()
{
    wanted=$1 status=0
    shift
    timeout 100 "$RINGER" bench "$@" < /dev/null > "$out" 2> "$err" || status=$?
    [ "$status" = "$wanted" ] || fail "ringer bench $*: status $status, not $wanted"
}

# refuse TEXT ARGUMENT...: status 1 and one line that contains TEXT.
refuse()
{
    text=$1
    shift
    bench 1 "$@"
    [ "$(wc -l < "$err")" = 1 ] && [ ! -s "$out" ] && grep -q "^ringer: " "$err" &&
        grep -q -F -e "$text" "$err" || fail "ringer bench $*: not \"$text\""
}

has() { grep -q -e "$1" "$out" || fail "no $1"; }
lacks() { ! grep -q -e "$1" "$out" || fail "there is $1"; }

# Named rows, and nothing else.
bench 0 -runs 1 syscall callret translated_insns decoded_insns
has '^  syscall  *[0-9.]* cycles'
has '^  callret  *[0-9.]* cycles'
has '^  translated_insns  *[0-9.]* million/s'
has '^  decoded_insns  *[0-9.]* million/s'
lacks '^  wall'
lacks '^  pgfault'

# All that -list names is there when everything is run, and the other way round.
bench 0 -list
sed -n 's/^  \([a-z_0-9]*\) .*/\1/p' "$out" | sort > "$work/listed"
bench 0 -runs 1 -json "$work/json"
sed -n '/^  row/d; s/^  \([a-z_0-9]*\) .*/\1/p' "$out" | sort > "$work/measured"
cmp -s "$work/listed" "$work/measured" ||
    fail "listed and measured: $(diff "$work/listed" "$work/measured")"
python3 - "$work/json" "$work/listed" << 'END' || fail "the JSON"
import json, sys
found = json.load(open(sys.argv[1]))
rows = {row["row"]: row for row in found["rows"]}
assert sorted(rows) == sorted(open(sys.argv[2]).read().split()), rows.keys()
for row in rows.values():
    assert len(row["values"]) == 1 and row["median"] == row["values"][0] >= 0, row
assert rows["wall"]["unit"] == "ns" and rows["pgfault"]["unit"] == "cycles"
assert found["runs"] == 1 and not found["failures"] and found["counters"][0]["translations"] > 0
END

# JSON in place of the table, over what was there; other options of the machine come on top.
bench 0 callret wall -runs 2 -json - -cpu qemu64 -accel interpret
python3 -c 'import json, sys
found = json.load(sys.stdin)
assert [len(row["values"]) for row in found["rows"]] == [2, 2]
assert found["accel"] == "interpret" and found["cpu"] == "qemu64"
assert "translations" not in found["counters"][0]
assert found["options"] == ["-cpu", "qemu64", "-accel", "interpret"]' < "$out" ||
    fail "the JSON of -json -"
yes | head -c 100000 > "$work/json"
bench 0 in -runs 1 -json "$work/json"
python3 -m json.tool "$work/json" > /dev/null || fail "the JSON over another file"

# Each switch by itself.
bench 0 code_first -ablate -runs 1 -json "$work/json"
"$RINGER" -x help > "$work/help"
while read -r switch what; do
    grep -q -F -e "$what" "$out" && has "^$switch  *[0-9.]* " || fail "-ablate without $switch"
done < "$work/help"
python3 - "$work/json" "$work/help" << 'END' || fail "the JSON of -ablate"
import json, sys
found = json.load(open(sys.argv[1]))
assert [way["switch"] for way in found["switches"]] == [
    line.split()[0] for line in open(sys.argv[2])]
assert all(way["rows"][0]["row"] == "code_first" for way in found["switches"])
END

refuse 'no row nonsense' nonsense
refuse "disk.img: not a row's name" disk.img
refuse '-runs 0:' -runs 0
refuse '-d, -D:' -d in_asm
refuse '-d, -D:' -D "$work/log"
refuse '-accel lockstep:' -accel lockstep
refuse "$work/none: No such file" -kernel "$work/none"
refuse 'unknown option -foo' -foo
refuse '-append: only with -kernel' -append x
refuse '-ablate: name the rows' -ablate
refuse '-ablate: name the rows' -ablate in cr8wr syscall callret pgfault divzero ptemod
refuse 'translating: nothing is translated' translating -accel interpret
refuse 'no x86 ELF file' decoded_insns -text "$0"
refuse "$work/no/such: No such file" in -json "$work/no/such"

# A guest of one's own: lines that are rows and lines that are not, then an end.
guest() # NAME STATUS-BYTE TEXT
{
    cat > "$work/guest.asm" << END
        bits 32
        org  0x200000
header: dd   0x1badb002, 0x10003, -(0x1badb002 + 0x10003), header, header, end, end, entry
entry:  mov  esi, text
        mov  dx, 0x3f8
.next:  lodsb
        test al, al
        jz   .end
        out  dx, al
        jmp  .next
.end:   mov  al, $2
        cmp  al, 255
        je   \$
        out  0xf4, al
        hlt
text:   db   $3, 0
end:
END
    nasm -f bin -o "$work/$1" "$work/guest.asm"
}
own()
{
    wanted=$1 image=$2
    shift 2
    bench "$wanted" "$@" -m 16 -kernel "$work/$image" -nodefaults -serial stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=4
}
guest good 0 "'mine 7.5 x', 13, 10, 'Not one', 10, 'wall 1', 10, 'other 3', 10, 27, '[31mx', 10"
own 0 good -runs 2
has '^  mine  *7.5  *0%$'
has '^  other  *3  *0%$'
has '^  wall  *[0-9.]* ms'
own 0 good -runs 1 mine wall
lacks other
own 1 good -runs 1 absent
grep -q 'no value of absent' "$err" || fail "a row that the guest does not print"

guest bad 3 "'mine 1', 10, 27, '[2J, and dies'"
own 1 bad -runs 1
grep -q 'run 1 of 1: the guest ended with 3, exit status 7' "$err" || fail "no word of its status"
grep -q '?\[2J, and dies' "$err" || fail "not what it printed last"
lacks mine

guest endless 255 "'mine 1', 10"
own 1 endless -runs 1 -limit 1
grep -q 'did not end within 1 s' "$err" || fail "no word of the limit"

# A signal to the program ends the guest, too, and the program dies of it.
"$RINGER" bench -runs 1 -m 16 -kernel "$work/endless" -nodefaults -serial stdio < /dev/null \
    > "$out" 2> "$err" &
pid=$! child=
while [ -z "$child" ]; do
    child=$(tr -d ' ' < "/proc/$pid/task/$pid/children")
    sleep 0.1
done
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
[ "$status" = 143 ] || fail "after SIGTERM: status $status"
[ ! -e "/proc/$child" ] || fail "the guest outlives the program"

echo "all rows are there"
