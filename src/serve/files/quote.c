/* quote.c - see quote.h. Written in runs: most names need no care. */
#include "serve/files/quote.h"
#include "base/str.h"

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == '/';
}

static size_t escape(char *to, unsigned char c)
{
    to[0] = '%';
    to[1] = "0123456789ABCDEF"[c >> 4];
    to[2] = "0123456789ABCDEF"[c & 15];
    return 3;
}

size_t weft_quote_path(char *to, weft_str path)
{
    size_t at = 0;
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        if (is_plain(c))
            to[at++] = (char)c;
        else
            at += escape(to + at, c);
    }
    return at;
}

weft_rc weft_quote_path_write(weft_req *rq, weft_str path)
{
    while (path.len > 0) {
        size_t run = 0;
        while (run < path.len && is_plain((unsigned char)path.ptr[run]))
            run++;
        char text[3];
        weft_str piece = weft_str_make(path.ptr, run);
        if (run == 0) {
            piece = weft_str_make(text, escape(text, (unsigned char)path.ptr[0]));
            run = 1;
        }
        WEFT_TRY(weft_write(rq, piece));
        path = weft_str_make(path.ptr + run, path.len - run);
    }
    return 0;
}

static weft_str reference(char c)
{
    switch (c) {
    case '&':
        return WEFT_S("&amp;");
    case '<':
        return WEFT_S("&lt;");
    case '>':
        return WEFT_S("&gt;");
    case '"':
        return WEFT_S("&quot;");
    case '\'':
        return WEFT_S("&#39;");
    default:
        return (weft_str){0};
    }
}

weft_rc weft_quote_html_write(weft_req *rq, weft_str text)
{
    while (text.len > 0) {
        size_t run = 0;
        while (run < text.len && reference(text.ptr[run]).len == 0)
            run++;
        WEFT_TRY(weft_write(rq, weft_str_make(text.ptr, run)));
        if (run == text.len)
            return 0;
        WEFT_TRY(weft_write(rq, reference(text.ptr[run])));
        text = weft_str_make(text.ptr + run + 1, text.len - run - 1);
    }
    return 0;
}
