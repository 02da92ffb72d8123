/*
 * bench/decode_speed.c -- how many instructions a second cpu/decode.c takes apart.
 *
 *   decode_speed FILE [SECONDS]
 *
 * Decodes the .text section of a 32- or 64-bit x86 ELF file from end to end, again and again, and
 * prints the best round.  Invalid bytes (data between functions) are skipped one at a time.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu/insn.h"

struct text {
    const uint8_t *bytes;
    size_t size;
    enum code_size code_size;
};

static double now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* The file's executable PROGBITS section named .text; size 0 if there is none. */
static struct text find_text(const uint8_t *file, size_t size)
{
    struct text text = {0};

#define FIND(bits, code)                                                           \
    do {                                                                           \
        const Elf##bits##_Ehdr *eh = (const void *)file;                           \
        const Elf##bits##_Shdr *sh = (const void *)(file + eh->e_shoff);           \
        if (eh->e_shoff + (size_t)eh->e_shnum * sizeof *sh > size)                 \
            return text;                                                           \
        const char *names = (const char *)file + sh[eh->e_shstrndx].sh_offset;     \
        for (unsigned i = 0; i < eh->e_shnum; i++)                                 \
            if (!strcmp(names + sh[i].sh_name, ".text") &&                         \
                sh[i].sh_offset + sh[i].sh_size <= size)                           \
                text = (struct text){file + sh[i].sh_offset, sh[i].sh_size, code}; \
    } while (0)

    if (size < sizeof(Elf64_Ehdr) || memcmp(file, ELFMAG, SELFMAG))
        return text;
    if (file[EI_CLASS] == ELFCLASS64)
        FIND(64, CODE64);
    else
        FIND(32, CODE32);
#undef FIND
    return text;
}

int main(int argc, char **argv)
{
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    const double seconds = argc > 2 ? atof(argv[2]) : 2;
    double best = 0;
    size_t size, count = 0, invalid = 0;
    uint8_t *file;
    struct text text;

    if (!f || fseek(f, 0, SEEK_END) || (size = (size_t)ftell(f)) == 0) {
        fprintf(stderr, "usage: decode_speed ELF-FILE [SECONDS]\n");
        return 1;
    }
    rewind(f);
    file = malloc(size);
    if (!file || fread(file, 1, size, f) != size) {
        fprintf(stderr, "decode_speed: cannot read %s\n", argv[1]);
        return 1;
    }
    fclose(f);
    text = find_text(file, size);
    if (!text.size) {
        fprintf(stderr, "decode_speed: %s has no .text\n", argv[1]);
        return 1;
    }
    for (const double end = now() + seconds; now() < end;) {
        const double start = now();
        size_t at = 0;

        count = invalid = 0;
        while (at < text.size) {
            struct insn in;

            if (decode(text.bytes + at, text.size - at, text.code_size, &in) == DECODE_OK) {
                at += in.length;
                count++;
            } else {
                at++;
                invalid++;
            }
        }
        if ((double)count / (now() - start) > best)
            best = (double)count / (now() - start);
    }
    printf("%zu instructions in %zu bytes, %zu bytes skipped: %.1f million a second\n", count,
           text.size, invalid, best / 1e6);
    free(file);
    return 0;
}
