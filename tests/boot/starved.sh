#!/bin/sh
# starved.sh: a host that gives the process 10 ms in every 100: a kernel that checks its timer against
# the time stamp counter still finds all the ticks, from the 8254 as from the HPET.
. "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || exit 77

cat > "$work/starve.py" << 'PYTHON'
import os, signal, sys, time

pid = int(sys.argv[1])
try:
    while True:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.09)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.01)
except ProcessLookupError:
    pass
PYTHON

# A CPU that says nothing of its timers' rates, so that the kernel needs the board's.
boots() # OPTION...
{
    start -cpu qemu64 -m 256 -kernel "$guest/vmlinuz-amd64" -no-reboot -display none -serial stdio \
        -append 'console=ttyS0 earlyprintk=serial panic=-1' "$@"
    python3 "$work/starve.py" "$pid" &
    starver=$!
    finish 0 300
    kill "$starver" 2> /dev/null || true
    grep -q -a 'Unable to mount root' "$out" || fail "the kernel did not come to its end"
    grep -q -a 'TIMER: vector' "$out" || fail "the kernel did not check its timer"
    ! grep -a 'timer not connected' "$out" || fail "$*: the kernel missed ticks"
}

boots
boots -no-hpet
