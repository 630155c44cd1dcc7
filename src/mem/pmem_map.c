/* pmem_map.c - see pmem_map.h. */
#include "mem/pmem_map.h"
#include "base/fmt.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_PATH_BYTES  32   /* "/proc/self/fd/2147483647" */
#define DIR_PATH_BYTES 1024 /* of the folder that a new file is made in */

/* As in libpmem(7); the library is not needed to build. */
struct weft_pmem_library {
    void *(*map_file)(const char *path, size_t len, int flags, mode_t mode, size_t *mapped_len,
                      int *is_pmem);
    int (*unmap)(void *at, size_t len);
    void (*flush)(const void *at, size_t len);
    void (*drain)(void);
    int (*msync)(const void *at, size_t len);
};

/* Loaded once and kept: nothing is won by unloading it. Written by whoever opens the first file;
 * files are opened at start, by one thread. */
static const struct weft_pmem_library *library_load(void)
{
    static struct weft_pmem_library library;
    if (library.map_file != NULL)
        return &library;
    void *handle = dlopen("libpmem.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return NULL;
    struct weft_pmem_library found;
    *(void **)&found.map_file = dlsym(handle, "pmem_map_file");
    *(void **)&found.unmap = dlsym(handle, "pmem_unmap");
    *(void **)&found.flush = dlsym(handle, "pmem_flush");
    *(void **)&found.drain = dlsym(handle, "pmem_drain");
    *(void **)&found.msync = dlsym(handle, "pmem_msync");
    if (found.map_file == NULL || found.unmap == NULL || found.flush == NULL ||
        found.drain == NULL || found.msync == NULL) {
        dlclose(handle);
        return NULL;
    }
    library = found;
    return &library;
}

static void store_bytes(void *context, void *to, const void *from, size_t bytes)
{
    (void)context;
    memcpy(to, from, bytes);
}

static void store_word(void *context, uint64_t *to, uint64_t value)
{
    (void)context;
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* msync(2) takes whole pages and waits: there is nothing left for the fence. */
static weft_rc flush_pages(void *context, const void *at, size_t bytes)
{
    const struct weft_pmem_map *map = context;
    uintptr_t from = (uintptr_t)at & ~(uintptr_t)(WEFT_PAGE_BYTES - 1);
    size_t size = (uintptr_t)at + bytes - from;
    int failed = map->library != NULL ? map->library->msync((const void *)from, size)
                                      : msync((void *)from, size, MS_SYNC);
    return failed == 0 ? 0 : (weft_rc)-errno;
}

static weft_rc fence_pages(void *context)
{
    (void)context;
    return 0;
}

static weft_rc flush_lines(void *context, const void *at, size_t bytes)
{
    const struct weft_pmem_map *map = context;
    map->library->flush(at, bytes);
    return 0;
}

static weft_rc fence_lines(void *context)
{
    const struct weft_pmem_map *map = context;
    map->library->drain();
    return 0;
}

static const struct weft_pmem_ops page_ops = {store_bytes, store_word, flush_pages, fence_pages};
static const struct weft_pmem_ops line_ops = {store_bytes, store_word, flush_lines, fence_lines};

static void fd_path(int fd, char to[FD_PATH_BYTES])
{
    to[weft_fmt(to, FD_PATH_BYTES - 1, "/proc/self/fd/%d", fd)] = 0;
}

/* By the descriptor and not by name, so that what is mapped is what is locked. */
static bool map_by_library(struct weft_pmem_map *map)
{
    char path_z[FD_PATH_BYTES];
    int persistent = 0;
    size_t mapped = 0;
    map->library = library_load();
    if (map->library == NULL)
        return false;
    fd_path(map->fd, path_z);
    map->base = map->library->map_file(path_z, 0, 0, 0, &mapped, &persistent);
    if (map->base != NULL && mapped == map->bytes) {
        map->persistent = persistent != 0;
        return true;
    }
    if (map->base != NULL)
        (void)map->library->unmap(map->base, mapped);
    map->base = NULL;
    map->library = NULL;
    return false;
}

static weft_rc map_fd(struct weft_pmem_map *map, enum weft_pmem_way way)
{
    if (way == WEFT_PMEM_MSYNC || !map_by_library(map)) {
        void *base = mmap(NULL, map->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
        if (base == MAP_FAILED)
            return (weft_rc)-errno;
        map->base = base;
    }
    map->ops = map->persistent ? &line_ops : &page_ops;
    return 0;
}

static weft_rc lock_and_map(struct weft_pmem_map *map, enum weft_pmem_way way)
{
    if (flock(map->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? (weft_rc)-EBUSY : (weft_rc)-errno;
    struct stat info;
    if (fstat(map->fd, &info) != 0)
        return (weft_rc)-errno;
    if (!S_ISREG(info.st_mode) || info.st_size == 0)
        return WEFT_ENOTSUP;
    map->bytes = (size_t)info.st_size;
    return map_fd(map, way);
}

weft_rc weft_pmem_map_open(struct weft_pmem_map *map, const char *path_z, enum weft_pmem_way way)
{
    struct weft_pmem_map made = {.fd = open(path_z, O_RDWR | O_CLOEXEC | O_NONBLOCK)};
    if (made.fd < 0)
        return (weft_rc)-errno;
    weft_rc rc = lock_and_map(&made, way);
    if (rc == 0)
        *map = made;
    else
        close(made.fd);
    return rc;
}

/* The folder that a path lies in, zero-terminated. */
static weft_rc folder_of(const char *path_z, char to[DIR_PATH_BYTES])
{
    const char *slash = strrchr(path_z, '/');
    size_t len = slash == NULL ? 0 : WEFT_MAX((size_t)(slash - path_z), (size_t)1);
    if (len >= DIR_PATH_BYTES)
        return (weft_rc)-ENAMETOOLONG;
    memcpy(to, len == 0 ? "." : path_z, len == 0 ? 1 : len);
    to[len == 0 ? 1 : len] = 0;
    return 0;
}

/* Nameless where that works: a process that dies now leaves nothing behind. */
static weft_rc make_file(const char *path_z, int *out_fd)
{
    char folder_z[DIR_PATH_BYTES];
    WEFT_TRY(folder_of(path_z, folder_z));
    struct stat there;
    if (lstat(path_z, &there) == 0)
        return (weft_rc)-EEXIST;
    int fd = open(folder_z, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        fd = open(path_z, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return (weft_rc)-errno;
    *out_fd = fd;
    return 0;
}

static bool has_name(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && info.st_nlink > 0;
}

weft_rc weft_pmem_map_create(struct weft_pmem_map *map, const char *path_z, size_t bytes,
                             enum weft_pmem_way way)
{
    struct weft_pmem_map made = {.fd = -1};
    WEFT_TRY(make_file(path_z, &made.fd));
    int failed = posix_fallocate(made.fd, 0, (off_t)bytes);
    weft_rc rc = failed != 0 ? (weft_rc)-failed : lock_and_map(&made, way);
    if (rc == 0) {
        *map = made;
        return 0;
    }
    if (has_name(made.fd))
        (void)unlink(path_z); /* made just now, by us */
    close(made.fd);
    return rc;
}

weft_rc weft_pmem_map_publish(const struct weft_pmem_map *map, const char *path_z)
{
    char from_z[FD_PATH_BYTES], folder_z[DIR_PATH_BYTES];
    WEFT_TRY(folder_of(path_z, folder_z));
    fd_path(map->fd, from_z);
    if (fsync(map->fd) != 0) /* its size and blocks; its bytes are flushed */
        return (weft_rc)-errno;
    if (!has_name(map->fd) && linkat(AT_FDCWD, from_z, AT_FDCWD, path_z, AT_SYMLINK_FOLLOW) != 0)
        return (weft_rc)-errno;
    int folder = open(folder_z, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return (weft_rc)-errno;
    weft_rc rc = fsync(folder) == 0 || errno == EINVAL ? 0 : (weft_rc)-errno;
    close(folder);
    return rc;
}

void weft_pmem_map_close(struct weft_pmem_map *map)
{
    if (map->base == NULL)
        return;
    if (map->library != NULL)
        (void)map->library->unmap(map->base, map->bytes);
    else
        munmap(map->base, map->bytes);
    close(map->fd);
    *map = (struct weft_pmem_map){0};
}
