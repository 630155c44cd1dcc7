/* rehearsal.c - see rehearsal.h. In a build without -Drehearsal=true there is nothing here. */
#include "base/rehearsal.h"

#ifdef WEFT_REHEARSAL
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct weft_rehearsal own; /* where no file is named */
static struct weft_rehearsal *rehearsal = &own;
static bool told; /* of REHEARSAL_AT */
static _Thread_local bool is_worker;

void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text_z);
FILE *__real_fopen(const char *path_z, const char *mode_z);
int __real_mprotect(void *at, size_t bytes, int prot);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

static void report(void)
{
    (void)fprintf(stderr, "rehearsal: %llu points, %llu failed\n",
                  (unsigned long long)atomic_load(&rehearsal->passed),
                  (unsigned long long)atomic_load(&rehearsal->failed));
}

/* Before main(), so that the first point of all is counted like the others. */
__attribute__((constructor)) static void set_out(void)
{
    const char *at_z = getenv("REHEARSAL_AT"), *file_z = getenv("REHEARSAL_FILE");
    atomic_store(&own.threads, (uint64_t)(WEFT_FAIL_WORKERS | WEFT_FAIL_OTHERS));
    if (at_z != NULL) {
        atomic_store(&own.at, strtoull(at_z, NULL, 10));
        told = atexit(report) == 0;
    }
    int fd = file_z == NULL ? -1 : open(file_z, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *page = __real_mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED)
        rehearsal = page;
}

void weft_rehearsal_enter(void)
{
    is_worker = true;
}

bool weft_fail_point(const char *site_z)
{
    struct weft_rehearsal *r = rehearsal;
    uint64_t who = is_worker ? WEFT_FAIL_WORKERS : WEFT_FAIL_OTHERS;
    if ((atomic_load_explicit(&r->threads, memory_order_relaxed) & who) == 0)
        return false;
    if (r->only[0] != 0 && strncmp(r->only, site_z, sizeof(r->only)) != 0)
        return false;
    uint64_t point = atomic_fetch_add(&r->passed, 1) + 1;
    uint64_t at = atomic_load(&r->at);
    uint64_t count = WEFT_MAX(atomic_load(&r->count), (uint64_t)1);
    if (at == 0 || point < at || point - at >= count)
        return false;
    atomic_fetch_add(&r->failed, 1);
    size_t len = WEFT_MIN(strlen(site_z), sizeof(r->last) - 1);
    memcpy(r->last, site_z, len + 1);
    return true;
}

/* ---- what the linker puts in the place of libc's ---- */

static bool fails(const char *site_z, int error)
{
    if (!weft_fail_point(site_z))
        return false;
    errno = error;
    return true;
}

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text_z);
int __wrap_asprintf(char **out, const char *format, ...);
FILE *__wrap_fopen(const char *path_z, const char *mode_z);
FILE *__wrap_fopen64(const char *path_z, const char *mode_z);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_mprotect(void *at, size_t bytes, int prot);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

void *__wrap_malloc(size_t bytes)
{
    return fails("malloc", ENOMEM) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails("calloc", ENOMEM) ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails("realloc", ENOMEM) ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails("aligned_alloc", ENOMEM) ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text_z)
{
    return fails("strdup", ENOMEM) ? NULL : __real_strdup(text_z);
}

int __wrap_asprintf(char **out, const char *format, ...)
{
    if (fails("asprintf", ENOMEM))
        return -1;
    va_list args;
    va_start(args, format);
    int len = vasprintf(out, format, args);
    va_end(args);
    return len;
}

FILE *__wrap_fopen(const char *path_z, const char *mode_z)
{
    return fails("fopen", ENOMEM) ? NULL : __real_fopen(path_z, mode_z);
}

FILE *__wrap_fopen64(const char *path_z, const char *mode_z)
{
    return __wrap_fopen(path_z, mode_z);
}

void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    return fails("mmap", ENOMEM) ? MAP_FAILED : __real_mmap(at, bytes, prot, flags, fd, offset);
}

void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    return __wrap_mmap(at, bytes, prot, flags, fd, offset);
}

int __wrap_mprotect(void *at, size_t bytes, int prot)
{
    return fails("mprotect", ENOMEM) ? -1 : __real_mprotect(at, bytes, prot);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    return weft_fail_point("pthread_create") ? EAGAIN
                                             : __real_pthread_create(thread, attr, fn, arg);
}
#endif
