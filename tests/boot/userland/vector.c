/* Float, double, long double and integer loops that compilers vectorise; prints what came out. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4096, M = 48 };

static uint64_t hash(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t h = 14695981039346656037u;

    while (size-- > 0)
        h = (h ^ *bytes++) * 1099511628211u;
    return h;
}

int main(int argc, char **argv)
{
    static float f[N], g[N];
    static double d[N], e[N], matrix[3][M][M];
    static int32_t i32[N];
    static int16_t i16[N];
    static uint8_t u8[N];
    uint32_t state = 1;
    long double sum = 0;
    const int rounds = 40 * atoi(getenv("SCALE"));

    if (argc > 1 && strcmp(argv[1], "v3") == 0)
        return !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("bmi2"));
    for (int i = 0; i < N; i++) {
        state = state * 1664525 + 1013904223;
        f[i] = (float)(int32_t)state / 65536.0f;
        d[i] = (int32_t)state / 3.0;
        i32[i] = (int32_t)state;
        i16[i] = (int16_t)(state >> 9);
        u8[i] = (uint8_t)(state >> 13);
    }
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < N; i++) {
            g[i] = f[i] * 1.0001f + g[i] * 0.5f;
            e[i] = sqrt(fabs(d[i])) + e[i] / 3;
            i32[i] = (i32[i] * 3 + (i32[i] >> 7)) ^ (int32_t)g[i & 1023];
            i16[i] = (int16_t)(i16[i] > 100 ? i16[i] - 77 : i16[i] + r);
            u8[i] = (uint8_t)(u8[i] + (u8[(i * 7) % N] >> 1));
        }
        for (int i = 0; i < N; i += 16)
            sum += (long double)e[i] * g[i] / (r + 1);
    }
    printf("%016llx %016llx %016llx %016llx %016llx\n", (unsigned long long)hash(g, sizeof(g)),
           (unsigned long long)hash(e, sizeof(e)), (unsigned long long)hash(i32, sizeof(i32)),
           (unsigned long long)hash(i16, sizeof(i16)), (unsigned long long)hash(u8, sizeof(u8)));
    for (int i = 0; i < M * M; i++) {
        matrix[0][i / M][i % M] = d[i] / 1e6;
        matrix[1][i / M][i % M] = e[i];
    }
    for (int r = 0; r < rounds / 4; r++)
        for (int i = 0; i < M; i++)
            for (int k = 0; k < M; k++)
                for (int j = 0; j < M; j++)
                    matrix[2][i][j] += matrix[0][i][k] * matrix[1][k][j];
    printf("%a %a %La %.17g\n", matrix[2][5][7], matrix[2][M - 1][M - 1], sum, (double)sum);
    printf("%.15g %.15g %.15g %.15g\n", sin(d[3]), exp(-e[3] / 1e4), pow(fabs(d[4]), 0.37),
           tgamma(5.5));
    printf("%ld %ld %d\n", lrint(-2.5), llround(2.5), (int)f[9]);
    return 0;
}
