#!/bin/sh
# console.sh: the keys of the console and the terminal's state, on a real terminal (script's).
. "$(dirname "$0")/common.sh"
command -v script > /dev/null || exit 77

# Ctrl-A h, c, Ctrl-A Ctrl-A, x; on pipes.
start_kernel 686
expect '/ #'
printf '\001h' >&3
expect 'Ctrl-A x    quit' 60
printf '\001c' >&3
expect '(qemu) ' 60
printf 'info status\r' >&3
expect 'VM status: running' 60
printf '\001c' >&3
type 'stty -echo; echo li""stens; cat -v'
expect 'listens' 60
printf '\001\001z\n' >&3
expect '^Az' 60
printf '\001x' >&3
finish 0

# How each end leaves the terminal: script gives a terminal of its own; stty before and after.
# terminal WHAT COMMANDS: COMMANDS run with $! the program's process.
terminal()
{
    cat > "$work/session" << SESSION
stty sane
stty -a > "$work/before"
env --default-signal=INT,HUP "$RINGER" -m 64 -kernel "$guest/vmlinuz-686" -append "console=ttyS0 panic=0" $3 &
ringer=\$!
for attempt in \$(seq 300); do
    stty -a > "$work/during"
    ! grep -q -e '-icanon' "$work/during" || break
    sleep 0.1
done
$2
wait \$ringer
echo \$? > "$work/status"
stty -a > "$work/after"
SESSION
    # A background job of a shell without job control stays in the terminal's foreground group.
    script -q -c "sh '$work/session'" "$work/typescript" < /dev/null > /dev/null 2>&1 ||
        fail "$1: script failed"
    cmp -s "$work/before" "$work/after" || fail "$1: the terminal is not as it was"
    grep -q -e '-icanon' "$work/during" || fail "$1: the terminal was not raw meanwhile"
    echo "$1: status $(cat "$work/status")"
}
# dash gives background jobs /dev/null as standard input unless told otherwise.
for end in TERM INT HUP SEGV ABRT; do
    terminal "SIG$end" "kill -$end \$ringer" "-nographic < /dev/tty"
done
