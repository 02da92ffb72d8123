#!/bin/sh
# quickstart.sh: `quickstart.sh -- COMMAND` gives the command's output, errors and status.
. "$(dirname "$0")/common.sh"

export RINGER
status=0
sh "$loader/quickstart.sh" -- 'echo out; echo err >&2; uname -m; exit 7' > "$out" 2> "$err" ||
    status=$?
[ "$status" = 7 ] || fail "status $status, not 7"
[ "$(cat "$out")" = "out
i686" ] || fail "the output is not exact"
[ "$(cat "$err")" = err ] || fail "the errors are not exact"
