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

picture_ends() { tail -c 12 "$work/screen.png" 2> /dev/null | grep -q -a IEND; }

# What share of the picture's pixels is white, in percent, and how many colours it has.
look()
{
    rm -f "$work/screen.png"
    printf 'screendump %s\r' "$work/screen.png" >&3
    wait_for 60 'a whole screendump' picture_ends
    size=$(identify -format '%wx%h' "$work/screen.png")
    colors=$(convert "$work/screen.png" -format %k info:)
    white=$(convert "$work/screen.png" -colorspace Gray -threshold 98% -format '%[fx:int(100*mean)]' info:)
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

# A monitor command that changes the picture: $changed is by how many pixels, once it is at rest.
change() # COMMAND
{
    cp "$work/screen.png" "$work/first.png"
    printf '%s\r' "$1" >&3
    for attempt in $(seq 60); do
        sleep 1
        look
        cmp -s "$work/first.png" "$work/screen.png" || break
    done
    look_at_rest
    changed=$(compare -metric AE "$work/first.png" "$work/screen.png" null: 2>&1 || true)
}

keep() # NAME: beside the test's output
{
    mkdir -p "${RINGER_PICTURES:-$work}"
    cp "$work/screen.png" "${RINGER_PICTURES:-$work}/installer-$arch-$1.png"
}

start -m 1400 -kernel "$images/linux" -initrd "$images/initrd.gz" -append "vga=788 quiet" \
    -display none -monitor stdio
# The dialog: a white list, with a banner of many colours; its grey ground comes before it.
for attempt in $(seq 150); do
    sleep 3
    look
    [ "$white" -lt 20 ] || [ "$colors" -lt 3000 ] || break
done
look_at_rest
echo "screen $size, $colors colours, $white % white"
[ "$white" -ge 20 ] && [ "$colors" -ge 3000 ] || fail "the dialog did not come up"
keep language

# Down moves the bar in the list: the picture changes, a little.
change 'sendkey down'
[ "$changed" -gt 1000 ] && [ "$changed" -lt 200000 ] || fail "a key changed $changed pixels"

# The mouse's pointer moves.
change 'mouse_move 60 40'
[ "$changed" -gt 20 ] && [ "$changed" -lt 2000 ] || fail "the mouse changed $changed pixels"

# Enter: the next dialog.
change 'sendkey ret'
[ "$changed" -gt 20000 ] || fail "Enter changed $changed pixels"
keep location
printf 'quit\r' >&3
finish 0
