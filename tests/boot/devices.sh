#!/bin/sh
# devices.sh FLAVOUR: what an unmodified kernel finds of the board without complaint: ACPI tables
# (which iasl takes apart and puts together again), HPET, RTC; with the amd64 kernel's modules also
# the floppy drives and the power button.  Without ACPI it finds the MP table.
. "$(dirname "$0")/common.sh"

flavour=$1 monitor=$work/monitor
initrd=$guest/initrd.gz modules=
if [ "$flavour" = amd64 ]; then
    sh "$loader/guest/get.sh" modules-amd64 > /dev/null
    modules=$guest/modules-amd64
    mkdir -p "$work/root/mod"
    cp "$modules/floppy.ko" "$modules/button.ko" "$modules/evdev.ko" "$work/root/mod"
    (cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/extra.gz"
    cat "$guest/initrd-amd64.gz" "$work/extra.gz" > "$work/initrd.gz"
    initrd=$work/initrd.gz
fi

# start_board COMMAND-LINE OPTION...
start_board()
{
    line=$1
    shift
    start -m 256 -kernel "$guest/vmlinuz-$flavour" -initrd "$initrd" \
        -append "console=ttyS0 panic=-1 $line" -display none -serial stdio \
        -monitor "unix:$monitor,server,nowait" "$@"
    expect '/ #'
    type 'stty -echo'
    sleep 1
}

# ask COMMAND EXPECTED: a command's output has this line.
ask()
{
    type "$1"
    expect "$2" 60
}

# An alarm that has come is no longer set.
alarm='echo +2 > /sys/class/rtc/rtc0/wakealarm; sleep 4; echo "alarm [$(cat /sys/class/rtc/rtc0/wakealarm)]"'

# no_complaint: nothing that the kernel says of the board is a warning.  (How many interrupts of the
# emulated RTC it lost to a busy host is not about the board.)
no_complaint()
{
    if grep -v -E 'hpet: Lost [0-9]+ RTC interrupts' "$out" | grep -i -E 'ACPI[^:]*(Warning|Error|Exception)|BIOS (bug|Error)|firmware bug|MP-BIOS|lost.*interrupt|unstable|hpet.*(bad|fail|not|lost)|irq [0-9]+: nobody|spurious|i8042.*(fail|warn)|rtc.*(fail|unable)|floppy.*(timeout|error)'; then
        fail 'the kernel complains'
    fi
}

# ---- ACPI, HPET, RTC

head -c 1474560 /dev/urandom > "$work/a.img"
head -c 737280 /dev/urandom > "$work/b.img"
cp "$work/a.img" "$work/a.before"
start_board 'clocksource=hpet' -drive "file=$work/a.img,if=floppy,format=raw" \
    -drive "file=$work/b.img,if=floppy,format=raw"
ask 'cat /sys/devices/system/clocksource/clocksource0/current_clocksource' hpet
ask 'dmesg | grep "hpet0: at"; dmesg | grep hpet0:' '3 comparators, 64-bit 100.000000 MHz'
ask 'dmesg | grep -c "ACPI: PM: (supports S0 S5)"' 1
ask "$alarm" 'alarm []'
ask 'for t in /sys/firmware/acpi/tables/[A-Z]*; do [ -f $t ] && echo TABLE ${t##*/} && base64 $t && echo END; done; echo all-$((1+1))' all-2
if command -v iasl > /dev/null; then
    mkdir "$work/tables"
    tr -d '\r' < "$out" | awk -v dir="$work/tables/" \
        '/TABLE [A-Z]+$/ { file = dir $NF; next } /^END/ { file = "" } file != "" { print > file }'
    for table in "$work"/tables/*; do
        base64 -d "$table" > "$table.aml"
        [ "${table##*/}" != FACS ] || continue
        iasl -d "$table.aml" > "$work/iasl" 2>&1 || fail "iasl -d: $(cat "$work/iasl")"
        iasl -p "$table-again" "$table.dsl" > "$work/iasl" 2>&1 || fail "iasl: $(cat "$work/iasl")"
        grep -q ' 0 Errors, 0 Warnings' "$work/iasl" || fail "${table##*/}: $(cat "$work/iasl")"
    done
    [ -f "$work/tables/DSDT-again.aml" ] && [ -f "$work/tables/HPET-again.aml" ] || fail 'no tables'
fi

# ---- floppies and the power button

if [ "$flavour" = amd64 ]; then
    ask 'insmod /mod/floppy.ko; echo floppies $?' 'floppies 0'
    ask 'dd if=/dev/fd0 bs=18k 2> /dev/null | md5sum' "$(md5sum < "$work/a.img" | cut -c1-32)"
    ask 'dd if=/dev/fd1 bs=18k 2> /dev/null | md5sum' "$(md5sum < "$work/b.img" | cut -c1-32)"
    ask 'dd if=/dev/zero of=/dev/fd0 bs=512 seek=700 count=77 2> /dev/null; sync; echo wrote-$((1+1))' \
        wrote-2
    # Another disk, which the guest notices by the disk change line; then none.
    head -c 1474560 /dev/urandom > "$work/c.img"
    python3 "$boot/vga.py" "$monitor" change floppy0 "$work/c.img" raw > /dev/null
    ask 'dd if=/dev/fd0 bs=18k 2> /dev/null | md5sum' "$(md5sum < "$work/c.img" | cut -c1-32)"
    no_complaint
    python3 "$boot/vga.py" "$monitor" eject floppy0 > /dev/null
    ask 'dd if=/dev/fd0 of=/dev/null 2>&1' "can't open '/dev/fd0'"
    : > "$out" # it has complained of the missing disk
    ask 'insmod /mod/button.ko; insmod /mod/evdev.ko; (head -c 24 /dev/input/event1 | hexdump -C; echo pressed-$((1+1))) & sleep 1; echo waiting-$((1+1))' \
        waiting-2
    python3 "$boot/vga.py" "$monitor" system_powerdown > /dev/null
    expect '01 00 74 00 01 00' 30 # EV_KEY, KEY_POWER, pressed
    expect pressed-2 10
fi
no_complaint
type 'poweroff -f'
finish 0
if [ "$flavour" = amd64 ]; then
    dd if=/dev/zero of="$work/a.before" bs=512 seek=700 count=77 conv=notrunc 2> /dev/null
    cmp "$work/a.img" "$work/a.before" || fail 'the floppy has not what was written'
fi

# ---- the same board without ACPI, and without I/O APIC

for line in acpi=off 'noapic clocksource=acpi_pm' 'hpet=disable reboot=acpi'; do
    rm -f "$monitor"
    start_board "$line" -no-reboot
    ask 'sleep 2; grep -E "ttyS0|timer|i8042" /proc/interrupts; echo up-$((1+1))' up-2
    case $line in
    acpi=off)
        grep -q 'MPTABLE: OEM ID: RINGER' "$out" || fail 'no MP table'
        grep -q 'IO-APIC .*ttyS0' "$out" || fail 'the I/O APIC is not used'
        ;;
    hpet=disable*) ask "$alarm" 'alarm []' ;; # by the RTC's own interrupt
    noapic*) grep -q 'XT-PIC .*timer' "$out" || fail 'the 8259 is not used' ;;
    esac
    no_complaint
    type 'reboot -f'
    finish 0
done
