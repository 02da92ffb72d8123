/*
 * loader/bench_decoder.c -- `ringer bench`: the decoder by itself.
 */
#include "loader/bench_decoder.h"

#include "cpu/hosttime.h"
#include "cpu/insn.h"
#include "loader/file.h"
#include <gelf.h>
#include <libelf.h>
#include <string.h>

#define FILE_MAX_BYTES ((size_t)1 << 30)
#define NS_PER_S       1e9
#define MEASUREMENT_NS UINT64_C(200000000)

struct text {
    const uint8_t *bytes;
    size_t size; /* 0: there is none */
    enum code_size code_size;
};

/* The section .text; what libelf hands out lies within the file. */
static struct text find_text(Elf *elf, const GElf_Ehdr *ehdr)
{
    struct text text = {.code_size = ehdr->e_machine == EM_X86_64 ? CODE64 : CODE32};
    Elf_Scn *section = NULL;
    size_t names;

    if (elf_getshdrstrndx(elf, &names) != 0)
        return text;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        const char *name;
        const Elf_Data *data;
        GElf_Shdr shdr;

        if (gelf_getshdr(section, &shdr) == NULL || shdr.sh_type != SHT_PROGBITS)
            continue;
        name = elf_strptr(elf, names, shdr.sh_name);
        if (name == NULL || strcmp(name, ".text") != 0)
            continue;
        data = elf_rawdata(section, NULL);
        if (data != NULL && data->d_buf != NULL) {
            text.bytes = data->d_buf;
            text.size = data->d_size;
        }
    }
    return text;
}

/* Instructions a second, once through the text. */
static double decode_once(const struct text *text)
{
    const uint64_t start_ns = hosttime_ns();
    size_t at = 0, count = 0;
    uint64_t end_ns;

    while (at < text->size) {
        struct insn in;

        if (decode(text->bytes + at, text->size - at, text->code_size, &in) == DECODE_OK) {
            at += in.length;
            count++;
        } else {
            at++;
        }
    }
    end_ns = hosttime_ns();
    return end_ns > start_ns ? (double)count * NS_PER_S / (double)(end_ns - start_ns) : 0;
}

static double best_of_a_while(const struct text *text)
{
    const uint64_t end_ns = hosttime_ns() + MEASUREMENT_NS;
    double best = 0;

    do {
        const double value = decode_once(text);

        if (value > best)
            best = value;
    } while (hosttime_ns() < end_ns);
    return best;
}

bool bench_decoder_measure(const char *path, double per_second[], unsigned count,
                           struct error *error)
{
    struct file file;
    GElf_Ehdr ehdr;
    struct text text;
    Elf *elf;
    bool ok = true;

    if (!file_read(path, FILE_MAX_BYTES, &file, error))
        return false;
    elf_version(EV_CURRENT);
    elf = elf_memory((char *)file.bytes, file.size);
    if (elf == NULL || elf_kind(elf) != ELF_K_ELF || gelf_getehdr(elf, &ehdr) == NULL ||
        (ehdr.e_machine != EM_X86_64 && ehdr.e_machine != EM_386)) {
        ok = error_set(error, "%s: no x86 ELF file", path);
    } else {
        text = find_text(elf, &ehdr);
        if (text.size == 0)
            ok = error_set(error, "%s: has no section .text", path);
        for (unsigned i = 0; ok && i < count; i++)
            per_second[i] = best_of_a_while(&text);
    }
    elf_end(elf);
    file_free(&file);
    return ok;
}
