# Bash and the small tools: processes, pipes, signals, arithmetic, arrays, here documents.
set -u
sieve()
{
    local -a composite=()
    local count=0 i j
    for ((i = 2; i < $1; i++)); do
        [[ -n ${composite[i]:-} ]] && continue
        ((++count))
        for ((j = i * i; j < $1; j += i)); do composite[j]=1; done
    done
    echo "primes below $1: $count"
}
sieve $((2000 * SCALE))

for ((i = 0; i < 20 * SCALE; i++)); do
    printf '%d\n' $((i * 7919 % 1009))
done | sort -n | uniq | head -n 40 | paste -s -d' ' | fold -w 60
seq 1 $((2000 * SCALE)) | awk '{ s += $1 * $1; p = (p * 31 + $1) % 65521 } END { print s, p }'
seq 1 $((2000 * SCALE)) | sed -n 's/\(.\)7\(.\)/\2-\1/p' | grep -c -E '^[0-9]-'
echo "scale=60; a(1)*4; e(1); sqrt(2)" | bc -l
echo "2^1000 % 1000007; 3^400 / 7^300" | bc

# Forty children at once, each with its own status; then one ended by a signal.
for ((i = 0; i < 40; i++)); do
    (exit "$i") &
    pids[i]=$!
done
sum=0
for pid in "${pids[@]}"; do
    wait "$pid"
    ((sum += $?))
done
echo "statuses: $sum"
sleep 100 &
kill -TERM $!
wait $! 2> wait.err
echo "ended by signal: $(($? - 128))"
trap 'echo "caught USR1"' USR1
kill -USR1 $$
declare -A words=()
for word in the quick brown fox jumps over the lazy dog and the other dog looks at the fox; do
    ((++words[$word]))
done
for word in "${!words[@]}"; do
    echo "$word ${words[$word]}"
done | sort
printf '%.10f %e %g %x %o\n' 3.14159265358979 1.5e-7 0.1 255 8
find . -name '*.err' | xargs -n1 basename
mkfifo pipe
seq 1 5000 > pipe &
md5sum < pipe
