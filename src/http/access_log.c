/* access_log.c - a line per request, gathered per worker and written together: a system call per
 * line would cost more than the request. */
#include "http/middleware.h"
#include "base/fmt.h"
#include "http/receipt.h"
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

/* Without waiting where the kernel can do that (pipes, files); a terminal is written to as it is.
 */
static ssize_t write_now(const char *text, size_t len)
{
    struct iovec piece = {(void *)(uintptr_t)text, len};
    ssize_t n = pwritev2(STDOUT_FILENO, &piece, 1, -1, RWF_NOWAIT);
    return n < 0 && errno == EOPNOTSUPP ? write(STDOUT_FILENO, text, len) : n;
}

/* Nobody reads: lines are dropped, requests are not held up. */
static void drop(struct weft_access_log *log, size_t at)
{
    for (; at < log->len; at++)
        if (log->lines[at] == '\n')
            weft_loop_count(log->loop, WEFT_COUNTER_ACCESS_LOG_DROPPED);
}

void weft_access_log_flush(struct weft_access_log *log)
{
    size_t at = 0;
    while (at < log->len) {
        ssize_t n = write_now(log->lines + at, log->len - at);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    drop(log, at);
    log->len = 0;
}

static void flush_due(struct weft_timer *timer)
{
    weft_access_log_flush(WEFT_CONTAINER_OF(timer, struct weft_access_log, flush));
}

weft_rc weft_access_log_init(struct weft_access_log *log, struct weft_account *account,
                             struct weft_loop *loop)
{
    void *lines = NULL;
    WEFT_TRY(weft_account_map(account, WEFT_ACCESS_LOG_BYTES, &lines));
    *log = (struct weft_access_log){.lines = lines, .loop = loop, .account = account};
    log->flush.fire = flush_due;
    weft_account_commit(account, (ptrdiff_t)WEFT_ACCESS_LOG_BYTES); /* full sooner or later */
    return 0;
}

void weft_access_log_fini(struct weft_access_log *log)
{
    if (log->lines == NULL)
        return;
    weft_access_log_flush(log);
    weft_timer_disarm(&log->loop->wheel, &log->flush);
    weft_account_commit(log->account, -(ptrdiff_t)WEFT_ACCESS_LOG_BYTES);
    weft_account_unmap(log->account, log->lines, WEFT_ACCESS_LOG_BYTES);
    *log = (struct weft_access_log){0};
}

/* Quotes, backslashes and bytes outside ASCII as \xNN (text) or \u00NN (JSON): a request cannot
 * forge a line. */
static size_t escape(char *to, size_t room, weft_str text, bool json)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len && at + 6 < room; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\')
            to[at++] = (char)c;
        else
            at += weft_fmt(to + at, room - at, json ? "\\u%04x" : "\\x%02x", c);
    }
    return at;
}

static size_t format(const weft_req *rq, char *to, size_t room)
{
    bool json = rq->service->site->access == WEFT_ACCESS_JSON;
    char target[1024], peer[64];
    size_t peer_len = rq->exchange->peer((weft_req *)(uintptr_t)rq, peer, sizeof(peer));
    size_t target_len =
        escape(target, sizeof(target), weft_span_str(rq->base, rq->head.target), json);
    weft_str method = weft_span_str(rq->base, rq->head.method_name);
    uint64_t us = (rq->loop->clock.now_ns - rq->started_ns) / 1000;
    struct weft_receipt r;
    weft_receipt_read(rq, &r);
    const char *line =
        json ? "{\"time\":\"%.*s\",\"peer\":\"%.*s\",\"method\":\"%.*s\",\"target\":\"%.*s\","
               "\"status\":%d,\"bytes\":%llu,\"us\":%llu,\"arena\":%zu,\"arena_held\":%zu,"
               "\"arena_peak\":%zu,\"copied\":%zu,\"pool_slots\":%u}\n"
             : "[%.*s] %.*s \"%.*s %.*s\" %d %llu %lluus arena=%zu held=%zu peak=%zu copied=%zu "
               "slots=%u\n";
    return weft_fmt(to, room, line, WEFT_HTTP_DATE_BYTES, rq->loop->clock.date, (int)peer_len, peer,
                    (int)method.len, method.ptr, (int)target_len, target, rq->status,
                    (unsigned long long)weft_answered_bytes(rq), (unsigned long long)us, r.asked,
                    r.held, r.peak, r.copied, r.pool_slots);
}

void weft_access_log_after(weft_req *rq)
{
    struct weft_access_log *log = &rq->service->access_log;
    if (log->lines == NULL)
        return;
    if (WEFT_ACCESS_LOG_BYTES - log->len < WEFT_ACCESS_LOG_LINE_MAX)
        weft_access_log_flush(log);
    if (log->len == 0)
        weft_timer_arm(&log->loop->wheel, &log->flush,
                       log->loop->now_ms + WEFT_ACCESS_LOG_FLUSH_MS);
    size_t len = format(rq, log->lines + log->len, WEFT_ACCESS_LOG_LINE_MAX);
    log->len += WEFT_MIN(len, (size_t)WEFT_ACCESS_LOG_LINE_MAX);
}
