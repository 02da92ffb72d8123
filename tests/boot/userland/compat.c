/*
 * What 32-bit programs do to a 64-bit kernel: int 0x80, the vDSO's sysenter or syscall, both signal
 * frames, FPU and SSE state across them, fork, mappings near 4 GiB, LDT segments, 64-bit code.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static long int80(long number, long a, long b, long c, long d, long e)
{
    long result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                     : "memory");
    return result;
}

/* mmap2 has six arguments; the sixth is in EBP, which the vDSO keeps on the user's stack. */
static long six(long number, long entry, long sixth)
{
    const long arguments[] = {sixth, entry};
    long result;

    __asm__ volatile("push %%ebp\n\t"
                     "push 4(%%eax)\n\t"
                     "mov (%%eax), %%ebp\n\t"
                     "mov %[number], %%eax\n\t"
                     "call *(%%esp)\n\t"
                     "pop %%ebp\n\t"
                     "pop %%ebp"
                     : "=a"(result)
                     : "a"(arguments), "b"(0), "c"(8192), "d"(PROT_READ | PROT_WRITE),
                       "S"(MAP_PRIVATE | MAP_ANONYMOUS), "D"(-1), [number] "i"(SYS_mmap2)
                     : "memory");
    (void)number;
    return result;
}

static volatile sig_atomic_t caught;
static sigjmp_buf back;

static void old_handler(int number)
{
    volatile double x = 3;

    caught++;
    x = x / 7; /* spoils the registers, which the return must bring back */
    __asm__ volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; fninit" ::: "xmm0", "xmm7");
    (void)number;
}

static void changing_handler(int number, siginfo_t *info, void *context)
{
    ucontext_t *user = context;

    (void)number, (void)info;
    user->uc_mcontext.gregs[REG_EBX] += 1000;
    user->uc_mcontext.gregs[REG_EFL] |= 0x801; /* OF, CF */
}

static void escape(int number, siginfo_t *info, void *context)
{
    (void)context;
    printf("signal %d code %d\n", number, info->si_code);
    siglongjmp(back, 1);
}

static void *thread(void *argument)
{
    static _Thread_local int mine;

    for (int i = 0; i < 1000; i++)
        mine += i;
    *(int *)argument = mine;
    return NULL;
}

static void system_calls(void)
{
    const uintptr_t entry = getauxval(AT_SYSINFO);
    const long pid = getpid();
    struct timespec a, b;
    long value, mapping;

    printf("int 0x80: %d\n", int80(SYS_getpid, 0, 0, 0, 0, 0) == pid);
    printf("vDSO there: %d\n", entry != 0);
    if (entry == 0)
        return;
    for (int i = 0; i < 1000; i++) {
        __asm__ volatile("call *%[entry]"
                         : "=a"(value)
                         : [entry] "r"(entry), "a"(SYS_getpid)
                         : "memory");
        if (value != pid)
            printf("vDSO: %ld\n", value);
    }
    mapping = six(SYS_mmap2, (long)entry, 0);
    printf("six arguments: %d\n", (mapping & 0xfff) == 0);
    memset((void *)mapping, 0x5a, 8192);
    printf("bad call: %ld %ld\n", int80(9999, 0, 0, 0, 0, 0), int80(SYS_close, 9999, 0, 0, 0, 0));
    clock_gettime(CLOCK_MONOTONIC, &a);
    int80(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&b, 0, 0, 0);
    printf("clocks agree: %d\n", b.tv_sec - a.tv_sec <= 1 && b.tv_sec >= a.tv_sec);
}

static void signals(void)
{
    const double expected = 1.0 / 3;
    double sse = expected;
    long double x87 = 1.0L / 3;
    int ebx = 1;
    unsigned flags;
    struct itimerval soon = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    struct sigaction change = {.sa_sigaction = changing_handler, .sa_flags = SA_SIGINFO};

    signal(SIGUSR1, old_handler);
    __asm__ volatile("movsd %[sse], %%xmm7\n\t"
                     "fldt %[x87]\n\t"
                     "int $0x80\n\t"
                     "fstpt %[x87]\n\t"
                     "movsd %%xmm7, %[sse]"
                     : [sse] "+m"(sse), [x87] "+m"(x87)
                     : "a"(SYS_kill), "b"(getpid()), "c"(SIGUSR1)
                     : "xmm7", "xmm0", "memory");
    printf("after a signal: %d %d %d\n", caught, sse == expected, x87 == 1.0L / 3);

    sigaction(SIGUSR2, &change, NULL);
    __asm__ volatile("mov %[pid], %%ebx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "int $0x80\n\t"
                     "pushf\n\t"
                     "pop %[flags]"
                     : "=&b"(ebx), [flags] "=r"(flags)
                     : "a"(SYS_kill), [pid] "r"(getpid()), "c"(SIGUSR2)
                     : "edx", "memory", "cc");
    printf("changed by a handler: %d %x\n", ebx - getpid(), flags & 0x801);

    /* Interrupted at any instruction. */
    signal(SIGALRM, old_handler);
    caught = 0;
    setitimer(ITIMER_REAL, &soon, NULL);
    for (unsigned i = 0; caught < 20; i++) {
        const double x = i * 0.125;
        const uint64_t wide = (uint64_t)i * 0x123456789;

        if (x * 8 != i || wide / 0x123456789 != i)
            printf("wrong at %u\n", i);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("timer signals: %d\n", caught >= 20);
}

static void faults(void)
{
    struct sigaction action = {.sa_sigaction = escape, .sa_flags = SA_SIGINFO};
    volatile int zero = 0;
    const int bounds[2] = {1, 5};

    for (unsigned i = 0; i < 5; i++)
        sigaction((const int[]){SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS}[i], &action, NULL);
    if (sigsetjmp(back, 1) == 0)
        *(volatile int *)(4 + zero) = 1;
    if (sigsetjmp(back, 1) == 0)
        *(volatile int *)(0xfffffff0u + (unsigned)zero) = 1;
    if (sigsetjmp(back, 1) == 0)
        printf("%d\n", 12345 / zero);
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("ud2");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("int3");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov $0x7fffffff, %%eax; inc %%eax; into" ::: "eax", "cc");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("bound %0, %1" ::"r"(9), "m"(bounds));
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("cli");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("mov %0, %%fs" ::"r"(0x1237));
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("pushf; orl $0x100, (%esp); popf; nop; nop");
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("pushf; orl $0x40000, (%%esp); popf;" /* AC */
                         "movl $1, %%eax; movl %%eax, 1(%%esp)"
                         :
                         :
                         : "eax", "memory");
    __asm__ volatile("pushf; andl $~0x40000, (%esp); popf");
}

static void segments_and_modes(void)
{
    static unsigned words[8] = {11, 22, 33, 44};
    struct user_desc desc = {
        .entry_number = 3, .base_addr = (unsigned)words, .limit = 15, .seg_32bit = 1, .useable = 1};
    unsigned value, bcd;
    struct {
        unsigned offset;
        unsigned short selector;
    } __attribute__((packed)) gate;
    /* 64-bit code: mov r8, rcx; shl r8, 33; shr r8, 1; bswap r8; mov eax, r8d; retf */
    static const unsigned char code64[] = {0x49, 0x89, 0xc8, 0x49, 0xc1, 0xe0, 0x21, 0x49, 0xd1,
                                           0xe8, 0x49, 0x0f, 0xc8, 0x44, 0x89, 0xc0, 0xcb};
    unsigned char *page = mmap((void *)0xe0000000, 8192, PROT_READ | PROT_WRITE | PROT_EXEC,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    unsigned char *top =
        mmap((void *)0xff000000, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    printf("mapped: %p, stack high: %d\n", (void *)page, (uintptr_t)&value > 0xff000000u);
    memset(top, 0x77, 65536);
    printf("top: %d %x\n", (uintptr_t)top > 0x80000000u, top[65535]);

    if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) != 0) {
        printf("modify_ldt: %s\n", strerror(errno));
    } else {
        __asm__ volatile("mov %1, %%fs; movl %%fs:8, %0; xor %%ecx, %%ecx; mov %%ecx, %%fs"
                         : "=&r"(value)
                         : "r"(3 << 3 | 7)
                         : "ecx");
        printf("LDT: %u\n", value);
        if (sigsetjmp(back, 1) == 0) /* beyond the limit */
            __asm__ volatile("mov %0, %%fs; movl %%fs:13, %%eax" ::"r"(3 << 3 | 7) : "eax");
        __asm__ volatile("xor %%eax, %%eax; mov %%eax, %%fs" ::: "eax");
    }
    memcpy(page, code64, sizeof(code64));
    gate.offset = (unsigned)page;
    gate.selector = 0x33;
    __asm__ volatile("lcall *%1" : "=a"(value) : "m"(gate), "c"(0x89abcdef) : "memory", "cc");
    printf("64-bit code: %08x\n", value);

    __asm__ volatile("mov $0x1599, %%eax; add $0x38, %%al; daa; aam; aad; aas; lahf"
                     : "=a"(bcd)::"cc");
    printf("decimal: %08x\n", bcd);
    __asm__ volatile("mov $0x11112222, %%eax; pusha; xor %%eax, %%eax; popa; push %%ds; pop %%es"
                     : "=a"(value)::"memory", "cc");
    printf("pusha: %x\n", value);
    __asm__ volatile("mov %%cs, %0" : "=r"(value));
    printf("cs: %x\n", value);
}

int main(void)
{
    uint64_t eight = 0x1122334455667788;
    volatile uint64_t dividend = 0xfedcba9876543210, divisor = 0x12345;
    volatile double angle = 0.7;
    volatile long double precise = 2;
    long double root;
    pthread_t threads[4];
    int results[4], status;

    setvbuf(stdout, NULL, _IONBF, 0);
    system_calls();
    signals();
    faults();
    segments_and_modes();
    printf("cmpxchg8b: %d\n",
           __sync_bool_compare_and_swap(&eight, 0x1122334455667788, 5) && eight == 5);
    printf("64-bit division: %llu %llu\n", (unsigned long long)(dividend / divisor),
           (unsigned long long)(dividend % divisor));
    __asm__("fsqrt" : "=t"(root) : "0"(precise));
    printf("x87: %La %La\n", root, precise / 7);
    __asm__("fsin" : "=t"(root) : "0"((long double)angle));
    printf("fsin: %La\n", root);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, thread, &results[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    printf("threads: %d %d\n", results[0], results[3]);
    if (fork() == 0) {
        execl("/bin/busybox-i386", "sh", "-c", "echo child of a 32-bit program; exit 9", NULL);
        _exit(1);
    }
    wait(&status);
    printf("status %d\n", WEXITSTATUS(status));
    return 0;
}
