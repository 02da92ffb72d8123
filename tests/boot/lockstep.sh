#!/bin/sh
# lockstep.sh: translator and interpreter agree over the first 300 million instructions of each
# kernel's start (all of them still the unpacker).  LOCKSTEP_INSNS asks for more.
. "$(dirname "$0")/common.sh"

for flavour in 686 686-pae amd64; do
    start_kernel "$flavour" -m 128 -accel "lockstep,insns=${LOCKSTEP_INSNS:-300000000}" -d stats
    finish 0 500
    grep '^instructions' "$err"
done
