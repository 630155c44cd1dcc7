/* clock.h - one cached "now" per loop turn, and the dates of HTTP.
 *
 * A worker reads the time once per turn of its loop and everybody on it uses that; the Date line is
 * made again only when the second has changed. Where the time comes from is handed down, so that a
 * test owns it.
 *
 * Lifetime: worker; the source outlives the clock.
 * Threads:  the owner worker only. The date functions are pure.
 * Memory:   sizeof(struct weft_clock) per worker, 64 bytes.
 */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include "base/base.h"

#define WEFT_NS_PER_S  1000000000u
#define WEFT_NS_PER_MS 1000000u

/** "Sat, 21 Nov 2026 04:06:35 GMT" (IMF-fixdate, RFC 9110 5.6.7), in bytes. */
#define WEFT_HTTP_DATE_BYTES 29

/** The last second that four digits of a year can say. */
#define WEFT_HTTP_DATE_MAX_S 253402300799u

/** Where time comes from. */
struct weft_clock_source {
    /** now_ns never goes back; its zero is anywhere. wall_s is seconds since 1970 (UTC). */
    void (*read)(const struct weft_clock_source *source, uint64_t *out_now_ns,
                 uint64_t *out_wall_s);
};

struct weft_clock {
    uint64_t now_ns; /* monotonic, of the last update */
    uint64_t wall_s; /* seconds since 1970, of the last update; may be set back by an operator */
    char date[WEFT_HTTP_DATE_BYTES + 1];    /* wall_s as text, zero-terminated */
    const struct weft_clock_source *source; /* borrowed: outlives the clock */
};
_Static_assert(sizeof(struct weft_clock) <= 64, "one cache line");

/** The machine's: CLOCK_MONOTONIC, and CLOCK_REALTIME to the kernel's tick (late by <= 10 ms). */
extern const struct weft_clock_source weft_clock_system;

/** A clock that stands until it is told to move, for tests. */
struct weft_clock_fake {
    struct weft_clock_source source; /* hand &fake.source to weft_clock_init() */
    uint64_t now_ns;
    uint64_t wall_s;
};
void weft_clock_fake_init(struct weft_clock_fake *fake, uint64_t now_ns, uint64_t wall_s);

/** Both of its times go on by ns; wall_s by the whole seconds that now_ns passes. */
void weft_clock_fake_advance(struct weft_clock_fake *fake, uint64_t ns);

/** The clock, updated. */
void weft_clock_init(struct weft_clock *clock, const struct weft_clock_source *source);

/** Read the source; once per loop turn.
 *  returns  whether wall_s, and with it the date, is another one than before */
bool weft_clock_update(struct weft_clock *clock);

static inline uint64_t weft_clock_ms(const struct weft_clock *clock)
{
    return clock->now_ns / WEFT_NS_PER_MS;
}

/** A second as date and time of day, UTC, proleptic Gregorian. */
struct weft_civil {
    uint32_t year;
    uint8_t month;   /* 1..12 */
    uint8_t day;     /* 1..31 */
    uint8_t hour;    /* 0..23 */
    uint8_t minute;  /* 0..59 */
    uint8_t second;  /* 0..59 */
    uint8_t weekday; /* 0 = Sunday */
};

/** wall_s   seconds since 1970, <= WEFT_HTTP_DATE_MAX_S (a later one counts as that) */
void weft_civil_from_s(uint64_t wall_s, struct weft_civil *out);

/** wall_s as IMF-fixdate at `to`: WEFT_HTTP_DATE_BYTES bytes, not zero-terminated. */
void weft_http_date(char *to, uint64_t wall_s);

/** An HTTP-date in any of the three forms that a recipient must accept (RFC 9110 5.6.7).
 *  text      nothing before or behind the date; the names of days and months are case-sensitive,
 *            a day's name need not fit its date
 *  now_s     the present, for RFC 850's two-digit years: what would lie more than 50 years ahead is
 *            the past century's
 *  out_s     seconds since 1970; a date before 1970 gives 0
 *  returns   0; WEFT_ESYNTAX (no such form, or no such day or time): nothing written */
WEFT_CHECK weft_rc weft_http_date_parse(weft_str text, uint64_t now_s, uint64_t *out_s);

#endif
