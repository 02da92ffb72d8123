# Round trips of some megabytes through each compressor; the compressed bytes are compared too.
set -eu
awk -v lines=$((25000 * SCALE)) 'BEGIN {
    s = 1
    for (i = 0; i < lines; i++) {
        s = (s * 16807) % 2147483647
        printf "%d %s line %d of %x\n", i, substr("the quick brown fox jumps", s % 20), s % 97, s
    }
}' > text
head -c $((400000 * SCALE)) text | openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff \
    -iv 00000000000000000000000000000000 > noise 2> warnings
cat text noise text > data
sha256sum < data
trip()
{
    name=$1
    shift
    "$@" < data > packed
    "$1" -d < packed > unpacked
    cmp data unpacked
    echo "$name $(sha256sum < packed)"
}
trip gzip-1 gzip -1n
trip gzip-9 gzip -9n
trip bzip2 bzip2 -6
trip xz-1 xz -1 -T1
trip zstd-1 zstd -1 -q -T1 --single-thread
trip zstd-9 zstd -9 -q -T1 --single-thread
[ "$SCALE" -lt 4 ] || trip xz-6 xz -6 -T1
[ "$SCALE" -lt 4 ] || trip zstd-19 zstd -19 -q -T1 --single-thread
trip xz-x86 xz -T1 --x86 --lzma2=preset=0 --check=sha256
xz -T1 -0 < noise | xz -t
gzip < noise > noise.gz
printf 'x' | dd of=noise.gz bs=1 seek=5000 conv=notrunc 2> warnings
gzip -t noise.gz 2> warnings && echo 'a damaged file passes' || echo 'a damaged file is noticed'
