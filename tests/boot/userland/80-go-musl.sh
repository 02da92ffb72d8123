# Other code shapes: Go's runtime (its own stacks, goroutines, garbage collector), and musl.
set -eu
gosu --version | sed 's/ on .*//'
gosu root sh -c 'echo "as $(id -u)"'
seq 1 $((20000 * SCALE)) | awk '{ print $1 * 7919 % 99991, "entry number", $1 }' > list
fzf --filter 'num 77' < list > found || true
wc -l < found
sort found | md5sum
fzf --filter "'991 | ^12 4\$" < list | sort | md5sum
age-keygen -o key 2> public
recipient=$(sed -n 's/^# public key: //p' key)
age -r "$recipient" -o sealed list
age -d -i key sealed | cmp - list && echo 'age: opened'
age -r "$recipient" -a list | age -d -i key | md5sum
head -c 500 sealed > short
age -d -i key short > opened 2> warnings && echo 'a cut file passes' || echo 'a cut file is noticed'

musl-gcc -O2 -static -pthread -o threads-static threads.c
musl-gcc -O2 -pthread -o threads-dynamic threads.c
musl-gcc -O2 -static -o vector-static vector.c -lm
./threads-static
./threads-dynamic
./vector-static
