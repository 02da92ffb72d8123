#!/bin/sh
# lockstep.sh: translator and interpreter agree over the first 200 million instructions of each
# kernel's boot.  LOCKSTEP_INSNS asks for more.
. "$(dirname "$0")/common.sh"

for flavour in 686 686-pae; do
    start_kernel "$flavour" -m 128 -accel "lockstep,insns=${LOCKSTEP_INSNS:-200000000}" -d stats
    finish 0 500
    grep '^instructions' "$err"
done
