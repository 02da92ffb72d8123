#!/bin/sh
# Installs the Debian packages named as arguments that are missing.  Says what it does; asks nothing.
set -eu

missing=
for package; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -q '^installed' ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "ringer: installing$missing" >&2
if [ "$(id -u)" = 0 ]; then
    root=
elif command -v sudo > /dev/null; then
    root=sudo
else
    echo "ringer: as root, please: apt-get install$missing" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
{
    $root apt-get -q -q update
    # shellcheck disable=SC2086 # one word a package
    $root apt-get -q -q -y --no-install-recommends install $missing
} > /dev/null || {
    echo "ringer: apt-get could not install$missing" >&2
    exit 1
}
