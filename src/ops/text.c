/* text.c - see text.h. */
#include "ops/text.h"

static void flush(struct weft_text *text)
{
    if (text->rc >= 0 && text->len > 0)
        text->rc = text->put(text->ctx, weft_str_make(text->room, text->len));
    text->len = 0;
}

void weft_text_add(struct weft_text *text, const char *format, ...)
{
    va_list args;
    for (int attempt = 0; attempt < 2 && text->rc >= 0; attempt++) {
        size_t left = WEFT_TEXT_PIECE_BYTES - text->len;
        va_start(args, format);
        size_t len = weft_vfmt(text->room + text->len, left, format, args);
        va_end(args);
        if (len <= left) {
            text->len += len;
            return;
        }
        weft_debug_assert(len <= WEFT_TEXT_PIECE_BYTES);
        flush(text); /* an empty room holds it */
    }
}

/* RFC 8259 7: what is not plain ASCII as \u00NN. Patterns of routes are bytes; where they are
 * UTF-8 they are read back as one character per byte, which names them well enough. */
void weft_text_json(struct weft_text *text, weft_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            weft_text_add(text, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            weft_text_add(text, "\\u%04x", c);
        else
            weft_text_add(text, "%c", c);
    }
}

void weft_text_label(struct weft_text *text, weft_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\n')
            weft_text_add(text, "\\n");
        else
            weft_text_add(text, s.ptr[i] == '"' || s.ptr[i] == '\\' ? "\\%c" : "%c", s.ptr[i]);
    }
}

weft_rc weft_text_end(struct weft_text *text)
{
    flush(text);
    return text->rc < 0 ? text->rc : 0;
}
