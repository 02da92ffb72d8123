#!/bin/sh
# gdb.sh ACCEL: a stock gdb on a multiboot kernel with symbols (i386) and on Debian's amd64 kernel:
# registers, memory, breakpoints, watchpoints, steps, the monitor, interrupt, detach, kill.
. "$(dirname "$0")/common.sh"
command -v gdb > /dev/null && command -v nasm > /dev/null || exit 77

accel=$1
socket=$work/gdb

# debug STATUS COMMANDS: gdb with the commands; its output in $work/session.
debug()
{
    printf '%s\n' 'set pagination off' 'set confirm off' 'set width 0' "$2" > "$work/commands"
    status=0
    timeout -s KILL "${3:-60}" gdb -nx -batch -x "$work/commands" > "$work/session" 2>&1 < /dev/null ||
        status=$?
    [ "$status" = "$1" ] || { cat "$work/session"; fail "gdb: status $status, not $1"; }
}

# shows TEXT...: the session has these fixed strings, in this order, each on a later line.
shows()
{
    printf '%s\n' "$@" > "$work/wanted"
    awk 'NR == FNR { wanted[++count] = $0; next }
        at < count && index($0, wanted[at + 1]) { at++ }
        END { if (at < count) { print "not there: " wanted[at + 1]; exit 1 } }' \
        "$work/wanted" "$work/session" || { cat "$work/session"; fail "gdb on $accel"; }
}

listening()
{
    left=100
    until [ -S "$socket" ]; do
        [ "$left" -gt 0 ] || fail "no socket"
        left=$((left - 1))
        sleep 0.1
    done
    [ "$(stat -c %a "$socket")" = 600 ] || fail "others may connect: $(ls -l "$socket")"
}

# ---- a kernel of our own, i386
source=$(dirname "$0")/debuggee.asm
nasm -f elf32 -g -F dwarf -o "$work/debuggee.o" "$source"
ld -m elf_i386 -Ttext-segment=0x200000 -e entry -o "$work/debuggee" "$work/debuggee.o"
start -accel "$accel" -cpu pentium3 -m 16 -display none -kernel "$work/debuggee" -S \
    -gdb "unix:$socket" -device isa-debug-exit,iobase=0xf4,iosize=1
listening
debug 0 "file $work/debuggee
target remote $socket
print \$pc == (void *)&entry
break work
continue
print *(int *)&counter
continue
print *(int *)&counter
bt
info line *\$pc
x/3i \$pc
stepi
print *(int *)&counter
p/x \$eflags & 0x40
delete
hbreak *&stored if *(int *)&counter == 500
continue
print *(int *)&counter
print \$xmm1.v4_float
stepi
print \$xmm1.v4_float
set var \$xmm1.v4_float[0] = 10
stepi
print \$xmm1.v4_float
info registers st0 st1 fctrl mxcsr cr4
delete
watch *(int *)&counter
continue
continue
delete
rwatch *(int *)&counter
continue
delete
awatch *(int *)&unread
set var *(int *)&counter = 7000
hbreak *&stored if *(int *)&counter == 7002
continue
print *(int *)&counter
print/x *(unsigned char *)&work
delete
set var \$ecx = 1
break *&done
continue
monitor info status
monitor p/x \$ecx
info threads
detach"
shows '$1 = 1' 'Breakpoint 1, work' '$2 = 0' 'Breakpoint 1, work' '$3 = 1' '#0  work' \
    'debuggee.asm' 'incl' '28' '$4 = 2' '$5 = 0x0' '$6 = 500' '$7 = {2, 4, 6, 8}' \
    '$8 = {1, 2, 3, 4}' '$9 = {20, 4, 6, 8}' 'st0            3.14159' 'st1            1 ' \
    'OSFXSR OSXMMEXCPT' 'Old value = 500' 'New value = 501' 'Old value = 501' 'New value = 502' \
    'Hardware read watchpoint' 'Value = 502' '$10 = 7002' '$11 = 0xff' 'done ()' \
    'VM status: paused (debug)' '0' 'CPU#0' 'detached'
finish 43 20

# ---- Ctrl-C in a guest that is busy, kill
start -accel "$accel" -cpu pentium3 -m 16 -display none -kernel "$work/debuggee" -S -gdb "unix:$socket"
listening
debug 0 "file $work/debuggee
target remote $socket
break again
continue
delete
set var \$ecx = 0x7fffffff
shell (sleep 2; kill -INT \$PPID) > /dev/null 2>&1 &
continue
print \$ecx > 0 && \$ecx < 0x7fffffff
print *(int *)&counter > 1000
kill"
shows 'received signal SIGINT' '$1 = 1' '$2 = 1'
finish 0 20
[ ! -e "$socket" ] || fail 'the socket is left behind'

# ---- a machine that runs is stopped, and detached it goes on
start -accel "$accel" -cpu pentium3 -m 16 -display none -kernel "$work/debuggee" -gdb "unix:$socket"
listening
debug 0 "target remote $socket
print \$cs
detach
target remote $socket
kill"
shows '$1 = 16' 'detached'
finish 0 20

# ---- Debian's amd64 kernel; its symbols come from itself
start_kernel amd64 -append 'console=ttyS0 nokaslr'
expect '/ #'
type 'stty -echo; grep -E " (start_kernel|jiffies_64|do_sys_openat2|linux_banner)$" /proc/kallsyms; echo ma""rk'
expect 'mark'
symbol() { grep -a " $1" "$out" | tail -n 1 | sed 's/^\([0-9a-f]*\).*/0x\1/'; }
start_address=$(symbol start_kernel) banner=$(symbol linux_banner)
jiffies=$(symbol jiffies_64) open_address=$(symbol do_sys_openat2)
key 001
key 170
finish 0
start_kernel amd64 -append 'console=ttyS0 nokaslr' -accel "$accel" -S -gdb "unix:$socket"
listening
early="set architecture i386:x86-64
target remote $socket
hbreak *$start_address
continue
info registers rip cs efer
x/s $banner
stepi
stepi"
late="delete
break *$open_address
continue
info registers rip
stepi
delete
watch *(long *)$jiffies
continue
continue
delete
rwatch *(long *)$jiffies
continue
delete
info registers xmm0 mxcsr gs_base"
if [ "$accel" = translate ]; then
    debug 0 "$early
$late
monitor info status
detach" 150
else
    debug 0 "$early
detach" 150
fi
shows 'Breakpoint 1, ' "rip            $start_address" 'LME LMA' 'Linux version'
if [ "$accel" = translate ]; then
    shows 'Breakpoint 2, ' "rip            $open_address" 'Old value = ' 'New value = ' \
        'Old value = ' 'New value = ' 'Hardware read watchpoint' 'mxcsr' 'paused (debug)' 'detached'
    expect '/ #'
    type 'poweroff -f'
    finish 0
else
    expect 'Linux version'
    key 001
    key 170
    finish 0
fi
