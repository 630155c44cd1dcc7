/* csv_req.c - CSV of a request: rows to the handler's function, and what is wrong to the client. */
#include "http/message.h"
#include "serve/input/csv.h"

#define ROW_BYTES_DEFAULT ((size_t)8192)
#define ROW_BYTES_MIN     ((size_t)64)
#define FIELDS_DEFAULT    128

struct weft_csv {
    weft_req *rq;
    weft_csv_row_fn fn;
    void *arg;
    weft_rc failed;
    struct weft_csv_parser parser;
};

weft_rc weft_csv_begin(weft_req *rq, const weft_csv_opts *opts, weft_csv_row_fn fn, void *arg,
                       weft_csv **out)
{
    static const weft_csv_opts none = {.size = sizeof(none)};
    opts = opts != NULL ? opts : &none;
    char separator = opts->separator != 0 ? opts->separator : ',';
    if (opts->size != sizeof(*opts) || separator == '"' || separator == '\r' || separator == '\n')
        return WEFT_EINVAL;
    size_t row_max = opts->row_bytes_max != 0 ? opts->row_bytes_max : ROW_BYTES_DEFAULT;
    uint32_t fields_max = opts->fields_max != 0 ? opts->fields_max : FIELDS_DEFAULT;
    row_max = WEFT_ALIGN_UP(WEFT_MIN(WEFT_MAX(row_max, ROW_BYTES_MIN), (size_t)INT32_MAX - 16),
                            (size_t)16);
    size_t field_bytes = sizeof(weft_str) + sizeof(struct weft_csv_mark);
    weft_csv *csv = weft_alloc(rq, sizeof(*csv) + fields_max * field_bytes + row_max);
    if (csv == NULL)
        return WEFT_ENOMEM;
    weft_str *fields = (weft_str *)(void *)(csv + 1);
    struct weft_csv_mark *marks = (struct weft_csv_mark *)(void *)(fields + fields_max);
    *csv = (weft_csv){.rq = rq, .fn = fn, .arg = arg};
    weft_csv_init(&csv->parser, (char *)(marks + fields_max), row_max, fields, marks, fields_max,
                  separator);
    *out = csv;
    return 0;
}

/* The client is told where to look, unless an answer is on its way. */
static weft_rc refuse(weft_csv *csv, weft_rc rc)
{
    weft_req *rq = csv->rq;
    const struct weft_csv_parser *parser = &csv->parser;
    bool limit = rc == WEFT_ELIMIT;
    weft_loop_count(rq->loop, limit ? WEFT_COUNTER_CSV_LIMIT : WEFT_COUNTER_CSV_BAD);
    if (weft_req_answered(rq))
        return rc;
    weft_str text =
        weft_format(rq, "line %llu: %s\n", (unsigned long long)parser->line, parser->error_z);
    if (text.ptr != NULL)
        WEFT_TRY(weft_fail(rq, limit ? 413 : 400, text));
    return rc;
}

static weft_rc hand_over(weft_csv *csv)
{
    const struct weft_csv_parser *parser = &csv->parser;
    weft_csv_row row = {.number = parser->row_count,
                        .line = parser->row_line,
                        .fields = parser->fields,
                        .count = parser->count};
    return csv->fn(csv->rq, &row, csv->arg);
}

static weft_rc feed(weft_csv *csv, weft_str bytes)
{
    while (bytes.len > 0) {
        size_t used = 0;
        int event = weft_csv_next(&csv->parser, bytes.ptr, bytes.len, &used);
        if (event < 0)
            return refuse(csv, (weft_rc)event);
        bytes.ptr += used;
        bytes.len -= used;
        if (event != WEFT_CSV_ROW)
            continue;
        weft_rc rc = hand_over(csv);
        if (rc != 0)
            return rc;
    }
    return 0;
}

weft_rc weft_csv_feed(weft_csv *csv, weft_str bytes)
{
    if (csv->failed == 0)
        csv->failed = feed(csv, bytes);
    return csv->failed;
}

weft_rc weft_csv_end(weft_csv *csv)
{
    if (csv->failed != 0)
        return csv->failed;
    int event = weft_csv_finish(&csv->parser);
    if (event < 0)
        csv->failed = refuse(csv, (weft_rc)event);
    else if (event == WEFT_CSV_ROW)
        csv->failed = hand_over(csv);
    return csv->failed;
}

weft_rc weft_csv_body(weft_req *rq, const weft_csv_opts *opts, weft_csv_row_fn fn, void *arg)
{
    weft_csv *csv = NULL;
    WEFT_TRY(weft_expect_media(rq, WEFT_S("text/csv")));
    WEFT_TRY(weft_csv_begin(rq, opts, fn, arg, &csv));
    for (;;) {
        weft_str piece = {0};
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            return weft_csv_end(csv);
        weft_rc rc = weft_csv_feed(csv, piece);
        if (rc != 0)
            return rc;
    }
}
