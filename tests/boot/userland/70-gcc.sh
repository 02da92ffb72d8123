# gcc: compiles programs here and runs what it made; the code it generates is compared too.
set -eu
gcc -O2 -S -o vector.s vector.c
gcc -O3 -march=x86-64-v3 -S -o vector3.s vector.c
sha256sum < vector.s
sha256sum < vector3.s
gcc -O0 -o vector0 vector.c -lm
gcc -O2 -o vector2 vector.c -lm
gcc -O3 -march=x86-64-v3 -ffp-contract=off -o vector3 vector.c -lm
gcc -O3 -march=x86-64-v3 -mtune=skylake -ffp-contract=fast -o fused vector.c -lm
gcc -O2 -mfpmath=387 -o x87 vector.c -lm
for program in vector0 vector2 x87; do
    ./$program | sed "s/^/$program: /"
done
if ./vector2 v3; then
    ./vector3 | sed "s/^/vector3: /"
    ./fused | sed "s/^/fused: /"
fi
gcc -O2 -pthread -o threads threads.c
./threads
cat > bad.c << 'C'
int main(void) { return undeclared; }
C
gcc bad.c 2> errors || sed 's/.*error:/error:/' errors | grep '^error'
