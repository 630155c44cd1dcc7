/* compress_test.c - which answers are coded, and how: over the seam, decoded by the libraries. */
#include "serve/coding/compress.h"
#include "decoder.h"
#include "http/h1.h"
#include "http/seam.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define TEXT_BYTES ((size_t)150 << 10)
#define ALL_BITS                                                                                   \
    (WEFT_CODING_BIT(WEFT_CODING_GZIP) | WEFT_CODING_BIT(WEFT_CODING_BR) |                         \
     WEFT_CODING_BIT(WEFT_CODING_ZSTD))

static char text[TEXT_BYTES];
static struct weft_compress compress;
static struct weft_account *account;
static size_t body_len = 5000;
static const char *type_z = "text/plain; charset=utf-8";
static const char *fields[4][2];
static int status = 200;
static bool has_file;

static void make_text(void)
{
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = "warp and weft, "[(i * i / 7 + i) % 15];
}

static weft_rc set_fields(weft_req *rq)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(fields) && fields[i][0] != NULL; i++)
        WEFT_TRY(weft_set_header(rq, weft_str_z(fields[i][0]), weft_str_z(fields[i][1])));
    return 0;
}

static weft_rc whole(weft_req *rq)
{
    WEFT_TRY(set_fields(rq));
    return weft_reply(rq, status, weft_str_z(type_z), weft_str_make(text, body_len));
}

/* A file, which the kernel can say of that it is in its cache: there is no offload pool here. */
static int text_fd = -1;

static bool open_text(void)
{
    char byte;
    struct iovec to = {&byte, 1};
    text_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return text_fd >= 0 && write(text_fd, text, TEXT_BYTES) == TEXT_BYTES &&
           preadv2(text_fd, &to, 1, 0, RWF_NOWAIT) == 1;
}

static weft_rc file(weft_req *rq)
{
    WEFT_TRY(set_fields(rq));
    return weft_reply_file(rq, status, weft_str_z(type_z), dup(text_fd), 10, body_len);
}

static weft_rc stream(weft_req *rq)
{
    WEFT_TRY(set_fields(rq));
    WEFT_TRY(weft_begin(rq, 200, weft_str_z(type_z)));
    for (size_t at = 0; at < 5000; at += 500) {
        WEFT_TRY(weft_printf(rq, "%.*s", 100, text + at));
        WEFT_TRY(weft_write(rq, weft_str_make(text + at + 100, 400)));
        if (at == 2000)
            WEFT_TRY(weft_flush(rq));
        if (at == 3000)
            WEFT_TRY(weft_sleep_ms(rq, 50));
    }
    if (body_len > 5000)
        WEFT_TRY(weft_write(rq, weft_str_make(text + 5000, body_len - 5000)));
    return 0;
}

static weft_rc sized(weft_req *rq)
{
    WEFT_TRY(weft_begin_sized(rq, 200, weft_str_z(type_z), 5000));
    return weft_write(rq, weft_str_make(text, 5000));
}

static weft_rc secret(weft_req *rq)
{
    weft_uncoded(rq);
    return whole(rq);
}

/* A source: pieces of 1..., and nothing for a while in the middle of it. */
static struct {
    size_t at, left;
    bool rested, closed;
} spring;

static weft_rc spring_pull(void *arg, char *to, size_t room, size_t *out_len)
{
    (void)arg;
    size_t n = WEFT_MIN(WEFT_MIN(room, (size_t)7777), spring.left);
    if (!spring.rested && spring.at >= 3500) {
        spring.rested = true;
        return (weft_rc)-EAGAIN;
    }
    if (!spring.rested)
        n = WEFT_MIN(n, (size_t)500);
    for (size_t i = 0; i < n; i++)
        to[i] = text[(spring.at + i) % TEXT_BYTES];
    spring.at += n;
    spring.left -= n;
    *out_len = n;
    return 0;
}

static void spring_close(void *arg)
{
    (void)arg;
    spring.closed = true;
}

static weft_rc source(weft_req *rq)
{
    static const weft_source_ops ops =
        WEFT_SOURCE(.pull = spring_pull, .close = spring_close, .again_ms = 50);
    memset(&spring, 0, sizeof(spring));
    spring.left = body_len;
    WEFT_TRY(set_fields(rq));
    return weft_source(rq, 200, weft_str_z(type_z), WEFT_UNSIZED, &ops, NULL);
}

static weft_rc failing(weft_req *rq)
{
    WEFT_TRY(weft_begin(rq, 200, weft_str_z(type_z)));
    WEFT_TRY(weft_write(rq, weft_str_make(text, 1000)));
    return WEFT_ENOTFOUND;
}

static const struct seam_route routes[] = {
    {"GET", "/whole", whole, 0, 0, {0}, {0}},   {"GET", "/file", file, 0, 0, {0}, {0}},
    {"GET", "/stream", stream, 0, 0, {0}, {0}}, {"GET", "/sized", sized, 0, 0, {0}, {0}},
    {"GET", "/secret", secret, 0, 0, {0}, {0}}, {"POST", "/whole", whole, 0, 0, {0}, {0}},
    {"GET", "/fail", failing, 0, 0, {0}, {0}},  {"GET", "/source", source, 0, 0, {0}, {0}},
};

static void open_with(uint32_t coders)
{
    struct weft_compress_options options = {.codings = ALL_BITS,
                                            .effort = WEFT_EFFORT_BALANCED,
                                            .coders = coders,
                                            .body_bytes_min = 1024,
                                            .file_bytes_max = 100000,
                                            .window_ms = 300};
    char why[200];
    assert_int_equal(weft_coders_load(ALL_BITS, options.effort, why, sizeof(why)), 0);
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 8);
    assert_int_equal(weft_account_open(&seam.ledger, "compress", 0, &account), 0);
    assert_int_equal(weft_compress_init(&compress, &seam.loop, account, &options), 0);
    seam.service.filter = &compress.filter;
    body_len = 5000;
    type_z = "text/plain; charset=utf-8";
    memset(fields, 0, sizeof(fields));
    status = 200;
}

/* Coders that lie still for a window give their pages back; then nothing is held. */
static void close_all(void)
{
    pass_ms(700);
    assert_int_equal(atomic_load(&account->committed), 0);
    assert_nothing_is_held();
    weft_compress_fini(&compress);
    seam_close();
}

/* ---- a client ---- */

static char body[2 * TEXT_BYTES], plain[2 * TEXT_BYTES];

static void ask(const char *request_line, const char *lines)
{
    wire_open();
    char request[1000];
    snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\n%s\r\n", request_line, lines);
    feed_text(request);
    sleep_it_out();
}

/* The body behind the head, chunks joined. */
static size_t read_body(void)
{
    const char *end = memmem(seam.wire.out, seam.wire.out_len, "\r\n\r\n", 4);
    assert_non_null(end);
    const char *at = end + 4, *stop = seam.wire.out + seam.wire.out_len;
    size_t len = 0;
    bool chunked = memmem(seam.wire.out, (size_t)(end - seam.wire.out), "chunked", 7) != NULL;
    while (chunked) {
        char *data;
        size_t size = strtoul(at, &data, 16);
        memcpy(body + len, data + 2, size);
        len += size;
        at = data + 2 + size + 2;
        if (size == 0) {
            assert_ptr_equal(at, stop);
            return len;
        }
    }
    memcpy(body, at, (size_t)(stop - at));
    return (size_t)(stop - at);
}

static void assert_decodes(enum weft_coding coding, const char *from, size_t len)
{
    struct decoder d;
    decoder_init(&d, coding);
    assert_int_equal(decode(&d, body, read_body(), plain, sizeof(plain)), len);
    assert_true(d.ended);
    assert_memory_equal(plain, from, len);
    decoder_fini(&d);
}

static void assert_coded(enum weft_coding coding, const char *from, size_t len)
{
    char line[64];
    snprintf(line, sizeof(line), "\r\nContent-Encoding: %s\r\n", weft_coding_name(coding).ptr);
    assert_true(output_has(line));
    assert_int_equal(output_count("Vary: Accept-Encoding\r\n"), 1);
    assert_true(read_body() < len);
    assert_decodes(coding, from, len);
}

static void assert_plain(size_t len)
{
    assert_true(output_begins("HTTP/1.1 200 OK\r\n"));
    assert_false(output_has("Content-Encoding"));
    assert_int_equal(read_body(), len);
    assert_memory_equal(body, text, len);
}

static const char *const names[] = {[WEFT_CODING_GZIP] = "Accept-Encoding: gzip\r\n",
                                    [WEFT_CODING_BR] = "Accept-Encoding: br\r\n",
                                    [WEFT_CODING_ZSTD] = "Accept-Encoding: zstd\r\n"};

/* ---- tests ---- */

static void whole_bodies(void **state)
{
    (void)state;
    open_with(2);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        body_len = 5000;
        ask("GET /whole", names[c]);
        assert_coded(c, text, 5000);
        assert_true(output_has("Content-Length: "));
        body_len = TEXT_BYTES; /* too much for the arena: as a stream */
        ask("GET /whole", names[c]);
        assert_coded(c, text, TEXT_BYTES);
        assert_true(output_has("chunked"));
        ask("POST /whole", names[c]);
        assert_coded(c, text, TEXT_BYTES);
    }
    assert_int_equal(counted(WEFT_COUNTER_COMPRESSED), 9);
    assert_true(counted(WEFT_COUNTER_COMPRESS_IN) > 3 * counted(WEFT_COUNTER_COMPRESS_OUT));
    close_all();
}

static void files(void **state)
{
    (void)state;
    if (!has_file)
        skip(); /* the end-to-end test has them */
    open_with(2);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        body_len = 60000;
        ask("GET /file", names[c]);
        assert_coded(c, text + 10, 60000);
    }
    body_len = 100001; /* compress.file_bytes_max */
    ask("GET /file", names[WEFT_CODING_GZIP]);
    assert_false(output_has("Content-Encoding"));
    assert_false(output_has("Vary"));
    close_all();
}

static void streams(void **state)
{
    (void)state;
    open_with(2);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        body_len = 5000;
        ask("GET /stream", names[c]);
        assert_coded(c, text, 5000);
        body_len = TEXT_BYTES;
        uint64_t waits = counted(WEFT_COUNTER_TASKS_WAITED);
        ask("GET /stream", names[c]);
        /* the handler's own, and one for 64 KiB each of the write: others have their turn */
        assert_int_equal(counted(WEFT_COUNTER_TASKS_WAITED) - waits, 1 + 2);
        assert_coded(c, text, TEXT_BYTES);
    }
    ask("GET /sized", names[WEFT_CODING_GZIP]); /* its length was announced */
    assert_plain(5000);
    ask("GET /fail", names[WEFT_CODING_GZIP]); /* nothing has left: the error is answered */
    assert_true(output_begins("HTTP/1.1 404 "));
    assert_false(output_has("Content-Encoding"));
    close_all();
}

/* Time goes on until the source is closed. */
static void let_it_flow(void)
{
    for (int i = 0; i < 100 && !spring.closed; i++)
        pass_ms(50);
    assert_true(spring.closed);
}

static void sources(void **state)
{
    (void)state;
    open_with(2);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        static const size_t lens[] = {0, 1, 5000, TEXT_BYTES};
        for (size_t i = 0; i < WEFT_COUNT_OF(lens); i++) {
            body_len = lens[i];
            ask("GET /source", names[c]);
            let_it_flow();
            assert_decodes(c, text, lens[i]);
        }
        ask("HEAD /source", names[c]);
        assert_true(output_has("\r\nContent-Encoding: "));
        let_it_flow();
    }
    close_all();
}

/* Bytes that all but vanish: some come out all the same, or it would be taken for the end. */
static void a_source_of_much_that_shrinks(void **state)
{
    (void)state;
    open_with(1);
    memset(text, 0, sizeof(text));
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        body_len = (size_t)5 << 20;
        ask("GET /source", names[c]);
        let_it_flow();
        struct decoder d;
        decoder_init(&d, c);
        static char large[(6 << 20)];
        assert_int_equal(decode(&d, body, read_body(), large, sizeof(large)), body_len);
        assert_true(d.ended);
        decoder_fini(&d);
    }
    make_text();
    close_all();
}

/* What was written before a flush, or a wait, can be read before the stream goes on. */
static void a_flush_reaches_the_client(void **state)
{
    (void)state;
    open_with(2);
    for (int i = 0; i < 6; i++) {
        enum weft_coding c = (enum weft_coding)(WEFT_CODING_GZIP + i / 2);
        body_len = 5000;
        wire_open();
        feed_text(i % 2 ? "GET /stream HTTP/1.1\r\nHost: x\r\n"
                        : "GET /source HTTP/1.1\r\nHost: x\r\n");
        feed_text(names[c]);
        feed_text("\r\n"); /* it rests now, 3500 bytes on */
        struct decoder d;
        decoder_init(&d, c);
        const char *at = strstr(seam.wire.out, "\r\n\r\n") + 4;
        const char *stop = seam.wire.out + seam.wire.out_len;
        size_t coded = 0;
        while (at < stop) {
            char *data;
            size_t size = strtoul(at, &data, 16);
            memcpy(body + coded, data + 2, size);
            coded += size;
            at = data + 2 + size + 2;
        }
        assert_int_equal(decode(&d, body, coded, plain, sizeof(plain)), 3500);
        assert_memory_equal(plain, text, 3500);
        decoder_fini(&d);
        sleep_it_out();
        if (i % 2 == 0)
            let_it_flow();
    }
    close_all();
}

static void what_is_left_alone(void **state)
{
    (void)state;
    open_with(2);
    ask("GET /whole", "");
    assert_plain(5000);
    assert_true(output_has("Vary: Accept-Encoding")); /* coded for others */
    ask("GET /whole", "Accept-Encoding: gzip;q=0, *;q=0.5, identity\r\n");
    assert_plain(5000);
    ask("GET /secret", names[WEFT_CODING_GZIP]);
    assert_plain(5000);
    assert_false(output_has("Vary"));
    body_len = 1023;
    ask("GET /whole", names[WEFT_CODING_GZIP]);
    assert_plain(1023);
    body_len = 5000;
    static const char *const types[] = {
        "image/png", "application/zip", "text/event-stream",       "video/mp4", "font/woff2",
        "",          "application/pdf", "application/octet-stream"};
    for (size_t i = 0; i < WEFT_COUNT_OF(types); i++) {
        type_z = types[i];
        ask("GET /whole", names[WEFT_CODING_GZIP]);
        assert_plain(5000);
        assert_false(output_has("Vary"));
    }
    type_z = "image/svg+xml";
    static const char *const own[][2] = {{"Content-Encoding", "br"},
                                         {"Content-Range", "bytes 0-4999/9000"},
                                         {"Cache-Control", "private, No-Transform"}};
    for (size_t i = 0; i < WEFT_COUNT_OF(own); i++) {
        fields[0][0] = own[i][0];
        fields[0][1] = own[i][1];
        ask("GET /whole", names[WEFT_CODING_GZIP]);
        assert_false(output_has("gzip"));
        assert_int_equal(read_body(), 5000);
    }
    fields[0][0] = NULL;
    static const struct {
        const char *type_z;
        bool varies;
    } parts[] = {
        {"image/svg+xml", true}, {"multipart/byteranges; boundary=x", true}, {"image/png", false}};
    status = 206;
    for (size_t i = 0; i < WEFT_COUNT_OF(parts); i++) {
        type_z = parts[i].type_z;
        ask("GET /whole", names[WEFT_CODING_GZIP]);
        assert_false(output_has("gzip"));
        assert_int_equal(output_has("\r\nVary: Accept-Encoding\r\n"), parts[i].varies);
        assert_int_equal(read_body(), 5000);
    }
    assert_int_equal(counted(WEFT_COUNTER_COMPRESSED), 0);
    close_all();
}

/* What does not shrink is longer when it is coded, whatever its type says. */
static void what_is_not_worth_it(void **state)
{
    (void)state;
    open_with(1);
    uint32_t noise = 1;
    for (size_t i = 0; i < 5000; i++) {
        noise = noise * 1664525u + 1013904223u;
        text[i] = (char)(noise >> 24);
    }
    for (enum weft_coding coding = WEFT_CODING_GZIP; coding < WEFT_CODING_COUNT; coding++) {
        ask("GET /whole", names[coding]);
        assert_plain(5000);
        assert_true(output_has("Content-Length: 5000"));
    }
    assert_int_equal(counted(WEFT_COUNTER_COMPRESSED), 0);
    make_text();
    close_all();
}

static void validators_become_weak(void **state)
{
    (void)state;
    open_with(2);
    fields[0][0] = "ETag", fields[0][1] = "\"abc\"";
    fields[1][0] = "Vary", fields[1][1] = "Origin";
    fields[2][0] = "Accept-Ranges", fields[2][1] = "bytes";
    ask("GET /whole", names[WEFT_CODING_BR]);
    assert_coded(WEFT_CODING_BR, text, 5000);
    assert_true(output_has("\r\nETag: W/\"abc\"\r\n"));
    assert_true(output_has("\r\nAccept-Ranges: none\r\n"));
    assert_true(output_has("\r\nVary: Origin\r\n"));
    ask("GET /whole", ""); /* the strong one goes with the plain bytes */
    assert_true(output_has("\r\nETag: \"abc\"\r\n"));
    fields[1][1] = "origin , accept-encoding";
    ask("GET /whole", "");
    assert_int_equal(output_count("Vary"), 1);
    status = 304;
    body_len = 0;
    ask("GET /whole", "If-None-Match: \"x\", W/\"abc\"\r\nAccept-Encoding: br\r\n");
    assert_true(output_has("\r\nETag: W/\"abc\"\r\n"));
    ask("GET /whole", "If-None-Match: \"abc\"\r\nAccept-Encoding: br\r\n");
    assert_true(output_has("\r\nETag: \"abc\"\r\n"));
    close_all();
}

static void head_says_what_get_would(void **state)
{
    (void)state;
    open_with(1);
    fields[0][0] = "ETag", fields[0][1] = "\"abc\"";
    static const char *const lines[] = {"HEAD /whole", "HEAD /file", "HEAD /stream"};
    for (size_t i = 0; i < WEFT_COUNT_OF(lines); i++) {
        ask(lines[i], names[WEFT_CODING_ZSTD]);
        assert_true(output_has("\r\nContent-Encoding: zstd\r\n"));
        assert_true(output_has("\r\nETag: W/\"abc\"\r\n"));
        assert_false(output_has("Content-Length"));
        assert_memory_equal(seam.wire.out + seam.wire.out_len - 4, "\r\n\r\n", 4);
    }
    assert_int_equal(weft_account_takes(account), 0); /* nobody reads it: no coder */
    close_all();
}

static void nothing_acceptable(void **state)
{
    (void)state;
    open_with(1);
    static const char *const paths[] = {"GET /whole", "GET /stream", "GET /file"};
    for (size_t i = 0; i < (has_file ? 3 : 2); i++) {
        type_z = "image/png";
        ask(paths[i], "Accept-Encoding: gzip, identity;q=0\r\n");
        assert_true(output_begins("HTTP/1.1 406 Not Acceptable\r\n"));
        type_z = "text/plain";
        ask(paths[i], "Accept-Encoding: deflate, *;q=0\r\n");
        assert_true(output_begins("HTTP/1.1 406 Not Acceptable\r\n"));
        ask(paths[i], "Accept-Encoding: gzip, *;q=0\r\n");
        assert_true(output_has("\r\nContent-Encoding: gzip\r\n"));
    }
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_406), has_file ? 6 : 4);
    body_len = 20; /* what others get as it is */
    ask("GET /whole", "Accept-Encoding: gzip, identity;q=0\r\n");
    assert_true(output_has("\r\nContent-Encoding: gzip\r\n"));
    assert_true(output_has("\r\nVary: Accept-Encoding\r\n"));
    assert_decodes(WEFT_CODING_GZIP, text, 20);
    body_len = 5000;
    ask("POST /whole", "Accept-Encoding: deflate, *;q=0\r\n"); /* done is done */
    assert_plain(5000);
    status = 404;
    ask("GET /whole", "Accept-Encoding: deflate, *;q=0\r\n");
    assert_true(output_begins("HTTP/1.1 404 "));
    close_all();
}

/* All coders in use: as it is, and counted; who takes nothing else is told to come again. */
static void no_coder_left(void **state)
{
    (void)state;
    open_with(2);
    uint32_t taken[2];
    for (size_t i = 0; i < 2; i++) {
        taken[i] = weft_coder_pool_take(&compress.pool, WEFT_CODING_GZIP, UINT64_MAX);
        assert_int_not_equal(taken[i], WEFT_CODER_NONE);
    }
    static const char *const paths[] = {"GET /whole", "GET /stream", "GET /file"};
    for (size_t i = 0; i < (has_file ? 3 : 2); i++) {
        ask(paths[i], names[WEFT_CODING_GZIP]);
        assert_true(output_begins("HTTP/1.1 200 OK\r\n"));
        assert_false(output_has("Content-Encoding"));
        assert_true(output_has("Vary: Accept-Encoding"));
        ask(paths[i], "Accept-Encoding: gzip, identity;q=0\r\n");
        assert_true(output_begins("HTTP/1.1 503 "));
        assert_true(output_has("Retry-After"));
    }
    assert_int_equal(counted(WEFT_COUNTER_COMPRESS_FULL), has_file ? 6 : 4);
    assert_int_equal(atomic_load(&account->refused), has_file ? 6 : 4);
    for (size_t i = 0; i < 2; i++)
        weft_coder_pool_put(&compress.pool, taken[i]);
    ask("GET /whole", names[WEFT_CODING_GZIP]);
    assert_coded(WEFT_CODING_GZIP, text, 5000);
    close_all();
}

/* A client that leaves in the middle gives its coder back. */
static void a_client_that_leaves(void **state)
{
    (void)state;
    open_with(1);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        wire_open();
        feed_text("GET /stream HTTP/1.1\r\nHost: x\r\n");
        feed_text(names[c]);
        feed_text("\r\n");
        assert_true(compress.pool.slots[0].taken); /* it sleeps */
        hang_up((weft_rc)-ECONNRESET);
        assert_false(compress.pool.slots[0].taken);
    }
    close_all();
}

/* Any send may be slow, or the last one. */
static void any_send_fails(void **state)
{
    (void)state;
    open_with(1);
    body_len = TEXT_BYTES;
    for (int n = 1; n < 12; n++) {
        wire_open();
        seam.wire.sends = WIRE_LATER;
        seam.wire.fail_send = n;
        feed_text(n % 2 ? "GET /whole HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
                        : "GET /stream HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd\r\n\r\n");
        sleep_it_out();
        assert_false(compress.pool.slots[0].taken);
        if (!seam.wire.closed)
            hang_up((weft_rc)-ECONNRESET);
    }
    close_all();
}

/* A library that gets too little memory: as it is, or an error, or cut off: the client can tell. */
static void a_coder_that_fails(void **state)
{
    (void)state;
    open_with(1);
    body_len = TEXT_BYTES;
    size_t right = compress.pool.coder_bytes, cut = 0, whole_ones = 0;
    for (size_t bytes = 65536; bytes <= right; bytes += 65536) {
        uint64_t failed = counted(WEFT_COUNTER_COMPRESS_FAILED);
        compress.pool.coder_bytes = bytes;
        compress.pool.slots[0].coder->coding = WEFT_CODING_IDENTITY; /* it begins anew */
        ask("GET /whole", names[WEFT_CODING_BR]);
        if (counted(WEFT_COUNTER_COMPRESS_FAILED) > failed) {
            bool told = output_begins("HTTP/1.1 503 "); /* nothing had left by then */
            assert_true(told || seam.wire.closed);
            assert_false(output_has("\r\n0\r\n\r\n"));
            cut++;
        } else if (output_has("Content-Encoding")) {
            assert_coded(WEFT_CODING_BR, text, TEXT_BYTES);
            whole_ones++;
        } else {
            assert_plain(TEXT_BYTES);
        }
        assert_false(compress.pool.slots[0].taken);
    }
    assert_true(cut > 0 && whole_ones > 0);
    compress.pool.coder_bytes = right;
    close_all();
}

static void lists_of_codings(void **state)
{
    (void)state;
    uint32_t bits = 99;
    assert_int_equal(weft_compress_codings(WEFT_S("zstd, br,GZIP"), &bits), 0);
    assert_int_equal(bits, ALL_BITS);
    assert_int_equal(weft_compress_codings(WEFT_S(""), &bits), 0);
    assert_int_equal(bits, 0);
    assert_int_equal(weft_compress_codings(WEFT_S("deflate"), &bits), WEFT_ESYNTAX);
    assert_int_equal(weft_compress_codings(WEFT_S("identity"), &bits), WEFT_ESYNTAX);
    assert_true(weft_compress_type(WEFT_S("application/problem+json;charset=utf-8")));
    assert_true(weft_compress_type(WEFT_S("Text/HTML")));
    assert_false(weft_compress_type(WEFT_S("text/event-stream; x=y")));
}

int main(void)
{
    make_text();
    has_file = open_text();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_bodies),
        cmocka_unit_test(files),
        cmocka_unit_test(streams),
        cmocka_unit_test(sources),
        cmocka_unit_test(a_source_of_much_that_shrinks),
        cmocka_unit_test(a_flush_reaches_the_client),
        cmocka_unit_test(what_is_left_alone),
        cmocka_unit_test(what_is_not_worth_it),
        cmocka_unit_test(validators_become_weak),
        cmocka_unit_test(head_says_what_get_would),
        cmocka_unit_test(nothing_acceptable),
        cmocka_unit_test(no_coder_left),
        cmocka_unit_test(a_client_that_leaves),
        cmocka_unit_test(any_send_fails),
        cmocka_unit_test(a_coder_that_fails),
        cmocka_unit_test(lists_of_codings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
