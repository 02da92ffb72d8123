/*
 * A 64-bit program that makes 32-bit system calls and calls 32-bit code.  Linked at a low address
 * (-no-pie), since what a far call from and to 32-bit code pushes is 32 bits wide.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    static const unsigned char code32[] = {
        0x8d, 0x04, 0x49, /* lea eax, [ecx + ecx * 2] */
        0x48,             /* dec eax: in 64-bit code this would be a prefix */
        0xcb,             /* retf */
    };
    long pid, upper = 0x1234567800000005, result;
    char *low;

    __asm__ volatile("int $0x80" : "=a"(pid) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    printf("getpid agrees: %d\n", pid == getpid());
    low = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        return 1;
    strcpy(low, "written by int 0x80\n");
    fflush(stdout);
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(4), "b"(1), "c"(low), "d"(strlen(low))
                     : "memory", "r8", "r9", "r10", "r11");
    printf("wrote %ld\n", result);

    /* Through a far call to the kernel's 32-bit user code segment and back, on a low stack. */
    memcpy(low + 4096, code32, sizeof(code32));
    __asm__ volatile("mov %%rsp, %%r12\n\t"
                     "mov %[stack], %%rsp\n\t"
                     "sub $16, %%rsp\n\t"
                     "mov %[target], %%eax\n\t"
                     "mov %%eax, (%%rsp)\n\t"
                     "movl $0x23, 4(%%rsp)\n\t"
                     "lcall *(%%rsp)\n\t"
                     "mov %%r12, %%rsp"
                     : "=&a"(result)
                     : [stack] "r"(low + 32768), [target] "r"((int)(long)(low + 4096)), "c"(upper)
                     : "memory", "r12", "cc");
    printf("32-bit code: %lx\n", result);
    return 0;
}
