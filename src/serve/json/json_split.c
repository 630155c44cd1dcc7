/* json_split.c - see json_split.h. */
#include "serve/json/json_split.h"
#include "base/str.h"
#include "serve/json/json_scan.h"

static int wrong(struct weft_json_split *split, weft_rc rc, const char *error_z)
{
    split->error_z = error_z;
    return rc;
}

/* Within a string: behind its closing quote, or the end of the piece. */
static size_t pass_string(struct weft_json_split *split, weft_str piece, size_t at)
{
    while (at < piece.len) {
        if (split->escaped) {
            split->escaped = false;
            at++;
            continue;
        }
        at += weft_json_plain(piece.ptr + at, piece.len - at);
        if (at == piece.len)
            break;
        char c = piece.ptr[at++];
        split->escaped = c == '\\';
        if (c == '"') {
            split->in_string = false;
            break;
        }
    }
    return at;
}

/* Within an object: behind its last bracket, or the end of the piece. */
static size_t pass_object(struct weft_json_split *split, weft_str piece, size_t at)
{
    while (at < piece.len && split->depth > 0) {
        if (split->in_string) {
            at = pass_string(split, piece, at);
            continue;
        }
        char c = piece.ptr[at++];
        if (c == '"')
            split->in_string = true;
        else if (c == '{' || c == '[')
            split->depth++;
        else if (c == '}' || c == ']')
            split->depth--;
    }
    return at;
}

static int object_part(struct weft_json_split *split, weft_str piece, size_t from, size_t *used,
                       weft_str *out)
{
    size_t at = from;
    if (split->depth == 0) { /* its first bracket */
        split->depth = 1;
        at++;
    }
    size_t end = pass_object(split, piece, at);
    *out = weft_str_make(piece.ptr + from, end - from);
    *used = end;
    split->offset += end - from;
    if (split->depth > 0)
        return WEFT_SPLIT_PART;
    split->state = WEFT_SPLIT_BEHIND;
    return WEFT_SPLIT_LAST;
}

/* One byte that is no space, outside of objects; it may begin one. */
static int between(struct weft_json_split *split, char c)
{
    bool may_close = split->state == WEFT_SPLIT_FIRST || split->state == WEFT_SPLIT_BEHIND;
    if (may_close && c == ']') {
        split->state = WEFT_SPLIT_END;
        return 0;
    }
    switch ((enum weft_json_split_state)split->state) {
    case WEFT_SPLIT_START:
        if (c != '[')
            return wrong(split, WEFT_ERANGE, "must be a list");
        split->state = WEFT_SPLIT_FIRST;
        return 0;
    case WEFT_SPLIT_BEHIND:
        if (c != ',')
            return wrong(split, WEFT_ESYNTAX, "a comma or ] is expected");
        split->state = WEFT_SPLIT_COMMA;
        return 0;
    case WEFT_SPLIT_FIRST:
    case WEFT_SPLIT_COMMA:
        split->count++;
        if (c != '{')
            return wrong(split, WEFT_ERANGE, "must be an object");
        split->state = WEFT_SPLIT_OBJECT;
        return 0;
    case WEFT_SPLIT_OBJECT:
    case WEFT_SPLIT_END:
        break;
    }
    return wrong(split, WEFT_ESYNTAX, "something behind the value");
}

int weft_json_split_next(struct weft_json_split *split, weft_str piece, size_t *used, weft_str *out)
{
    for (size_t at = 0; at < piece.len; at++) {
        char c = piece.ptr[at];
        if (split->state != WEFT_SPLIT_OBJECT && !weft_json_is_space(c)) {
            int rc = between(split, c);
            if (rc < 0)
                return rc;
        }
        if (split->state == WEFT_SPLIT_OBJECT)
            return object_part(split, piece, at, used, out);
        split->offset++;
    }
    *used = piece.len;
    return WEFT_SPLIT_MORE;
}

weft_rc weft_json_split_end(struct weft_json_split *split)
{
    if (split->state == WEFT_SPLIT_END)
        return 0;
    split->error_z = "the text ends early";
    return WEFT_ESYNTAX;
}
