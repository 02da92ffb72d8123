#!/bin/sh
# installer.sh ACCEL ARCH: the Debian installer's own kernel and initrd reach its first dialog on the
# serial console; arrow keys move the choice, Enter leads to the next dialog, and its Go Back back.
. "$(dirname "$0")/common.sh"

accel=$1 arch=$2
sh "$loader/guest/get.sh" "installer-$arch-linux" "installer-$arch-initrd.gz" > /dev/null
start -accel "$accel" -m 1G -kernel "$guest/installer-$arch-linux" \
    -initrd "$guest/installer-$arch-initrd.gz" -append "console=ttyS0" -nographic

# A serial line gets a short list: "C" and "English", which is chosen at first.
screen_expect 'Select a language' 1500
chosen_expect 'English'
echo "first dialog after $(($(date +%s) - started)) s"
key_up
chosen_expect 'C$'
key_down
chosen_expect 'English'
key 015
screen_expect 'Select your location' 300
chosen_expect 'United States'
key_down
chosen_expect 'Zambia'
key 015
screen_expect 'Configure the keyboard' 300
chosen_expect 'American English'
echo "third dialog after $(($(date +%s) - started)) s"
printf '\001x' >&3
finish 0
