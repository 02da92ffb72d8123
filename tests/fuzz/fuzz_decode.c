/*
 * tests/fuzz/fuzz_decode.c -- decode() against capstone and against itself, on any bytes.
 *
 * libFuzzer:    clang -fsanitize=fuzzer,address,undefined, this file, cpu/decode.c, ...
 * Stand-alone:  compile with -DFUZZ_STANDALONE;
 *     fuzz_decode random COUNT [SEED]  COUNT random inputs, most of them with plausible openings
 *     fuzz_decode maps [STEP]          all opcodes of all maps with every STEPth ModRM byte and
 *                                      prefixes, in the three modes
 * A difference that is not in tests/cpu/decode_known.h is printed and ends the process.
 */
#include <stdlib.h>

#include "tests/cpu/decode_inputs.h"
#include "tests/cpu/decode_oracle.h"

static struct oracle oracle;

static void check(const uint8_t *bytes, size_t size, enum code_size code_size)
{
    const char *message;

    if (!oracle.insn && !oracle_open(&oracle)) {
        fprintf(stderr, "fuzz_decode: capstone does not start\n");
        exit(1);
    }
    message = decode_check(&oracle, bytes, size, code_size);
    if (message) {
        fprintf(stderr, "fuzz_decode: %s\n", message);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum code_size modes[] = {CODE16, CODE32, CODE64};

    if (size > 1)
        check(data + 1, size - 1, modes[data[0] % 3]);
    return 0;
}

#ifdef FUZZ_STANDALONE
static void check_input(void *ctx, const uint8_t *bytes, size_t size, enum code_size code_size)
{
    (void)ctx;
    check(bytes, size, code_size);
}

int main(int argc, char **argv)
{
    unsigned long count = 0;

    if (argc > 2 && !strcmp(argv[1], "random"))
        count = decode_inputs_random(strtoul(argv[2], NULL, 0),
                                     argc > 3 ? strtoull(argv[3], NULL, 0) : 1, check_input, NULL);
    else if (argc > 1 && !strcmp(argv[1], "maps"))
        count = decode_inputs_maps(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 0) : 1, check_input,
                                   NULL);
    if (!count) {
        fprintf(stderr, "usage: fuzz_decode random COUNT [SEED] | maps [STEP]\n");
        return 1;
    }
    printf("%lu inputs, no unexplained difference\n", count);
    return 0;
}
#endif
