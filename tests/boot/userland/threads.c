/* Threads on one counter with atomics, a mutex, a condition; signals; setjmp; a large mapping. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8 };

static atomic_long counter;
static long plain;
static int turn;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Thread_local long mine;
static long rounds;
static volatile sig_atomic_t signals;
static sigjmp_buf back;

static void *work(void *argument)
{
    const int index = (int)(long)argument;

    for (long i = 0; i < rounds; i++) {
        counter++;
        mine += i;
        pthread_mutex_lock(&lock);
        plain += index;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    while (turn != index)
        pthread_cond_wait(&changed, &lock);
    printf("thread %d: %ld\n", index, mine);
    turn++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void count(int number)
{
    (void)number;
    signals++;
}

static void escape(int number, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d code %d\n", number, info->si_code);
    siglongjmp(back, 1);
}

static void trap(void)
{
#ifdef __x86_64__
    __asm__ volatile("sub $128, %rsp; pushf; orl $0x100, (%rsp); popf; nop; add $128, %rsp");
#else
    __asm__ volatile("pushf; orl $0x100, (%esp); popf; nop");
#endif
}

int main(void)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_sigaction = escape, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    volatile int zero = 0;
    double x = 1.5;
    char *memory;
    int status;

    rounds = 2000 * atol(getenv("SCALE"));
    for (long i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%ld %ld\n", (long)counter, plain);

    signal(SIGUSR1, count);
    for (int i = 0; i < 1000; i++) {
        raise(SIGUSR1);
        x = x * 1.001 + 0.25; /* vector registers live across the handler */
    }
    printf("%d signals, %.17g\n", (int)signals, x);
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    if (sigsetjmp(back, 1) == 0)
        *(volatile int *)(8 + (long)zero) = 1;
#ifdef __x86_64__
    if (sigsetjmp(back, 1) == 0)
        *(volatile long *)(0x8000000000000000u + (unsigned long)zero) = 1; /* not canonical */
#endif
    if (sigsetjmp(back, 1) == 0)
        printf("%d\n", 12345 / zero);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("ud2");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("hlt");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("int3");
    if (sigsetjmp(back, 1) == 0)
        trap();

    memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < 64 << 20; i += 4096)
        memory[i] = (char)(i >> 12);
    fflush(stdout);
    if (fork() == 0) { /* copy on write */
        for (size_t i = 0; i < 8 << 20; i += 4096)
            memory[i]++;
        _exit(memory[4096] == 2 ? 5 : 6);
    }
    wait(&status);
    printf("child %d, parent sees %d\n", WEXITSTATUS(status), memory[4096]);
    mprotect(memory, 4096, PROT_READ);
    if (sigsetjmp(back, 1) == 0)
        memory[0] = 1;
    return munmap(memory, 64 << 20);
}
