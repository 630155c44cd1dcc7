/* compress.c - see compress.h: which answers are coded, and what their heads say of it. The bytes:
 * compress_body.c. */
#include "serve/coding/compress.h"
#include "http/params.h"
#include "http/service.h"
#include "serve/coding/compress_priv.h"

#define SMALL_BYTES_MAX ((size_t)64 << 10) /* of a body that is coded at once */

/* ---- types and lists ---- */

static bool is_any_of(weft_str text, const weft_str *these, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weft_str_ieq(text, these[i]))
            return true;
    return false;
}

static bool begins(weft_str text, weft_str prefix)
{
    return text.len >= prefix.len && weft_str_ieq(weft_str_make(text.ptr, prefix.len), prefix);
}

static bool ends(weft_str text, weft_str suffix)
{
    return text.len >= suffix.len &&
           weft_str_ieq(weft_str_make(text.ptr + text.len - suffix.len, suffix.len), suffix);
}

bool weft_compress_type(weft_str type)
{
    static const weft_str shrinking[] = {
        WEFT_S("application/json"),
        WEFT_S("application/javascript"),
        WEFT_S("application/xml"),
        WEFT_S("application/x-javascript"),
        WEFT_S("application/x-ndjson"),
        WEFT_S("application/json-seq"),
        WEFT_S("application/wasm"),
        WEFT_S("application/yaml"),
        WEFT_S("application/toml"),
        WEFT_S("application/sql"),
        WEFT_S("application/graphql"),
        WEFT_S("application/rtf"),
        WEFT_S("application/postscript"),
        WEFT_S("application/x-sh"),
        WEFT_S("application/x-tar"),
        WEFT_S("application/vnd.ms-fontobject"),
        WEFT_S("image/bmp"),
        WEFT_S("image/x-icon"),
        WEFT_S("font/ttf"),
        WEFT_S("font/otf"),
    };
    static const weft_str suffixes[] = {WEFT_S("+json"), WEFT_S("+xml"), WEFT_S("+yaml"),
                                        WEFT_S("+text")};
    type = weft_params_first(&type);
    if (begins(type, WEFT_S("text/")))
        return !weft_str_ieq(type, WEFT_S("text/event-stream"));
    for (size_t i = 0; i < WEFT_COUNT_OF(suffixes); i++)
        if (ends(type, suffixes[i]))
            return true;
    return is_any_of(type, shrinking, WEFT_COUNT_OF(shrinking));
}

/* The next member of a comma-separated list; false: it is over. */
static bool next_of(weft_str *list, weft_str *out)
{
    if (list->len == 0)
        return false;
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
    size_t skip = comma != NULL ? len + 1 : len;
    *out = weft_str_trim(weft_str_make(list->ptr, len));
    *list = weft_str_make(list->ptr + skip, list->len - skip);
    return true;
}

static bool list_has(weft_str list, weft_str member)
{
    weft_str one;
    while (next_of(&list, &one))
        if (weft_str_ieq(one, member))
            return true;
    return false;
}

weft_rc weft_compress_codings(weft_str list, uint32_t *out_bits)
{
    uint32_t bits = 0;
    weft_str one;
    while (next_of(&list, &one)) {
        enum weft_coding coding = weft_coding_from(one);
        if (coding == WEFT_CODING_NONE || coding == WEFT_CODING_IDENTITY)
            return WEFT_ESYNTAX;
        bits |= WEFT_CODING_BIT(coding);
    }
    *out_bits = bits;
    return 0;
}

/* ---- the answer's fields ---- */

static struct weft_out_field *field_of(const weft_req *rq, weft_str name)
{
    for (size_t i = 0; i < rq->out_count; i++)
        if (weft_str_ieq(rq->out_fields[i].name, name))
            return &rq->out_fields[i];
    return NULL;
}

static bool any_field_has(const weft_req *rq, weft_str name, weft_str member)
{
    for (size_t i = 0; i < rq->out_count; i++)
        if (weft_str_ieq(rq->out_fields[i].name, name) && list_has(rq->out_fields[i].value, member))
            return true;
    return false;
}

static weft_rc set_vary(weft_req *rq)
{
    if (any_field_has(rq, WEFT_S("vary"), WEFT_S("accept-encoding")) ||
        any_field_has(rq, WEFT_S("vary"), WEFT_S("*")))
        return 0;
    return weft_req_add_field(rq, WEFT_S("Vary"), WEFT_S("Accept-Encoding"));
}

static bool is_strong(const struct weft_out_field *etag)
{
    return etag != NULL && etag->value.len > 0 && etag->value.ptr[0] == '"';
}

static weft_rc weaken(weft_req *rq, struct weft_out_field *etag)
{
    char *text = weft_alloc(rq, etag->value.len + 2);
    if (text == NULL)
        return WEFT_ENOMEM;
    text[0] = 'W';
    text[1] = '/';
    memcpy(text + 2, etag->value.ptr, etag->value.len);
    etag->value = weft_str_make(text, etag->value.len + 2);
    return 0;
}

/* All or nothing: an answer that says half of it would be wrong. */
static weft_rc set_coded(weft_req *rq, enum weft_coding coding)
{
    uint8_t count = rq->out_count;
    struct weft_out_field *etag = field_of(rq, WEFT_S("etag"));
    weft_rc rc = weft_req_add_field(rq, WEFT_S("Content-Encoding"), weft_coding_name(coding));
    if (rc == 0 && is_strong(etag))
        rc = weaken(rq, field_of(rq, WEFT_S("etag"))); /* the fields may have moved */
    if (rc != 0) {
        weft_req_drop_fields(rq, count);
        return rc;
    }
    /* A range of what is coded on the way would be one of other bytes each time. */
    struct weft_out_field *ranges = field_of(rq, WEFT_S("accept-ranges"));
    if (ranges != NULL)
        ranges->value = WEFT_S("none");
    return 0;
}

/* The client holds a coded one, by its weak tag: so the tag that it is told stays good is weak
 * (RFC 9111 4.3.4). */
static void answer_unchanged(weft_req *rq)
{
    struct weft_out_field *etag = field_of(rq, WEFT_S("etag"));
    if (!is_strong(etag))
        return;
    weft_str asked = weft_header(rq, "if-none-match"), one;
    while (next_of(&asked, &one)) {
        bool ours =
            one.len == etag->value.len + 2 && one.ptr[0] == 'W' && weft_str_ends(one, etag->value);
        if (ours && weaken(rq, etag) == 0)
            break;
    }
    weft_ignore(set_vary(rq)); /* a tag alone says which one it is, too */
}

/* ---- what is to be done ---- */

/* size      of the body; UINT64_MAX: not known
 * size_min  less is not worth it */
static bool may_be_coded(const weft_req *rq, uint64_t size, uint64_t size_min)
{
    const struct weft_compress_options *options = &weft_compress_of(rq)->options;
    bool bodiless = rq->status == 204 || rq->status == 205 || rq->status == 304;
    if (bodiless || rq->status == 206 || rq->uncoded || size < size_min)
        return false;
    if (rq->body_kind == WEFT_BODY_FILE && size > options->file_bytes_max)
        return false;
    bool pieces = rq->body_kind == WEFT_BODY_STREAM || rq->body_kind == WEFT_BODY_SOURCE;
    if (pieces && rq->body.len != WEFT_LENGTH_UNKNOWN)
        return false; /* its head tells its length */
    return weft_compress_type(rq->type) && field_of(rq, WEFT_S("content-range")) == NULL &&
           !any_field_has(rq, WEFT_S("cache-control"), WEFT_S("no-transform"));
}

/* A part is of the plain bytes, and says what the whole would: it varies (RFC 9110 15.3.7). The
 * type of several parts is not that of the whole. */
static void part_varies(weft_req *rq)
{
    bool several = begins(rq->type, WEFT_S("multipart/byteranges"));
    if (!rq->uncoded && (several || weft_compress_type(rq->type)))
        weft_ignore(set_vary(rq)); /* a cache may be told less than it could */
}

/* Is the client to be told that nothing fits it? Only of what it came for. */
static bool may_be_refused(const weft_req *rq, uint64_t size)
{
    bool asks = rq->head.method == WEFT_GET || rq->head.method == WEFT_HEAD;
    return asks && rq->status >= 200 && rq->status < 300 && rq->status != 204 && size > 0;
}

static void refuse(weft_req *rq)
{
    weft_req_unanswer(rq);
    weft_ignore(set_vary(rq));
    weft_ignore(weft_text(rq, 406, WEFT_S("Not Acceptable"))); /* nothing is answered by now */
}

/* A coder, unless the body is for nobody. */
static bool take(weft_req *rq, enum weft_coding coding, uint64_t size)
{
    if (rq->head.method == WEFT_HEAD)
        return true;
    uint32_t index = weft_coder_pool_take(&weft_compress_of(rq)->pool, coding, size);
    if (index == WEFT_CODER_NONE) {
        weft_loop_count(rq->loop, WEFT_COUNTER_COMPRESS_FULL);
        return false;
    }
    rq->coder = (uint8_t)(index + 1);
    return true;
}

struct choice {
    enum weft_coding coding; /* IDENTITY: leave it; NONE: nothing fits */
    bool must;               /* the client does not take it uncoded */
};

/* The coding that this answer shall have, which says by then that it varies. */
static struct choice choose(weft_req *rq, uint64_t size)
{
    struct choice choice = {.coding = WEFT_CODING_IDENTITY};
    if (field_of(rq, WEFT_S("content-encoding")) != NULL)
        return choice; /* its handler has chosen, and knows what it is worth */
    if (rq->status == 206)
        part_varies(rq);
    struct weft_codings codings;
    weft_codings_of(&codings, rq);
    const struct weft_compress_options *options = &weft_compress_of(rq)->options;
    uint32_t there = WEFT_CODING_BIT(WEFT_CODING_IDENTITY);
    choice.must =
        may_be_refused(rq, size) && weft_codings_weight(&codings, WEFT_CODING_IDENTITY) == 0;
    /* Who takes coded bytes only gets them of a small body, too. */
    if (may_be_coded(rq, size, choice.must ? 1 : options->body_bytes_min) && set_vary(rq) == 0)
        there |= options->codings;
    choice.coding = weft_codings_choose(&codings, there);
    if (choice.coding == WEFT_CODING_NONE && !choice.must)
        choice.coding = WEFT_CODING_IDENTITY;
    return choice;
}

/* Coder and fields. false: the answer is as it was. */
static bool apply(weft_req *rq, enum weft_coding coding, uint64_t size)
{
    if (!take(rq, coding, size))
        return false;
    if (set_coded(rq, coding) != 0) {
        weft_compress_drop(rq);
        return false;
    }
    weft_loop_count(rq->loop, WEFT_COUNTER_COMPRESSED);
    return true;
}

/* It cannot be coded now, and may not leave as it is. */
static void refuse_for_now(weft_req *rq)
{
    weft_req_unanswer(rq);
    weft_req_fail(rq, WEFT_EFULL);
}

static weft_rc stream_begins(weft_req *rq)
{
    bool sized = rq->body.len != WEFT_LENGTH_UNKNOWN;
    struct choice choice = choose(rq, sized ? rq->body.len : UINT64_MAX);
    if (choice.coding == WEFT_CODING_NONE) {
        refuse(rq);
        return WEFT_ECANCELED;
    }
    if (choice.coding == WEFT_CODING_IDENTITY || apply(rq, choice.coding, UINT64_MAX) ||
        !choice.must)
        return 0;
    refuse_for_now(rq);
    return WEFT_EFULL;
}

/* ---- whole answers ---- */

enum small {
    SMALL_DONE,
    SMALL_LEAVE, /* it leaves as it is */
    SMALL_LARGE, /* it is not small enough for this */
};

/* At once: through the stage into the arena, so that the head can say how long it is. */
static enum small code_small(weft_req *rq, enum weft_coding coding)
{
    if (!take(rq, coding, rq->body.len))
        return SMALL_LEAVE;
    char *stage = weft_compress_slot(rq)->stage;
    struct weft_coder_io io = {rq->body.ptr, rq->body.len, stage, WEFT_CODER_STAGE_BYTES};
    weft_rc rc = weft_compress_run(rq, WEFT_CODER_FINISH, &io);
    weft_compress_drop(rq); /* its stage stays as it is until another one takes it */
    if (rc != 0)
        return rc == WEFT_NEXT ? SMALL_LARGE : SMALL_LEAVE;
    size_t len = WEFT_CODER_STAGE_BYTES - io.out_room;
    if (len > rq->body.len - rq->body.len / 16)
        return SMALL_LEAVE; /* not worth decoding */
    weft_str body = weft_str_make(weft_req_try_alloc(rq, len, WEFT_ALLOC_SITE()), len);
    if (body.ptr == NULL)
        return SMALL_LARGE;
    memcpy((char *)(uintptr_t)body.ptr, stage, len);
    rq->copied += len;
    if (set_coded(rq, coding) != 0)
        return SMALL_LEAVE;
    rq->body = body;
    weft_loop_count(rq->loop, WEFT_COUNTER_COMPRESSED);
    return SMALL_DONE;
}

/* Piece by piece, as a stream. *out_done: it was; else it is as it was. */
static weft_rc code_large(weft_req *rq, enum weft_coding coding, bool *out_done)
{
    uint8_t kind = rq->body_kind;
    weft_str body = rq->body;
    *out_done = false;
    if (weft_req_may_wait(rq) != 0 || !apply(rq, coding, body.len))
        return 0;
    *out_done = true;
    rq->body_kind = WEFT_BODY_STREAM;
    rq->body = weft_str_make(NULL, WEFT_LENGTH_UNKNOWN);
    weft_rc rc = rq->exchange->begin(rq);
    if (rc < 0) { /* its head was not queued */
        weft_req_unanswer(rq);
        weft_req_fail(rq, rc);
        return 0;
    }
    if (rq->coder != 0 && kind == WEFT_BODY_FILE)
        WEFT_TRY(weft_compress_write_file(rq, rq->file, rq->file_offset, body.len));
    else if (rq->coder != 0)
        WEFT_TRY(weft_compress_write(rq, body));
    return weft_end(rq);
}

/* Pulled through the coder. false: as it was. */
static bool code_source(weft_req *rq, enum weft_coding coding)
{
    if (!apply(rq, coding, UINT64_MAX))
        return false;
    weft_rc rc = rq->coder != 0 ? weft_compress_wrap(rq) : 0;
    if (rc != 0) { /* its head says already that it is coded */
        weft_req_unanswer(rq);
        weft_req_fail(rq, rc);
    }
    return true;
}

static weft_rc code(weft_req *rq, struct choice choice)
{
    bool done = false, source = rq->body_kind == WEFT_BODY_SOURCE;
    bool small = rq->body_kind == WEFT_BODY_MEMORY && rq->body.len <= SMALL_BYTES_MAX &&
                 rq->head.method != WEFT_HEAD && !choice.must;
    enum small result = small ? code_small(rq, choice.coding) : SMALL_LARGE;
    if (source)
        done = code_source(rq, choice.coding);
    else if (result == SMALL_LARGE)
        WEFT_TRY(code_large(rq, choice.coding, &done));
    if (!done && choice.must)
        refuse_for_now(rq);
    return 0;
}

static weft_rc answered_whole(weft_req *rq)
{
    bool ours = rq->body_kind == WEFT_BODY_MEMORY || rq->body_kind == WEFT_BODY_FILE ||
                rq->body_kind == WEFT_BODY_SOURCE;
    if (ours && rq->status == 304)
        answer_unchanged(rq);
    if (!ours || rq->body.len == 0 || rq->status == 304)
        return 0;
    struct choice choice = choose(rq, rq->body.len);
    if (choice.coding == WEFT_CODING_NONE)
        refuse(rq);
    if (choice.coding == WEFT_CODING_NONE || choice.coding == WEFT_CODING_IDENTITY)
        return 0;
    return code(rq, choice);
}

/* ---- life ---- */

size_t weft_compress_bytes(const struct weft_compress_options *options)
{
    return weft_coder_pool_bytes(options->codings, options->effort, options->coders);
}

weft_rc weft_compress_init(struct weft_compress *compress, struct weft_loop *loop,
                           struct weft_account *account,
                           const struct weft_compress_options *options)
{
    WEFT_TRY(weft_coder_pool_init(&compress->pool, loop, account, options->codings, options->effort,
                                  options->coders, options->window_ms));
    compress->options = *options;
    compress->filter = (struct weft_filter){&weft_compress_sink, stream_begins, answered_whole,
                                            weft_compress_drop};
    return 0;
}

void weft_compress_fini(struct weft_compress *compress)
{
    weft_coder_pool_fini(&compress->pool);
}
