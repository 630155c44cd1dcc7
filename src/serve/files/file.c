/* file.c - see file.h. */
#include "serve/files/file.h"
#include "base/clock.h"
#include "base/fmt.h"
#include "base/str.h"
#include "http/coding.h"
#include "http/message.h"
#include "http/service.h"
#include "serve/files/byteranges.h"
#include "serve/files/conditional.h"
#include "serve/files/mime.h"
#include <errno.h>

/* ---- what is asked ---- */

struct asked {
    struct weft_conditions conditions;
    weft_str range;
};

/* A list may come on several lines (RFC 9110 5.3), which nobody does. */
static weft_str joined(weft_req *rq, weft_str before, weft_str value)
{
    if (before.ptr == NULL)
        return value.ptr == NULL ? WEFT_S("") : value;
    return weft_format(rq, "%.*s, %.*s", (int)before.len, before.ptr, (int)value.len, value.ptr);
}

/* Of the others there is one or none: two do not read, like one that makes no sense. */
static weft_str only(weft_str before, weft_str value)
{
    return before.ptr == NULL && value.ptr != NULL ? value : WEFT_S("");
}

/* One walk over the header lines, told apart by their length first. */
static void ask(weft_req *rq, struct asked *asked)
{
    struct weft_conditions *c = &asked->conditions;
    for (size_t i = 0; i < weft_header_count(rq); i++) {
        weft_str name, value;
        weft_header_at(rq, i, &name, &value);
        if (name.len == 5 && weft_str_ieq(name, WEFT_S("range")))
            asked->range = only(asked->range, value);
        else if (name.len == 8 && weft_str_ieq(name, WEFT_S("if-range")))
            c->if_range = only(c->if_range, value);
        else if (name.len == 8 && weft_str_ieq(name, WEFT_S("if-match")))
            c->if_match = joined(rq, c->if_match, value);
        else if (name.len == 13 && weft_str_ieq(name, WEFT_S("if-none-match")))
            c->if_none_match = joined(rq, c->if_none_match, value);
        else if (name.len == 17 && weft_str_ieq(name, WEFT_S("if-modified-since")))
            c->if_modified_since = only(c->if_modified_since, value);
        else if (name.len == 19 && weft_str_ieq(name, WEFT_S("if-unmodified-since")))
            c->if_unmodified_since = only(c->if_unmodified_since, value);
    }
}

/* ---- which representation ---- */

/* What is answered with. */
struct choice {
    const struct weft_open_file *file;
    weft_str type; /* of the file, not of its coding */
    weft_str etag;
    enum weft_coding coding;
    bool varies; /* by Accept-Encoding */
    bool none;   /* of what lies there is taken by the client, and nobody codes on the way */
};

static bool is_older(const struct weft_open_file *a, const struct weft_open_file *b)
{
    return a->mtime_s < b->mtime_s || (a->mtime_s == b->mtime_s && a->mtime_ns < b->mtime_ns);
}

/* The file beside it with that coding's ending; one that is older than the file is of what it was
 * before. NULL, and 0: there is none. */
static weft_rc open_sibling(weft_req *rq, int root_fd, weft_str path, const struct choice *plain,
                            enum weft_coding coding, const struct weft_open_file **out)
{
    weft_str ending = weft_coding_ending(coding);
    weft_str name =
        weft_format(rq, "%.*s%.*s", (int)path.len, path.ptr, (int)ending.len, ending.ptr);
    if (name.ptr == NULL)
        return WEFT_ENOMEM;
    weft_rc rc = weft_open_file(rq, root_fd, name, out);
    if (rc == 0 && is_older(*out, plain->file))
        *out = NULL;
    bool none = rc == (weft_rc)-ENOENT || rc == (weft_rc)-EISDIR || rc == (weft_rc)-EACCES;
    return none ? 0 : rc;
}

/* Another coding is another representation: its tag is another one, should all else be the same. */
static weft_rc take_sibling(weft_req *rq, struct choice *choice, enum weft_coding coding,
                            const struct weft_open_file *file)
{
    weft_str name = weft_coding_name(coding);
    weft_str etag = weft_format(rq, "%.*s-%.*s\"", (int)file->etag.len - 1, file->etag.ptr,
                                (int)name.len, name.ptr);
    if (etag.ptr == NULL)
        return WEFT_ENOMEM;
    choice->file = file;
    choice->etag = etag;
    choice->coding = coding;
    return 0;
}

/* The best coding that the client takes and that lies there. */
static weft_rc choose_coding(weft_req *rq, int root_fd, weft_str path, struct choice *choice)
{
    struct weft_codings codings;
    uint32_t there = (1u << WEFT_CODING_COUNT) - 1;
    choice->varies = true;
    weft_codings_of(&codings, rq);
    for (;;) {
        enum weft_coding coding = weft_codings_choose(&codings, there);
        const struct weft_open_file *file = NULL;
        choice->none = coding == WEFT_CODING_NONE && rq->service->filter == NULL;
        if (coding == WEFT_CODING_IDENTITY || coding == WEFT_CODING_NONE)
            return 0;
        there &= ~WEFT_CODING_BIT(coding);
        if (weft_open_file_known_to_lack(rq, choice->file, coding))
            continue;
        WEFT_TRY(open_sibling(rq, root_fd, path, choice, coding, &file));
        if (file != NULL)
            return take_sibling(rq, choice, coding, file);
        weft_open_file_lacks(rq, choice->file, coding);
    }
}

/* ---- the answer ---- */

/* Last-Modified may not lie ahead of Date (RFC 9110 8.8.2.1). */
static uint64_t modified_s(const weft_req *rq, const struct weft_open_file *file)
{
    uint64_t s = file->mtime_s < 0 ? 0 : (uint64_t)file->mtime_s;
    return WEFT_MIN(s, weft_now_s(rq));
}

/* Is the file what the request's target is? As the answer to another method it is what a handler
 * has to say of its work: conditions were about the target and came before the work (13.2.1),
 * ranges are for GET (14.2), and validators would be the target's (8.8). */
static bool is_of_target(const weft_req *rq)
{
    return rq->head.method == WEFT_GET || rq->head.method == WEFT_HEAD;
}

static weft_rc set_validators(weft_req *rq, const struct choice *choice)
{
    char *date = weft_alloc(rq, WEFT_HTTP_DATE_BYTES);
    if (date == NULL)
        return WEFT_ENOMEM;
    weft_http_date(date, modified_s(rq, choice->file));
    WEFT_TRY(
        weft_req_put_field(rq, WEFT_S("Last-Modified"), weft_str_make(date, WEFT_HTTP_DATE_BYTES)));
    return weft_req_put_field(rq, WEFT_S("ETag"), choice->etag);
}

/* What 200, 206 and 304 say alike (15.4.5). */
static weft_rc set_headers(weft_req *rq, const struct choice *choice,
                           const struct weft_file_rules *rules)
{
    if (is_of_target(rq))
        WEFT_TRY(set_validators(rq, choice));
    if (rules->cache_control.len > 0)
        WEFT_TRY(weft_req_put_field(rq, WEFT_S("Cache-Control"), rules->cache_control));
    if (choice->varies)
        WEFT_TRY(weft_req_put_field(rq, WEFT_S("Vary"), WEFT_S("Accept-Encoding")));
    return 0;
}

static weft_rc set_body_headers(weft_req *rq, const struct choice *choice,
                                const struct weft_file_rules *rules)
{
    WEFT_TRY(set_headers(rq, choice, rules));
    if (choice->coding != WEFT_CODING_IDENTITY)
        WEFT_TRY(
            weft_req_put_field(rq, WEFT_S("Content-Encoding"), weft_coding_name(choice->coding)));
    return is_of_target(rq) ? weft_req_put_field(rq, WEFT_S("Accept-Ranges"), WEFT_S("bytes")) : 0;
}

static weft_rc reply_range(weft_req *rq, const struct choice *choice, struct weft_range range)
{
    weft_str value = weft_format(rq, "bytes %llu-%llu/%llu", (unsigned long long)range.first,
                                 (unsigned long long)(range.first + range.len - 1),
                                 (unsigned long long)choice->file->size);
    if (value.ptr == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_req_put_field(rq, WEFT_S("Content-Range"), value));
    return weft_open_file_reply(rq, 206, choice->type, choice->file, range.first, range.len);
}

/* 416, with the length to ask within. */
static weft_rc reply_no_range(weft_req *rq, const struct choice *choice)
{
    weft_str value = weft_format(rq, "bytes */%llu", (unsigned long long)choice->file->size);
    if (value.ptr == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_req_put_field(rq, WEFT_S("Content-Range"), value));
    return weft_text(rq, 416, WEFT_S("Range Not Satisfiable"));
}

static weft_rc reply(weft_req *rq, const struct choice *choice, const struct weft_file_rules *rules,
                     weft_str range)
{
    struct weft_ranges ranges = {0};
    enum weft_ranges_verdict verdict = WEFT_RANGES_WHOLE;
    if (range.len > 0 && rq->head.method == WEFT_GET) /* of no meaning elsewhere: 14.2 */
        verdict = weft_ranges_read(range, choice->file->size, &ranges);
    if (verdict == WEFT_RANGES_REFUSED)
        weft_loop_count(rq->loop, WEFT_COUNTER_RANGES_REFUSED);
    if (verdict == WEFT_RANGES_REFUSED || verdict == WEFT_RANGES_NONE)
        return reply_no_range(rq, choice);
    WEFT_TRY(set_body_headers(rq, choice, rules));
    if (verdict == WEFT_RANGES_WHOLE)
        return weft_open_file_reply(rq, 200, choice->type, choice->file, 0, choice->file->size);
    if (ranges.count == 1)
        return reply_range(rq, choice, ranges.at[0]);
    return weft_byteranges_reply(rq, choice->type, choice->file, &ranges);
}

static weft_rc reply_not_acceptable(weft_req *rq)
{
    WEFT_TRY(weft_set_header(rq, WEFT_S("Vary"), WEFT_S("Accept-Encoding")));
    return weft_text(rq, 406, WEFT_S("Not Acceptable"));
}

static weft_rc judge(weft_req *rq, const struct choice *choice, const struct weft_file_rules *rules)
{
    struct asked asked = {0};
    struct weft_validators here = {choice->etag, modified_s(rq, choice->file), weft_now_s(rq)};
    if (!is_of_target(rq))
        return reply(rq, choice, rules, (weft_str){0});
    ask(rq, &asked);
    switch (weft_conditions_judge(&asked.conditions, &here)) {
    case WEFT_CONDITION_WRONG:
        return weft_text(rq, 412, WEFT_S("Precondition Failed"));
    case WEFT_CONDITION_SAME:
        WEFT_TRY(set_headers(rq, choice, rules));
        return weft_status(rq, 304);
    case WEFT_CONDITION_GO:
        break;
    }
    if (!weft_if_range_holds(&asked.conditions, &here))
        asked.range = (weft_str){0};
    return reply(rq, choice, rules, asked.range);
}

weft_rc weft_file_missing(weft_req *rq)
{
    return weft_text(rq, 404, WEFT_S("File not found"));
}

weft_rc weft_file_send(weft_req *rq, int root_fd, weft_str path,
                       const struct weft_file_rules *rules)
{
    struct choice choice = {.coding = WEFT_CODING_IDENTITY};
    weft_rc rc = weft_open_file(rq, root_fd, path, &choice.file);
    if (rc == (weft_rc)-EACCES)
        return weft_text(rq, 403, WEFT_S("Forbidden"));
    WEFT_TRY(rc);
    choice.etag = choice.file->etag;
    choice.type = weft_mime_type(rq->service->site->mime, path);
    if (rules->precompressed && !weft_mime_is_compressed(choice.type))
        WEFT_TRY(choose_coding(rq, root_fd, path, &choice));
    if (choice.none)
        return reply_not_acceptable(rq);
    uint8_t fields = rq->out_count;
    rc = judge(rq, &choice, rules);
    if (rc != 0 && !weft_req_answered(rq)) /* what is said of the file is not said of a 503 */
        weft_req_drop_fields(rq, fields);
    return rc;
}

weft_rc weft_file(weft_req *rq, weft_str path)
{
    static const struct weft_file_rules rules = {0};
    int root_fd = rq->service->site->root_fd;
    if (root_fd < 0)
        return weft_file_missing(rq);
    weft_rc rc = weft_file_send(rq, root_fd, path, &rules);
    bool none = rc == (weft_rc)-EISDIR || rc == (weft_rc)-ENOENT;
    return none ? weft_file_missing(rq) : rc;
}
