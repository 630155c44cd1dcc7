/* message.c - the public face of a request and its response. */
#include "http/message.h"
#include "base/fmt.h"
#include "http/escape.h"
#include "http/hold.h"
#include "http/filter.h"
#include "http/params.h"
#include "http/service.h"
#include <unistd.h>

#define SLEEP_MS_MAX ((uint64_t)1 << 40) /* 34 years */

/* ---- life ---- */

void weft_req_init(weft_req *rq, const struct weft_exchange_ops *exchange,
                   struct weft_service *service, void *stream)
{
    memset(&rq->body_read, 0, offsetof(weft_req, arena) - offsetof(weft_req, body_read));
    memset(&rq->body_kind, 0, offsetof(weft_req, file_offset) - offsetof(weft_req, body_kind));
    rq->exchange = exchange;
    rq->service = service;
    rq->loop = service->loop;
    rq->stream = stream;
    rq->route = NULL;
    rq->body_max = service->site->limits.body_bytes_max;
    weft_arena_init(&rq->arena, &service->loop->chunks, 0);
    rq->usage = service->usage.routes;
    rq->receipt = service->site->receipt;
    rq->pool_slots = 1;
    rq->started_ns = service->loop->clock.now_ns;
    rq->file = -1;
    rq->out_fields = rq->out_inline;
    rq->trailers = NULL;
    rq->match.param_count = 0;
    if (weft_slots_registered() > 0)
        memset(rq->slots, 0, sizeof(rq->slots));
}

static void run_defers(weft_req *rq)
{
    while (rq->defers != NULL) {
        struct weft_defer_call *call = rq->defers;
        rq->defers = call->next;
        call->fn(call->arg);
    }
}

static void drop_coder(weft_req *rq)
{
    if (WEFT_UNLIKELY(rq->coder != 0))
        rq->service->filter->drop(rq);
}

const struct weft_exchange_ops *weft_req_sink(const weft_req *rq)
{
    return WEFT_UNLIKELY(rq->coder != 0) ? rq->service->filter->sink : rq->exchange;
}

void weft_req_finish(weft_req *rq)
{
    weft_assert(rq->task == NULL);
    if (rq->defers != NULL)
        run_defers(rq);
    if (WEFT_UNLIKELY(rq->due == WEFT_DUE_SOURCE))
        weft_source_close(rq->source, rq->source_arg);
    else if (WEFT_UNLIKELY(rq->due == WEFT_DUE_HELD))
        rq->loop->holder->cancel(rq->loop, rq->held);
    if (rq->timed)
        weft_timer_disarm(&rq->loop->wheel, &rq->deadline);
    if (rq->promised > 0 && rq->route != NULL) /* one that was refused says nothing */
        weft_histories_add(&rq->service->histories, rq->route->index, weft_arena_peak(&rq->arena));
    weft_escape_look(rq);
    drop_coder(rq);
    weft_req_release(rq);
}

/* ---- waiting ---- */

weft_rc weft_req_wait(weft_req *rq, enum weft_wait kind)
{
    struct weft_tasks *tasks = &rq->loop->tasks;
    if (rq->canceled != 0 && kind != WEFT_WAIT_SEND && kind != WEFT_WAIT_JOB)
        return rq->canceled;
    if (tasks->current == NULL)
        return WEFT_ESTATE;
    if (weft_tasks_full(tasks)) {
        weft_loop_count(rq->loop, WEFT_COUNTER_SHED_STACKS);
        return WEFT_EFULL;
    }
    weft_loop_count(rq->loop, WEFT_COUNTER_TASKS_WAITED);
    struct weft_task *task = tasks->current;
    rq->task = task;
    rq->wait = (uint8_t)kind;
    size_t stack = WEFT_ALIGN_UP((size_t)((char *)(task + 1) - (char *)__builtin_frame_address(0)),
                                 WEFT_PAGE_BYTES);
    weft_usage_add(&rq->usage->waits, 1);
    if (!rq->waited)
        rq->pool_slots += 2; /* the stack, and the buffer that its head lies in */
    rq->waited = true;
    weft_usage_hold(&rq->usage->stack, stack);
    weft_hold_end(rq);
    weft_rc rc = weft_task_wait(tasks);
    weft_hold_begin(rq);
    weft_usage_drop(&rq->usage->stack, stack);
    return rc;
}

void weft_req_resume(weft_req *rq, weft_rc rc)
{
    weft_assert(rq->task != NULL);
    struct weft_task *task = rq->task;
    rq->task = NULL;
    rq->wait = WEFT_WAIT_NONE;
    /* The object that rq sits in stays until settle() lets it go. */
    weft_task_resume(&rq->loop->tasks, task, rc);
    rq->exchange->settle(rq);
}

void weft_req_cancel(weft_req *rq, weft_rc rc)
{
    if (rq->canceled == 0) {
        rq->canceled = rc;
        weft_loop_count(rq->loop, WEFT_COUNTER_CANCELED);
    }
    bool waits = rq->task != NULL; /* else its answer is on the way */
    if (waits && (rq->wait == WEFT_WAIT_TIME || rq->wait == WEFT_WAIT_FD))
        weft_req_resume(rq, rc);
    else if (!waits || rq->wait == WEFT_WAIT_SEND || rq->wait == WEFT_WAIT_RECV)
        rq->exchange->interrupt(rq);
}

/* May this request leave its stack now? Tells the protocol, which lets queued answers leave. Asked
 * once: the last stack never waits, so a task that may wait now still may after it has waited. */
weft_rc weft_req_may_wait(weft_req *rq)
{
    if (rq->canceled != 0)
        return rq->canceled;
    if (rq->loop->tasks.current == NULL)
        return WEFT_ESTATE; /* a deferred call: it has no stack that could be left */
    if (weft_tasks_full(&rq->loop->tasks)) {
        weft_loop_count(rq->loop, WEFT_COUNTER_SHED_STACKS);
        return WEFT_EFULL;
    }
    return weft_req_sink(rq)->pause(rq);
}

/* A wait for time or for a descriptor, on the task's own stack. */
struct nap {
    struct weft_timer timer;
    struct weft_watch watch;
    weft_req *rq;
    uint32_t revents;
};

static void nap_over(struct weft_timer *timer)
{
    struct nap *nap = WEFT_CONTAINER_OF(timer, struct nap, timer);
    weft_req_resume(nap->rq, 0);
}

weft_rc weft_sleep_ms(weft_req *rq, uint64_t ms)
{
    WEFT_TRY(weft_req_may_wait(rq));
    struct nap nap = {.rq = rq, .timer = {.fire = nap_over}};
    weft_timer_arm(&rq->loop->wheel, &nap.timer, rq->loop->now_ms + WEFT_MIN(ms, SLEEP_MS_MAX));
    weft_rc rc = weft_req_wait(rq, WEFT_WAIT_TIME);
    weft_timer_disarm(&rq->loop->wheel, &nap.timer);
    return rc;
}

static void nap_ready(struct weft_watch *watch, uint32_t revents)
{
    struct nap *nap = WEFT_CONTAINER_OF(watch, struct nap, watch);
    nap->revents = revents;
    weft_req_resume(nap->rq, 0);
}

static void nap_late(struct weft_timer *timer)
{
    struct nap *nap = WEFT_CONTAINER_OF(timer, struct nap, timer);
    weft_req_resume(nap->rq, WEFT_EDEADLINE);
}

weft_rc weft_wait_fd(weft_req *rq, int fd, uint32_t events, uint64_t ms, uint32_t *out_revents)
{
    WEFT_TRY(weft_req_may_wait(rq));
    struct nap nap = {.rq = rq, .timer = {.fire = nap_late}, .watch = {.ready = nap_ready}};
    WEFT_TRY(weft_loop_watch(rq->loop, &nap.watch, fd, events));
    if (ms != 0)
        weft_timer_arm(&rq->loop->wheel, &nap.timer, rq->loop->now_ms + ms);
    weft_rc rc = weft_req_wait(rq, WEFT_WAIT_FD);
    weft_timer_disarm(&rq->loop->wheel, &nap.timer);
    if (rc != 0)
        weft_loop_unwatch(rq->loop, &nap.watch);
    else
        *out_revents = nap.revents;
    return rc;
}

/* An offloaded call: made on a pool thread, told to the loop by a post. */
struct job {
    struct weft_offload_job offload;
    struct weft_post post;
    weft_req *rq;
    void (*fn)(void *arg);
    void *arg;
};

static void job_run(struct weft_offload_job *offload)
{
    struct job *job = WEFT_CONTAINER_OF(offload, struct job, offload);
    job->fn(job->arg);
}

static void job_over(struct weft_post *post)
{
    struct job *job = WEFT_CONTAINER_OF(post, struct job, post);
    weft_req_resume(job->rq, 0);
}

static void job_done(struct weft_offload_job *offload)
{
    struct job *job = WEFT_CONTAINER_OF(offload, struct job, offload);
    weft_loop_post(job->rq->loop, &job->post);
}

weft_rc weft_offload(weft_req *rq, void (*fn)(void *arg), void *arg)
{
    WEFT_TRY(weft_req_may_wait(rq));
    struct job job = {.rq = rq, .fn = fn, .arg = arg};
    job.offload.run = job_run;
    job.offload.done = job_done;
    job.post.run = job_over;
    weft_rc rc = weft_offload_submit(rq->service->site->offload, &job.offload);
    if (rc == WEFT_EFULL)
        weft_loop_count(rq->loop, WEFT_COUNTER_OFFLOAD_FULL);
    WEFT_TRY(rc);
    rc = weft_req_wait(rq, WEFT_WAIT_JOB);
    return rc != 0 ? rc : rq->canceled;
}

uint64_t weft_now_s(const weft_req *rq)
{
    return rq->loop->clock.wall_s;
}

bool weft_closed(const weft_req *rq)
{
    return rq->canceled != 0 || rq->exchange->gone(rq);
}

/* ---- the request ---- */

weft_str weft_method(const weft_req *rq)
{
    return weft_span_str(rq->base, rq->head.method_name);
}

weft_str weft_path(const weft_req *rq)
{
    return rq->path;
}

weft_str weft_query(const weft_req *rq)
{
    return weft_span_str(rq->base, rq->head.query);
}

weft_str weft_host(const weft_req *rq)
{
    return weft_span_str(rq->base, rq->head.authority);
}

size_t weft_header_count(const weft_req *rq)
{
    return rq->head.field_count;
}

void weft_header_at(const weft_req *rq, size_t index, weft_str *out_name, weft_str *out_value)
{
    weft_assert(index < rq->head.field_count);
    *out_name = weft_span_str(rq->base, rq->fields[index].name);
    *out_value = weft_span_str(rq->base, rq->fields[index].value);
}

weft_str weft_header(const weft_req *rq, const char *name_z)
{
    weft_str name = weft_str_z(name_z);
    for (size_t i = rq->head.field_count; i-- > 0;) {
        if (rq->fields[i].name.len != name.len)
            continue;
        if (weft_str_ieq(weft_span_str(rq->base, rq->fields[i].name), name))
            return weft_span_str(rq->base, rq->fields[i].value);
    }
    return (weft_str){0};
}

weft_str weft_param(const weft_req *rq, const char *name_z)
{
    if (rq->match.param_count == 0)
        return (weft_str){0};
    return weft_match_param(&rq->match, weft_str_z(name_z));
}

uint64_t weft_param_u64(const weft_req *rq, const char *name_z)
{
    uint64_t value = 0;
    weft_ignore(
        weft_str_to_u64(weft_param(rq, name_z), &value)); /* the router checked typed ones */
    return value;
}

weft_str weft_peer(weft_req *rq)
{
    char text[64];
    size_t len = rq->exchange->peer(rq, text, sizeof(text));
    return weft_dup(rq, weft_str_make(text, len));
}

/* ---- deferred calls ---- */

weft_rc weft_defer(weft_req *rq, void (*fn)(void *arg), void *arg)
{
    bool first = rq->defers == NULL;
    struct weft_defer_call *call = first ? &rq->first_defer : weft_alloc(rq, sizeof(*call));
    if (call == NULL)
        return WEFT_ENOMEM;
    *call = (struct weft_defer_call){rq->defers, fn, arg};
    rq->defers = call;
    return 0;
}

/* ---- typed slots ---- */

static size_t slots_registered;

void weft_slot_register(struct weft_slot_def *def)
{
    size_t offset = WEFT_ALIGN_UP(slots_registered, (size_t)(def->bytes >= 8 ? 8 : 4));
    weft_assert(offset + def->bytes <=
                WEFT_SLOTS_BYTES_MAX); /* at load time: a program's mistake */
    def->offset = (uint16_t)offset;
    slots_registered = offset + def->bytes;
}

void *weft_slot_at(weft_req *rq, const struct weft_slot_def *def)
{
    return rq->slots + def->offset;
}

size_t weft_slots_registered(void)
{
    return slots_registered;
}

/* ---- the request's body ---- */

/* On any of its lines: they are one list (RFC 9110 5.3). */
static bool is_coded(const weft_req *rq)
{
    for (size_t i = 0; i < weft_header_count(rq); i++) {
        weft_str name, coding;
        weft_header_at(rq, i, &name, &coding);
        if (name.len == 16 && weft_str_ieq(name, WEFT_S("content-encoding")) && coding.len > 0 &&
            !weft_str_ieq(coding, WEFT_S("identity")))
            return true;
    }
    return false;
}

weft_rc weft_expect_media(weft_req *rq, weft_str type)
{
    weft_str named = weft_header(rq, "content-type");
    bool coded = is_coded(rq);
    if (!coded && weft_str_ieq(weft_params_first(&named), type))
        return 0;
    weft_loop_count(rq->loop, WEFT_COUNTER_MEDIA_TYPE);
    if (coded) /* the client can tell which of both it was (RFC 9110 12.5.3) */
        WEFT_TRY(weft_req_put_field(rq, WEFT_S("Accept-Encoding"), WEFT_S("identity")));
    return WEFT_EMEDIA;
}

weft_rc weft_read_body(weft_req *rq, weft_str *out)
{
    rq->body_touched = true;
    weft_req_hold_piece(rq, 0); /* it goes with the next one */
    WEFT_TRY(rq->exchange->read(rq, out));
    weft_req_hold_piece(rq, out->len);
    weft_usage_add(&rq->usage->body_bytes, out->len);
    return 0;
}

weft_rc(weft_body)(weft_req *rq, weft_str *out)
{
    return weft_body(rq, out);
}

/* Not the server is full: the body is larger than its route may hold. */
static weft_rc too_large(weft_req *rq)
{
    weft_loop_count(rq->loop, WEFT_COUNTER_BODY_TOO_LARGE);
    return WEFT_ELIMIT;
}

/* Behind `piece`, which is not all of it: sized by Content-Length where there is one, else doubled.
 */
static weft_rc gather_body(weft_req *rq, weft_str piece, char *all, size_t room, weft_str *out,
                           struct weft_alloc_site *site)
{
    size_t len = 0;
    while (piece.len > 0) {
        if (piece.len > room - len) {
            size_t larger_room = WEFT_MAX(2 * room, len + piece.len);
            char *larger = weft_alloc_at(rq, larger_room, site);
            if (larger == NULL)
                return too_large(rq);
            memcpy(larger, all, len);
            rq->copied += len;
            all = larger;
            room = larger_room;
        }
        memcpy(all + len, piece.ptr, piece.len);
        len += piece.len;
        rq->copied += piece.len;
        WEFT_TRY(weft_read_body(rq, &piece));
    }
    *out = weft_str_make(all, len);
    return 0;
}

/* What comes in one piece stays where it lies: nobody reads on, so its buffer is kept to the end.
 */
weft_rc weft_body_at(weft_req *rq, weft_str *out, struct weft_alloc_site *site)
{
    bool announced = rq->head.flags & WEFT_HEAD_HAS_LENGTH;
    size_t room = announced ? (size_t)rq->head.content_length : 1024;
    bool at_once = announced && room <= rq->loop->bufs.buffer_bytes;
    weft_str piece = {0};
    char *all = NULL;
    if (rq->head.content_length > rq->body_max)
        return WEFT_ELIMIT;
    if (at_once)
        WEFT_TRY(weft_read_body(rq, &piece));
    if (at_once && piece.len == room) {
        *out = piece;
        return 0;
    }
    all = weft_alloc_at(rq, room, site);
    if (all == NULL)
        return too_large(rq);
    if (!at_once)
        WEFT_TRY(weft_read_body(rq, &piece));
    return gather_body(rq, piece, all, room, out, site);
}

/* ---- the response ---- */

static bool field_value_good(weft_str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static weft_rc set_answer(weft_req *rq, int status, weft_str type, enum weft_body_kind kind)
{
    if (weft_req_answered(rq))
        return WEFT_ESTATE;
    if (status < 200 || status > 999)
        return WEFT_EINVAL;
    rq->status = status;
    rq->type = type;
    rq->body_kind = (uint8_t)kind;
    return 0;
}

/* A type may come from a client's own header: what could end the line is refused. */
weft_rc weft_req_answer(weft_req *rq, int status, weft_str type, enum weft_body_kind kind)
{
    return field_value_good(type) ? set_answer(rq, status, type, kind) : WEFT_EINVAL;
}

weft_rc weft_reply(weft_req *rq, int status, weft_str type, weft_str body)
{
    WEFT_TRY(weft_req_answer(rq, status, type, WEFT_BODY_MEMORY));
    rq->body = body;
    return 0;
}

weft_rc weft_text(weft_req *rq, int status, weft_str body)
{
    WEFT_TRY(set_answer(rq, status, WEFT_S("text/plain"), WEFT_BODY_MEMORY));
    rq->body = body;
    return 0;
}

weft_rc(weft_reply_copy)(weft_req *rq, int status, weft_str type, weft_str body)
{
    return weft_reply_copy(rq, status, type, body);
}

weft_rc weft_reply_copy_at(weft_req *rq, int status, weft_str type, weft_str body,
                           struct weft_alloc_site *site)
{
    weft_str copy = weft_dup_at(rq, body, site);
    if (copy.ptr == NULL && body.len > 0)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_reply(rq, status, type, copy));
    rq->body_copied += body.len;
    return 0;
}

weft_rc weft_reply_give(weft_req *rq, int status, weft_str type, weft_str body,
                        void (*release)(void *arg), void *arg)
{
    weft_rc rc = weft_defer(rq, release, arg);
    if (rc != 0) {
        release(arg);
        return rc;
    }
    return weft_reply(rq, status, type, body);
}

static void close_file(void *arg)
{
    close((int)(intptr_t)arg);
}

weft_rc weft_reply_file(weft_req *rq, int status, weft_str type, int fd, uint64_t offset,
                        uint64_t len)
{
    weft_rc rc = weft_defer(rq, close_file, (void *)(intptr_t)fd);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    WEFT_TRY(weft_req_answer(rq, status, type, WEFT_BODY_FILE));
    rq->file = fd;
    rq->file_offset = offset;
    rq->body = weft_str_make(NULL, (size_t)len);
    return 0;
}

weft_rc weft_status(weft_req *rq, int status)
{
    return weft_reply(rq, status, (weft_str){0}, (weft_str){0});
}

void weft_req_unanswer(weft_req *rq)
{
    drop_coder(rq);
    rq->body_kind = WEFT_BODY_NONE;
    rq->in_place = false;
    rq->out_count = 0;
    rq->out_fields = rq->out_inline; /* from where they move again when they are too many */
    rq->status = 0;
}

weft_rc weft_fail(weft_req *rq, int status, weft_str text)
{
    return weft_text(rq, status, text);
}

/* Where there is no room for one more, and no memory for more room, the last one gives way. */
static void set_retry(weft_req *rq)
{
    struct weft_out_field retry = {WEFT_S("Retry-After"), WEFT_S("1")};
    if (weft_req_put_field(rq, retry.name, retry.value) != 0)
        rq->out_fields[rq->out_count - 1] = retry;
}

void weft_req_fail(weft_req *rq, weft_rc rc)
{
    if (weft_req_answered(rq))
        return;
    int status = weft_rc_status(rc);
    weft_ignore(
        weft_text(rq, status, weft_status_reason(status))); /* nothing is answered: cannot fail */
    if (status == 503)
        set_retry(rq);
}

/* RFC 9110 5.6.2 token, 5.5 field value: what could end the line or the head is refused. */
static bool field_name_good(weft_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && !(c >= '0' && c <= '9') && (c == 0 || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return name.len > 0;
}

/* Framing and what stands in every head is Weft's to write: a second one would be ambiguous. */
static bool field_is_ours(weft_str name)
{
    static const weft_str ours[] = {WEFT_S("content-length"), WEFT_S("transfer-encoding"),
                                    WEFT_S("connection"),     WEFT_S("keep-alive"),
                                    WEFT_S("upgrade"),        WEFT_S("date"),
                                    WEFT_S("server"),         WEFT_S("content-type")};
    for (size_t i = 0; i < WEFT_COUNT_OF(ours); i++)
        if (weft_str_ieq(name, ours[i]))
            return true;
    return false;
}

weft_rc weft_req_check_field(weft_str name, weft_str value)
{
    if (field_is_ours(name))
        return WEFT_EINVAL;
    return field_name_good(name) && field_value_good(value) ? 0 : WEFT_EINVAL;
}

weft_rc weft_set_header(weft_req *rq, weft_str name, weft_str value)
{
    return rq->body_kind == WEFT_BODY_STREAM ? WEFT_ESTATE : weft_req_add_field(rq, name, value);
}

weft_rc weft_req_add_field(weft_req *rq, weft_str name, weft_str value)
{
    WEFT_TRY(weft_req_check_field(name, value));
    return weft_req_put_field(rq, name, value);
}

weft_rc weft_req_put_field(weft_req *rq, weft_str name, weft_str value)
{
    if (rq->out_count == WEFT_OUT_FIELDS_MAX) {
        weft_loop_count(rq->loop, WEFT_COUNTER_HEADERS_FULL);
        return WEFT_EFULL;
    }
    if (rq->out_count == WEFT_OUT_FIELDS_INLINE) {
        struct weft_out_field *more = weft_alloc(rq, WEFT_OUT_FIELDS_MAX * sizeof(*more));
        if (more == NULL)
            return WEFT_ENOMEM;
        memcpy(more, rq->out_inline, sizeof(rq->out_inline));
        rq->out_fields = more;
    }
    rq->out_fields[rq->out_count++] = (struct weft_out_field){name, value};
    return 0;
}

void weft_req_drop_fields(weft_req *rq, uint8_t count)
{
    weft_assert(count <= rq->out_count);
    rq->out_count = count;
    if (count > WEFT_OUT_FIELDS_INLINE || rq->out_fields == rq->out_inline)
        return;
    memcpy(rq->out_inline, rq->out_fields, count * sizeof(rq->out_inline[0]));
    rq->out_fields = rq->out_inline;
}

int weft_answered(const weft_req *rq)
{
    return weft_req_answered(rq) ? rq->status : 0;
}

uint64_t weft_answered_bytes(const weft_req *rq)
{
    return weft_req_answered_bytes(rq);
}

weft_rc weft_raw(weft_req *rq, weft_str bytes)
{
    if (!rq->exchange->raw)
        return WEFT_ENOTSUP;
    WEFT_TRY(weft_req_answer(rq, 200, (weft_str){0}, WEFT_BODY_RAW));
    rq->body = bytes;
    return 0;
}

/* ---- the rest ---- */

void weft_uncoded(weft_req *rq)
{
    rq->uncoded = true;
}

void *weft_user(const weft_req *rq)
{
    return rq->service->site->user;
}

weft_str weft_status_reason(int status)
{
    switch (status) {
#define WEFT_STATUS(code, reason)                                                                  \
    case code:                                                                                     \
        return WEFT_S(reason);
#include "http/statuses.def"
#undef WEFT_STATUS
    default:
        return WEFT_S("");
    }
}
