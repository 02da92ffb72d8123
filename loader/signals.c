/*
 * loader/signals.c -- every way out of the process leaves the terminal as it was.
 */
#define _GNU_SOURCE
#include "loader/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { GRACE_S = 3 };

static struct {
    void (*stop)(void *ctx);
    void *ctx;
    volatile sig_atomic_t pending;
    volatile sig_atomic_t is_raw;
    int fd;
    struct termios saved, raw;
} hook;

/* A background process that sets terminal attributes is stopped by SIGTTOU: not on the way out. */
static void set_terminal(const struct termios *attributes)
{
    sigset_t block, old;

    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    sigprocmask(SIG_BLOCK, &block, &old);
    tcsetattr(hook.fd, TCSANOW, attributes);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

void signals_restore_terminal(void)
{
    if (!hook.is_raw)
        return;
    hook.is_raw = 0;
    set_terminal(&hook.saved);
}

bool signals_raw_terminal(int fd, bool keep_signals)
{
    if (tcgetattr(fd, &hook.saved) != 0)
        return false;
    hook.fd = fd;
    hook.raw = hook.saved;
    /* Output processing stays: log lines on the same terminal need their carriage returns. */
    hook.raw.c_iflag &=
        ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    hook.raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!keep_signals)
        hook.raw.c_lflag &= ~(tcflag_t)ISIG;
    hook.raw.c_cflag = (hook.raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    hook.raw.c_cc[VMIN] = 1;
    hook.raw.c_cc[VTIME] = 0;
    hook.is_raw = 1; /* first: a signal in between restores needlessly, not too little */
    tcsetattr(fd, TCSANOW, &hook.raw);
    return true;
}

static void die_of(int signal_number)
{
    sigset_t only;

    signals_restore_terminal();
    signal(signal_number, SIG_DFL);
    sigemptyset(&only);
    sigaddset(&only, signal_number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    raise(signal_number);
}

static void on_termination(int signal_number)
{
    const int saved_errno = errno;

    if (hook.pending != 0 || hook.stop == NULL)
        die_of(signal_number);
    hook.pending = signal_number;
    signals_restore_terminal();
    alarm(GRACE_S);
    hook.stop(hook.ctx);
    errno = saved_errno;
}

static void on_alarm(int signal_number)
{
    die_of(hook.pending != 0 ? hook.pending : signal_number);
}

static void on_crash(int signal_number)
{
    die_of(signal_number);
}

static void on_continue(int signal_number)
{
    const int saved_errno = errno;

    (void)signal_number;
    if (hook.is_raw)
        set_terminal(&hook.raw);
    errno = saved_errno;
}

static void catch_signals(const int *signals, size_t count, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < count; i++) {
        struct sigaction old;

        /* What the parent wants ignored (nohup, a shell's background job) stays ignored. */
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

void signals_install(void (*stop)(void *ctx), void *ctx)
{
    static const int endings[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    static const int alarms[] = {SIGALRM}, continues[] = {SIGCONT};

    hook.stop = stop;
    hook.ctx = ctx;
    catch_signals(endings, sizeof(endings) / sizeof(endings[0]), on_termination, SA_ONSTACK);
    catch_signals(crashes, sizeof(crashes) / sizeof(crashes[0]), on_crash,
                  SA_ONSTACK | SA_RESETHAND);
    catch_signals(alarms, 1, on_alarm, SA_ONSTACK);
    catch_signals(continues, 1, on_continue, SA_ONSTACK | SA_RESTART);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the drive, not our end */
    signal(SIGPIPE, SIG_IGN); /* the reader of our output may leave; the machine goes on */
    atexit(signals_restore_terminal);
}

void signals_use_alternate_stack(void)
{
    for (int i = 1; i < NSIG; i++) {
        struct sigaction action;

        if (sigaction(i, NULL, &action) != 0 || action.sa_handler == SIG_DFL ||
            action.sa_handler == SIG_IGN || (action.sa_flags & SA_ONSTACK))
            continue;
        action.sa_flags |= SA_ONSTACK;
        sigaction(i, &action, NULL);
    }
}

int signals_pending(void)
{
    return hook.pending;
}

void signals_die(void)
{
    if (hook.pending != 0)
        die_of(hook.pending);
}
