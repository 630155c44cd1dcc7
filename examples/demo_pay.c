/* demo_pay.c - payments: a frame of 64 bytes, read where it was received, and a pool of 10,000
 * transactions that live from one request to the next. The 10,001st is refused, at once.
 *
 *   POST   /pay[?verify=MS]       the frame; takes a transaction, verifies it for so long
 *   GET    /pay/{handle}          its state: verifying, verified, settled
 *   POST   /pay/{handle}/settle   verified -> settled
 *   DELETE /pay/{handle}          a settled one is complete: its place is free
 *   DELETE /pay                   settles what is verified and completes all that is settled
 *   GET    /pay/stats
 *
 * The frame, numbers in network order: "WPAY", u16 version 1, u16 zero, u64 cents, u64 payer, u64
 * payee, currency (3 letters and a zero), 24 bytes zero, u32 FNV-1a of the 60 bytes before it.
 */
#include "demo.h"
#include <stdatomic.h>
#include <string.h>

#define FRAME_BYTES   64
#define TRANSACTIONS  10000
#define VERIFY_MS_MAX 10000
#define HANDLES_ROOM  256 /* of a JSON answer */

enum state { VERIFYING, VERIFIED, SETTLED, STATES };

static const weft_str state_names[STATES] = {WEFT_S("verifying"), WEFT_S("verified"),
                                             WEFT_S("settled")};

struct transaction {
    uint64_t cents, payer, payee;
    char currency[4];
    uint32_t state;
};

WEFT_OBJECTS(transactions, struct transaction, TRANSACTIONS);

/* Guarded by the pool's lock. */
static uint64_t in_state[STATES];
/* Frames that were parsed in the receive buffer, and those that came in pieces. */
static atomic_ullong in_place, gathered;

/* ---- the frame ---- */

static uint64_t number_at(const unsigned char *at, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static uint32_t fnv1a(const unsigned char *at, size_t bytes)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ at[i]) * 16777619u;
    return hash;
}

static bool is_currency(const unsigned char *at)
{
    for (int i = 0; i < 3; i++)
        if (at[i] < 'A' || at[i] > 'Z')
            return false;
    return at[3] == 0;
}

/* What is wrong with a frame; empty: nothing. */
static weft_str parse(const unsigned char *frame, struct transaction *out)
{
    static const unsigned char zeroes[24];
    if (memcmp(frame, "WPAY", 4) != 0 || number_at(frame + 4, 2) != 1)
        return WEFT_S("frame: not WPAY, version 1\n");
    if (number_at(frame + 60, 4) != fnv1a(frame, 60))
        return WEFT_S("frame: the checksum does not fit\n");
    if (number_at(frame + 6, 2) != 0 || memcmp(frame + 36, zeroes, sizeof(zeroes)) != 0)
        return WEFT_S("frame: reserved bytes are not zero\n");
    *out = (struct transaction){.cents = number_at(frame + 8, 8),
                                .payer = number_at(frame + 16, 8),
                                .payee = number_at(frame + 24, 8)};
    memcpy(out->currency, frame + 32, 4);
    if (out->cents == 0 || out->payer == out->payee || !is_currency(frame + 32))
        return WEFT_S("payment: no amount, no currency, or to oneself\n");
    return (weft_str){0};
}

/* A frame that lies in one piece, as nearly all do, is used there. One that came in several is put
 * together: receive buffers are given back as they are read. */
static weft_rc read_frame(weft_req *rq, unsigned char *spare, const unsigned char **out)
{
    size_t len = 0;
    while (len < FRAME_BYTES) {
        weft_str piece;
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            return WEFT_EEOF;
        if (piece.len > FRAME_BYTES - len)
            return WEFT_ELIMIT;
        if (piece.len == FRAME_BYTES) {
            *out = (const unsigned char *)piece.ptr;
            atomic_fetch_add(&in_place, 1);
            return WEFT_OK;
        }
        memcpy(spare + len, piece.ptr, piece.len);
        len += piece.len;
    }
    *out = spare;
    atomic_fetch_add(&gathered, 1);
    return WEFT_OK;
}

static weft_rc read_payment(weft_req *rq, struct transaction *payment)
{
    unsigned char spare[FRAME_BYTES];
    const unsigned char *frame;
    weft_str rest;
    weft_rc rc = read_frame(rq, spare, &frame);
    if (rc == WEFT_EEOF)
        return weft_fail(rq, 400, WEFT_S("frame: shorter than 64 bytes\n"));
    WEFT_TRY(rc);
    weft_str wrong = parse(frame, payment);
    WEFT_TRY(weft_read_body(rq, &rest)); /* its end; from here on the frame is gone */
    return wrong.len > 0 ? weft_fail(rq, 400, wrong) : WEFT_NEXT;
}

/* ---- transactions ---- */

static void enter(struct transaction *transaction, enum state state)
{
    in_state[transaction->state]--;
    transaction->state = state;
    in_state[state]++;
}

static weft_rc begin_payment(const struct transaction *payment, weft_handle *out)
{
    weft_object_lock(transactions);
    struct transaction *transaction = weft_object_take(transactions, out);
    if (transaction != NULL) {
        *transaction = *payment;
        transaction->state = VERIFYING;
        in_state[VERIFYING]++;
    }
    weft_object_unlock(transactions);
    return transaction == NULL ? WEFT_EFULL : WEFT_OK;
}

/* Locked. */
static weft_rc end_payment(struct transaction *transaction, weft_handle handle)
{
    in_state[transaction->state]--;
    return weft_object_put(transactions, handle);
}

/* Where a bank would be asked: others may look at the transaction meanwhile. It stays only when the
 * client waited for the answer. */
static weft_rc verify(weft_req *rq, weft_handle handle, uint64_t ms)
{
    weft_rc rc = ms == 0 ? WEFT_OK : weft_sleep_ms(rq, ms);
    weft_object_lock(transactions);
    struct transaction *transaction = weft_object_get(transactions, handle);
    if (transaction == NULL)
        rc = WEFT_ESTALE;
    else if (rc == WEFT_OK)
        enter(transaction, VERIFIED);
    else
        weft_ignore(end_payment(transaction, handle)); /* it is there: we hold the lock */
    weft_object_unlock(transactions);
    return rc;
}

static weft_rc answer(weft_req *rq, int status, weft_handle handle,
                      const struct transaction *transaction)
{
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, HANDLES_ROOM));
    weft_json_object(&out);
    weft_json_key(&out, WEFT_S("handle"));
    weft_json_u64(&out, handle);
    weft_json_key(&out, WEFT_S("state"));
    weft_json_str(&out, state_names[transaction->state]);
    weft_json_key(&out, WEFT_S("cents"));
    weft_json_u64(&out, transaction->cents);
    weft_json_key(&out, WEFT_S("currency"));
    weft_json_str(&out, (weft_str){transaction->currency, 3});
    weft_json_end_object(&out);
    return weft_json_send(rq, status, &out);
}

static weft_rc pay(weft_req *rq)
{
    struct transaction payment;
    weft_handle handle;
    uint64_t ms = weft_query_u64(rq, WEFT_S("verify"), UINT64_MAX);
    if (weft_query_param(rq, WEFT_S("verify")).ptr == NULL)
        ms = 0;
    if (ms > VERIFY_MS_MAX)
        return weft_fail(rq, 400, WEFT_S("verify: not a number of milliseconds, 10000 at most\n"));
    weft_rc rc = read_payment(rq, &payment);
    if (rc != WEFT_NEXT)
        return rc;
    WEFT_TRY(begin_payment(&payment, &handle));
    WEFT_TRY(verify(rq, handle, ms));
    payment.state = VERIFIED;
    return answer(rq, 201, handle, &payment);
}

/* ---- what becomes of them ---- */

static weft_rc show(weft_req *rq)
{
    weft_handle handle = weft_param_u64(rq, "handle");
    weft_object_lock(transactions);
    struct transaction *found = weft_object_get(transactions, handle), copy = {0};
    if (found != NULL)
        copy = *found;
    weft_object_unlock(transactions);
    return found == NULL ? WEFT_ENOTFOUND : answer(rq, 200, handle, &copy);
}

static weft_rc settle(weft_req *rq)
{
    weft_handle handle = weft_param_u64(rq, "handle");
    weft_object_lock(transactions);
    struct transaction *found = weft_object_get(transactions, handle), copy = {0};
    bool ready = found != NULL && found->state == VERIFIED;
    if (ready) {
        enter(found, SETTLED);
        copy = *found;
    }
    weft_object_unlock(transactions);
    if (found == NULL)
        return WEFT_ENOTFOUND;
    return ready ? answer(rq, 200, handle, &copy)
                 : weft_fail(rq, 409, WEFT_S("only what is verified can be settled\n"));
}

static weft_rc complete(weft_req *rq)
{
    weft_handle handle = weft_param_u64(rq, "handle");
    weft_rc rc = WEFT_ENOTFOUND;
    weft_object_lock(transactions);
    struct transaction *found = weft_object_get(transactions, handle);
    bool ready = found != NULL && found->state == SETTLED;
    if (ready)
        rc = end_payment(found, handle);
    weft_object_unlock(transactions);
    if (found != NULL && !ready)
        return weft_fail(rq, 409, WEFT_S("only what is settled is complete\n"));
    return rc == WEFT_OK ? weft_status(rq, 204) : rc;
}

static weft_rc complete_all(weft_req *rq)
{
    uint64_t count = 0;
    struct transaction *transaction;
    weft_object_lock(transactions);
    for (weft_handle at = 0; (transaction = weft_object_next(transactions, &at)) != NULL;)
        if (transaction->state != VERIFYING && end_payment(transaction, at) == WEFT_OK)
            count++;
    weft_object_unlock(transactions);
    weft_str text = weft_format(rq, "{\"completed\":%llu}", (unsigned long long)count);
    return text.ptr == NULL ? WEFT_ENOMEM : weft_reply(rq, 200, WEFT_S("application/json"), text);
}

static weft_rc stats(weft_req *rq)
{
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, 2 * HANDLES_ROOM));
    weft_object_lock(transactions);
    weft_objects_stats now = weft_objects_stats_of(&transactions);
    const struct {
        weft_str name;
        uint64_t value;
    } rows[] = {{WEFT_S("capacity"), now.capacity},
                {WEFT_S("used"), now.used},
                {state_names[VERIFYING], in_state[VERIFYING]},
                {state_names[VERIFIED], in_state[VERIFIED]},
                {state_names[SETTLED], in_state[SETTLED]},
                {WEFT_S("taken"), now.taken},
                {WEFT_S("refused"), now.refused},
                {WEFT_S("parsed_in_place"), atomic_load(&in_place)},
                {WEFT_S("gathered"), atomic_load(&gathered)}};
    weft_object_unlock(transactions);
    weft_json_object(&out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        weft_json_key(&out, rows[i].name);
        weft_json_u64(&out, rows[i].value);
    }
    weft_json_end_object(&out);
    return weft_json_send(rq, 200, &out);
}

void weft_demo_pay(weft_app *app)
{
    weft_app_objects(app, transactions);
    weft_route(app, "POST", "/pay", pay, WEFT_ROUTE_OPTS(.body = FRAME_BYTES));
    weft_delete(app, "/pay", complete_all);
    weft_get(app, "/pay/stats", stats);
    weft_get(app, "/pay/{handle:u64}", show);
    weft_post(app, "/pay/{handle:u64}/settle", settle);
    weft_delete(app, "/pay/{handle:u64}", complete);
}
