#!/bin/sh
# shell.sh ACCEL FLAVOUR: the unmodified kernel boots to a shell, typing works, Ctrl-C reaches the
# guest, a command's output is right, poweroff ends the process with 0.
. "$(dirname "$0")/common.sh"

start_kernel "$2" -accel "$1"
expect 'in Ringer.'
expect '/ #'
type 'echo sum $((6 * 7)) $(uname -r | cut -d- -f3-)'
expect "sum 42 $2" 60
# Floating point, and a pipeline of processes.
type "awk 'BEGIN { printf \"%.6f %.3f\\n\", 22 / 7, 1 / 8 }' | sed s/^/ratio=/"
expect 'ratio=3.142857 0.125' 60
type 'seq 1 20000 | md5sum'
expect 'e071f707df7bbeee2a6a1eb48011ddd0' 60
type 'echo sl""eeps; sleep 1000'
expect 'sleeps' 60
sleep 2 # until the shell has made it the foreground job
key 003
# What says that it has arrived is the status. The terminal echoes "^C" behind the signal, and does not
# if the shell, woken by it, is at its next prompt first: that reads without echo.
sleep 2
type 'echo interrupted=$?'
expect 'interrupted=130' 30
type 'poweroff -f'
finish 0
