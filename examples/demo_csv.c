/* demo_csv.c - CSV of any size in constant memory: /csv/{name} sends a file below --root with its
 * lines in upper case; POST /csv/stats counts what it is sent. */
#include "demo.h"
#include <errno.h>

#define BUFFER_BYTES                                                                               \
    ((size_t)48 << 10)                 /* what takes less time per byte than this is not worth it */
#define SMALL_BYTES ((size_t)15 << 10) /* in the arena, whose next chunk is 16 KiB */
#define TURN_BYTES  ((size_t)1 << 20)  /* after so many others have their turn */

/* Lines on their way. Eight of each worker's requests have a large buffer; more of them share the
 * processor anyway, and make do with a small one. */
struct lines {
    char bytes[BUFFER_BYTES];
};

static void leave_as_it_is(void *lines)
{
    (void)lines; /* it is written before it is read: there is nothing to zero */
}

WEFT_OBJECTS(csv_lines, struct lines, 8, .per_worker = true, .reset = leave_as_it_is);

struct holding {
    weft_handle handle;
};

static void let_go(void *arg)
{
    struct holding *holding = arg;
    weft_ignore(weft_object_put(csv_lines, holding->handle)); /* it is ours */
}

/* A large buffer for the rest of the request; NULL: there is none left. */
static weft_rc take_lines(weft_req *rq, struct lines **out)
{
    struct holding *holding = weft_alloc(rq, sizeof(*holding));
    if (holding == NULL)
        return WEFT_ENOMEM;
    *out = weft_object_take(csv_lines, &holding->handle);
    if (*out == NULL)
        return WEFT_OK;
    weft_rc rc = weft_defer(rq, let_go, holding);
    if (rc != 0)
        let_go(holding);
    return rc;
}

/* As tr a-z A-Z: ASCII letters, and nothing else. One that vectorizes. */
static void upper(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        text[i] = (char)(c - ((unsigned char)(c - 'a') < 26 ? 32 : 0));
    }
}

static weft_rc send_lines(weft_req *rq, weft_reader *reader)
{
    for (size_t turn = 0;;) {
        char *lines = NULL;
        size_t len = 0;
        WEFT_TRY(weft_reader_lines(reader, &lines, &len));
        if (len == 0)
            return weft_end(rq);
        upper(lines, len);
        WEFT_TRY(weft_write(rq, (weft_str){lines, len}));
        turn += len;
        if (turn >= TURN_BYTES) {
            turn = 0;
            WEFT_TRY(weft_sleep_ms(rq, 0));
        }
    }
}

static weft_rc csv(weft_req *rq)
{
    weft_reader *reader = NULL;
    struct lines *lines = NULL;
    WEFT_TRY(take_lines(rq, &lines));
    weft_rc rc = weft_reader_open(rq, weft_param(rq, "name"), lines != NULL ? lines->bytes : NULL,
                                  lines != NULL ? BUFFER_BYTES : SMALL_BYTES, &reader);
    if (rc == WEFT_ENOTFOUND)
        return weft_text(rq, 404, WEFT_S("File not found"));
    if (rc == (weft_rc)-EACCES)
        return weft_text(rq, 403, WEFT_S("Forbidden"));
    if (rc != 0)
        return rc;
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/csv")));
    if (weft_equal(weft_method(rq), WEFT_S("HEAD")))
        return weft_end(rq);
    return send_lines(rq, reader);
}

/* ---- what is sent to us ---- */

struct stats {
    uint64_t rows, fields, bytes, fields_max;
};

static weft_rc count_row(weft_req *rq, const weft_csv_row *row, void *arg)
{
    (void)rq;
    struct stats *stats = arg;
    stats->rows = row->number;
    stats->fields += row->count;
    if (row->count > stats->fields_max)
        stats->fields_max = row->count;
    for (uint32_t i = 0; i < row->count; i++)
        stats->bytes += row->fields[i].len;
    return WEFT_OK;
}

static weft_rc csv_stats(weft_req *rq)
{
    struct stats stats = {0};
    weft_json json;
    WEFT_TRY(weft_csv_body(rq, NULL, count_row, &stats));
    WEFT_TRY(weft_json_begin(rq, &json, 256));
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("rows"));
    weft_json_u64(&json, stats.rows);
    weft_json_key(&json, WEFT_S("fields"));
    weft_json_u64(&json, stats.fields);
    weft_json_key(&json, WEFT_S("widest"));
    weft_json_u64(&json, stats.fields_max);
    weft_json_key(&json, WEFT_S("bytes"));
    weft_json_u64(&json, stats.bytes);
    weft_json_end_object(&json);
    return weft_json_send(rq, 200, &json);
}

void weft_demo_csv(weft_app *app)
{
    weft_app_objects(app, csv_lines);
    weft_get(app, "/csv/{name}", csv);
    weft_route(app, "POST", "/csv/stats", csv_stats, WEFT_ROUTE_OPTS(.body_unlimited = true));
}
