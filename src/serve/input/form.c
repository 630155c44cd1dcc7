/* form.c - urlencoded forms: the body is decoded where the arena has it, so a field costs two
 * slices. */
#include "serve/input/form.h"
#include "base/str.h"
#include "http/message.h"
#include "http/urlencoded.h"

size_t weft_form_fields_at_most(weft_str body)
{
    size_t count = body.len > 0;
    for (size_t i = 0; i < body.len; i++)
        count += body.ptr[i] == '&';
    return count;
}

/* Decoded text is never longer, so it fits where it was. */
static weft_rc decode(char *text, weft_str part, weft_str *out)
{
    char *to = text + (part.ptr - text);
    size_t len = 0;
    if (weft_urlencoded_plain(part)) {
        *out = part;
        return 0;
    }
    WEFT_TRY(weft_urlencoded_decode(to, part, &len));
    *out = weft_str_make(to, len);
    return 0;
}

weft_rc weft_form_decode(char *text, size_t len, weft_form_field *fields, size_t *out_count)
{
    weft_str rest = {text, len}, name, value;
    size_t count = 0;
    while (weft_urlencoded_next(&rest, &name, &value)) {
        weft_form_field *field = &fields[count++];
        *field = (weft_form_field){.value = WEFT_S("")};
        WEFT_TRY(decode(text, name, &field->name));
        if (value.ptr != NULL)
            WEFT_TRY(decode(text, value, &field->value));
    }
    *out_count = count;
    return 0;
}

weft_rc weft_form_read(weft_req *rq, weft_form *out)
{
    weft_str body = {0};
    WEFT_TRY(weft_expect_media(rq, WEFT_S("application/x-www-form-urlencoded")));
    WEFT_TRY(weft_body(rq, &body));
    size_t most = weft_form_fields_at_most(body), count = 0;
    if (most > WEFT_FORM_FIELDS_MAX) {
        weft_loop_count(rq->loop, WEFT_COUNTER_FORM_FIELDS);
        return WEFT_ELIMIT;
    }
    weft_form_field *fields = weft_alloc(rq, WEFT_MAX(most, (size_t)1) * sizeof(*fields));
    if (fields == NULL)
        return WEFT_ENOMEM;
    /* The body is this request's own copy. */
    weft_rc rc = weft_form_decode((char *)(uintptr_t)body.ptr, body.len, fields, &count);
    if (rc != 0) {
        weft_loop_count(rq->loop, WEFT_COUNTER_FORM_BAD);
        return rc;
    }
    *out = (weft_form){.fields = fields, .count = count};
    return 0;
}

weft_str weft_form_value(const weft_form *form, weft_str name)
{
    for (size_t i = 0; i < form->count; i++)
        if (weft_str_eq(form->fields[i].name, name))
            return form->fields[i].value;
    return (weft_str){0};
}
