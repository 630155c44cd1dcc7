/* open_files.c - see open_files.h.
 *
 * openat2(RESOLVE_BENEATH) is what keeps requests inside the root: the kernel refuses whatever
 * leaves it, however it is spelled, also through links made while we look. A name that is not in
 * the kernel's cache may need the disk: it is opened by the offload pool, the worker does not wait.
 */
#include "serve/open_files.h"
#include "base/fmt.h"
#include "base/str.h"
#include "http/message.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct opening {
    int root_fd;
    const char *path_z;
    uint64_t resolve;
    int fd; /* or -errno */
    struct stat info;
};

static int open_beneath(const struct opening *opening, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | opening->resolve,
    };
    long fd = syscall(SYS_openat2, opening->root_fd, opening->path_z, &how, sizeof(how));
    return fd >= 0 ? (int)fd : -errno;
}

static int kind_of(const struct stat *info)
{
    return S_ISREG(info->st_mode) ? 0 : S_ISDIR(info->st_mode) ? -EISDIR : -ENOENT;
}

/* Looked at before it is opened: opening a FIFO wakes its writer, opening a device may do anything.
 */
static int look(struct opening *opening)
{
    int fd = open_beneath(opening, O_PATH);
    if (fd < 0)
        return fd;
    int rc = fstat(fd, &opening->info) == 0 ? kind_of(&opening->info) : -errno;
    close(fd);
    return rc;
}

static void open_now(struct opening *opening)
{
    opening->fd = look(opening);
    if (opening->fd < 0)
        return;
    opening->fd = open_beneath(opening, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (opening->fd < 0)
        return;
    int rc = fstat(opening->fd, &opening->info) == 0 ? kind_of(&opening->info) : -errno;
    if (rc == 0)
        return;
    close(opening->fd); /* the name has changed hands meanwhile */
    opening->fd = rc;
}

static void open_cold(void *arg)
{
    open_now(arg);
}

/* What the kernel says, in the few words that a caller tells apart. */
static weft_rc meaning(int error)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return WEFT_EFULL;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
        return (weft_rc)-EACCES;
    case EISDIR:
        return (weft_rc)-EISDIR;
    default:
        return (weft_rc)-ENOENT;
    }
}

static weft_rc open_any(weft_req *rq, struct opening *opening)
{
    opening->resolve = RESOLVE_CACHED;
    open_now(opening);
    if (opening->fd == -EAGAIN) {
        opening->resolve = 0;
        weft_rc rc = weft_offload(rq, open_cold, opening);
        if (rc != 0) {
            if (opening->fd >= 0)
                close(opening->fd);
            return rc;
        }
    }
    return opening->fd >= 0 ? 0 : meaning(opening->fd);
}

static char *path_copy(weft_req *rq, weft_str path)
{
    char *path_z = weft_alloc(rq, path.len + 1);
    if (path_z == NULL)
        return NULL;
    memcpy(path_z, path.ptr, path.len);
    path_z[path.len] = 0;
    return path_z;
}

static void fill(struct weft_open_file *file, const struct opening *opening, char *etag)
{
    const struct stat *info = &opening->info;
    *file = (struct weft_open_file){
        .fd = opening->fd,
        .size = (uint64_t)info->st_size,
        .mtime_s = info->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)info->st_mtim.tv_nsec,
        .device = info->st_dev,
        .inode = info->st_ino,
    };
    size_t len =
        weft_fmt(etag, WEFT_FILE_ETAG_BYTES, "\"%llx-%x-%llx\"", (unsigned long long)file->mtime_s,
                 (unsigned)file->mtime_ns, (unsigned long long)file->size);
    file->etag = weft_str_make(etag, len);
}

/* A file of one request alone. */
struct own_file {
    struct weft_open_file file;
    char etag[WEFT_FILE_ETAG_BYTES];
};

static void close_own(void *arg)
{
    struct own_file *own = arg;
    if (own->file.fd >= 0)
        close(own->file.fd);
}

static weft_rc open_own(weft_req *rq, struct opening *opening, const struct weft_open_file **out)
{
    struct own_file *own = weft_alloc(rq, sizeof(*own));
    if (own == NULL)
        return WEFT_ENOMEM;
    own->file.fd = -1;
    WEFT_TRY(weft_defer(rq, close_own, own));
    WEFT_TRY(open_any(rq, opening));
    fill(&own->file, opening, own->etag);
    *out = &own->file;
    return 0;
}

weft_rc weft_open_file(weft_req *rq, int root_fd, weft_str path, const struct weft_open_file **out)
{
    while (path.len > 0 && path.ptr[0] == '/') {
        path.ptr++;
        path.len--;
    }
    if (path.len == 0)
        path = WEFT_S(".");
    if (path.len >= WEFT_FILE_PATH_BYTES_MAX || memchr(path.ptr, 0, path.len) != NULL)
        return (weft_rc)-ENOENT;
    struct opening opening = {.root_fd = root_fd, .fd = -1};
    opening.path_z = path_copy(rq, path);
    return opening.path_z == NULL ? WEFT_ENOMEM : open_own(rq, &opening, out);
}

weft_rc weft_open_file_reply(weft_req *rq, int status, weft_str type,
                             const struct weft_open_file *file, uint64_t offset, uint64_t len)
{
    weft_assert(offset <= file->size);
    weft_assert(len <= file->size - offset);
    weft_str body = {file->body.ptr != NULL ? file->body.ptr + offset : "", (size_t)len};
    WEFT_TRY(weft_reply(rq, status, type, body));
    if (file->body.ptr != NULL || len == 0)
        return 0;
    rq->body_kind = WEFT_BODY_FILE;
    rq->file = file->fd;
    rq->file_offset = offset;
    rq->body.ptr = NULL;
    return 0;
}
