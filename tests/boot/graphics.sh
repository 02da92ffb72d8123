#!/bin/sh
# graphics.sh amd64|i386: Debian's graphical installer, unmodified, on the VGA screen: to its first
# dialog in the frame buffer that its kernel's own driver chose, driven by keys and by the mouse.
. "$(dirname "$0")/common.sh"

for tool in convert identify; do
    command -v "$tool" > /dev/null || exit 77
done
arch=$1
images=/usr/lib/debian-installer/images/12/$arch/gtk/debian-installer/$arch
[ -f "$images/linux" ] || exit 77 # Debian's debian-installer-12-netboot-$arch

# What share of the picture's pixels are bright, in percent, and how many colours it has.
look()
{
    rm -f "$work/screen.png"
    printf 'screendump %s\r' "$work/screen.png" >&3
    sleep 2
    [ -s "$work/screen.png" ] || fail "no screendump"
    size=$(identify -format '%wx%h' "$work/screen.png")
    colors=$(convert "$work/screen.png" -format %k info:)
    bright=$(convert "$work/screen.png" -colorspace Gray -threshold 90% -format '%[fx:int(100*mean)]' info:)
}

# The same, once the picture stays as it is.
look_at_rest()
{
    look
    rest=0
    for attempt in $(seq 20); do
        cp "$work/screen.png" "$work/before.png"
        look
        rest=$((rest + 1))
        cmp -s "$work/before.png" "$work/screen.png" || rest=0
        [ "$rest" -lt 2 ] || return 0
    done
    fail "the picture does not come to rest"
}

keep() # NAME: beside the test's output
{
    mkdir -p "${RINGER_PICTURES:-$work}"
    cp "$work/screen.png" "${RINGER_PICTURES:-$work}/installer-$arch-$1.png"
}

start -m 1400 -kernel "$images/linux" -initrd "$images/initrd.gz" -append "vga=788 quiet" \
    -display none -monitor stdio
# The dialog: a white list on a light ground, with a banner of many colours.
for attempt in $(seq 60); do
    sleep 3
    look
    [ "$bright" -lt 60 ] || [ "$colors" -lt 3000 ] || break
done
look_at_rest
echo "screen $size, $colors colours, $bright % bright"
[ "$bright" -ge 60 ] && [ "$colors" -ge 3000 ] || fail "the dialog did not come up"
keep language
cp "$work/screen.png" "$work/first.png"

# Down moves the bar in the list: the picture changes, a little.
printf 'sendkey down\r' >&3
sleep 1
look_at_rest
changed=$(compare -metric AE "$work/first.png" "$work/screen.png" null: 2>&1 || true)
[ "$changed" -gt 1000 ] && [ "$changed" -lt 200000 ] || fail "a key changed $changed pixels"
cp "$work/screen.png" "$work/first.png"

# The mouse's pointer moves.
printf 'mouse_move 60 40\r' >&3
sleep 1
look_at_rest
changed=$(compare -metric AE "$work/first.png" "$work/screen.png" null: 2>&1 || true)
[ "$changed" -gt 20 ] && [ "$changed" -lt 2000 ] || fail "the mouse changed $changed pixels"

# Enter: the next dialog.
printf 'sendkey ret\r' >&3
sleep 5
look_at_rest
changed=$(compare -metric AE "$work/first.png" "$work/screen.png" null: 2>&1 || true)
[ "$changed" -gt 20000 ] || fail "Enter changed $changed pixels"
keep location
printf 'quit\r' >&3
finish 0
