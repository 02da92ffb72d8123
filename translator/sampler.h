/*
 * translator/sampler.h -- stops generated code now and then, to see what runs.
 */
#ifndef RINGER_TRANSLATOR_SAMPLER_H
#define RINGER_TRANSLATOR_SAMPLER_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "cpu/cpu.h"

struct sampler {
    bool runs;
    pthread_t thread; /* whose CPU time it counts */
    timer_t timer;
};

/* Before the calling thread runs generated code of `cpu`: from now on that is stopped at the next
 * poll (translator/flow.c) whenever SAMPLE_NS of the thread's CPU time have gone by, or as often as
 * the host can.  Where the host has no such timer, it is not.  Cheap when it is running already. */
void sampler_start(struct sampler *sampler, struct cpu *cpu);
/* No more; while no thread runs that code. */
void sampler_stop(struct sampler *sampler);

#endif
