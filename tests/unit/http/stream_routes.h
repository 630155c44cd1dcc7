/* stream_routes.h - handlers whose answers are made while they leave: pieces of bytes and of files,
 * and sources that are pulled. For the tests of streams, and of what may befall any answer. */
#ifndef WEFT_TESTS_STREAM_ROUTES_H
#define WEFT_TESTS_STREAM_ROUTES_H
#include "demo_routes.h"
#include "base/fmt.h"

static weft_rc pieces(weft_req *rq)
{
    char text[3000];
    memset(text, 'P', sizeof(text));
    int fd = memfd_create("seam", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    weft_rc rc = weft_write(rq, WEFT_S("before "));
    if (rc == 0)
        rc = weft_write_file(rq, fd, 1000, 2000);
    if (rc == 0)
        rc = weft_printf(rq, " %s ", "between");
    if (rc == 0)
        rc = weft_write_file(rq, fd, 0, 0);
    if (rc == 0)
        rc = weft_write_file(rq, fd, 2999, 1);
    close(fd);
    return rc;
}

#define PIECES_BYTES 2017

/* Bytes and pieces of a file in one stream: of a length that was told, or chunked. */
static weft_rc pieces_sized(weft_req *rq)
{
    WEFT_TRY(weft_begin_sized(rq, 200, WEFT_S("text/plain"), PIECES_BYTES));
    WEFT_TRY(pieces(rq));
    assert_int_equal(weft_write(rq, WEFT_S("!")), WEFT_ELIMIT);
    assert_int_equal(weft_printf(rq, "!"), WEFT_ELIMIT);
    assert_int_equal(weft_write_file(rq, 0, 0, 1), WEFT_ELIMIT);
    return weft_end(rq);
}

static weft_rc pieces_chunked(weft_req *rq)
{
    assert_int_equal(weft_write_file(rq, 0, 0, 1), WEFT_ESTATE);
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    return pieces(rq);
}

static weft_rc too_short(weft_req *rq)
{
    WEFT_TRY(weft_begin_sized(rq, 200, WEFT_S("text/plain"), PIECES_BYTES + 1));
    return pieces(rq);
}

/* Lines, pulled: in between there are none for a while. */
struct lines {
    int at, count;
    bool pauses, asked;
};

static weft_rc next_line(void *arg, char *to, size_t room, size_t *out_len)
{
    struct lines *lines = arg;
    assert_int_equal(*out_len, 0);
    if (lines->at == lines->count)
        return lines->count == 601 ? WEFT_EEOF : 0;
    if (lines->pauses && lines->at % 200 == 199 && !lines->asked) {
        lines->asked = true;
        return WEFT_EAGAIN;
    }
    lines->asked = false;
    char line[32];
    size_t len = weft_fmt(line, sizeof(line), "Line %04d\n", lines->at++);
    *out_len = WEFT_MIN(len, room);
    memcpy(to, line, *out_len);
    return 0;
}

static void lines_over(void *arg)
{
    (void)arg;
    released++;
}

#define LINE_BYTES        10
#define CHUNK_FRAME_BYTES 8
static const weft_source_ops line_source = WEFT_SOURCE(.pull = next_line, .close = lines_over);

static weft_rc source_of(weft_req *rq, int count, uint64_t len)
{
    struct lines *lines = weft_alloc(rq, sizeof(*lines));
    if (lines == NULL)
        return WEFT_ENOMEM;
    *lines = (struct lines){.count = count, .pauses = weft_query(rq).len > 0};
    given++;
    return weft_source(rq, 200, WEFT_S("text/plain"), len, &line_source, lines);
}

static weft_rc source(weft_req *rq)
{
    return source_of(rq, weft_query(rq).len > 0 ? 6000 : 350, WEFT_UNSIZED);
}

static weft_rc source_sized(weft_req *rq)
{
    return source_of(rq, 500, 350 * LINE_BYTES);
}

static weft_rc source_short(weft_req *rq)
{
    return source_of(rq, 300, 301 * LINE_BYTES);
}

static weft_rc source_fails(weft_req *rq)
{
    return source_of(rq, 601, WEFT_UNSIZED);
}

static weft_rc nothing_yet(void *arg, char *to, size_t room, size_t *out_len)
{
    (void)arg, (void)to, (void)room, (void)out_len;
    return WEFT_EAGAIN;
}

static const weft_source_ops silent_source = WEFT_SOURCE(.pull = nothing_yet, .close = lines_over);

static weft_rc source_silent(weft_req *rq)
{
    given++;
    return weft_source(rq, 200, WEFT_S("text/plain"), WEFT_UNSIZED, &silent_source, NULL);
}

static weft_rc source_twice(weft_req *rq)
{
    WEFT_TRY(weft_text(rq, 200, WEFT_S("first")));
    assert_int_equal(source_of(rq, 300, 0), WEFT_ESTATE);
    return 0;
}

#define STREAM_ROUTES                                                                              \
    {"GET", "/source", source}, {"GET", "/source-sized", source_sized},                            \
        {"GET", "/source-short", source_short}, {"GET", "/source-fails", source_fails},            \
        {"GET", "/source-silent", source_silent}, {"GET", "/source-twice", source_twice},          \
        {"GET", "/pieces", pieces_sized}, {"GET", "/pieces-chunked", pieces_chunked},              \
    {                                                                                              \
        "GET", "/too-short", too_short                                                             \
    }
#endif
