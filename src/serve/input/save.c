/* save.c - see save.h; and files that are given their name when they are whole.
 *
 * A file under way is unnamed (O_TMPFILE): the kernel drops it with its last descriptor, whether
 * the client left, the handler failed or the process was killed. There is nothing to sweep up.
 */
#include "serve/input/save.h"
#include "http/service.h"
#include "serve/input/closing.h"
#include "serve/input/patient.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define NAME_BYTES_MAX    255 /* NAME_MAX of Linux' file systems */
#define FD_PATH_BYTES     32  /* "/proc/self/fd/2147483647" */
#define UPLOAD_PERMISSION 0640

struct writing {
    int fd;
    weft_str bytes;
    weft_rc rc;
};

/* As write(2) until all is written. flags: RWF_NOWAIT stops where it would wait. */
static weft_rc write_some(struct writing *writing, int flags)
{
    while (writing->bytes.len > 0) {
        struct iovec piece = {(void *)(uintptr_t)writing->bytes.ptr, writing->bytes.len};
        ssize_t n = pwritev2(writing->fd, &piece, 1, -1, flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return (weft_rc)-errno;
        writing->bytes.ptr += n;
        writing->bytes.len -= (size_t)n;
    }
    return 0;
}

static void write_rest(void *arg)
{
    struct writing *writing = arg;
    writing->rc = write_some(writing, 0);
}

static weft_rc write_by_thread(struct weft_saver *saver, weft_str bytes)
{
    struct writing writing = {.fd = saver->fd, .bytes = bytes};
    WEFT_TRY(weft_offload_patiently(saver->rq, write_rest, &writing));
    return writing.rc;
}

/* As large as the route's cap allows; it may allow nothing. */
static void take_buffer(struct weft_saver *saver)
{
    static const size_t rooms[] = {WEFT_SAVE_BYTES, WEFT_SAVE_BYTES / 4};
    for (size_t i = 0; i < WEFT_COUNT_OF(rooms) && saver->buffer == NULL; i++) {
        saver->buffer = weft_req_try_alloc(saver->rq, rooms[i], WEFT_ALLOC_SITE());
        saver->room = rooms[i];
    }
}

void weft_saver_begin(struct weft_saver *saver, weft_req *rq, int fd)
{
    saver->rq = rq;
    saver->fd = fd;
    saver->len = 0;
    saver->gathers = false;
}

weft_rc weft_saver_end(struct weft_saver *saver)
{
    size_t len = saver->len;
    saver->len = 0;
    return len > 0 ? write_by_thread(saver, weft_str_make(saver->buffer, len)) : 0;
}

static weft_rc gather(struct weft_saver *saver, weft_str bytes)
{
    if (saver->buffer == NULL)
        take_buffer(saver);
    if (saver->buffer == NULL)
        return write_by_thread(saver, bytes);
    while (bytes.len > 0) {
        size_t n = WEFT_MIN(bytes.len, saver->room - saver->len);
        memcpy(saver->buffer + saver->len, bytes.ptr, n);
        saver->rq->copied += n;
        saver->len += n;
        bytes.ptr += n;
        bytes.len -= n;
        if (saver->len == saver->room)
            WEFT_TRY(weft_saver_end(saver));
    }
    return 0;
}

weft_rc weft_saver_add(struct weft_saver *saver, weft_str bytes)
{
    struct writing writing = {.fd = saver->fd, .bytes = bytes};
    if (!saver->gathers) {
        weft_rc rc = write_some(&writing, RWF_NOWAIT);
        if (rc != (weft_rc)-EAGAIN && rc != (weft_rc)-EOPNOTSUPP)
            return rc;
        saver->gathers = true;
    }
    return gather(saver, writing.bytes);
}

weft_rc weft_body_write(weft_req *rq, int fd, uint64_t bytes_max, uint64_t *out_bytes)
{
    struct weft_saver saver = {0};
    uint64_t written = 0;
    weft_saver_begin(&saver, rq, fd);
    for (;;) {
        weft_str piece = {0};
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            break;
        if (piece.len > bytes_max - written)
            return WEFT_ELIMIT;
        WEFT_TRY(weft_saver_add(&saver, piece));
        written += piece.len;
    }
    WEFT_TRY(weft_saver_end(&saver));
    *out_bytes = written;
    return 0;
}

/* ---- uploads ---- */

struct opening {
    int dir_fd;
    int fd; /* or -errno */
};

static void open_unnamed(void *arg)
{
    struct opening *opening = arg;
    opening->fd = openat(opening->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, UPLOAD_PERMISSION);
    if (opening->fd < 0)
        opening->fd = -errno;
}

void weft_upload_drop(weft_upload *upload)
{
    if (upload->fd < 0)
        return; /* kept, or never opened */
    if (!weft_close_by_thread(upload->rq->service->site->offload, upload->fd))
        weft_loop_count(upload->rq->loop, WEFT_COUNTER_UPLOADS_FREED_HERE);
    weft_loop_count(upload->rq->loop, WEFT_COUNTER_UPLOADS_DROPPED);
    upload->fd = -1;
    upload->rq->uploads--;
}

static void end_upload(void *arg)
{
    weft_upload_drop(arg);
}

weft_rc weft_upload_open(weft_req *rq, weft_upload **out)
{
    int dir_fd = rq->service->site->upload_fd;
    if (dir_fd < 0)
        return WEFT_ECONFIG;
    if (rq->uploads == WEFT_UPLOADS_MAX) {
        weft_loop_count(rq->loop, WEFT_COUNTER_UPLOADS_REFUSED);
        return WEFT_ELIMIT;
    }
    weft_upload *upload = weft_alloc(rq, sizeof(*upload));
    if (upload == NULL)
        return WEFT_ENOMEM;
    *upload = (weft_upload){.fd = -1, .rq = rq};
    WEFT_TRY(weft_defer(rq, end_upload, upload)); /* before there is anything to forget */
    struct opening opening = {dir_fd, -EAGAIN};
    weft_rc rc = weft_offload_patiently(rq, open_unnamed, &opening);
    upload->fd = opening.fd < 0 ? -1 : opening.fd;
    if (upload->fd >= 0)
        rq->uploads++;
    if (rc != 0)
        return rc;
    if (opening.fd == -EMFILE || opening.fd == -ENFILE)
        return WEFT_EFULL;
    if (opening.fd < 0)
        return (weft_rc)opening.fd;
    *out = upload;
    return 0;
}

struct naming {
    int dir_fd, fd;
    bool sync;
    bool named;
    weft_rc rc;
    char name_z[NAME_BYTES_MAX + 1];
};

static void give_name(void *arg)
{
    struct naming *naming = arg;
    char path_z[FD_PATH_BYTES];
    (void)snprintf(path_z, sizeof(path_z), "/proc/self/fd/%d", naming->fd);
    bool good = !naming->sync || fdatasync(naming->fd) == 0;
    if (good)
        good = naming->named =
            linkat(AT_FDCWD, path_z, naming->dir_fd, naming->name_z, AT_SYMLINK_FOLLOW) == 0;
    if (good && naming->sync)
        good = fsync(naming->dir_fd) == 0;
    naming->rc = good ? 0 : errno == EEXIST ? WEFT_EEXIST : (weft_rc)-errno;
    if (naming->named) /* not at the request's end: a form may have a thousand files */
        close(naming->fd);
}

static bool name_good(weft_str name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '/')
            return false;
    return name.len > 0 && name.len <= NAME_BYTES_MAX && name.ptr[0] != '.';
}

weft_rc weft_upload_keep(weft_upload *upload, weft_str name, bool sync)
{
    weft_req *rq = upload->rq;
    if (upload->kept || upload->fd < 0)
        return WEFT_ESTATE;
    if (!name_good(name))
        return WEFT_EPATH;
    struct naming naming = {
        .dir_fd = rq->service->site->upload_fd, .fd = upload->fd, .sync = sync, .rc = WEFT_ESTATE};
    memcpy(naming.name_z, name.ptr, name.len);
    weft_rc rc = weft_offload_patiently(rq, give_name, &naming);
    upload->kept = naming.named; /* also where the request was canceled meanwhile */
    if (naming.named) {
        upload->fd = -1;
        rq->uploads--;
    }
    return rc != 0 ? rc : naming.rc;
}
