/*
 * loader/bench_run.c -- `ringer bench`: one run of a guest, in a process of its own.
 *
 *   child                          parent
 *   standard output   -> pipe   -> lines, some of which are rows
 *   log of -d stats   -> memfd  -> counters
 *   how it ended      -> shared page, exit status, resource usage
 *
 * The child dies with its parent, however that dies.  A signal that ends this process is held back
 * until the child has had time to leave orderly.
 */
#define _GNU_SOURCE
#include "loader/bench_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpu/hosttime.h"
#include "loader/machine.h"
#include "loader/signals.h"

enum { LOG_BYTES = 64 << 10, PIPE_BYTES = 64 << 10, GRACE_S = 5, STATUS_DEBUG_EXIT_0 = 1 };
enum { LAST_READS = 16 };
#define NS_PER_S UINT64_C(1000000000)

/* What the child says about its end, in a page that both see. */
struct report {
    bool returned; /* machine_run() did */
    int status;    /* its result; below 0: `error` */
    struct error error;
};

struct run {
    struct bench_outcome *outcome;
    struct report *report;
    int log_fd, out_fds[2]; /* -1: closed */
    pid_t pid;
    uint64_t began_ns, deadline_ns; /* deadline 0: none */
    bool told;                      /* to end, because we are to */
    bool out_of_time;
    int status; /* as of wait4() */
    struct rusage usage;
    uint64_t wall_ns;
};

static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum { ENDINGS = sizeof(endings) / sizeof(endings[0]) };

/* The one thing that a signal handler needs. */
static volatile sig_atomic_t noted_signal;

static void on_signal(int signal_number)
{
    if (signal_number != SIGCHLD)
        noted_signal = signal_number;
}

/* ---- signals: noted while the guest runs, and let in only while we wait ---- */

struct held_signals {
    struct sigaction endings[ENDINGS], child;
    sigset_t mask;
};

static void hold_signals(struct held_signals *held)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigset_t block;

    sigemptyset(&block);
    sigaddset(&block, SIGCHLD);
    for (unsigned i = 0; i < ENDINGS; i++)
        sigaddset(&block, endings[i]);
    sigprocmask(SIG_BLOCK, &block, &held->mask);
    noted_signal = 0;
    sigaction(SIGCHLD, &action, &held->child);
    for (unsigned i = 0; i < ENDINGS; i++) {
        sigaction(endings[i], NULL, &held->endings[i]);
        if (held->endings[i].sa_handler != SIG_IGN) /* nohup, a shell's background job */
            sigaction(endings[i], &action, NULL);
    }
}

static void release_signals(const struct held_signals *held)
{
    for (unsigned i = 0; i < ENDINGS; i++)
        sigaction(endings[i], &held->endings[i], NULL);
    sigaction(SIGCHLD, &held->child, NULL);
    sigprocmask(SIG_SETMASK, &held->mask, NULL);
}

/* ---- the child ---- */

_Noreturn static void run_child(struct run *run, const struct options *given,
                                const struct held_signals *held, pid_t parent)
{
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct options options = *given;
    char log_path[32];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    release_signals(held);
    snprintf(log_path, sizeof(log_path), "/proc/self/fd/%d", run->log_fd);
    options.log = LOG_STATS;
    options.log_file = log_path;
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(run->out_fds[1], STDOUT_FILENO) < 0) {
        run->report->status = -1;
        (void)error_set(&run->report->error, "/dev/null: %s", strerror(errno));
    } else {
        close(null);
        close(run->out_fds[0]);
        close(run->out_fds[1]);
        run->report->status = machine_run(&options, &run->report->error);
    }
    run->report->returned = true;
    signals_die();
    _exit(run->report->status < 0 ? 1 : run->report->status);
}

/* ---- the parent ---- */

/* Take in what there is to read; false at the end of the output. */
static bool take_output(struct run *run)
{
    char bytes[PIPE_BYTES];
    const ssize_t got = read(run->out_fds[0], bytes, sizeof(bytes));

    if (got > 0)
        bench_rows_feed(&run->outcome->output, bytes, (size_t)got, &run->outcome->values);
    return got > 0 || (got < 0 && errno == EINTR);
}

/* Until the next thing happens: output, the child's end, a signal, the deadline. */
static void wait_for_something(struct run *run, const sigset_t *mask)
{
    struct pollfd out = {.fd = run->out_fds[0], .events = POLLIN};
    const uint64_t now = hosttime_ns();
    const uint64_t left = run->deadline_ns > now ? run->deadline_ns - now : 0;
    const struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S),
                                     .tv_nsec = (long)(left % NS_PER_S)};

    if (ppoll(&out, 1, run->deadline_ns != 0 ? &timeout : NULL, mask) > 0 && !take_output(run)) {
        close(run->out_fds[0]);
        run->out_fds[0] = -1;
    }
    if (noted_signal != 0 && !run->told) {
        run->told = true;
        kill(run->pid, SIGTERM);
        run->deadline_ns = hosttime_ns() + GRACE_S * NS_PER_S;
    } else if (run->deadline_ns != 0 && hosttime_ns() >= run->deadline_ns) {
        run->out_of_time = true;
        kill(run->pid, SIGKILL);
        run->deadline_ns = 0;
    }
}

/* Read and wait until the child has ended; a child of its own may keep the pipe open. */
static void attend(struct run *run, const sigset_t *mask)
{
    while (wait4(run->pid, &run->status, WNOHANG, &run->usage) == 0)
        wait_for_something(run, mask);
    run->wall_ns = hosttime_ns() - run->began_ns;
    if (run->out_fds[0] >= 0) {
        fcntl(run->out_fds[0], F_SETFL, O_NONBLOCK);
        for (unsigned i = 0; i < LAST_READS && take_output(run); i++)
            ;
    }
    bench_rows_end(&run->outcome->output, &run->outcome->values);
}

static bool prepare(struct run *run, struct error *error)
{
    run->report =
        mmap(NULL, sizeof(*run->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    run->log_fd = memfd_create("ringer-bench-log", MFD_CLOEXEC);
    if (run->report == MAP_FAILED || run->log_fd < 0 || pipe2(run->out_fds, O_CLOEXEC) != 0)
        return error_set(error, "cannot start a run: %s", strerror(errno));
    return true;
}

static void release(struct run *run)
{
    if (run->report != MAP_FAILED)
        munmap(run->report, sizeof(*run->report));
    if (run->log_fd >= 0)
        close(run->log_fd);
    for (unsigned i = 0; i < 2; i++)
        if (run->out_fds[i] >= 0)
            close(run->out_fds[i]);
}

static uint64_t timeval_ns(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * 1000;
}

/* The rows that are not the guest's. */
static void add_rows(struct run *run)
{
    const uint64_t cpu_ns = timeval_ns(&run->usage.ru_utime) + timeval_ns(&run->usage.ru_stime);
    struct bench_values *values = &run->outcome->values;
    char *text = malloc(LOG_BYTES);
    ssize_t size = text != NULL ? pread(run->log_fd, text, LOG_BYTES, 0) : -1;

    bench_rows_put(values, "wall", (double)run->wall_ns);
    bench_rows_put(values, "cpu", (double)cpu_ns);
    bench_rows_put(values, "peak_rss", (double)run->usage.ru_maxrss * 1024);
    if (size > 0)
        bench_rows_read_counters(text, (size_t)size, &run->outcome->counters);
    bench_rows_of_counters(&run->outcome->counters, cpu_ns, values);
    free(text);
}

static enum bench_end judge(struct run *run, bool debug_exit, unsigned limit_s)
{
    struct bench_outcome *outcome = run->outcome;
    const int status = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : -1;

    if (noted_signal != 0) {
        outcome->signal = noted_signal;
        return BENCH_RUN_INTERRUPTED;
    }
    if (run->report->returned && run->report->status < 0) {
        outcome->error = run->report->error;
        return BENCH_RUN_IMPOSSIBLE;
    }
    if (run->out_of_time)
        (void)error_set(&outcome->error, "the guest did not end within %u s", limit_s);
    else if (WIFSIGNALED(run->status))
        (void)error_set(&outcome->error, "its process died of signal %d (%s)",
                        WTERMSIG(run->status), strsignal(WTERMSIG(run->status)));
    else if (!run->report->returned || (status != 0 && !debug_exit))
        (void)error_set(&outcome->error, "its process ended with status %d", status);
    else if (status != 0 && status != STATUS_DEBUG_EXIT_0)
        (void)error_set(&outcome->error, "the guest ended with %d, exit status %d", status >> 1,
                        status);
    else
        return BENCH_RUN_ENDED;
    return BENCH_RUN_FAILED;
}

enum bench_end bench_run(const struct options *options, unsigned limit_s,
                         struct bench_outcome *outcome)
{
    struct run run = {.outcome = outcome, .report = MAP_FAILED, .log_fd = -1, .out_fds = {-1, -1}};
    enum bench_end end = BENCH_RUN_IMPOSSIBLE;
    const pid_t parent = getpid();
    struct held_signals held;

    *outcome = (struct bench_outcome){0};
    fflush(NULL);
    hold_signals(&held);
    if (prepare(&run, &outcome->error)) {
        run.began_ns = hosttime_ns();
        run.deadline_ns = limit_s != 0 ? run.began_ns + limit_s * NS_PER_S : 0;
        run.pid = fork();
        if (run.pid == 0)
            run_child(&run, options, &held, parent);
        if (run.pid < 0) {
            (void)error_set(&outcome->error, "cannot start a process: %s", strerror(errno));
        } else {
            close(run.out_fds[1]);
            run.out_fds[1] = -1;
            attend(&run, &held.mask);
            add_rows(&run);
            end = judge(&run, options->debug_exit, limit_s);
        }
    }
    release(&run);
    release_signals(&held);
    return end;
}
