/* allocator_admin.c - the malloc in force, turned from the admin listener: how long jemalloc keeps
 * free pages, and giving all of them back now. */
#include "app/allocator.h"
#include <weft/weft.h>
#include "base/str.h"

/* The new time from the query, or the old one when it is not there.
 *  returns  0; WEFT_ERANGE: not a number of ms from -1 */
static weft_rc asked_ms(weft_req *rq, weft_str name, ssize_t *ms)
{
    weft_str text = weft_query_param(rq, name);
    int64_t value = 0;
    if (text.len == 0)
        return 0;
    if (weft_str_to_i64(text, &value) != 0 || value < -1)
        return WEFT_ERANGE;
    *ms = (ssize_t)value;
    return 0;
}

static void write_decay(weft_json *json, weft_str name, const struct weft_profile_decay *decay)
{
    weft_json_key(json, name);
    weft_json_object(json);
    weft_json_key(json, WEFT_S("dirty_ms"));
    weft_json_i64(json, decay->dirty_ms);
    weft_json_key(json, WEFT_S("muzzy_ms"));
    weft_json_i64(json, decay->muzzy_ms);
    weft_json_end_object(json);
}

static weft_rc decay_answer(weft_req *rq, const struct weft_profile_decay *was,
                            const struct weft_profile_decay *is)
{
    weft_json json;
    WEFT_TRY(weft_json_begin(rq, &json, 512));
    weft_json_object(&json);
    write_decay(&json, WEFT_S("was"), was);
    write_decay(&json, WEFT_S("is"), is);
    weft_json_end_object(&json);
    return weft_json_send(rq, 200, &json);
}

static weft_rc decay(weft_req *rq)
{
    struct weft_profile_decay was, is;
    if (weft_profile_decay_get(&was) != 0)
        return weft_text(rq, 409,
                         WEFT_S("jemalloc is not loaded: start with --mem-profile throughput, "
                                "balanced or aggressive\n"));
    is = was;
    bool good = asked_ms(rq, WEFT_S("dirty_ms"), &is.dirty_ms) == 0 &&
                asked_ms(rq, WEFT_S("muzzy_ms"), &is.muzzy_ms) == 0;
    bool same = is.dirty_ms == was.dirty_ms && is.muzzy_ms == was.muzzy_ms;
    if (!good || (!same && weft_profile_decay_set(is) != 0))
        return weft_text(rq, 400,
                         WEFT_S("dirty_ms and muzzy_ms are milliseconds; 0: at once, -1: never\n"));
    WEFT_TRY(weft_profile_decay_get(&is)); /* as jemalloc has it now */
    return decay_answer(rq, &was, &is);
}

static weft_rc purge(weft_req *rq)
{
    struct weft_profile_stats before, after;
    weft_json json;
    weft_profile_stats(&before);
    if (weft_profile_purge() != 0)
        return weft_text(rq, 409, WEFT_S("this malloc cannot be asked to give pages back\n"));
    weft_profile_stats(&after);
    WEFT_TRY(weft_json_begin(rq, &json, 512));
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("allocator"));
    weft_json_str(&json, weft_str_z(after.allocator_z));
    weft_json_key(&json, WEFT_S("allocated"));
    weft_json_u64(&json, after.allocated);
    weft_json_key(&json, WEFT_S("resident_before"));
    weft_json_u64(&json, before.resident);
    weft_json_key(&json, WEFT_S("resident_after"));
    weft_json_u64(&json, after.resident);
    weft_json_end_object(&json);
    return weft_json_send(rq, 200, &json);
}

void weft_allocator_routes(weft_app *admin)
{
    weft_post(admin, "/memory/decay", decay);
    weft_post(admin, "/memory/purge", purge);
}
