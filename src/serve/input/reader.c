/* reader.c - a file below the root, read piece by piece into the request's arena: what the page
 * cache has by the worker, what it has not by the offload pool. */
#include <weft/reader.h>
#include "http/service.h"
#include "serve/files/open_files.h"
#include "serve/input/patient.h"
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

struct weft_reader {
    weft_req *rq;
    const struct weft_open_file *file; /* borrowed: until the request ends */
    uint64_t offset;                   /* of what is read next */
    size_t room;
    size_t kept; /* bytes of an unfinished line, from `next` on */
    char *next;
    char *buffer;
};

weft_rc weft_reader_open(weft_req *rq, weft_str path, char *buffer, size_t buffer_bytes,
                         weft_reader **out)
{
    const struct weft_open_file *file = NULL;
    int root_fd = rq->service->site->root_fd;
    if (root_fd < 0)
        return WEFT_ENOTFOUND;
    weft_rc rc = weft_open_file(rq, root_fd, path, &file);
    if (rc == (weft_rc)-ENOENT || rc == (weft_rc)-EISDIR)
        return WEFT_ENOTFOUND;
    if (rc != 0)
        return rc;
    weft_assert(buffer_bytes > 0);
    weft_reader *reader = weft_alloc(rq, sizeof(*reader));
    if (reader == NULL)
        return WEFT_ENOMEM;
    if (buffer == NULL)
        buffer = weft_alloc(rq, buffer_bytes);
    if (buffer == NULL)
        return WEFT_ENOMEM;
    *reader = (weft_reader){.rq = rq, .file = file, .room = buffer_bytes, .buffer = buffer};
    *out = reader;
    return 0;
}

uint64_t weft_reader_size(const weft_reader *reader)
{
    return reader->file->size;
}

struct reading {
    int fd;
    struct iovec piece;
    uint64_t offset;
    ssize_t got; /* or -errno */
};

static void read_some(struct reading *reading, int flags)
{
    do
        reading->got = preadv2(reading->fd, &reading->piece, 1, (off_t)reading->offset, flags);
    while (reading->got < 0 && errno == EINTR);
    if (reading->got < 0)
        reading->got = -errno;
}

static void read_cold(void *arg)
{
    read_some(arg, 0);
}

/* Up to `want` bytes at `to`; fewer only where the page cache has no more for now. */
static weft_rc fill(weft_reader *reader, char *to, size_t want, size_t *out_got)
{
    const struct weft_open_file *file = reader->file;
    if (file->body.ptr != NULL) {
        memcpy(to, file->body.ptr + reader->offset, want);
        *out_got = want;
        return 0;
    }
    struct reading reading = {
        .fd = file->fd, .piece = {.iov_base = to, .iov_len = want}, .offset = reader->offset};
    read_some(&reading, RWF_NOWAIT);
    if (reading.got == -EAGAIN || reading.got == -EOPNOTSUPP)
        WEFT_TRY(weft_offload_patiently(reader->rq, read_cold, &reading));
    if (reading.got <= 0)
        return (weft_rc)-EIO; /* it was longer when it was opened */
    *out_got = (size_t)reading.got;
    return 0;
}

/* Reads behind the `kept` bytes, which move to the front. */
static weft_rc more(weft_reader *reader, size_t *out_len)
{
    size_t got = 0;
    if (reader->kept > 0)
        memmove(reader->buffer, reader->next, reader->kept);
    reader->next = reader->buffer;
    uint64_t left = reader->file->size - reader->offset;
    size_t want = (size_t)WEFT_MIN(left, (uint64_t)(reader->room - reader->kept));
    if (want > 0)
        WEFT_TRY(fill(reader, reader->buffer + reader->kept, want, &got));
    reader->offset += got;
    *out_len = reader->kept + got;
    reader->kept = 0;
    return 0;
}

weft_rc weft_reader_next(weft_reader *reader, char **out, size_t *out_len)
{
    size_t len = 0;
    WEFT_TRY(more(reader, &len));
    *out = len > 0 ? reader->buffer : NULL;
    *out_len = len;
    return 0;
}

weft_rc weft_reader_lines(weft_reader *reader, char **out, size_t *out_len)
{
    size_t len = 0;
    for (;;) {
        WEFT_TRY(more(reader, &len));
        bool last = reader->offset == reader->file->size || len == reader->room;
        const char *lf = len > 0 ? memrchr(reader->buffer, '\n', len) : NULL;
        size_t lines = lf != NULL ? (size_t)(lf - reader->buffer) + 1 : 0;
        if (lines == 0 && last)
            lines = len; /* a line without an end, or one longer than the buffer */
        reader->next = reader->buffer + lines;
        reader->kept = len - lines;
        if (lines == 0 && !last)
            continue;
        *out = lines > 0 ? reader->buffer : NULL;
        *out_len = lines;
        return 0;
    }
}
