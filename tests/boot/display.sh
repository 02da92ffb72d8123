#!/bin/sh
# display.sh sdl|vnc|curses: the screen in a window, in a VNC viewer, in a terminal.  What is typed
# there comes out of the guest's serial port; what is shown equals the monitor's screendump.
. "$(dirname "$0")/common.sh"
kind=$1

for tool in Xvfb xdotool import compare; do
    [ "$kind" = curses ] || command -v "$tool" > /dev/null || exit 77
done

xserver=
viewer=
trap 'for p in $viewer $xserver; do kill "$p" 2> /dev/null || true; done; cleanup' EXIT

serial=$work/serial
seen() # TEXT SECONDS: wait for the serial port to say so
{
    left=$(($2 * 5))
    until grep -q -F -e "$1" "$serial" 2> /dev/null; do
        kill -0 "$pid" 2> /dev/null || fail "ended while waiting for \"$1\""
        [ "$left" -gt 0 ] || return 1
        left=$((left - 1))
        sleep 0.2
    done
}

monitor() { printf '%s\r' "$*" >&3; }

# The shell is on the screen, the kernel's messages are on the serial port too.
guest_options="-m 512 -kernel $guest/vmlinuz-amd64 -initrd $guest/initrd-amd64.gz -serial file:$serial"
append="console=ttyS0 console=tty0"

# Type until the shell is there: hide the cursor, whose blinking no two pictures share.
greet() # COMMAND: types its argument
{
    seen "Run /init" 400 || fail "the kernel did not come up"
    for attempt in 1 2 3 4 5; do
        "$1" "printf '\\033[?25l'; echo Ke''ys: a_Z \$((6*7)) > /dev/ttyS0"
        ! seen "Keys: a_Z 42" 15 || return 0
    done
    fail "what was typed did not reach the guest"
}

start_xserver()
{
    Xvfb -displayfd 5 -screen 0 1024x768x24 5> "$work/display" > /dev/null 2>&1 &
    xserver=$!
    left=300
    until [ -s "$work/display" ]; do
        [ "$left" -gt 0 ] || fail "Xvfb does not start"
        left=$((left - 1))
        sleep 0.2
    done
    DISPLAY=:$(cat "$work/display")
    export DISPLAY
}

window() # NAME: wait for a window, put the pointer into it
{
    left=300
    until id=$(xdotool search --name "$1" 2> /dev/null | tail -n 1) && [ -n "$id" ]; do
        [ "$left" -gt 0 ] || fail "there is no window \"$1\""
        left=$((left - 1))
        sleep 0.2
    done
    xdotool mousemove --window "$id" 100 100
    xdotool windowfocus "$id" 2> /dev/null || true
}

x_type()
{
    xdotool type --delay 20 "$1"
    xdotool key Return
}

# The window shows what the monitor's picture has, pixel by pixel; at once, or when the viewer has
# taken its own words off the picture.
same_picture() # NAME
{
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        sleep 1
        # Each time: what was typed may still be on its way to the screen, and a cursor blinks.
        monitor "screendump $work/screen.png"
        import -window "$id" "$work/window.png"
        different=$(compare -metric AE "$work/screen.png" "$work/window.png" null: 2>&1 || true)
        [ "$different" != 0 ] || break
    done
    [ "$different" = 0 ] || fail "$1: $different pixels differ from the monitor's picture"
    set -- $(identify -format '%w %h' "$work/screen.png")
    [ "$1 $2" = "720 400" ] || fail "the picture is $1 x $2"
    [ "$(convert "$work/screen.png" -format %k info:)" -gt 1 ] || fail "the picture is empty"
}

keep_picture() # NAME: beside the test's output
{
    mkdir -p "${RINGER_PICTURES:-$work}"
    cp "$work/window.png" "${RINGER_PICTURES:-$work}/$1.png"
}

case $kind in
sdl)
    start_xserver
    start $guest_options -append "$append" -display sdl -monitor stdio
    window '^Ringer'
    xdotool click 1
    greet x_type
    same_picture sdl
    keep_picture sdl
    monitor quit
    finish 0
    ;;
vnc)
    command -v xtigervncviewer > /dev/null || exit 77
    start_xserver
    number=$((1000 + $$ % 20000))
    start $guest_options -append "$append" -vnc ":$number,password=on" -monitor stdio
    seen "Run /init" 400 || fail "the kernel did not come up"
    printf 'secret\n' > "$work/plain"
    vncpasswd -f < "$work/plain" > "$work/password" || exit 77
    ! timeout 60 vncsnapshot -quiet -passwd "$work/password" "localhost:$number" \
        "$work/refused.jpg" > /dev/null 2>&1 || fail "a viewer came in before there was a password"
    monitor "change vnc password secret"
    monitor "info status"
    expect 'VM status: running' 60 # so the password holds
    xtigervncviewer -passwd "$work/password" -AutoSelect=0 -PreferredEncoding=Raw -NoJPEG \
        -FullColour -Shared "localhost::$((5900 + number))" > "$work/viewer" 2>&1 &
    viewer=$!
    window 'Ringer.*TigerVNC'
    greet x_type
    same_picture vnc
    keep_picture vnc
    timeout 60 vncsnapshot -quiet -passwd "$work/password" "localhost:$number" \
        "$work/second.jpg" > /dev/null 2>&1 || fail "a second viewer was not let in"
    monitor quit
    finish 0
    ;;
curses)
    command -v script > /dev/null || exit 77
    mkfifo "$work/keys"
    cat > "$work/session" << SESSION
stty sane rows 25 columns 80
stty -a > "$work/before"
"$RINGER" $guest_options -append "$append" -display curses
echo \$? > "$work/status"
stty -a > "$work/after"
SESSION
    TERM=xterm-256color LC_ALL=C.UTF-8 script -q -c "sh '$work/session'" "$work/typescript" \
        < "$work/keys" > "$out" 2>&1 &
    pid=$!
    exec 3> "$work/keys"
    type_line() { printf '%s\r' "$1" >&3; }
    greet type_line
    grep -q -a BusyBox "$out" || fail "the terminal does not show the screen"
    printf '\001x' >&3
    finish 0
    [ "$(cat "$work/status")" = 0 ] || fail "exit status $(cat "$work/status")"
    cmp "$work/before" "$work/after" || fail "the terminal is not as it was"
    ;;
esac
