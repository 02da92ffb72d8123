# tests/boot/common.sh -- sourced by the boot tests: a guest on pipes, driven as a person would.
#
#   start OPTION...   run ringer with its console on $out, errors on $err
#   expect TEXT [S]   wait until the console shows TEXT (a fixed string), S seconds at most
#   type TEXT         type a line;  key OCTAL: type one byte;  key_up, key_down: arrow keys
#   screen_expect TEXT [S]   wait until a VT102 in the console's place would show TEXT
#   chosen_expect TEXT [S]   wait until something highlighted on it begins with TEXT
#   finish STATUS [S] wait for the end and check the exit status
set -eu

RINGER=${RINGER:?the program to test}
boot=$(cd "$(dirname "$0")" && pwd)
loader=$(cd "$boot/../../loader" && pwd)
guest=$(sh "$loader/guest/get.sh" vmlinuz-686 vmlinuz-686-pae initrd.gz vmlinuz-amd64 initrd-amd64.gz)
work=$(mktemp -d)
out=$work/out err=$work/err
pid=
trap 'cleanup' EXIT
trap 'exit 130' INT TERM HUP

cleanup()
{
    [ -z "$pid" ] || kill -KILL "$pid" 2> /dev/null || true
    rm -rf "$work"
}

fail()
{
    echo "FAILED: $*"
    echo "---- last of the console"
    tail -n 40 "$out" 2> /dev/null || true
    echo "---- errors"
    cat "$err" 2> /dev/null || true
    exit 1
}

start()
{
    mkfifo "$work/in"
    : > "$out"
    "$RINGER" "$@" < "$work/in" > "$out" 2> "$err" &
    pid=$! started=$(date +%s)
    exec 3> "$work/in"
}

# The directly booted guest: start_kernel FLAVOUR OPTION...
start_kernel()
{
    flavour=$1
    shift
    case $flavour in
    amd64) initrd=initrd-amd64.gz ;;
    *) initrd=initrd.gz ;;
    esac
    start -m 512 -kernel "$guest/vmlinuz-$flavour" -initrd "$guest/$initrd" \
        -append "console=ttyS0" -nographic "$@"
}

expect()
{
    left=$((${2:-800} * 5))
    until grep -q -F -e "$1" "$out"; do
        kill -0 "$pid" 2> /dev/null || fail "ended while waiting for \"$1\""
        [ "$left" -gt 0 ] || fail "no \"$1\" after ${2:-800} seconds"
        left=$((left - 1))
        sleep 0.2
    done
}

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_for()
{
    until_s=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@"; do
        kill -0 "$pid" 2> /dev/null || fail "ended while waiting for $what"
        [ "$(date +%s)" -lt "$until_s" ] || fail "still waiting for $what; the screen:
$(python3 "$boot/screen.py" < "$out")"
        sleep 0.2
    done
}

screen_has() { python3 "$boot/screen.py" < "$out" | grep -F -e "$1" > /dev/null; }
screen_chose() { python3 "$boot/screen.py" -r < "$out" | grep -e "^$1" > /dev/null; }
screen_expect() { wait_for "${2:-800}" "\"$1\" on the screen" screen_has "$1"; }
chosen_expect() { wait_for "${2:-800}" "\"$1\" to be chosen" screen_chose "$1"; }

# Was it built with libnbd?  That is loaded when it is needed, by a name which the program has then.
has_libnbd() { grep -q -a 'libnbd\.so' "$RINGER"; }

type() { printf '%s\n' "$*" >&3; }
key() { printf "\\$1" >&3; }
key_up() { printf '\033[A' >&3; }
key_down() { printf '\033[B' >&3; }

finish()
{
    left=$((${2:-120} * 5))
    while kill -0 "$pid" 2> /dev/null; do
        [ "$left" -gt 0 ] || fail "still running after ${2:-120} seconds"
        left=$((left - 1))
        sleep 0.2
    done
    status=0
    wait "$pid" || status=$?
    pid=
    exec 3>&-
    rm -f "$work/in"
    [ "$status" = "$1" ] || fail "exit status $status, not $1"
}
