/* file.c - see file.h.
 *
 * openat2(RESOLVE_BENEATH) is what keeps requests inside the root: the kernel refuses whatever
 * leaves it, however it is spelled, also through links made while we look. A name that is not in
 * the kernel's cache may need the disk: it is opened by the offload pool, the worker does not wait.
 */
#include "serve/file.h"
#include "base/str.h"
#include "http/service.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096

struct opening {
    int root_fd;
    const char *path_z;
    int fd; /* or -errno */
};

static int open_beneath(int root_fd, const char *path_z, uint64_t more_resolve)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, /* a FIFO must not hold us up */
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more_resolve,
    };
    long fd = syscall(SYS_openat2, root_fd, path_z, &how, sizeof(how));
    return fd >= 0 ? (int)fd : -errno;
}

static void open_cold(void *arg)
{
    struct opening *opening = arg;
    opening->fd = open_beneath(opening->root_fd, opening->path_z, 0);
}

static weft_rc open_file(weft_req *rq, int root_fd, const char *path_z, int *out_fd)
{
    int fd = open_beneath(root_fd, path_z, RESOLVE_CACHED);
    if (fd == -EAGAIN) {
        struct opening opening = {root_fd, path_z, -EAGAIN};
        weft_rc rc = weft_offload(rq, open_cold, &opening);
        if (rc != 0) {
            if (opening.fd >= 0)
                close(opening.fd);
            return rc;
        }
        fd = opening.fd;
    }
    *out_fd = fd;
    return 0;
}

static weft_rc not_there(weft_req *rq)
{
    return weft_text(rq, 404, WEFT_S("File not found"));
}

weft_rc weft_file_send(weft_req *rq, int root_fd, weft_str path)
{
    while (path.len > 0 && path.ptr[0] == '/') {
        path.ptr++;
        path.len--;
    }
    if (path.len == 0 || path.len >= PATH_BYTES_MAX || memchr(path.ptr, 0, path.len) != NULL)
        return not_there(rq);
    char *path_z = weft_alloc(rq, path.len + 1);
    if (path_z == NULL)
        return WEFT_ENOMEM;
    memcpy(path_z, path.ptr, path.len);
    path_z[path.len] = 0;
    int fd = -1;
    WEFT_TRY(open_file(rq, root_fd, path_z, &fd));
    if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
        return WEFT_EFULL;
    if (fd == -EACCES || fd == -EPERM || fd == -EXDEV || fd == -ELOOP)
        return weft_text(rq, 403, WEFT_S("Forbidden"));
    if (fd < 0)
        return not_there(rq);
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        return not_there(rq);
    }
    return weft_reply_file(rq, 200, weft_file_type(path), fd, 0, (uint64_t)info.st_size);
}

weft_rc weft_file(weft_req *rq, weft_str path)
{
    int root_fd = rq->service->site->root_fd;
    return root_fd < 0 ? not_there(rq) : weft_file_send(rq, root_fd, path);
}

weft_str weft_file_type(weft_str path)
{
    static const struct {
        weft_str ending;
        weft_str type;
    } types[] = {
        {WEFT_S(".html"), WEFT_S("text/html")},
        {WEFT_S(".css"), WEFT_S("text/css")},
        {WEFT_S(".js"), WEFT_S("text/javascript")},
        {WEFT_S(".json"), WEFT_S("application/json")},
        {WEFT_S(".txt"), WEFT_S("text/plain")},
        {WEFT_S(".md"), WEFT_S("text/markdown")},
        {WEFT_S(".csv"), WEFT_S("text/csv")},
        {WEFT_S(".xml"), WEFT_S("application/xml")},
        {WEFT_S(".svg"), WEFT_S("image/svg+xml")},
        {WEFT_S(".png"), WEFT_S("image/png")},
        {WEFT_S(".jpg"), WEFT_S("image/jpeg")},
        {WEFT_S(".jpeg"), WEFT_S("image/jpeg")},
        {WEFT_S(".gif"), WEFT_S("image/gif")},
        {WEFT_S(".webp"), WEFT_S("image/webp")},
        {WEFT_S(".ico"), WEFT_S("image/x-icon")},
        {WEFT_S(".pdf"), WEFT_S("application/pdf")},
        {WEFT_S(".wasm"), WEFT_S("application/wasm")},
        {WEFT_S(".woff2"), WEFT_S("font/woff2")},
        {WEFT_S(".mp4"), WEFT_S("video/mp4")},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(types); i++)
        if (weft_str_ends(path, types[i].ending))
            return types[i].type;
    return WEFT_S("application/octet-stream");
}
