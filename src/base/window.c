/* window.c - see window.h. The sum of the buckets is kept beside them, in whole numbers: adding and
 * letting go never drift, and reading costs nothing. */
#include "base/window.h"
#include "base/clock.h"

void weft_window_init(struct weft_window *window, uint64_t window_ns, uint64_t now_ns)
{
    uint64_t bucket_ns = WEFT_MAX(window_ns / (WEFT_WINDOW_BUCKETS - 1), (uint64_t)1);
    *window = (struct weft_window){.bucket_ns = bucket_ns, .head = now_ns / bucket_ns};
}

void weft_window_advance(struct weft_window *window, uint64_t now_ns)
{
    uint64_t head = now_ns / window->bucket_ns;
    if (head <= window->head)
        return;
    uint64_t passed = WEFT_MIN(head - window->head, (uint64_t)WEFT_WINDOW_BUCKETS);
    for (uint64_t i = 0; i < passed; i++) {
        struct weft_window_bucket *bucket = &window->buckets[(head - i) % WEFT_WINDOW_BUCKETS];
        window->sum -= bucket->sum;
        window->count -= bucket->count;
        *bucket = (struct weft_window_bucket){0};
    }
    window->head = head;
}

void weft_window_add(struct weft_window *window, uint64_t now_ns, int64_t value)
{
    weft_window_advance(window, now_ns);
    struct weft_window_bucket *bucket = &window->buckets[window->head % WEFT_WINDOW_BUCKETS];
    bucket->sum += value;
    bucket->count++;
    window->sum += value;
    window->count++;
}

double weft_window_mean(const struct weft_window *window, double otherwise)
{
    return window->count == 0 ? otherwise : (double)window->sum / (double)window->count;
}

double weft_window_rate(const struct weft_window *window, uint64_t now_ns)
{
    uint64_t in_head = now_ns - WEFT_MIN(now_ns, window->head * window->bucket_ns);
    uint64_t covered = (WEFT_WINDOW_BUCKETS - 1) * window->bucket_ns + in_head;
    return (double)window->sum * (double)WEFT_NS_PER_S / (double)covered;
}
