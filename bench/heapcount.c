/* heapcount.c - counts every call of the malloc family in a process, libraries included, and the
 * mutexes that are locked.
 *
 * Preloaded (LD_PRELOAD); the counts live in a small shared file, named by HEAPCOUNT_FILE, which a
 * driver maps and reads before and after. glibc's own allocator does the work by its __libc_ names,
 * so nothing has to be looked up at start. Not for musl.
 *
 * Layout of the file: uint64_t calls of malloc, calloc, realloc, free (of something), aligned ones;
 * mutexes locked.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

enum { MALLOC, CALLOC, REALLOC, FREE, ALIGNED, LOCKED, KINDS };

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void __libc_free(void *ptr);
void *__libc_memalign(size_t align, size_t bytes);
int __pthread_mutex_lock(pthread_mutex_t *mutex);

static _Atomic uint64_t early[KINDS]; /* until the file is mapped, and without one */
static _Atomic uint64_t *counts = early;

static void count(int kind)
{
    atomic_fetch_add_explicit(&counts[kind], 1, memory_order_relaxed);
}

__attribute__((constructor)) static void map_counts(void)
{
    const char *path = getenv("HEAPCOUNT_FILE");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof early, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return;
    _Atomic uint64_t *shared = map;
    for (int i = 0; i < KINDS; i++)
        atomic_fetch_add(&shared[i], early[i]);
    counts = shared;
}

PUBLIC void *malloc(size_t bytes)
{
    count(MALLOC);
    return __libc_malloc(bytes);
}

PUBLIC void *calloc(size_t n, size_t bytes)
{
    count(CALLOC);
    return __libc_calloc(n, bytes);
}

PUBLIC void *realloc(void *old, size_t bytes)
{
    count(REALLOC);
    return __libc_realloc(old, bytes);
}

PUBLIC void *reallocarray(void *old, size_t n, size_t bytes)
{
    size_t all;
    if (__builtin_mul_overflow(n, bytes, &all)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, all);
}

PUBLIC void free(void *ptr)
{
    if (ptr == NULL)
        return;
    count(FREE);
    __libc_free(ptr);
}

PUBLIC void *memalign(size_t align, size_t bytes)
{
    count(ALIGNED);
    return __libc_memalign(align, bytes);
}

PUBLIC void *aligned_alloc(size_t align, size_t bytes)
{
    return memalign(align, bytes);
}

PUBLIC int posix_memalign(void **out, size_t align, size_t bytes)
{
    int saved = errno;
    void *ptr = memalign(align, bytes);
    errno = saved;
    if (ptr == NULL)
        return ENOMEM;
    *out = ptr;
    return 0;
}

PUBLIC void *valloc(size_t bytes)
{
    return memalign((size_t)sysconf(_SC_PAGESIZE), bytes);
}

PUBLIC void *pvalloc(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return memalign(page, (bytes + page - 1) / page * page);
}

PUBLIC int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    count(LOCKED);
    return __pthread_mutex_lock(mutex);
}
