/*
 * tests/oracle/translated.c -- the translator's answer: the instruction as a translated block. INT3
 * behind it or at its target, or the exception it raises, ends in a handler that halts.
 */
#include "cpu/fpu.h"
#include "tests/oracle/oracle.h"
#include "translator/translator.h"

enum { DID_NOT_HALT = -2 };

static struct translator *translator;

int translated_init(bool window)
{
    const struct translator_options options = {
        .cache_bytes = 16 << 20, .eager_window = window, .no_window = !window,
        .eager_smc = window};

    translator = translator_create(guest_memory(), &options);
    return translator && translator_attach(translator, guest_cpu()) == 0 ? 0 : -1;
}

void translated_destroy(void)
{
    translator_detach(translator, guest_cpu());
    translator_destroy(translator);
}

void translated_print_stats(void)
{
    translator_print_stats(translator, stdout);
}

void run_translator(struct cpu *cpu, const struct test_case *t, struct outcome *out)
{
    const enum run_exit exit = translator_run(translator, cpu, UINT64_MAX);

    fpu_leave(cpu);
    if (exit == RUN_HALTED) {
        guest_halted(t, out);
    } else {
        *out = (struct outcome){.vector = DID_NOT_HALT};
    }
}
