/* csv.h - the syntax of CSV (RFC 4180): bytes in, rows out, whatever pieces the bytes come in.
 *
 * A row that lies whole in what is fed is not copied; one that comes in pieces is gathered in a
 * buffer, and so are fields whose doubled quotes have to go.
 *
 * Lifetime: fields: until the next call; slices of what was fed or of the buffer.
 * Threads:  one at a time.
 * Memory:   the caller's buffers.
 */
#ifndef WEFT_SERVE_INPUT_CSV_H
#define WEFT_SERVE_INPUT_CSV_H

#include <weft/csv.h>
#include "base/base.h"

enum weft_csv_event {
    WEFT_CSV_MORE, /* all bytes are used: feed more, or finish */
    WEFT_CSV_ROW,  /* parser->fields, count */
};

/* Where a field lies within its row. */
struct weft_csv_mark {
    uint32_t from;
    uint32_t len;
    bool doubled; /* quotes are, in it */
};

struct weft_csv_parser {
    char *row;                   /* borrowed: room for row_max bytes */
    weft_str *fields;            /* borrowed: fields_max of them */
    struct weft_csv_mark *marks; /* borrowed: as many */
    uint32_t row_max, fields_max;
    uint32_t row_len;   /* of this row, gathered in `row` */
    uint32_t at;        /* of this row, looked at; the row's start: 0 */
    uint32_t from;      /* where the present field begins */
    uint32_t count;     /* fields so far */
    uint64_t line;      /* the present one, from 1 */
    uint64_t row_line;  /* that the row begins in */
    uint64_t row_count; /* rows handed over */
    uint8_t state;      /* private */
    uint8_t mark_bytes; /* of a byte order mark, seen */
    char separator;
    bool doubled;
    const char *error_z; /* after an error: what is wrong in `line`; static */
};

/** row, fields and marks are room for row_max bytes and fields_max fields; separator: no quote, CR
 *  or LF. */
void weft_csv_init(struct weft_csv_parser *parser, char *row, size_t row_max, weft_str *fields,
                   struct weft_csv_mark *marks, uint32_t fields_max, char separator);

/** Look at bytes until a row is complete.
 *  returns  an enum weft_csv_event, or WEFT_ESYNTAX, WEFT_ELIMIT: see error_z; not called again */
WEFT_CHECK int weft_csv_next(struct weft_csv_parser *parser, const char *bytes, size_t len,
                             size_t *out_used);

/** There are no more bytes.
 *  returns  WEFT_CSV_ROW: a last one; WEFT_CSV_MORE: none; WEFT_ESYNTAX */
WEFT_CHECK int weft_csv_finish(struct weft_csv_parser *parser);

#endif
