#!/bin/sh
# monitor.sh ACCEL: the monitor on a unix socket and over telnet, as scripts and people use it, with a
# booted guest: run state, registers, memory, keys, media, screen, power button, reset, quit.
. "$(dirname "$0")/common.sh"
command -v python3 > /dev/null || exit 77

accel=$1
socket=$work/monitor

cat > "$work/talk.py" << 'PYTHON'
"""talk.py SOCKET|PORT: lines "COMMAND" or "COMMAND => TEXT" from standard input, one after the other;
the answer is printed, and must hold the text.  "sleep SECONDS" waits; "until SECONDS COMMAND => TEXT"
repeats."""
import re, socket, sys, time

if sys.argv[1].isdigit():
    stream = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
else:
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(sys.argv[1])
stream.settimeout(30)
seen = b""


def answer():
    global seen
    while not seen.endswith(b"(qemu) "):
        more = stream.recv(4096)
        if not more:
            return None
        seen += re.sub(rb"\xff[\xfb-\xfe].", b"", more)
    text, seen = seen, b""
    return text.decode("latin-1")


def ask(command):
    stream.sendall(command.encode() + b"\n")
    return answer()


print(answer())
for line in sys.stdin:
    line = line.strip()
    if line.startswith("sleep "):
        time.sleep(float(line.split()[1]))
        continue
    limit = 0.0
    if line.startswith("until "):
        _, seconds, line = line.split(" ", 2)
        limit = time.time() + float(seconds)
    command, _, wanted = line.partition(" => ")
    text = ask(command)
    while wanted and text is not None and wanted not in text and time.time() < limit:
        time.sleep(0.2)
        text = ask(command)
    print(text)
    if text is None:
        sys.exit(0 if command == "quit" else 3)
    if wanted and wanted not in text:
        print("FAILED: no", repr(wanted), "after", command)
        sys.exit(1)
PYTHON

# talk [WHERE]: the script on standard input.
talk()
{
    timeout 120 python3 "$work/talk.py" "${1:-$socket}" > "$work/talk" 2>&1 ||
        { cat "$work/talk"; fail "the monitor: see above"; }
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

# ---- a kernel: stop, cont, look, media, reset, quit
printf 'first disc' | dd of="$work/one.iso" bs=2048 conv=sync 2> /dev/null
printf 'second disc' | dd of="$work/two.iso" bs=2048 conv=sync 2> /dev/null
start_kernel 686 -accel "$accel" -cdrom "$work/one.iso" -monitor "unix:$socket,server,nowait"
listening
expect '/ #'
type 'stty -echo; while :; do echo ti""ck; sleep 1; done'
expect 'tick'
talk << WORDS
help => system_powerdown
info status => VM status: running
stop
info status => VM status: paused
info registers => CR3=
x/4xw \$esp
x/2i \$pc
info mem => rw
info pci => VGA controller
info mtree => ioapic
info irq => pic0
info cpus => CPU #0
info jit
info block => one.iso
screendump $work/screen.png
screendump $work/screen.ppm
WORDS
# nothing happens while it is stopped
before=$(grep -c tick "$out")
sleep 3
[ "$(grep -c tick "$out")" = "$before" ] || fail 'the stopped guest goes on'
[ "$(head -c 4 "$work/screen.png" | od -An -c | tr -d ' ')" = '211PNG' ] || fail 'no PNG'
[ "$(head -c 2 "$work/screen.ppm")" = P6 ] || fail 'no PPM'
talk << WORDS
cont
info status => VM status: running
change -f ide1-cd0 $work/two.iso
info block => two.iso
eject -f ide1-cd0
change ide1-cd0 $work/nowhere.iso => nowhere.iso
change ide0-hd0 $work/two.iso => not found
WORDS
left=300
until [ "$(grep -c tick "$out")" -gt "$before" ]; do
    [ "$left" -gt 0 ] || fail 'cont: the guest does not go on'
    left=$((left - 1))
    sleep 0.2
done
talk << WORDS
system_reset
WORDS
left=300
until [ "$(grep -c 'Linux version' "$out")" -ge 2 ]; do
    [ "$left" -gt 0 ] || fail 'system_reset: no second boot'
    left=$((left - 1))
    sleep 0.2
done
talk << WORDS
info status => running
quit
WORDS
finish 0 20
[ ! -e "$socket" ] || fail 'the socket is left behind'

# ---- a stale socket is no obstacle, one in use is; a file is not removed
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$socket"
start -accel "$accel" -m 16 -display none -S -monitor "unix:$socket,server,nowait"
answers() { echo 'info status => prelaunch' | python3 "$work/talk.py" "$socket" > /dev/null 2>&1; }
wait_for 60 'the monitor to take the stale socket' answers
status=0
timeout 60 "$RINGER" -m 16 -display none -S -monitor "unix:$socket,server,nowait" < /dev/null \
    2> "$work/second" || status=$?
[ "$status" = 1 ] || fail "a second machine took the socket: status $status"
grep -q 'in use' "$work/second" || fail "the second: $(cat "$work/second")"
talk << WORDS
info status => prelaunch
cont
until 20 info registers => CPL=0
quit
WORDS
finish 0 20
echo precious > "$work/file"
status=0
timeout 60 "$RINGER" -m 16 -display none -monitor "unix:$work/file,server,nowait" < /dev/null \
    2> /dev/null || status=$?
[ "$status" = 1 ] || fail "a file taken for a socket: status $status"
[ "$(cat "$work/file")" = precious ] || fail 'the file is gone'

# ---- telnet; keys to the firmware, whose answer is on the screen
port=$((20000 + $$ % 20000))
start -accel "$accel" -m 32 -display none -boot menu=on -S \
    -monitor "telnet:127.0.0.1:$port,server,nowait"
accepts() { echo 'info status => prelaunch' | python3 "$work/talk.py" "$port" > /dev/null 2>&1; }
wait_for 60 'the monitor to listen' accepts
talk "$port" << WORDS
cont
until 60 info screen => for boot menu
sendkey esc
until 60 info screen => Select boot device
quit
WORDS
finish 0 20

# ---- -no-shutdown: a machine that is off can be looked at, reset and started again
start_kernel 686 -accel "$accel" -no-shutdown -monitor "unix:$socket,server,nowait"
listening
expect '/ #'
type 'poweroff -f'
talk << WORDS
until 60 info status => paused (shutdown)
cont => system_reset
system_reset
until 20 info status => VM status: paused
cont
info status => running
WORDS
left=300
until [ "$(grep -c 'Linux version' "$out")" -ge 2 ]; do
    [ "$left" -gt 0 ] || fail 'no second boot'
    left=$((left - 1))
    sleep 0.2
done
talk << WORDS
quit
WORDS
finish 0 20
