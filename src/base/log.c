/* log.c - see log.h. The site's second and count share one word, so that counting is one
 * compare-and-swap and the change of the second cannot be seen half-made. */
#include "base/log.h"
#include "base/clock.h"
#include "base/fmt.h"
#include "base/str.h"
#include <errno.h>
#include <time.h>
#include <unistd.h>

static _Atomic(const struct weft_log_sink *) sink_now; /* NULL: stderr */
static _Atomic int level_now = WEFT_LOG_INFO;

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

void weft_log_set_sink(const struct weft_log_sink *sink)
{
    atomic_store_explicit(&sink_now, sink, memory_order_release);
}

void weft_log_set_level(enum weft_log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

static bool is_off(enum weft_log_level level)
{
    return (int)level < atomic_load_explicit(&level_now, memory_order_relaxed);
}

/* "2026-11-21T04:06:35.123Z warn  " */
static size_t prefix(char *to, size_t room, enum weft_log_level level)
{
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    struct weft_civil at;
    weft_civil_from_s(now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0, &at);
    return weft_fmt(to, room, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ %-5s ", at.year, at.month,
                    at.day, at.hour, at.minute, at.second,
                    (unsigned)(now.tv_nsec / (long)WEFT_NS_PER_MS), level_names[level]);
}

/* A peer's bytes must not be able to forge a line or drive a terminal. */
static void blank_controls(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = '?';
}

static void emit(enum weft_log_level level, const char *line, size_t len)
{
    const struct weft_log_sink *sink = atomic_load_explicit(&sink_now, memory_order_acquire);
    if (sink != NULL)
        sink->write(sink, level, line, len);
    else
        (void)!write(STDERR_FILENO, line, len); /* nowhere left to tell of a failure */
}

static void log_line(enum weft_log_level level, uint32_t suppressed, const char *format,
                     va_list args) WEFT_PRINTF(3, 0);
static void log_line(enum weft_log_level level, uint32_t suppressed, const char *format,
                     va_list args)
{
    int errno_before = errno;
    char tail[40];
    size_t tail_len = 0;
    if (suppressed > 0)
        tail_len = weft_fmt(tail, sizeof(tail), " (%u more not shown)", suppressed);

    char line[WEFT_LOG_LINE_BYTES];
    size_t room = sizeof(line) - tail_len - 1; /* the newline */
    size_t start = prefix(line, room, level);
    size_t len = start + weft_vfmt(line + start, room - start, format, args);
    if (len > room) {
        len = room;
        memcpy(line + len - 3, "...", 3);
    }
    blank_controls(line + start, len - start);
    memcpy(line + len, tail, tail_len);
    len += tail_len;
    line[len++] = '\n';
    emit(level, line, len);
    errno = errno_before;
}

void weft_log(enum weft_log_level level, const char *format, ...)
{
    if (is_off(level))
        return;
    va_list args;
    va_start(args, format);
    log_line(level, 0, format, args);
    va_end(args);
}

bool weft_log_admit(struct weft_log_site *site, uint32_t per_second, uint32_t now_s,
                    uint32_t *out_suppressed)
{
    uint64_t before = atomic_load_explicit(&site->state, memory_order_relaxed);
    uint64_t after;
    uint32_t count;
    do {
        bool same_second = (uint32_t)(before >> 32) == now_s;
        count = same_second ? (uint32_t)before : 0;
        if (count == UINT32_MAX)
            return false; /* as far as we count */
        after = (uint64_t)now_s << 32 | (count + 1);
    } while (!atomic_compare_exchange_weak_explicit(&site->state, &before, after,
                                                    memory_order_relaxed, memory_order_relaxed));
    if (count >= per_second)
        return false;
    uint32_t earlier = (uint32_t)before;
    *out_suppressed = count == 0 && earlier > per_second ? earlier - per_second : 0;
    return true;
}

void weft_log_limited(struct weft_log_site *site, uint32_t per_second, enum weft_log_level level,
                      const char *format, ...)
{
    if (is_off(level))
        return;
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint32_t suppressed = 0;
    if (!weft_log_admit(site, per_second, (uint32_t)now.tv_sec, &suppressed))
        return;
    va_list args;
    va_start(args, format);
    log_line(level, suppressed, format, args);
    va_end(args);
}
