#!/bin/sh
# copies.sh: each process of a user land has its libraries at other addresses.  What their code is
# copied to is what would have been translated, but for operands that are reached otherwise since:
# in less than one block of a thousand.  And what they leave behind is taken to where it is next needed.
set -eu
here=$(dirname "$0")
stats=$(mktemp)
trap 'rm -f "$stats"' EXIT
sh "$here/userland.sh" translate 1 shell -- -x check-copy -d stats -D "$stats" || exit $?

# counted NAME: the number behind it
counted()
{
    sed -n "s/^$1 *\([0-9]*\)\$/\1/p" "$stats"
}
copies=$(counted 'copies of blocks at other addresses')
differ=$(counted 'copies that differ (-x check-copy)')
echo "$copies copies, $differ differ"
[ "$copies" -ge 1000 ] && [ $((differ * 1000)) -lt "$copies" ] || exit 1

sh "$here/userland.sh" translate 1 shell -- -d stats -D "$stats" || exit $?
adopted=$(counted 'blocks taken to other addresses')
echo "$adopted blocks taken to other addresses"
[ "$adopted" -ge 1000 ]
