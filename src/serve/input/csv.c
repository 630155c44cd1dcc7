/* csv.c - see csv.h. One pass notes where fields lie, relative to their row's start, so it can stop
 * at any byte and go on with the next piece; slices are made when the row is whole. */
#include "serve/input/csv.h"
#include "base/str.h"

enum state {
    START,    /* of a field */
    PLAIN,    /* in one that is not quoted */
    QUOTED,   /* in one that is */
    QUOTE,    /* behind a quote in a quoted one: its end, or half of a doubled one */
    CR,       /* which an LF has to follow */
    ROW_OVER, /* handed over: the next byte begins another */
};

static const char byte_order_mark[3] = {'\xef', '\xbb', '\xbf'};

void weft_csv_init(struct weft_csv_parser *parser, char *row, size_t row_max, weft_str *fields,
                   struct weft_csv_mark *marks, uint32_t fields_max, char separator)
{
    weft_assert(separator != '"' && separator != '\r' && separator != '\n');
    weft_assert(row_max > sizeof(byte_order_mark) && row_max <= INT32_MAX);
    weft_assert(fields_max > 0);
    *parser = (struct weft_csv_parser){.row = row,
                                       .row_max = (uint32_t)row_max,
                                       .fields = fields,
                                       .marks = marks,
                                       .fields_max = fields_max,
                                       .line = 1,
                                       .row_line = 1,
                                       .separator = separator};
}

static int refuse(struct weft_csv_parser *parser, weft_rc rc, const char *error_z)
{
    parser->error_z = error_z;
    return rc;
}

static int too_long(struct weft_csv_parser *parser)
{
    parser->line = parser->row_line; /* where one looks for it */
    return refuse(parser, WEFT_ELIMIT, "the row is too long");
}

/* ---- fields ---- */

/* The present field ends at `end`, quotes aside. */
static bool end_field(struct weft_csv_parser *parser, uint32_t end)
{
    if (parser->count == parser->fields_max)
        return false;
    parser->marks[parser->count++] = (struct weft_csv_mark){
        .from = parser->from, .len = end - parser->from, .doubled = parser->doubled};
    parser->doubled = false;
    return true;
}

/* Every second quote goes; `to` may be the field itself. */
static weft_str undouble(char *to, weft_str field)
{
    size_t len = 0;
    for (size_t i = 0; i < field.len; i++) {
        to[len++] = field.ptr[i];
        i += field.ptr[i] == '"';
    }
    return weft_str_make(to, len);
}

static int hand_over(struct weft_csv_parser *parser, const char *base)
{
    for (uint32_t i = 0; i < parser->count; i++) {
        const struct weft_csv_mark *mark = &parser->marks[i];
        parser->fields[i] = weft_str_make(base + mark->from, mark->len);
        if (mark->doubled)
            parser->fields[i] = undouble(parser->row + mark->from, parser->fields[i]);
    }
    parser->row_count++;
    parser->state = ROW_OVER;
    return WEFT_CSV_ROW;
}

static void begin_row(struct weft_csv_parser *parser)
{
    parser->row_len = parser->at = parser->from = parser->count = 0;
    parser->doubled = false;
    parser->row_line = parser->line;
    parser->state = START;
}

/* ---- bytes ---- */

/* What a byte does that is none of the plain ones, at `parser->at` of the row. */
static int take_special(struct weft_csv_parser *parser, char c)
{
    uint32_t end = parser->at - (parser->state == QUOTE); /* of the field, if it ends here */
    if (parser->state == QUOTED) {
        parser->line += c == '\n';
        if (c == '"')
            parser->state = QUOTE;
        return WEFT_CSV_MORE;
    }
    if (c == '"') {
        if (parser->state == PLAIN)
            return refuse(parser, WEFT_ESYNTAX, "a quote in a field that is not quoted");
        parser->from += parser->state == START;
        parser->doubled |= parser->state == QUOTE;
        parser->state = QUOTED;
        return WEFT_CSV_MORE;
    }
    if (!end_field(parser, end))
        return refuse(parser, WEFT_ELIMIT, "the row has too many fields");
    parser->from = parser->at + 1;
    if (c == parser->separator)
        parser->state = START;
    else
        parser->state = c == '\r' ? CR : ROW_OVER;
    parser->line += c == '\n';
    return WEFT_CSV_MORE;
}

/* Bytes that change nothing: in quotes all but a quote and the LF, which is counted. */
static size_t plain_run(const struct weft_csv_parser *parser, const char *bytes, size_t len)
{
    size_t n = 0;
    if (parser->state == QUOTED) {
        while (n < len && bytes[n] != '"' && bytes[n] != '\n')
            n++;
        return n;
    }
    char separator = parser->separator;
    while (n < len && bytes[n] != separator && bytes[n] != '"' && bytes[n] != '\r' &&
           bytes[n] != '\n')
        n++;
    return n;
}

/* Goes on in the row until it is over or the bytes are.
 *  out_used  of bytes; parser->at has moved as far */
static int scan_row(struct weft_csv_parser *parser, const char *bytes, size_t len, size_t *out_used)
{
    size_t used = 0;
    int rc = WEFT_CSV_MORE;
    while (used < len && parser->state != ROW_OVER && rc == WEFT_CSV_MORE) {
        size_t run = parser->state <= QUOTED ? plain_run(parser, bytes + used, len - used) : 0;
        if (run > parser->row_max - parser->at)
            return too_long(parser);
        if (run > 0 && parser->state == START)
            parser->state = PLAIN;
        used += run;
        parser->at += (uint32_t)run;
        if (used == len)
            break;
        char c = bytes[used];
        bool ends = c == '\n' || c == '\r' || c == parser->separator;
        if (parser->state == CR && c != '\n')
            return refuse(parser, WEFT_ESYNTAX, "a CR that no LF follows");
        if (parser->state == QUOTE && !ends && c != '"')
            return refuse(parser, WEFT_ESYNTAX, "text behind a closing quote");
        if (parser->state == CR) {
            parser->state = ROW_OVER;
            parser->line++;
        } else {
            rc = take_special(parser, c);
        }
        used++;
        if (parser->state != ROW_OVER && parser->state != CR && parser->at++ == parser->row_max)
            return too_long(parser);
    }
    *out_used = used;
    return rc;
}

/* A mark in front of the first row is dropped; a part of one that ends is data after all. */
static size_t skip_mark(struct weft_csv_parser *parser, const char *bytes, size_t len)
{
    size_t used = 0;
    while (used < len && parser->mark_bytes < sizeof(byte_order_mark)) {
        if (bytes[used] != byte_order_mark[parser->mark_bytes]) {
            parser->at = parser->row_len = parser->mark_bytes;
            parser->state = parser->at > 0 ? PLAIN : START;
            memcpy(parser->row, byte_order_mark, parser->row_len);
            parser->mark_bytes = sizeof(byte_order_mark);
            break;
        }
        used++;
        parser->mark_bytes++;
    }
    return used;
}

int weft_csv_next(struct weft_csv_parser *parser, const char *bytes, size_t len, size_t *out_used)
{
    size_t skipped = 0, used = 0;
    *out_used = 0;
    if (parser->mark_bytes < sizeof(byte_order_mark))
        skipped = skip_mark(parser, bytes, len);
    if (skipped == len) {
        *out_used = len;
        return WEFT_CSV_MORE;
    }
    if (parser->state == ROW_OVER)
        begin_row(parser);
    const char *row = bytes + skipped;
    int rc = scan_row(parser, row, len - skipped, &used);
    if (rc < 0)
        return rc;
    *out_used = skipped + used;
    bool over = parser->state == ROW_OVER;
    if (over && parser->row_len == 0)
        return hand_over(parser, row);
    size_t keep = (size_t)parser->at - parser->row_len; /* line ends are not */
    memcpy(parser->row + parser->row_len, row, keep);
    parser->row_len = parser->at;
    return over ? hand_over(parser, parser->row) : WEFT_CSV_MORE;
}

int weft_csv_finish(struct weft_csv_parser *parser)
{
    if (parser->mark_bytes > 0 && parser->mark_bytes < sizeof(byte_order_mark)) {
        parser->at = parser->row_len = parser->mark_bytes;
        memcpy(parser->row, byte_order_mark, parser->row_len);
        parser->state = PLAIN;
    }
    if (parser->state == ROW_OVER || (parser->state == START && parser->at == 0))
        return WEFT_CSV_MORE;
    if (parser->state == QUOTED) {
        parser->line = parser->row_line;
        return refuse(parser, WEFT_ESYNTAX, "a quote that is not closed");
    }
    if (parser->state == CR)
        return refuse(parser, WEFT_ESYNTAX, "a CR that no LF follows");
    if (!end_field(parser, parser->at - (parser->state == QUOTE)))
        return refuse(parser, WEFT_ELIMIT, "the row has too many fields");
    return hand_over(parser, parser->row);
}
