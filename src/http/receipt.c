/* receipt.c - see receipt.h. */
#include "http/receipt.h"
#include "http/service.h"
#include "base/fmt.h"

static size_t body_copied(const weft_req *rq)
{
    bool sent = rq->body_kind == WEFT_BODY_MEMORY && rq->head.method != WEFT_HEAD;
    bool moves = sent && weft_req_body_moves(rq, rq->service->site->limits.inline_body_bytes);
    return moves ? rq->body.len : 0;
}

void weft_receipt_read(const weft_req *rq, struct weft_receipt *out)
{
    *out = (struct weft_receipt){
        .asked = rq->arena.asked,
        .held = rq->arena.held,
        .peak = rq->held_peak,
        .copied = rq->copied + body_copied(rq),
        .pool_slots = rq->pool_slots,
    };
}

size_t weft_receipt_line(const weft_req *rq, char *to)
{
    struct weft_receipt r;
    weft_receipt_read(rq, &r);
    size_t len =
        weft_fmt(to, WEFT_RECEIPT_LINE_BYTES,
                 "Server-Timing: mem;desc=\"arena=%zu held=%zu peak=%zu copied=%zu slots=%u\"\r\n",
                 r.asked, r.held, r.peak, r.copied, r.pool_slots);
    weft_assert(len <= WEFT_RECEIPT_LINE_BYTES);
    return len;
}
