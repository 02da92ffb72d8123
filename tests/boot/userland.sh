#!/bin/sh
# userland.sh ACCEL SCALE [PART...] [-- OPTION...]: real programs from Debian packages give the same
# output in the guest as on the host.  One tree of unpacked packages is the host's root (by chroot)
# and, as an initrd, the guest's.  PART is a piece of a name in userland/ (none: all of them),
# SCALE how much each does.  Prints what each part took on both.
. "$(dirname "$0")/common.sh"

accel=$1 scale=$2
shift 2
parts=
[ $# -gt 0 ] && [ "$1" != -- ] || set -- '' "$@"
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    before=$parts
    for part in "$boot"/userland/[0-9]*; do
        case ${part##*/} in
        *"$1"*) parts="$parts ${part##*/}" ;;
        esac
    done
    [ "$parts" != "$before" ] || fail "no part of that name: $1"
    shift
done
[ $# -eq 0 ] || shift
sh "$loader/guest/get.sh" userland.cpio > /dev/null

# On the host: in a mount name space of its own, with the host's /proc and /dev.
enter=unshare
[ "$(id -u)" = 0 ] || enter='unshare -r'
$enter -m true 2> /dev/null || {
    echo "skipped: this user may not make a name space (unshare -m)"
    exit 77
}
host=$(mktemp -d "$guest/userland/tmp/run.XXXXXX")
trap 'rm -rf "$host"; cleanup' EXIT
cp "$boot"/userland/* "$host"
# shellcheck disable=SC2086 # one word a part
SCALE=$scale $enter -m sh -e -c "mount --rbind /proc '$guest/userland/proc'
    mount --rbind /dev '$guest/userland/dev'
    exec chroot '$guest/userland' /bin/sh -c 'cd /tmp/${host##*/} && sh run.sh $parts'" ||
    fail "the host's run failed"
for part in $parts; do
    echo "== $part"
    cat "$host/$part.out"
done > "$work/expected"

mkdir -p "$work/root/tests"
cp "$boot"/userland/* "$work/root/tests"
cp "$boot/userland/init" "$work/root/init"
chmod 755 "$work/root/init"
(cd "$work/root" && find . | cpio -o -H newc -R 0:0 --quiet) > "$work/tests.cpio"
cat "$guest/userland.cpio" "$work/tests.cpio" > "$work/initrd"
start -accel "$accel" -m 2G -kernel "$guest/vmlinuz-amd64" -initrd "$work/initrd" \
    -append "console=ttyS0 quiet panic=-1 scale=$scale parts=$(echo $parts | tr ' ' ,)" \
    -display none -no-reboot -serial stdio -serial "file:$work/got" -serial "file:$work/times" "$@"
finish 0 3000
echo "guest ended after $(($(date +%s) - started)) s"
echo 'milliseconds: part, host, guest'
cat "$host"/*.time | sort | join - "$work/times"
diff "$work/expected" "$work/got" || fail "the guest's output is not the host's"
for part in $parts; do
    [ "$(tail -n 1 "$host/$part.out")" = 'exit status 0' ] || fail "$part: $(cat "$host/$part.out")"
done
