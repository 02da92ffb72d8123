/*
 * translator/spaces.c -- struct cpu mapped once for each address space.
 *
 * Generated code reaches its tables at constant distances from HOST_CPU.  To switch all tables of
 * user memory at once, HOST_CPU moves to another mapping of the same struct, in which other pages
 * lie where those tables are:
 *
 *     primary mapping      mapping of space 1     ...
 *     state           <--- the same pages
 *     supervisor view <--- the same pages         (what is not global is dropped by MOV CR3)
 *     user views           pages of its own, behind the struct in the same memfd
 *
 * C code may use either pointer for the state.
 */
#define _GNU_SOURCE
#include "translator/spaces.h"

#include <sys/mman.h>
#include <unistd.h>

enum { VIEWS_BYTES = SPACE_VIEWS * sizeof(struct rt_view) };

static size_t views_offset(void)
{
    return (size_t)(AT_VIEW(SPACE_VIEW_FIRST, neg_read) + HOST_CPU_BIAS);
}

struct cpu *spaces_map(struct cpu *cpu, unsigned number)
{
    const off_t own = (off_t)(sizeof(struct cpu) + (number - 1) * VIEWS_BYTES);
    const int fd = cpu->backing_fd, shared = MAP_SHARED | MAP_NORESERVE;
    char *at;

    if (ftruncate(fd, (off_t)(sizeof(struct cpu) + (SPACES_MAX - 1) * VIEWS_BYTES)) < 0)
        return NULL;
    at = (char *)cpu_map(fd);
    if (at == MAP_FAILED)
        return NULL;
    if (mmap(at + views_offset(), VIEWS_BYTES, PROT_READ | PROT_WRITE, shared | MAP_FIXED, fd,
             own) == MAP_FAILED) {
        cpu_unmap((struct cpu *)at);
        return NULL;
    }
    return (struct cpu *)at;
}

void spaces_unmap(struct cpu *mapped)
{
    cpu_unmap(mapped);
}
