/*
 * cpu/hosttime.h -- the host's time, for whoever measures or waits; the guest's comes through
 * struct cpu_ops.
 */
#ifndef RINGER_CPU_HOSTTIME_H
#define RINGER_CPU_HOSTTIME_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline uint64_t hosttime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
