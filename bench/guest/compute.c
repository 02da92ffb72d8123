/*
 * bench/guest/compute.c -- user-mode programs of different shapes, each timed; runs on the host,
 * and as a process of a guest.
 *
 *   compute [ROW]...        all rows without arguments
 *
 * Prints a line a row: name (as the row starts, so that whoever reads the line can time it, too),
 * nanoseconds, checksum.  The checksum must be the same wherever it runs.  Build as 32- and 64-bit,
 * static: `cc -O2 -static [-m32] -o compute compute.c -lm`.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state;
}

static void *allocate(size_t bytes)
{
    void *p = malloc(bytes);

    if (p == NULL)
        abort();
    return p;
}

/* Byte stores with a stride. */
static uint64_t sieve(void)
{
    enum { LIMIT = 2000000, ROUNDS = 16 };
    uint8_t *composite = allocate(LIMIT);
    uint64_t primes = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(composite, 0, LIMIT);
        for (uint32_t i = 2; i < LIMIT; i++) {
            if (composite[i])
                continue;
            primes++;
            for (uint64_t j = (uint64_t)i * i; j < LIMIT; j += i)
                composite[j] = 1;
        }
    }
    free(composite);
    return primes;
}

/* Recursion, comparisons that are hard to predict, swaps. */
static void sort(int32_t *a, long low, long high)
{
    while (low < high) {
        const int32_t pivot = a[low + (high - low) / 2];
        long i = low, j = high;

        while (i <= j) {
            while (a[i] < pivot)
                i++;
            while (a[j] > pivot)
                j--;
            if (i <= j) {
                const int32_t t = a[i];

                a[i++] = a[j];
                a[j--] = t;
            }
        }
        if (j - low < high - i) {
            sort(a, low, j);
            low = i;
        } else {
            sort(a, i, high);
            high = j;
        }
    }
}

static uint64_t quicksort(void)
{
    enum { COUNT = 1000000, ROUNDS = 2 };
    int32_t *a = allocate(COUNT * sizeof(*a));
    uint64_t sum = 0;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            a[i] = (int32_t)next_random();
        sort(a, 0, COUNT - 1);
        for (unsigned i = 0; i < COUNT; i += 1000)
            sum = sum * 31 + (uint32_t)a[i];
    }
    free(a);
    return sum;
}

/* Calls and returns. */
__attribute__((noinline, optimize("no-optimize-sibling-calls"))) static uint32_t fib(uint32_t n)
{
    uint32_t result;

    if (n < 2)
        return n;
    result = fib(n - 1);
    __asm__ volatile("" : "+r"(result)); /* stay recursive */
    return result + fib(n - 2);
}

static uint64_t recursion(void)
{
    return fib(36);
}

static uint64_t byte_hash(void)
{
    enum { BYTES = 1 << 20, ROUNDS = 100 };
    uint8_t *data = allocate(BYTES);
    uint32_t hash = 2166136261u;

    for (unsigned i = 0; i < BYTES; i++)
        data[i] = (uint8_t)(next_random() >> 24);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < BYTES; i++)
            hash = (hash ^ data[i]) * 16777619u;
    free(data);
    return hash;
}

/* [FIPS 180-4] */
static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static const uint32_t *sha_constants(void)
{
    static uint32_t k[64];

    /* First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
    if (k[0] == 0) {
        unsigned count = 0;

        for (unsigned n = 2; count < 64; n++) {
            unsigned d = 2;

            while (d * d <= n && n % d != 0)
                d++;
            if (d * d > n) {
                const long double root = cbrtl((long double)n);

                k[count++] = (uint32_t)((root - floorl(root)) * 4294967296.0L);
            }
        }
    }
    return k;
}

static void sha256_block(uint32_t h[8], const uint8_t *p, const uint32_t *k)
{
    uint32_t w[64], s[8];

    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (unsigned i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[i - 7] +
               (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(s, h, sizeof(s));
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                            ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        const uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                            ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

        s[7] = s[6];
        s[6] = s[5];
        s[5] = s[4];
        s[4] = s[3] + t1;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = s[0];
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] += s[i];
}

static uint64_t sha256(void)
{
    enum { BLOCKS = 1024, ROUNDS = 500 };
    const uint32_t *k = sha_constants();
    uint8_t *data = allocate(BLOCKS * 64);
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

    for (unsigned i = 0; i < BLOCKS * 64; i++)
        data[i] = (uint8_t)(next_random() >> 24);
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < BLOCKS; i++)
            sha256_block(h, data + 64 * i, k);
    free(data);
    return (uint64_t)h[0] << 32 | h[7];
}

/* Greedy LZ with a hash of three bytes: table look-ups, short copies. */
static uint64_t lz(void)
{
    enum { BYTES = 1 << 20, HASH_BITS = 14, ROUNDS = 12 };
    uint8_t *in = allocate(BYTES), *out = allocate(2 * BYTES);
    uint32_t *last = allocate(sizeof(*last) << HASH_BITS);
    uint64_t sum = 0;

    for (unsigned i = 0; i < BYTES; i++)
        in[i] = (uint8_t)("the quick brown fox jumps"[next_random() >> 24 & 7] + (i >> 10) % 3);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t *o = out;

        memset(last, 0, sizeof(*last) << HASH_BITS);
        for (unsigned i = 0; i + 3 < BYTES;) {
            const uint32_t three = in[i] | in[i + 1] << 8 | in[i + 2] << 16;
            const uint32_t hash = three * 2654435761u >> (32 - HASH_BITS);
            const uint32_t from = last[hash];
            unsigned length = 0;

            last[hash] = i;
            while (length < 255 && i + length < BYTES && from < i &&
                   in[from + length] == in[i + length])
                length++;
            if (length >= 4) {
                *o++ = 0xff;
                *o++ = (uint8_t)length;
                *o++ = (uint8_t)(i - from);
                i += length;
            } else {
                *o++ = in[i++];
            }
        }
        for (const uint8_t *p = out; p < o; p += 97)
            sum = sum * 131 + *p;
        sum += (uint64_t)(o - out);
    }
    free(last);
    free(out);
    free(in);
    return sum;
}

/* Vectorised, in 32-bit builds as well. */
#ifdef __i386__
__attribute__((target("sse2,fpmath=sse")))
#endif
__attribute__((optimize("O3,fast-math"))) static uint64_t
matrix(void)
{
    enum { N = 320, ROUNDS = 24 };
    float *a = allocate(N * N * sizeof(float)), *b = allocate(N * N * sizeof(float)),
          *c = allocate(N * N * sizeof(float));
    double sum = 0;

    for (unsigned i = 0; i < N * N; i++) {
        a[i] = (float)(i % 7);
        b[i] = (float)(i % 5);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(c, 0, N * N * sizeof(float));
        for (unsigned i = 0; i < N; i++)
            for (unsigned k = 0; k < N; k++)
                for (unsigned j = 0; j < N; j++)
                    c[i * N + j] += a[i * N + k] * b[k * N + j];
    }
    for (unsigned i = 0; i < N * N; i += N + 1)
        sum += c[i];
    free(c);
    free(b);
    free(a);
    return (uint64_t)sum;
}

/* Five bodies under gravity; double, x87 in 32-bit builds. */
struct body {
    double x[3], v[3], mass;
};

static uint64_t nbody(void)
{
    enum { BODIES = 5, STEPS = 800000 };
    struct body bodies[BODIES];

    for (unsigned i = 0; i < BODIES; i++) {
        for (unsigned d = 0; d < 3; d++) {
            bodies[i].x[d] = (double)((i * 7 + d * 3) % 11) - 5.0;
            bodies[i].v[d] = (double)((i + d) % 3) * 0.25;
        }
        bodies[i].mass = 1.0 / (1.0 + i);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        for (unsigned i = 0; i < BODIES; i++) {
            for (unsigned j = i + 1; j < BODIES; j++) {
                double d[3], square = 0.01, magnitude;

                for (unsigned k = 0; k < 3; k++) {
                    d[k] = bodies[i].x[k] - bodies[j].x[k];
                    square += d[k] * d[k];
                }
                magnitude = 0.0001 / (square * sqrt(square));
                for (unsigned k = 0; k < 3; k++) {
                    bodies[i].v[k] -= d[k] * bodies[j].mass * magnitude;
                    bodies[j].v[k] += d[k] * bodies[i].mass * magnitude;
                }
            }
        }
        for (unsigned i = 0; i < BODIES; i++)
            for (unsigned k = 0; k < 3; k++)
                bodies[i].x[k] += 0.0001 * bodies[i].v[k];
    }
    return (uint64_t)(int64_t)(bodies[0].x[0] * 1e6);
}

/* Every load's address is the load before. */
static uint64_t chase(size_t bytes, unsigned steps)
{
    const size_t count = bytes / sizeof(void *);
    void **ring = allocate(bytes), **p;
    uint32_t *order = allocate(count * sizeof(*order));

    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)i;
    for (size_t i = count - 1; i > 0; i--) {
        const size_t j = next_random() % (i + 1);
        const uint32_t t = order[i];

        order[i] = order[j];
        order[j] = t;
    }
    for (size_t i = 0; i < count; i++)
        ring[order[i]] = &ring[order[(i + 1) % count]];
    p = ring;
    for (unsigned i = 0; i < steps; i++)
        p = *p;
    steps = (unsigned)((void **)p - ring);
    free(order);
    free(ring);
    return steps;
}

static uint64_t chase_4m(void)
{
    return chase(4 << 20, 6000000);
}

static uint64_t chase_16k(void)
{
    return chase(16 << 10, 60000000);
}

/* Calls through pointers, of which the call site sees 1, 4 or 64. */
#define LEAF(n)                                                   \
    __attribute__((noinline)) static uint32_t leaf##n(uint32_t x) \
    {                                                             \
        return x * (2 * n + 1) + n;                               \
    }
#define EIGHT(m, f) f(m##0) f(m##1) f(m##2) f(m##3) f(m##4) f(m##5) f(m##6) f(m##7)
#define NAME(n)     leaf##n,
/* clang-format off */
EIGHT(1, LEAF) EIGHT(2, LEAF) EIGHT(3, LEAF) EIGHT(4, LEAF)
EIGHT(5, LEAF) EIGHT(6, LEAF) EIGHT(7, LEAF) EIGHT(8, LEAF)
static uint32_t (*const leaves[64])(uint32_t) = {
    EIGHT(1, NAME) EIGHT(2, NAME) EIGHT(3, NAME) EIGHT(4, NAME)
    EIGHT(5, NAME) EIGHT(6, NAME) EIGHT(7, NAME) EIGHT(8, NAME)
};
/* clang-format on */

static uint64_t indirect(unsigned targets)
{
    uint32_t x = 1;

    for (unsigned i = 0; i < 30000000; i++)
        x = leaves[(i * 2654435761u >> 8) % targets](x);
    return x;
}

static uint64_t indirect_1(void)
{
    return indirect(1);
}

static uint64_t indirect_4(void)
{
    return indirect(4);
}

static uint64_t indirect_64(void)
{
    return indirect(64);
}

/* A switch in a loop: the shape of script interpreters. */
static uint64_t bytecode(void)
{
    enum { PUSH, ADD, XOR, DUP, SWAP, DROP, DEC_JNZ, HALT };
    static const uint8_t program[] = {PUSH, 3,    PUSH, 5, ADD, DUP, XOR,     PUSH, 7,
                                      SWAP, DROP, PUSH, 9, XOR, ADD, DEC_JNZ, 15,   HALT};
    uint32_t stack[32] = {1}, sp = 1, counter = 8000000;

    for (const uint8_t *pc = program;;) {
        switch (*pc++) {
        case PUSH:
            stack[sp++] = *pc++;
            break;
        case ADD:
            sp--;
            stack[sp - 1] += stack[sp];
            break;
        case XOR:
            sp--;
            stack[sp - 1] ^= stack[sp] * 3;
            break;
        case DUP:
            stack[sp] = stack[sp - 1];
            sp++;
            break;
        case SWAP: {
            const uint32_t t = stack[sp - 1];

            stack[sp - 1] = stack[sp - 2];
            stack[sp - 2] = t;
            break;
        }
        case DROP:
            sp--;
            break;
        case DEC_JNZ:
            stack[0] += stack[sp - 1];
            sp = 1;
            pc = --counter != 0 ? program : pc + 1;
            break;
        default:
            return stack[0];
        }
    }
}

/* The C library's string functions, as it selects them for the CPU. */
static uint64_t strings(void)
{
    enum { BYTES = 4096, ROUNDS = 800000 };
    char *a = allocate(BYTES), *b = allocate(BYTES);
    volatile size_t sink = 0;

    memset(a, 'x', BYTES - 1);
    a[BYTES - 1] = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const unsigned from = round % 512, length = 16 + round % 1024;

        memcpy(b + from, a + from / 2, length);
        b[from + length] = 0;
        sink += strlen(b + from);
        sink += memchr(a, 0, BYTES) != NULL;
        sink += (size_t)(memcmp(a, b + from, 16) == 0);
        sink += (size_t)(strchr(a + from, 'x') - a);
    }
    free(b);
    free(a);
    return sink;
}

/* Writes a function and calls it, again and again. */
static uint64_t jit(void)
{
    enum { ROUNDS = 2400000 };
    uint8_t *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t sum = 0;

    if (code == MAP_FAILED)
        abort();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t value = round;
        uint32_t (*fn)(void);

        if (round % 16 == 0) {
            code[0] = 0xb8; /* mov eax, imm32; ret */
            memcpy(code + 1, &value, sizeof(value));
            code[5] = 0xc3;
        }
        memcpy(&fn, &(uint8_t *){code}, sizeof(fn));
        sum += fn();
    }
    munmap(code, 4096);
    return sum;
}

static const struct row {
    const char *name;
    uint64_t (*run)(void);
} rows[] = {
    {"sieve", sieve},
    {"quicksort", quicksort},
    {"recursion", recursion},
    {"byte_hash", byte_hash},
    {"sha256", sha256},
    {"lz", lz},
    {"matrix", matrix},
    {"nbody", nbody},
    {"chase_4m", chase_4m},
    {"chase_16k", chase_16k},
    {"indirect_1", indirect_1},
    {"indirect_4", indirect_4},
    {"indirect_64", indirect_64},
    {"bytecode", bytecode},
    {"strings", strings},
    {"jit", jit},
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return 1;
    return argc == 1;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t start, sum;

        if (!wanted(rows[i].name, argc, argv))
            continue;
        printf("%s", rows[i].name);
        fflush(stdout);
        random_state = 12345;
        start = now_ns();
        sum = rows[i].run();
        printf(" %llu %llx\n", (unsigned long long)(now_ns() - start), (unsigned long long)sum);
        fflush(stdout);
    }
    return 0;
}
