/* multipart.c - see multipart.h. */
#include "serve/input/multipart.h"
#include "base/str.h"
#include "http/params.h"

enum state {
    PREAMBLE,
    DATA,
    AFTER,      /* right behind a delimiter */
    AFTER_DASH, /* one '-' of the last one's two */
    AFTER_PAD,  /* spaces that some gateway added (RFC 2046 5.1.1) */
    AFTER_CR,
    HEAD,
    OVER,
};

/* bchars of RFC 2046 5.1.1. */
static bool boundary_good(weft_str boundary)
{
    if (boundary.len == 0 || boundary.len > WEFT_MULTIPART_BOUNDARY_BYTES_MAX ||
        boundary.ptr[boundary.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < boundary.len; i++) {
        char c = boundary.ptr[i], lower = (char)(c | 0x20);
        bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (c == 0 || strchr("'()+_,-./:=? ", c) == NULL))
            return false;
    }
    return true;
}

static weft_rc find_boundary(weft_str params, weft_str *out)
{
    struct weft_param_pair pair;
    weft_str found = {0};
    for (;;) {
        weft_rc rc = weft_params_next(&params, &pair);
        if (rc < 0)
            return rc;
        if (rc != WEFT_NEXT)
            break;
        if (!weft_str_ieq(pair.name, WEFT_S("boundary")))
            continue;
        if (found.ptr != NULL)
            return WEFT_ESYNTAX; /* whichever we take, somebody else takes the other */
        found = pair.value;
    }
    *out = found;
    return boundary_good(found) ? 0 : WEFT_ESYNTAX;
}

weft_rc weft_multipart_init(struct weft_multipart_parser *parser, weft_str content_type)
{
    weft_str rest = content_type, boundary = {0};
    if (!weft_str_ieq(weft_params_first(&rest), WEFT_S("multipart/form-data")))
        return WEFT_EMEDIA;
    WEFT_TRY(find_boundary(rest, &boundary));
    memset(parser, 0, offsetof(struct weft_multipart_parser, delimiter));
    memcpy(parser->delimiter, "\r\n--", 4);
    memcpy(parser->delimiter + 4, boundary.ptr, boundary.len);
    parser->delimiter_len = (uint8_t)(4 + boundary.len);
    parser->matched = 2; /* the first one may stand at the very beginning */
    parser->implied = true;
    return 0;
}

/* ---- a part's head ---- */

/* What browsers write for the bytes that cannot stand between quotes (WHATWG HTML, multipart
 * encoding): these three, and no others. */
static size_t decode_three(char *text, size_t len)
{
    static const struct {
        char code[4];
        char byte;
    } codes[] = {{"%22", '"'}, {"%0D", '\r'}, {"%0A", '\n'}};
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        for (size_t k = 0; c == '%' && k < WEFT_COUNT_OF(codes); k++) {
            if (len - i >= 3 && memcmp(text + i, codes[k].code, 3) == 0) {
                c = codes[k].byte;
                i += 2;
            }
        }
        text[to++] = c;
    }
    return to;
}

/* The value lies in the parser's own head. */
static weft_str decode_value(struct weft_multipart_parser *parser,
                             const struct weft_param_pair *pair)
{
    if (!pair->quoted)
        return pair->value;
    char *text = parser->head + (pair->value.ptr - parser->head);
    size_t len = weft_params_unquote(text, pair->value);
    return weft_str_make(text, decode_three(text, len));
}

static weft_rc set_once(weft_str *to, weft_str value)
{
    if (to->ptr != NULL)
        return WEFT_ESYNTAX;
    *to = value;
    return 0;
}

/* Content-Disposition: form-data; name="..."; filename="..." (RFC 7578 4.2). filename* is not for
 * forms, and is passed over. */
static weft_rc read_disposition(struct weft_multipart_parser *parser, weft_str value)
{
    weft_form_part *part = &parser->part;
    if (part->name.ptr != NULL || !weft_str_ieq(weft_params_first(&value), WEFT_S("form-data")))
        return WEFT_ESYNTAX;
    for (;;) {
        struct weft_param_pair pair;
        weft_rc rc = weft_params_next(&value, &pair);
        if (rc < 0)
            return rc;
        if (rc != WEFT_NEXT)
            break;
        if (weft_str_ieq(pair.name, WEFT_S("name")))
            WEFT_TRY(set_once(&part->name, decode_value(parser, &pair)));
        else if (weft_str_ieq(pair.name, WEFT_S("filename")))
            WEFT_TRY(set_once(&part->filename, decode_value(parser, &pair)));
    }
    return part->name.ptr != NULL ? 0 : WEFT_ESYNTAX;
}

/* RFC 7578 4.7: nobody sends it; what is not plain bytes would be taken for some. */
static weft_rc check_coding(weft_str coding)
{
    bool plain = weft_str_ieq(coding, WEFT_S("binary")) || weft_str_ieq(coding, WEFT_S("8bit")) ||
                 weft_str_ieq(coding, WEFT_S("7bit"));
    return plain ? 0 : WEFT_ESYNTAX;
}

static weft_rc read_line(struct weft_multipart_parser *parser, weft_str line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL || colon == line.ptr || line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return WEFT_ESYNTAX;
    for (size_t i = 0; i < line.len; i++) {
        unsigned char c = (unsigned char)line.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return WEFT_ESYNTAX;
    }
    weft_str name = weft_str_make(line.ptr, (size_t)(colon - line.ptr));
    weft_str value = weft_str_trim(weft_str_make(colon + 1, line.len - name.len - 1));
    if (weft_str_ieq(name, WEFT_S("content-disposition")))
        return read_disposition(parser, value);
    if (weft_str_ieq(name, WEFT_S("content-type")))
        return set_once(&parser->part.type, value);
    if (weft_str_ieq(name, WEFT_S("content-transfer-encoding")))
        return check_coding(value);
    return 0;
}

/* Behind the last separator of either kind: browsers once sent whole paths, and others still may.
 */
static weft_str last_component(weft_str filename)
{
    size_t from = filename.len;
    while (from > 0 && filename.ptr[from - 1] != '/' && filename.ptr[from - 1] != '\\')
        from--;
    weft_str last = weft_str_make(filename.ptr + from, filename.len - from);
    bool dots = weft_str_eq(last, WEFT_S(".")) || weft_str_eq(last, WEFT_S(".."));
    return dots ? WEFT_S("") : last;
}

static weft_rc read_head(struct weft_multipart_parser *parser)
{
    weft_form_part *part = &parser->part;
    const char *at = parser->head, *end = parser->head + parser->head_len - 2; /* the empty line */
    *part = (weft_form_part){0};
    while (at < end) {
        const char *cr = memchr(at, '\r', (size_t)(end - at));
        if (cr == NULL || cr[1] != '\n')
            return WEFT_ESYNTAX;
        WEFT_TRY(read_line(parser, weft_str_make(at, (size_t)(cr - at))));
        at = cr + 2;
    }
    if (part->name.ptr == NULL)
        return WEFT_ESYNTAX;
    if (part->filename.ptr != NULL)
        part->filename = last_component(part->filename);
    if (part->type.len == 0)
        part->type = WEFT_S("text/plain");
    return 0;
}

/* Does the head end here? Before its first line there is a CR LF too: the delimiter's. */
static bool head_ends(const struct weft_multipart_parser *parser)
{
    const char *end = parser->head + parser->head_len;
    if (parser->head_len == 2)
        return memcmp(parser->head, "\r\n", 2) == 0;
    return parser->head_len >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0;
}

static int take_head(struct weft_multipart_parser *parser, const char *bytes, size_t len,
                     size_t *out_used)
{
    size_t used = 0;
    while (used < len) {
        if (parser->head_len == sizeof(parser->head))
            return WEFT_ELIMIT;
        parser->head[parser->head_len++] = bytes[used++];
        if (bytes[used - 1] != '\n' || !head_ends(parser))
            continue;
        *out_used = used;
        parser->state = DATA;
        parser->matched = 2; /* a part without data may have no CR LF of its own for the next one */
        parser->implied = true;
        weft_rc rc = read_head(parser);
        return rc < 0 ? (int)rc : WEFT_MULTIPART_PART;
    }
    *out_used = used;
    return WEFT_MULTIPART_MORE;
}

/* ---- delimiters ---- */

/* Goes on with a delimiter of which some was seen at the end of earlier bytes.
 *  returns  false: it is none, and `matched` bytes of it were data */
static bool match_on(struct weft_multipart_parser *parser, const char *bytes, size_t len,
                     size_t *at)
{
    while (parser->matched < parser->delimiter_len) {
        if (*at == len)
            return true;
        if (bytes[*at] != parser->delimiter[parser->matched])
            return false;
        parser->matched++;
        (*at)++;
    }
    return true;
}

/* Where the next delimiter begins, or what may be the beginning of one: a CR begins it and is not
 * in it again, so there is nothing to go back for.
 *  out_matched  bytes of it that are there
 *  returns      len: nowhere */
static size_t find_delimiter(const struct weft_multipart_parser *parser, const char *bytes,
                             size_t from, size_t len, size_t *out_matched)
{
    for (size_t at = from; at < len; at++) {
        const char *cr = memchr(bytes + at, '\r', len - at);
        if (cr == NULL)
            break;
        at = (size_t)(cr - bytes);
        size_t n = WEFT_MIN(len - at, (size_t)parser->delimiter_len);
        if (memcmp(cr, parser->delimiter, n) == 0) {
            *out_matched = n;
            return at;
        }
    }
    *out_matched = 0;
    return len;
}

/* Bytes that were held back and are data after all. */
static weft_str release(struct weft_multipart_parser *parser)
{
    size_t from = parser->implied ? 2 : 0;
    weft_str data = weft_str_make(parser->delimiter + from, parser->matched - from);
    parser->matched = 0;
    parser->implied = false;
    return data;
}

/* Data up to the next delimiter, or nothing and then the delimiter itself. */
static int take_data(struct weft_multipart_parser *parser, const char *bytes, size_t len,
                     size_t *out_used, weft_str *out_data)
{
    size_t at = 0, matched = 0;
    if (parser->matched > 0) {
        bool still = match_on(parser, bytes, len, &at);
        *out_used = at;
        if (still && parser->matched < parser->delimiter_len)
            return WEFT_MULTIPART_MORE;
        if (still)
            return WEFT_MULTIPART_END;
        *out_data = release(parser);
        if (out_data->len > 0)
            return WEFT_MULTIPART_DATA;
    }
    size_t end = find_delimiter(parser, bytes, at, len, &matched);
    parser->matched = (uint8_t)matched;
    *out_used = end + matched;
    *out_data = weft_str_make(bytes + at, end - at);
    if (end > at)
        return WEFT_MULTIPART_DATA;
    return parser->matched == parser->delimiter_len ? WEFT_MULTIPART_END : WEFT_MULTIPART_MORE;
}

/* The bytes behind a delimiter, up to the end of its line. */
static int take_line_end(struct weft_multipart_parser *parser, char c)
{
    switch (parser->state) {
    case AFTER_DASH:
        parser->state = OVER;
        return c == '-' ? WEFT_MULTIPART_MORE : (int)WEFT_ESYNTAX;
    case AFTER_CR:
        parser->state = HEAD;
        parser->head_len = 0;
        if (parser->part_count++ == WEFT_MULTIPART_PARTS_MAX)
            return WEFT_ELIMIT;
        return c == '\n' ? WEFT_MULTIPART_MORE : (int)WEFT_ESYNTAX;
    default:
        if (c == '-' && parser->state == AFTER)
            parser->state = AFTER_DASH;
        else if (c == ' ' || c == '\t')
            parser->state = AFTER_PAD;
        else if (c == '\r')
            parser->state = AFTER_CR;
        else
            return WEFT_ESYNTAX;
        return WEFT_MULTIPART_MORE;
    }
}

/* One step; MORE also where it is to be called again with the rest of the same bytes. */
static int step(struct weft_multipart_parser *parser, const char *bytes, size_t len,
                size_t *out_used, weft_str *out_data)
{
    bool preamble = parser->state == PREAMBLE;
    int event;
    if (parser->state == HEAD)
        return take_head(parser, bytes, len, out_used);
    if (parser->state != DATA && !preamble) {
        *out_used = 1;
        return take_line_end(parser, bytes[0]);
    }
    event = take_data(parser, bytes, len, out_used, out_data);
    if (event == WEFT_MULTIPART_END) {
        parser->state = AFTER;
        parser->matched = 0;
        parser->implied = false;
    }
    if (!preamble)
        return event;
    if (event == WEFT_MULTIPART_DATA)
        parser->preamble_bytes += (uint32_t)out_data->len;
    bool long_one = parser->preamble_bytes > WEFT_MULTIPART_PREAMBLE_BYTES_MAX;
    return long_one ? (int)WEFT_ELIMIT : WEFT_MULTIPART_MORE;
}

int weft_multipart_next(struct weft_multipart_parser *parser, const char *bytes, size_t len,
                        size_t *out_used, weft_str *out_data)
{
    size_t used = 0;
    int event = WEFT_MULTIPART_MORE;
    /* A delimiter that is complete waits without a byte of its own. */
    bool due = parser->state <= DATA && parser->matched == parser->delimiter_len;
    while (event == WEFT_MULTIPART_MORE && (used < len || due) && parser->state != OVER) {
        size_t step_used = 0;
        event = step(parser, bytes + used, len - used, &step_used, out_data);
        used += step_used;
        due = parser->state <= DATA && parser->matched == parser->delimiter_len;
    }
    *out_used = used;
    return event == WEFT_MULTIPART_MORE && parser->state == OVER ? WEFT_MULTIPART_DONE : event;
}
