/* demo_csv.c - CSV of any size in constant memory: /csv/{name} sends a file below --root with its
 * lines in upper case; POST /csv/stats counts what it is sent. */
#include "demo.h"

#define BUFFER_BYTES (15 << 10) /* of lines; an arena chunk is 16 KiB */
#define TURN_BYTES   (1 << 20)  /* after so many others have their turn */

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
    weft_rc rc = weft_reader_open(rq, weft_param(rq, "name"), BUFFER_BYTES, &reader);
    if (rc == WEFT_ENOTFOUND)
        return weft_text(rq, 404, WEFT_S("File not found"));
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
    weft_get(app, "/csv/{name}", csv);
    weft_route(app, "POST", "/csv/stats", csv_stats, WEFT_ROUTE_OPTS(.body_unlimited = true));
}
