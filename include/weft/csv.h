/* csv.h - comma-separated values (RFC 4180), row by row, in constant memory however many there are.
 *
 * A row ends with CRLF or LF; a field may be quoted, and then hold separators, line ends and
 * doubled quotes. What could be read in two ways is refused with the number of its line: a quote
 * in a field that is not quoted, text behind a closing quote, a CR by itself, an end inside quotes.
 * A byte order mark in front is dropped. An empty line is a row of one empty field.
 *
 * Lifetime: rows are borrowed for the call they are handed to.
 * Threads:  the request's worker.
 * Memory:   the arena (rule 4): row_bytes_max and 28 bytes per field that a row may have; 12 KiB
 *           by default.
 */
#ifndef WEFT_CSV_H
#define WEFT_CSV_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct weft_csv_row {
    uint64_t number;        /* of the row, from 1; a heading is a row like others */
    uint64_t line;          /* that it begins in, from 1 */
    const weft_str *fields; /* without their quotes; borrowed for the call */
    uint32_t count;         /* 1 or more */
} weft_csv_row;

/** Is given each row. May wait (rule 7).
 *  returns  0: go on; anything else ends the reading, and is what it returns */
typedef weft_rc (*weft_csv_row_fn)(weft_req *rq, const weft_csv_row *row, void *arg);

typedef struct weft_csv_opts {
    size_t size;          /* filled by the macro */
    size_t row_bytes_max; /* longest row, bytes as sent; 0: 8,192. At most 1 MiB less the fields */
    uint32_t fields_max;  /* in one row; 0: 128 */
    char separator;       /* 0: a comma */
} weft_csv_opts;
#define WEFT_CSV_OPTS(...) (&(const weft_csv_opts){.size = sizeof(weft_csv_opts), __VA_ARGS__})

/** Read a request's body of type text/csv. What is wrong with it is answered, with its line:
 *  "line 17: the row is too long" (counted).
 *  opts     WEFT_CSV_OPTS(...), or NULL
 *  fn       called for each row; arg is passed on
 *  returns  0: all rows were handed over; WEFT_ESYNTAX (400) and WEFT_ELIMIT (413: a row too long,
 *           too many fields), answered unless something was before; WEFT_EMEDIA (415);
 *           WEFT_ENOMEM; as weft_read_body(); what fn returned */
WEFT_CHECK weft_rc weft_csv_body(weft_req *rq, const weft_csv_opts *opts, weft_csv_row_fn fn,
                                 void *arg);

/* The same for bytes from elsewhere, a part of a form or a file: feed them as they come. */

typedef struct weft_csv weft_csv; /* opaque; in the arena */

/** returns  0; WEFT_ENOMEM; WEFT_EINVAL: options of another version, or a separator that is none */
WEFT_CHECK weft_rc weft_csv_begin(weft_req *rq, const weft_csv_opts *opts, weft_csv_row_fn fn,
                                  void *arg, weft_csv **out);

/** Bytes, borrowed for the call; rows that they complete are handed over.
 *  returns  as weft_csv_body(); after an error the same again */
WEFT_CHECK weft_rc weft_csv_feed(weft_csv *csv, weft_str bytes);

/** There are no more: a last row without a line end is handed over.
 *  returns  as weft_csv_feed() */
WEFT_CHECK weft_rc weft_csv_end(weft_csv *csv);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
