/* json_bind.c - a request's body into a struct, and what a client is told that sent another one. */
#include "serve/json/json_bind.h"
#include "base/str.h"
#include "http/message.h"
#include "http/params.h"
#include "http/service.h"
#include "serve/json/json_read.h"

#define PROBLEM_ROOM 320 /* and what path and text take when every byte is escaped */

/* ---- what it may be ---- */

/* application/json, or whatever/vendor+json (RFC 6839 3.1); JSON is UTF-8 whatever charset says. */
weft_rc weft_json_expect(weft_req *rq)
{
    weft_str header = weft_header(rq, "content-type");
    weft_str type = weft_params_first(&header);
    weft_str json = WEFT_S("+json");
    bool suffix = type.len > json.len && memchr(type.ptr, '/', type.len) != NULL &&
                  weft_str_ieq(weft_str_make(type.ptr + type.len - json.len, json.len), json);
    return weft_expect_media(rq, suffix ? type : WEFT_S("application/json"));
}

/* ---- what it is not: RFC 9457 ---- */

static weft_rc problem(weft_req *rq, int status, const weft_json_error *error)
{
    weft_json out;
    weft_str path = weft_str_z(error->path_z), text = weft_str_z(error->text_z);
    weft_str detail = path.len > 0 ? weft_format(rq, "%s %s", error->path_z, error->text_z) : text;
    weft_str body = {0};
    WEFT_TRY(weft_json_begin(rq, &out, PROBLEM_ROOM + 6 * (2 * path.len + text.len)));
    weft_json_object(&out);
    weft_json_key(&out, WEFT_S("title"));
    weft_json_str(&out, weft_status_reason(status));
    weft_json_key(&out, WEFT_S("status"));
    weft_json_i64(&out, status);
    weft_json_key(&out, WEFT_S("detail"));
    weft_json_str(&out, detail);
    weft_json_key(&out, WEFT_S("field"));
    weft_json_str(&out, path);
    weft_json_key(&out, WEFT_S("offset"));
    weft_json_u64(&out, error->offset);
    weft_json_end_object(&out);
    WEFT_TRY(weft_json_finish(&out, &body));
    return weft_reply(rq, status, WEFT_S("application/problem+json"), body);
}

static void count_refusal(weft_req *rq, weft_rc rc)
{
    weft_loop_count(rq->loop, rc == WEFT_ESYNTAX  ? WEFT_COUNTER_JSON_SYNTAX
                              : rc == WEFT_ERANGE ? WEFT_COUNTER_JSON_FIELDS
                                                  : WEFT_COUNTER_JSON_LIMIT);
}

weft_rc weft_json_refuse(weft_req *rq, const weft_json_error *error)
{
    count_refusal(rq, error->rc);
    WEFT_TRY(problem(rq, error->rc == WEFT_ELIMIT ? 413 : 400, error));
    return error->rc;
}

/* ---- reading ---- */

struct lists {
    weft_req *rq;
    struct weft_alloc_site *site;
};

static void *list_alloc(void *arg, size_t bytes)
{
    const struct lists *lists = arg;
    return weft_alloc_at(lists->rq, bytes, lists->site);
}

weft_rc weft_json_parse_in(weft_req *rq, char *text, size_t len, const weft_json_desc *desc,
                           void *out, weft_json_error *error, struct weft_alloc_site *site)
{
    struct lists lists = {rq, site};
    struct weft_json_memory memory = {list_alloc, &lists};
    return weft_json_parse(text, len, desc, out, &memory, error);
}

weft_rc(weft_json_read_text)(weft_req *rq, char *text, size_t len, const weft_json_desc *desc,
                             void *out, weft_json_error *error)
{
    return weft_json_read_text(rq, text, len, desc, out, error);
}

weft_rc weft_json_read_text_at(weft_req *rq, char *text, size_t len, const weft_json_desc *desc,
                               void *out, weft_json_error *error, struct weft_alloc_site *site)
{
    weft_rc rc = weft_json_parse_in(rq, text, len, desc, out, error, site);
    if (WEFT_UNLIKELY(rc != 0))
        count_refusal(rq, rc);
    return rc;
}

weft_rc(weft_json_read)(weft_req *rq, const weft_json_desc *desc, void *out)
{
    return weft_json_read(rq, desc, out);
}

weft_rc weft_json_read_at(weft_req *rq, const weft_json_desc *desc, void *out,
                          struct weft_alloc_site *site)
{
    weft_str body = {0};
    weft_json_error error;
    WEFT_TRY(weft_json_expect(rq));
    WEFT_TRY(weft_body_at(rq, &body, site));
    /* The body is this request's own, in a buffer or in its arena: it may be written. */
    char *text = (char *)(uintptr_t)body.ptr;
    weft_rc rc = weft_json_parse_in(rq, text, body.len, desc, out, &error, site);
    return WEFT_LIKELY(rc == 0) ? 0 : weft_json_refuse(rq, &error);
}
