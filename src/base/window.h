/* window.h - the sum of what came in during the last so many seconds.
 *
 * A ring of buckets: what is older than the window leaves a bucket at a time, so the sum covers the
 * window and at most a 31st part more. Rates are told over what is really covered.
 *
 * Lifetime: the caller's struct.
 * Threads:  one.
 * Memory:   sizeof(struct weft_window), 552 bytes, however much comes in.
 */
#ifndef WEFT_BASE_WINDOW_H
#define WEFT_BASE_WINDOW_H

#include "base/base.h"

#define WEFT_WINDOW_BUCKETS 32

struct weft_window {
    uint64_t bucket_ns;
    uint64_t head; /* number of the newest bucket: time / bucket_ns */
    int64_t sum;   /* of all buckets */
    int64_t count;
    struct weft_window_bucket {
        int64_t sum;
        int64_t count;
    } buckets[WEFT_WINDOW_BUCKETS];
};

/** window_ns  > 0; covered from now_ns on */
void weft_window_init(struct weft_window *window, uint64_t window_ns, uint64_t now_ns);

/** Let what is too old go. now_ns never goes back; one that does counts as the latest. */
void weft_window_advance(struct weft_window *window, uint64_t now_ns);

/** One more value; negative ones too. */
void weft_window_add(struct weft_window *window, uint64_t now_ns, int64_t value);

/** Mean of the values in it; `otherwise` when there is none. */
double weft_window_mean(const struct weft_window *window, double otherwise);

/** Sum per second; a window that is not full yet counts as if it were. */
double weft_window_rate(const struct weft_window *window, uint64_t now_ns);

#endif
