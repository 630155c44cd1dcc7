/* page.c - which part of a list the query asks for, and which fields: weft/json.h. */
#include "base/str.h"
#include "http/message.h"
#include "http/service.h"
#include "serve/json/json.h"

/* Tells what is wrong with a parameter.
 *  returns  WEFT_ERANGE, answered */
static weft_rc refuse(weft_req *rq, weft_str text)
{
    weft_loop_count(rq->loop, WEFT_COUNTER_JSON_FIELDS);
    if (text.ptr == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_fail(rq, 400, text));
    return WEFT_ERANGE;
}

static weft_rc number(weft_req *rq, const char *name_z, uint64_t most, uint64_t *out)
{
    weft_str text = weft_query_param(rq, weft_str_z(name_z));
    if (text.ptr == NULL)
        return 0; /* as it was */
    uint64_t value = 0;
    if (weft_str_to_u64(text, &value) == 0 && value >= 1 && value <= most) {
        *out = value;
        return 0;
    }
    return refuse(rq, weft_format(rq, "%s must be 1 to %llu", name_z, (unsigned long long)most));
}

weft_rc weft_query_page(weft_req *rq, uint32_t size, uint32_t size_max, weft_page *out)
{
    uint64_t number_wanted = 1;
    uint64_t size_wanted = size;
    weft_assert(size >= 1);
    weft_assert(size <= size_max);
    WEFT_TRY(number(rq, "size", size_max, &size_wanted));
    WEFT_TRY(number(rq, "page", UINT64_MAX / size_wanted, &number_wanted));
    out->number = number_wanted;
    out->size = (uint32_t)size_wanted;
    out->first = (number_wanted - 1) * size_wanted;
    return 0;
}

static uint64_t field_bit(const weft_json_desc *desc, weft_str name)
{
    for (uint32_t i = 0; i < desc->field_count; i++)
        if (weft_str_eq(weft_str_make(desc->fields[i].name_z, desc->fields[i].name_len), name))
            return UINT64_C(1) << i;
    return 0;
}

weft_rc weft_query_fields(weft_req *rq, const weft_json_desc *desc, weft_json_fields *out)
{
    weft_str left = weft_query_param(rq, WEFT_S("fields"));
    weft_json_fields wanted = left.ptr == NULL ? WEFT_JSON_ALL : 0;
    while (left.ptr != NULL) {
        const char *comma = left.len > 0 ? memchr(left.ptr, ',', left.len) : NULL;
        size_t len = comma != NULL ? (size_t)(comma - left.ptr) : left.len;
        weft_str name = weft_str_make(left.ptr, len);
        uint64_t bit = field_bit(desc, name);
        if (bit == 0)
            return refuse(rq, weft_format(rq, "fields: no field \"%.*s\"",
                                          (int)WEFT_MIN(name.len, (size_t)64), name.ptr));
        wanted |= bit;
        left = comma != NULL ? weft_str_make(comma + 1, left.len - len - 1) : (weft_str){0};
    }
    *out = wanted;
    return 0;
}
