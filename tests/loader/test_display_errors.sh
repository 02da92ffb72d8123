#!/bin/sh
# A front end that cannot be had says why, and the program ends with 1; so it does where a library
# was not there at build time.
set -u
RINGER=${RINGER:?the program to test}
failures=0

refused() # EXPECTED OPTION...
{
    expected=$1
    shift
    text=$(env -u WAYLAND_DISPLAY -u SDL_VIDEODRIVER DISPLAY=:9999 timeout 20 "$RINGER" "$@" 2>&1 < /dev/null)
    status=$?
    if [ "$status" != 1 ] || ! printf '%s\n' "$text" | grep -q -E -e "^ringer: .*($expected|built without)"; then
        echo "ringer $*: status $status, said: $text"
        failures=$((failures + 1))
    fi
}

refused "no terminal" -display curses
refused "no desktop" -display sdl
refused "-vga none" -vga none -vnc :50001
refused "0 to 59635" -vnc :99999
refused "unknown address" -vnc nosuchhost.invalid:1
refused "cannot listen" -vnc 192.0.2.1:1
refused "No such file" -vnc :50000,password-file=/nonexistent
refused "supported are sdl" -display gtk
refused "not with -accel lockstep" -accel lockstep -vnc :0
[ "$failures" = 0 ]
