/* builder.c - text that grows in a request's arena: weft/mem.h. */
#include <weft/mem.h>
#include "base/fmt.h"
#include "http/message.h"

weft_rc(weft_builder_begin)(weft_req *rq, weft_builder *builder, size_t room)
{
    return weft_builder_begin(rq, builder, room);
}

weft_rc weft_builder_begin_at(weft_req *rq, weft_builder *builder, size_t room,
                              struct weft_alloc_site *site)
{
    char *memory = weft_alloc_at(rq, room, site);
    weft_builder_over(builder, memory, memory == NULL ? 0 : room);
    builder->rq = rq;
    builder->site = site;
    builder->rc = memory == NULL ? WEFT_ENOMEM : 0;
    return builder->rc;
}

void weft_builder_over(weft_builder *builder, char *bytes, size_t room)
{
    *builder = (weft_builder){.start = bytes, .at = bytes, .end = bytes + room};
}

static bool fails(weft_builder *builder, weft_rc rc)
{
    builder->rc = rc;
    builder->end = builder->at; /* nothing fits from now on */
    return false;
}

static bool extend(weft_builder *builder, size_t room)
{
    size_t now = (size_t)(builder->end - builder->start);
    if (!weft_arena_extend(&builder->rq->arena, builder->start, now, room))
        return false;
    weft_req_extended(builder->rq, room - now, builder->site);
    builder->end = builder->start + room;
    return true;
}

static bool move(weft_builder *builder, size_t room)
{
    size_t used = (size_t)(builder->at - builder->start);
    char *memory = weft_req_try_alloc(builder->rq, room, builder->site);
    if (memory == NULL)
        return false;
    memcpy(memory, builder->start, used);
    builder->rq->copied += used;
    builder->rq->body_copied += used;
    builder->start = memory;
    builder->at = memory + used;
    builder->end = memory + room;
    return true;
}

/* Twice the room, or just what is needed: in place as long as the chunk has it, else by a copy. */
bool weft_builder_grow(weft_builder *builder, size_t more)
{
    if (builder->rc != 0)
        return false;
    if (builder->rq == NULL)
        return fails(builder, WEFT_ELIMIT);
    size_t least = (size_t)(builder->at - builder->start) + more;
    size_t twice = WEFT_MAX(2 * (size_t)(builder->end - builder->start), least);
    if (more < SIZE_MAX / 4 && (extend(builder, twice) || extend(builder, least) ||
                                move(builder, twice) || move(builder, least)))
        return true;
    weft_loop_count(builder->rq->loop, WEFT_COUNTER_ARENA_REFUSED);
    return fails(builder, WEFT_ENOMEM);
}

void weft_builder_u64(weft_builder *builder, uint64_t value)
{
    char text[WEFT_U64_TEXT_BYTES];
    weft_builder_add(builder, weft_str_make(text, weft_u64_to_text(text, value)));
}

void weft_builder_i64(weft_builder *builder, int64_t value)
{
    if (value < 0)
        weft_builder_add(builder, WEFT_S("-"));
    weft_builder_u64(builder, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void weft_builder_format(weft_builder *builder, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = (size_t)(builder->end - builder->at);
    size_t len = weft_vfmt(builder->at, room, format, args);
    if (len > room && weft_builder_grow(builder, len))
        (void)weft_vfmt(builder->at, len, format, again); /* measured before */
    if (builder->rc == 0)
        builder->at += len;
    va_end(again);
    va_end(args);
}

weft_rc weft_builder_text(const weft_builder *builder, weft_str *out)
{
    if (builder->rc == 0)
        *out = weft_str_make(builder->start, (size_t)(builder->at - builder->start));
    return builder->rc;
}
