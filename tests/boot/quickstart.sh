#!/bin/sh
# quickstart.sh: `quickstart.sh [--i386] -- COMMAND` gives the command's output, errors and status.
. "$(dirname "$0")/common.sh"

export RINGER
unset RINGER_KERNEL

# quickstart MACHINE OPTION...: what `uname -m` must say.
quickstart()
{
    machine=$1
    shift
    status=0
    sh "$loader/quickstart.sh" "$@" -- 'echo out; echo err >&2; uname -m; exit 7' > "$out" \
        2> "$err" || status=$?
    [ "$status" = 7 ] || fail "quickstart $*: status $status, not 7"
    [ "$(cat "$out")" = "out
$machine" ] || fail "quickstart $*: the output is not exact"
    [ "$(cat "$err")" = err ] || fail "quickstart $*: the errors are not exact"
}

quickstart x86_64
quickstart i686 --i386

for arguments in '--i486' '--' 'true' '--i386 --'; do
    status=0
    # shellcheck disable=SC2086 # words
    sh "$loader/quickstart.sh" $arguments > "$out" 2> "$err" || status=$?
    [ "$status" = 1 ] || fail "quickstart $arguments: status $status, not 1"
    grep -q usage: "$err" || fail "quickstart $arguments: no usage"
done
