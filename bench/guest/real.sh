#!/bin/bash
# bench/guest/real.sh [ROW...] -- programs of a Debian user land, each on a fixed piece of work; runs
# in a chroot on the host, and in a guest with the same files.  All rows without arguments.
#
# Prints a line a row: name (as the row starts), nanoseconds; then, as "NAME.sum", the checksum of what
# was made, which is no part of the row's time.  (openssl speed works for a fixed time and makes
# nothing; its nanoseconds are those of one operation.)
# Uses bash's own clock, so that timing costs no process.
set -eu
export LC_ALL=C PATH=/usr/bin:/usr/sbin HOME=/root TMPDIR=/tmp PYTHONDONTWRITEBYTECODE=1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d /tmp/real.XXXXXX)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Text that compresses about as source text does, and the same everywhere.
gawk 'BEGIN {
    split("if else while return static const struct uint32_t size value count index next", word, " ")
    s = 1
    for (line = 0; line < 200000; line++) {
        text = ""
        for (i = 0; i < 8; i++) {
            s = (s * 16807) % 2147483647
            text = text " " (s % 5 ? word[1 + s % 13] : s % 10007)
        }
        print text
    }
}' > text
head -c 3000000 text > short

# timed NAME OUTPUT COMMAND...: OUTPUT is the file whose checksum is printed.
timed()
{
    local name=$1 output=$2 begin end
    shift 2
    printf '%s' "$name"
    begin=${EPOCHREALTIME/./}
    "$@"
    end=${EPOCHREALTIME/./}
    echo " $(((end - begin) * 1000))"
    read -r sum _ < <(sha256sum < "$output")
    echo "$name.sum ${sum:0:16}"
}

# speed NAME NANOSECONDS-EXPRESSION OPTION...: openssl speed for two seconds; the expression sees the
# fields of its result line.
speed()
{
    local name=$1 expression=$2
    shift 2
    printf '%s' "$name"
    openssl speed -elapsed -seconds 2 -mr "$@" 2> /dev/null |
        gawk -F : "/^[+]F/ { printf \" %.1f\\n\", $expression }"
}

for row in ${*:-gzip xz openssl_aes openssl_sha openssl_rsa python gcc sqlite}; do
    case $row in
    gzip) timed gzip packed.gz sh -c 'gzip -6n < text > packed.gz && gzip -t packed.gz' ;;
    xz) timed xz packed.xz sh -c 'xz -3 -T1 < short > packed.xz && xz -t packed.xz' ;;
    openssl_aes) speed openssl_aes '8192e9 / $4' -bytes 8192 -evp aes-128-cbc ;;
    openssl_sha) speed openssl_sha '8192e9 / $4' -bytes 8192 -evp sha256 ;;
    openssl_rsa) speed openssl_rsa '1e9 / $4' rsa2048 ;;
    python) timed python out sh -c "python3 -S -E '$here/real.py' > out" ;;
    gcc) timed gcc compute.o gcc -O2 -g0 -c -o compute.o "$here/compute.c" ;;
    sqlite) timed sqlite out sh -c "sqlite3 work.db < '$here/real.sql' > out" ;;
    *) echo "real.sh: no row $row" >&2 && exit 1 ;;
    esac
done
