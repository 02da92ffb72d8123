# 32-bit programs under the 64-bit kernel: Debian's own, dynamic and static ones built here.
set -eu
busybox-i386 sh -c 'for i in 1 2 3; do echo "busybox $i"; done | sort -r'
seq 1 $((3000 * SCALE)) | busybox-i386 sha256sum
seq 1 $((3000 * SCALE)) | busybox-i386 awk '{ s += $1 / 3 } END { printf "%.9f\n", s }'
seq 1 $((3000 * SCALE)) | busybox-i386 gzip -c | gzip -d | md5sum
seq 1 $((3000 * SCALE)) | xz -c | busybox-i386 xz -d -c | md5sum
echo '2 100 ^ p' | busybox-i386 dc || true
gcc -m32 -O2 -pthread -msse2 -o compat compat.c
gcc -m32 -O2 -pthread -static -msse2 -o compat-static compat.c
gcc -m32 -O2 -march=i686 -mfpmath=387 -o vector-387 vector.c -lm
gcc -m32 -O2 -msse2 -mfpmath=sse -o vector-sse vector.c -lm
gcc -m32 -O2 -pthread -o threads-32 threads.c
gcc -O2 -no-pie -o int80 int80.c
./compat
./compat-static
./vector-387
./vector-sse
./threads-32
./int80
