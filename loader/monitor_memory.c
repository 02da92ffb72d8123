/*
 * loader/monitor_memory.c -- x, xp, print, i, o, sum, memsave, pmemsave.
 */
#include <capstone/capstone.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/physmem.h"
#include "loader/monitor_internal.h"

enum { COUNT_MAX = 65536, STRING_MAX = 256, SAVE_PIECE = 65536 };

struct format {
    unsigned count, size; /* size: bytes; 0: not given */
    char letter;          /* x d u o c i s; 0: not given */
};

static bool parse_format(struct monitor_line *line, struct format *format)
{
    const char *at = line->format;
    char *end;

    *format = (struct format){.count = 1};
    if (isdigit((unsigned char)*at)) {
        const unsigned long count = strtoul(at, &end, 10);

        if (count > COUNT_MAX) {
            fprintf(line->out, "/%s: at most %d at a time\n", line->format, COUNT_MAX);
            return false;
        }
        format->count = (unsigned)count;
        at = end;
    }
    for (; *at != '\0'; at++) {
        static const char sizes[] = "bhwg";
        const char *size = strchr(sizes, *at);

        if (size != NULL) {
            format->size = 1u << (size - sizes);
        } else if (strchr("xduocis", *at) != NULL) {
            format->letter = *at;
        } else {
            fprintf(line->out, "/%s: a format is [COUNT][x|d|u|o|c|i|s][b|h|w|g]\n", line->format);
            return false;
        }
    }
    return true;
}

static size_t read_memory(struct monitor_line *line, bool physical, uint64_t address, void *buffer,
                          size_t size)
{
    if (!physical)
        return debugger_read(pc_cpu(line->m->pc), address, buffer, size);
    physmem_read_bytes(pc_memory(line->m->pc), address, buffer, size);
    return size;
}

static void print_address(struct monitor_line *line, bool physical, uint64_t address)
{
    const bool wide = physical || cpu_is_long(pc_cpu(line->m->pc));

    fprintf(line->out, "%0*" PRIx64 ":", wide ? 16 : 8, address);
}

static void print_char(FILE *out, uint8_t byte)
{
    static const char escaped[] = "\n\r\t\\'\"", letters[] = "nrt\\'\"";
    const char *at = byte != 0 ? strchr(escaped, byte) : NULL;

    if (at != NULL)
        fprintf(out, "\\%c", letters[at - escaped]);
    else if (byte >= 0x20 && byte < 0x7f)
        fputc(byte, out);
    else
        fprintf(out, "\\x%02x", byte);
}

static void print_number(FILE *out, char letter, unsigned size, uint64_t value)
{
    const unsigned unused = 64 - 8 * size;

    switch (letter) {
    case 'd':
        fprintf(out, "%" PRId64, (int64_t)(value << unused) >> unused);
        break;
    case 'u':
        fprintf(out, "%" PRIu64, value);
        break;
    case 'o':
        fprintf(out, "%#" PRIo64, value);
        break;
    case 'c':
        fputc('\'', out);
        print_char(out, (uint8_t)value);
        fputc('\'', out);
        break;
    default:
        fprintf(out, "0x%0*" PRIx64, (int)(2 * size), value);
    }
}

static void dump_numbers(struct monitor_line *line, bool physical, uint64_t address,
                         const struct format *format)
{
    const unsigned size = format->letter == 'c' ? 1 : format->size != 0 ? format->size : 4;
    const unsigned columns = format->letter == 'c' ? 8 : 16 / size;

    for (unsigned i = 0; i < format->count; i++, address += size) {
        uint64_t value = 0;

        if (i % columns == 0) {
            if (i != 0)
                fputc('\n', line->out);
            print_address(line, physical, address);
        }
        if (read_memory(line, physical, address, &value, size) != size) {
            fprintf(line->out, " Cannot access memory\n");
            return;
        }
        fputc(' ', line->out);
        print_number(line->out, format->letter, size, value);
    }
    if (format->count != 0)
        fputc('\n', line->out);
}

static void dump_strings(struct monitor_line *line, bool physical, uint64_t address, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned length = 0;
        uint8_t byte = 0;

        print_address(line, physical, address);
        fprintf(line->out, " \"");
        for (; length < STRING_MAX; length++) {
            if (read_memory(line, physical, address + length, &byte, 1) != 1) {
                fprintf(line->out, "\" Cannot access memory\n");
                return;
            }
            if (byte == 0)
                break;
            print_char(line->out, byte);
        }
        fprintf(line->out, "\"%s\n", byte == 0 ? "" : "...");
        address += length + (byte == 0);
    }
}

static void dump_code(struct monitor_line *line, bool physical, uint64_t address, unsigned count)
{
    const struct cpu *cpu = pc_cpu(line->m->pc);
    static const cs_mode modes[] = {
        [MODE_CODE16] = CS_MODE_16, [MODE_CODE32] = CS_MODE_32, [MODE_CODE64] = CS_MODE_64};
    cs_insn *insn;
    csh handle;

    if (cs_open(CS_ARCH_X86, modes[cpu->mode & MODE_CODE_MASK], &handle) != CS_ERR_OK) {
        fprintf(line->out, "capstone does not start\n");
        return;
    }
    cs_option(handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
    for (unsigned i = 0; i < count; i++) {
        uint8_t bytes[INSN_MAX_LENGTH];
        const size_t have = read_memory(line, physical, address, bytes, sizeof(bytes));

        print_address(line, physical, address);
        if (have == 0) {
            fprintf(line->out, " Cannot access memory\n");
            break;
        }
        fputs("  ", line->out);
        if (cs_disasm(handle, bytes, have, address, 1, &insn) == 1) {
            for (unsigned k = 0; k < insn->size; k++)
                fprintf(line->out, "%02x ", bytes[k]);
            fprintf(line->out, "%*s %s %s\n", insn->size < 8 ? (8 - insn->size) * 3 : 0, "",
                    insn->mnemonic, insn->op_str);
            address += insn->size;
            cs_free(insn, 1);
        } else {
            fprintf(line->out, "%02x %*s (bad)\n", bytes[0], 21, "");
            address++;
        }
    }
    cs_close(&handle);
}

static void dump(struct monitor_line *line, bool physical)
{
    struct format format;
    uint64_t address;

    if (!parse_format(line, &format) || !monitor_eval_all(line, line->rest, &address))
        return;
    if (format.letter == 'i')
        dump_code(line, physical, address, format.count);
    else if (format.letter == 's')
        dump_strings(line, physical, address, format.count);
    else
        dump_numbers(line, physical, address, &format);
}

void monitor_x(struct monitor_line *line)
{
    dump(line, false);
}

void monitor_xp(struct monitor_line *line)
{
    dump(line, true);
}

void monitor_print(struct monitor_line *line)
{
    struct format format;
    uint64_t value;

    if (!parse_format(line, &format) || !monitor_eval_all(line, line->rest, &value))
        return;
    if (format.letter == 0 || format.letter == 'x')
        fprintf(line->out, "%#" PRIx64, value);
    else
        print_number(line->out, format.letter, 8, value);
    fputc('\n', line->out);
}

/* ---- I/O ports ---- */

/* "/FMT PORT [VALUE]": so many words; the size is 4 bytes unless it is given. */
static bool take_port(struct monitor_line *line, unsigned words, struct format *format,
                      uint16_t *port)
{
    uint64_t value;

    if (line->count != words) {
        fprintf(line->out, "%s /FMT PORT%s\n", line->word[0], words == 3 ? " VALUE" : "");
        return false;
    }
    if (!parse_format(line, format) || !monitor_eval_all(line, line->word[1], &value))
        return false;
    if (format->size == 0)
        format->size = 4;
    if (format->size > 4 || value > UINT16_MAX) {
        fprintf(line->out, "a port is 16 bits wide, an access 1, 2 or 4 bytes (/b, /h, /w)\n");
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

void monitor_port_in(struct monitor_line *line)
{
    static const char letters[] = {[1] = 'b', [2] = 'w', [4] = 'l'};
    struct format format;
    uint16_t port;

    if (take_port(line, 2, &format, &port))
        fprintf(line->out, "port%c[0x%04x] = 0x%0*" PRIx32 "\n", letters[format.size], port,
                (int)(2 * format.size), pc_port_read(line->m->pc, port, format.size));
}

void monitor_port_out(struct monitor_line *line)
{
    struct format format;
    uint64_t value;
    uint16_t port;

    if (take_port(line, 3, &format, &port) && monitor_eval_all(line, line->word[2], &value))
        pc_port_write(line->m->pc, port, format.size,
                      (uint32_t)value & (UINT32_MAX >> (32 - 8 * format.size)));
}

/* ---- a checksum ---- */

/* BSD's: 16 bits, rotated right and added to, byte by byte. */
void monitor_sum(struct monitor_line *line)
{
    uint64_t address, size;
    uint16_t sum = 0;

    if (line->count != 3) {
        fprintf(line->out, "sum ADDRESS SIZE\n");
        return;
    }
    if (!monitor_eval_all(line, line->word[1], &address) ||
        !monitor_eval_all(line, line->word[2], &size))
        return;
    if (size > line->m->config.ram_bytes) {
        fprintf(line->out, "sum: more than there is memory\n");
        return;
    }
    for (uint64_t i = 0; i < size; i++) {
        uint8_t byte = 0;

        physmem_read_bytes(pc_memory(line->m->pc), address + i, &byte, 1);
        sum = (uint16_t)((sum >> 1 | sum << 15) + byte);
    }
    fprintf(line->out, "%05d\n", sum);
}

/* ---- to a file ---- */

static void save(struct monitor_line *line, bool physical)
{
    uint64_t address, size;
    uint8_t *buffer;
    bool ok = true;
    FILE *file;

    if (line->count != 4) {
        fprintf(line->out, "%s ADDRESS SIZE FILE\n", line->word[0]);
        return;
    }
    if (!monitor_eval_all(line, line->word[1], &address) ||
        !monitor_eval_all(line, line->word[2], &size))
        return;
    file = fopen(line->word[3], "we");
    buffer = malloc(SAVE_PIECE);
    if (file == NULL || buffer == NULL)
        fprintf(line->out, "%s: %s\n", line->word[3], strerror(errno));
    while (ok && file != NULL && buffer != NULL && size > 0) {
        const size_t part = size < SAVE_PIECE ? size : SAVE_PIECE;

        if (read_memory(line, physical, address, buffer, part) != part) {
            fprintf(line->out, "Cannot access memory from 0x%" PRIx64 "\n", address);
            break;
        }
        ok = fwrite(buffer, 1, part, file) == part;
        address += part;
        size -= part;
    }
    if (file != NULL && (fclose(file) != 0 || !ok))
        fprintf(line->out, "%s: %s\n", line->word[3], strerror(errno));
    free(buffer);
}

void monitor_memsave(struct monitor_line *line)
{
    save(line, false);
}

void monitor_pmemsave(struct monitor_line *line)
{
    save(line, true);
}
