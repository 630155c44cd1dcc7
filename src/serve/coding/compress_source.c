/* compress_source.c - a source between a source and the protocol: what is pulled goes through the
 * coder first. No task and no stack are held: what there is to remember lies in the arena.
 *
 * The inner source has nothing for now: what it gave so far is brought out, so that the client has
 * all of it; then the protocol hears the same.
 */
#include "serve/coding/compress_priv.h"
#include <errno.h>

#define INPUT_MAX ((size_t)64 << 10) /* in one pull that brings nothing out: a few milliseconds */

struct coded {
    weft_req *rq;
    const weft_source_ops *inner; /* borrowed: static */
    void *inner_arg;
    weft_source_ops outer;
    size_t at;             /* of the stage, where the coder goes on */
    enum weft_coder_op op; /* what it is at */
    bool over;             /* all that there is was coded */
    bool rests;            /* the inner one has nothing for now */
};

/* More into the stage, and what the coder shall do with it. */
static weft_rc refill(struct coded *coded)
{
    struct weft_coder_slot *slot = weft_compress_slot(coded->rq);
    size_t len = 0;
    weft_rc rc = coded->inner->pull(coded->inner_arg, slot->stage, WEFT_CODER_STAGE_BYTES, &len);
    coded->rests = rc == (weft_rc)-EAGAIN && slot->dirty;
    if (coded->rests)
        coded->op = WEFT_CODER_FLUSH;
    else if (rc != 0)
        return rc;
    else
        coded->op = len == 0 ? WEFT_CODER_FINISH : WEFT_CODER_MORE;
    if (len > WEFT_CODER_STAGE_BYTES)
        return WEFT_ELIMIT;
    slot->staged = (uint32_t)len;
    slot->dirty |= len > 0;
    coded->at = 0;
    return 0;
}

/* Does what it is at, as far as there is room. 0: done with that, the stage is empty. */
static weft_rc work(struct coded *coded, struct weft_coder_io *io)
{
    struct weft_coder_slot *slot = weft_compress_slot(coded->rq);
    io->in = slot->stage + coded->at;
    io->in_len = slot->staged - coded->at;
    weft_rc rc = weft_compress_run(coded->rq, coded->op, io);
    coded->at = slot->staged - io->in_len;
    if (rc != 0)
        return rc;
    slot->staged = 0;
    coded->at = 0;
    if (coded->op != WEFT_CODER_MORE)
        slot->dirty = false;
    coded->over = coded->op == WEFT_CODER_FINISH;
    coded->op = WEFT_CODER_MORE;
    return 0;
}

static weft_rc pull(void *arg, char *to, size_t room, size_t *out_len)
{
    struct coded *coded = arg;
    struct weft_coder_io io = {.out = to, .out_room = room};
    size_t taken = 0;
    if (coded->rests && coded->op == WEFT_CODER_MORE) {
        coded->rests = false;
        return (weft_rc)-EAGAIN; /* as the inner one said, before what it gave was brought out */
    }
    while (!coded->over) {
        bool flushed = coded->op == WEFT_CODER_FLUSH;
        weft_rc rc = work(coded, &io);
        *out_len = room - io.out_room;
        if (rc == WEFT_NEXT)
            return 0; /* no room left */
        if (rc < 0)
            return rc;
        if (coded->over || (*out_len > 0 && (flushed || taken >= INPUT_MAX)))
            return 0;
        rc = refill(coded);
        if (rc == (weft_rc)-EAGAIN && *out_len > 0)
            return 0; /* it says so again next time */
        if (rc != 0)
            return rc;
        taken += weft_compress_slot(coded->rq)->staged;
        if (coded->op == WEFT_CODER_MORE && taken >= INPUT_MAX)
            coded->op = WEFT_CODER_FLUSH; /* something must come out, or it would be the end */
    }
    return 0; /* nothing: the end */
}

static void close_both(void *arg)
{
    struct coded *coded = arg;
    weft_compress_drop(coded->rq);
    if (coded->inner->close != NULL)
        coded->inner->close(coded->inner_arg);
}

weft_rc weft_compress_wrap(weft_req *rq)
{
    struct coded *coded = weft_alloc(rq, sizeof(*coded));
    if (coded == NULL)
        return WEFT_ENOMEM;
    *coded = (struct coded){.rq = rq, .inner = rq->source, .inner_arg = rq->source_arg};
    coded->outer = (weft_source_ops)WEFT_SOURCE(.pull = pull, .close = close_both,
                                                .again_ms = rq->source->again_ms);
    rq->source = &coded->outer;
    rq->source_arg = coded;
    return 0;
}
