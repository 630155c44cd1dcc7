/* byteranges.c - see byteranges.h. The boundary is a number that nobody can foresee, so that no
 * file can hold it on purpose. */
#include "serve/files/byteranges.h"
#include <weft/stream.h>
#include "base/fmt.h"
#include "base/str.h"
#include <sys/random.h>

#define BOUNDARY_BYTES 32

struct parts {
    weft_str type;
    weft_str boundary;
    const struct weft_open_file *file;
    const struct weft_ranges *ranges;
};

#define HEAD_FORMAT "%s--%.*s\r\nContent-Type: %.*s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n"
#define HEAD_VALUES(parts, i)                                                                      \
    (i) > 0 ? "\r\n" : "", (int)(parts)->boundary.len, (parts)->boundary.ptr,                      \
        (int)(parts)->type.len, (parts)->type.ptr,                                                 \
        (unsigned long long)(parts)->ranges->at[i].first,                                          \
        (unsigned long long)((parts)->ranges->at[i].first + (parts)->ranges->at[i].len - 1),       \
        (unsigned long long)(parts)->file->size

#define TAIL_BYTES (2 + 2 + BOUNDARY_BYTES + 2 + 2) /* CRLF -- boundary -- CRLF */

static uint64_t total_bytes(const struct parts *parts)
{
    uint64_t bytes = TAIL_BYTES;
    for (uint32_t i = 0; i < parts->ranges->count; i++)
        bytes += weft_fmt(NULL, 0, HEAD_FORMAT, HEAD_VALUES(parts, i)) + parts->ranges->at[i].len;
    return bytes;
}

static weft_rc write_range(weft_req *rq, const struct weft_open_file *file, struct weft_range range)
{
    if (file->body.ptr != NULL)
        return weft_write(rq, weft_str_make(file->body.ptr + range.first, (size_t)range.len));
    return weft_write_file(rq, file->fd, range.first, range.len);
}

static weft_rc write_parts(weft_req *rq, const struct parts *parts)
{
    for (uint32_t i = 0; i < parts->ranges->count; i++) {
        WEFT_TRY(weft_printf(rq, HEAD_FORMAT, HEAD_VALUES(parts, i)));
        WEFT_TRY(write_range(rq, parts->file, parts->ranges->at[i]));
    }
    return weft_printf(rq, "\r\n--%.*s--\r\n", (int)parts->boundary.len, parts->boundary.ptr);
}

/* From the kernel's generator once it has begun to work; at boot, before that, from the clock. */
static uint64_t unforeseen(const weft_req *rq)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
        number = weft_now_s(rq) * UINT64_C(0x9e3779b97f4a7c15);
    return number;
}

weft_rc weft_byteranges_reply(weft_req *rq, weft_str type, const struct weft_open_file *file,
                              const struct weft_ranges *ranges)
{
    static const weft_str name = WEFT_S("multipart/byteranges; boundary=");
    weft_assert(ranges->count > 1);
    weft_str own =
        weft_format(rq, "%.*s%016llx%016llx", (int)name.len, name.ptr,
                    (unsigned long long)unforeseen(rq), (unsigned long long)unforeseen(rq));
    if (own.ptr == NULL)
        return WEFT_ENOMEM;
    struct parts parts = {.type = type,
                          .boundary = weft_str_make(own.ptr + name.len, own.len - name.len),
                          .file = file,
                          .ranges = ranges};
    WEFT_TRY(weft_begin_sized(rq, 206, own, total_bytes(&parts)));
    WEFT_TRY(write_parts(rq, &parts));
    return weft_end(rq);
}
