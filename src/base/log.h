/* log.h - one line per event, to a sink handed down.
 *
 *     2026-11-21T04:06:35.123Z warn  accept pauses: no descriptors left
 *
 * A line is built on the stack and leaves by one call, so lines of several threads never mix and
 * nothing waits on a lock. What can happen on every request or packet goes through
 * WEFT_LOG_LIMITED: a flood of events must not become a flood of lines.
 *
 * Lifetime: process; the sink outlives the last line.
 * Threads:  any. weft_log() with the default sink may be called in a signal handler too.
 * Memory:   none but WEFT_LOG_LINE_BYTES and 1 KiB of stack during a call; 8 bytes per limited
 * site.
 */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

#include "base/base.h"

/** Longest line with its newline, in bytes. A longer one ends in "...". */
#define WEFT_LOG_LINE_BYTES 1024

enum weft_log_level {
    WEFT_LOG_DEBUG,
    WEFT_LOG_INFO,
    WEFT_LOG_WARN,
    WEFT_LOG_ERROR,
    WEFT_LOG_OFF, /* as a threshold only */
};

struct weft_log_sink {
    /** line   len bytes with the newline at the end, not zero-terminated; borrowed for the call.
     *          Bytes below 0x20 and 0x7f in the message are '?': one event is one line. */
    void (*write)(const struct weft_log_sink *sink, enum weft_log_level level, const char *line,
                  size_t len);
    void *context; /* the sink's own */
};

/** Where lines go from now on; NULL: stderr, one write(2) each, errors dropped (a full or closed
 *  stderr stops nothing). Borrowed: outlives the last line. */
void weft_log_set_sink(const struct weft_log_sink *sink);

/** What is logged from now on: `level` and above. WEFT_LOG_INFO at start. */
void weft_log_set_level(enum weft_log_level level);

/** One line; format as weft_fmt(). Leaves errno alone. */
void weft_log(enum weft_log_level level, const char *format, ...) WEFT_PRINTF(2, 3);

#define weft_log_debug(...) weft_log(WEFT_LOG_DEBUG, __VA_ARGS__)
#define weft_log_info(...)  weft_log(WEFT_LOG_INFO, __VA_ARGS__)
#define weft_log_warn(...)  weft_log(WEFT_LOG_WARN, __VA_ARGS__)
#define weft_log_error(...) weft_log(WEFT_LOG_ERROR, __VA_ARGS__)

/** What one place in the code has logged in this second. Zero is its start. */
struct weft_log_site {
    _Atomic uint64_t state; /* the second, low 32 bits of it, above the events in it */
};

/** Count an event.
 *  per_second      > 0; events that may pass in one second
 *  now_s           any clock that goes on by 1 per second
 *  out_suppressed  when it passes: events that did not, in the last second that had any
 *  returns         whether it may be logged */
bool weft_log_admit(struct weft_log_site *site, uint32_t per_second, uint32_t now_s,
                    uint32_t *out_suppressed);

/** As weft_log(), but at most per_second lines a second; the next line that passes after others
 *  did not ends in "(N more not shown)". */
void weft_log_limited(struct weft_log_site *site, uint32_t per_second, enum weft_log_level level,
                      const char *format, ...) WEFT_PRINTF(4, 5);

/** The same with a site of its own for the place it stands in. */
#define WEFT_LOG_LIMITED(per_second, level, ...)                                                   \
    do {                                                                                           \
        static struct weft_log_site weft_log_site_;                                                \
        weft_log_limited(&weft_log_site_, per_second, level, __VA_ARGS__);                         \
    } while (0)

#endif
