/* csv_fuzz.c - any bytes as CSV: in one piece, byte by byte and in pieces of 7, the rows and the
 * verdict are the same; and rows that are written again, each field quoted, read the same. */
#include "base/str.h"
#include "serve/input/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROW_MAX    256
#define FIELDS_MAX 16
#define AGAIN_MAX  (1 << 16)

struct outcome {
    int verdict;
    uint64_t rows;
    uint64_t line; /* of an error */
    uint64_t hash; /* of all fields: FNV-1a */
    const char *error_z;
};

/* Rows, written again. */
static struct {
    char text[AGAIN_MAX];
    size_t len;
    bool full;
} again;

static void write_again(char c)
{
    again.full |= again.len == sizeof(again.text);
    if (!again.full)
        again.text[again.len++] = c;
}

static void add(struct outcome *outcome, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        outcome->hash = (outcome->hash ^ (uint8_t)text[i]) * 0x100000001b3u;
}

static void add_row(struct outcome *outcome, const struct weft_csv_parser *parser, bool keep)
{
    weft_assert(parser->count > 0);
    weft_assert(parser->count <= FIELDS_MAX);
    outcome->rows++;
    add(outcome, "\n", 1);
    for (uint32_t i = 0; i < parser->count; i++) {
        add(outcome, "|", 1);
        add(outcome, parser->fields[i].ptr, parser->fields[i].len);
        if (!keep)
            continue;
        write_again(i > 0 ? ',' : '\n'); /* a line end in front: no byte order mark can be made */
        write_again('"');
        for (size_t k = 0; k < parser->fields[i].len; k++) {
            write_again(parser->fields[i].ptr[k]);
            if (parser->fields[i].ptr[k] == '"')
                write_again('"');
        }
        write_again('"');
    }
}

static struct outcome read_in(const char *bytes, size_t len, size_t piece, size_t row_max,
                              bool keep)
{
    static char row[AGAIN_MAX];
    static weft_str fields[FIELDS_MAX];
    static struct weft_csv_mark marks[FIELDS_MAX];
    struct weft_csv_parser parser;
    struct outcome outcome = {.hash = 0xcbf29ce484222325u};
    weft_csv_init(&parser, row, row_max, fields, marks, FIELDS_MAX, ',');
    for (size_t at = 0; at < len && outcome.verdict >= 0; at += piece) {
        size_t n = WEFT_MIN(piece, len - at), looked = 0;
        while (looked < n && outcome.verdict >= 0) {
            size_t used = 0;
            outcome.verdict = weft_csv_next(&parser, bytes + at + looked, n - looked, &used);
            looked += used;
            weft_assert(looked <= n);
            weft_assert(outcome.verdict < 0 || used > 0);
            if (outcome.verdict == WEFT_CSV_ROW)
                add_row(&outcome, &parser, keep);
        }
    }
    if (outcome.verdict >= 0)
        outcome.verdict = weft_csv_finish(&parser);
    if (outcome.verdict == WEFT_CSV_ROW)
        add_row(&outcome, &parser, keep);
    if (outcome.verdict < 0)
        outcome.line = parser.line;
    outcome.error_z = parser.error_z;
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    again.len = 0;
    again.full = false;
    struct outcome whole = read_in(bytes, size, size > 0 ? size : 1, ROW_MAX, true);
    const size_t pieces[] = {1, 7};
    for (size_t i = 0; i < WEFT_COUNT_OF(pieces); i++) {
        struct outcome split = read_in(bytes, size, pieces[i], ROW_MAX, false);
        weft_assert(split.verdict == whole.verdict);
        weft_assert(split.rows == whole.rows);
        weft_assert(split.line == whole.line);
        weft_assert(split.hash == whole.hash);
        weft_assert(split.error_z == whole.error_z);
    }
    if (again.full || whole.verdict < 0 || whole.rows == 0)
        return 0;
    struct outcome written = read_in(again.text + 1, again.len - 1, again.len, AGAIN_MAX, false);
    weft_assert(written.verdict >= 0);
    weft_assert(written.rows == whole.rows);
    weft_assert(written.hash == whole.hash);
    return 0;
}
