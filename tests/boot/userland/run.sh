#!/bin/sh
# run.sh PART...: the same on the host and in the guest.  Each part's output goes to PART.out, its
# exit status to the end of that, what it took in seconds to PART.time.
export LC_ALL=C PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin HOME=/root TMPDIR=/tmp
export PYTHONDONTWRITEBYTECODE=1 PERL_SIGNALS=safe TERM=dumb
for part; do
    began=$(date +%s%N)
    case $part in
    *.py) python3 "$part" ;;
    *.pl) perl "$part" ;;
    *) bash "$part" ;;
    esac > "$part.out" 2>&1 < /dev/null
    echo "exit status $?" >> "$part.out"
    echo "$part $((($(date +%s%N) - began) / 1000000))" > "$part.time"
done
