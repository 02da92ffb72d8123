# tests/boot/common.sh -- sourced by the boot tests: a guest on pipes, driven as a person would.
#
#   start OPTION...   run ringer with its console on $out, errors on $err
#   expect TEXT [S]   wait until the console shows TEXT (a fixed string), S seconds at most
#   type TEXT         type a line;  key OCTAL: type one byte
#   finish STATUS [S] wait for the end and check the exit status
set -eu

RINGER=${RINGER:?the program to test}
loader=$(cd "$(dirname "$0")/../../loader" && pwd)
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
    pid=$!
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
    left=$((${2:-200} * 5))
    until grep -q -F -e "$1" "$out"; do
        kill -0 "$pid" 2> /dev/null || fail "ended while waiting for \"$1\""
        [ "$left" -gt 0 ] || fail "no \"$1\" after ${2:-200} seconds"
        left=$((left - 1))
        sleep 0.2
    done
}

type() { printf '%s\n' "$*" >&3; }
key() { printf "\\$1" >&3; }

finish()
{
    left=$((${2:-60} * 5))
    while kill -0 "$pid" 2> /dev/null; do
        [ "$left" -gt 0 ] || fail "still running after ${2:-60} seconds"
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
