/* clock.c - see clock.h. Dates are computed here: gmtime_r takes a lock and reads the time zone. */
#include "base/clock.h"
#include "base/str.h"
#include <time.h>

#define DAY_S          86400u
#define DAYS_TO_1970   719468 /* from 0000-03-01 */
#define DAYS_PER_ERA   146097 /* 400 years */
#define DAYS_PER_CENT  36524
#define DAYS_PER_FOUR  1461
#define YEARS_AHEAD    50 /* RFC 9110 5.6.7: two-digit years */
#define NAME_BYTES     3
#define MONTHS_IN_YEAR 12

static const char day_names[7][10] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                      "Thursday", "Friday", "Saturday"};
static const char month_names[MONTHS_IN_YEAR][NAME_BYTES + 1] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static void system_read(const struct weft_clock_source *source, uint64_t *out_now_ns,
                        uint64_t *out_wall_s)
{
    (void)source;
    struct timespec now = {0};
    struct timespec wall = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
#ifdef CLOCK_REALTIME_COARSE
    clock_gettime(CLOCK_REALTIME_COARSE, &wall);
#else
    clock_gettime(CLOCK_REALTIME, &wall);
#endif
    *out_now_ns = (uint64_t)now.tv_sec * WEFT_NS_PER_S + (uint64_t)now.tv_nsec;
    *out_wall_s = wall.tv_sec > 0 ? (uint64_t)wall.tv_sec : 0;
}

const struct weft_clock_source weft_clock_system = {.read = system_read};

static void fake_read(const struct weft_clock_source *source, uint64_t *out_now_ns,
                      uint64_t *out_wall_s)
{
    const struct weft_clock_fake *fake = (const struct weft_clock_fake *)(const void *)source;
    *out_now_ns = fake->now_ns;
    *out_wall_s = fake->wall_s;
}

void weft_clock_fake_init(struct weft_clock_fake *fake, uint64_t now_ns, uint64_t wall_s)
{
    _Static_assert(offsetof(struct weft_clock_fake, source) == 0, "fake_read casts");
    *fake = (struct weft_clock_fake){{fake_read}, now_ns, wall_s};
}

void weft_clock_fake_advance(struct weft_clock_fake *fake, uint64_t ns)
{
    uint64_t before_s = fake->now_ns / WEFT_NS_PER_S;
    fake->now_ns += ns;
    fake->wall_s += fake->now_ns / WEFT_NS_PER_S - before_s;
}

void weft_clock_init(struct weft_clock *clock, const struct weft_clock_source *source)
{
    *clock = (struct weft_clock){.source = source};
    source->read(source, &clock->now_ns, &clock->wall_s);
    weft_http_date(clock->date, clock->wall_s);
}

bool weft_clock_update(struct weft_clock *clock)
{
    uint64_t before_s = clock->wall_s;
    clock->source->read(clock->source, &clock->now_ns, &clock->wall_s);
    if (clock->wall_s == before_s)
        return false;
    weft_http_date(clock->date, clock->wall_s);
    return true;
}

/* Years begin on the 1st of March here: then the leap day is a year's last, and the months' lengths
 * repeat 31 30 31 30 31 | 31 30 31 30 31 | 31 28: five months are always 153 days. */
void weft_civil_from_s(uint64_t wall_s, struct weft_civil *out)
{
    wall_s = WEFT_MIN(wall_s, (uint64_t)WEFT_HTTP_DATE_MAX_S);
    uint32_t second = (uint32_t)(wall_s % DAY_S);
    uint32_t days = (uint32_t)(wall_s / DAY_S);
    out->hour = (uint8_t)(second / 3600);
    out->minute = (uint8_t)(second / 60 % 60);
    out->second = (uint8_t)(second % 60);
    out->weekday = (uint8_t)((days + 4) % 7); /* 1970-01-01 was a Thursday */

    days += DAYS_TO_1970;
    uint32_t era = days / DAYS_PER_ERA;
    days %= DAYS_PER_ERA;
    uint32_t century = WEFT_MIN(days / DAYS_PER_CENT, 3u); /* the fourth has a day more */
    days -= century * DAYS_PER_CENT;
    uint32_t four = days / DAYS_PER_FOUR;
    days %= DAYS_PER_FOUR;
    uint32_t year = WEFT_MIN(days / 365, 3u); /* the fourth has a day more */
    days -= year * 365;
    uint32_t month = (days * 5 + 2) / 153; /* 0 = March */
    out->day = (uint8_t)(days - (month * 153 + 2) / 5 + 1);
    out->month = (uint8_t)(month < 10 ? month + 3 : month - 9);
    out->year = era * 400 + century * 100 + four * 4 + year + (month >= 10);
}

/* Days from 1970-01-01 to a date, negative before it. */
static int64_t days_from_civil(int32_t year, int32_t month, int32_t day)
{
    int32_t month_from_march = month > 2 ? month - 3 : month + 9;
    int32_t y = month > 2 ? year : year - 1; /* -1 for January of year 0 */
    int32_t era = y < 0 ? -1 : y / 400;
    int32_t y_in_era = y - era * 400;
    int32_t days =
        y_in_era * 365 + y_in_era / 4 - y_in_era / 100 + (month_from_march * 153 + 2) / 5;
    return (int64_t)era * DAYS_PER_ERA + days + day - 1 - DAYS_TO_1970;
}

static void two_digits(char *to, uint32_t value)
{
    to[0] = (char)('0' + value / 10 % 10);
    to[1] = (char)('0' + value % 10);
}

void weft_http_date(char *to, uint64_t wall_s)
{
    struct weft_civil at;
    weft_civil_from_s(wall_s, &at);
    memcpy(to, "Day, dd Mon yyyy hh:mm:ss GMT", WEFT_HTTP_DATE_BYTES);
    memcpy(to, day_names[at.weekday], NAME_BYTES);
    two_digits(to + 5, at.day);
    memcpy(to + 8, month_names[at.month - 1], NAME_BYTES);
    two_digits(to + 12, at.year / 100);
    two_digits(to + 14, at.year % 100);
    two_digits(to + 17, at.hour);
    two_digits(to + 20, at.minute);
    two_digits(to + 23, at.second);
}

/* What is left of the text; each reader takes from its front, and `bad` sticks. */
struct reader {
    weft_str rest;
    bool bad;
};

static void read_literal(struct reader *r, weft_str literal)
{
    if (!weft_str_starts(r->rest, literal)) {
        r->bad = true;
        return;
    }
    r->rest = weft_str_make(r->rest.ptr + literal.len, r->rest.len - literal.len);
}

static int32_t read_number(struct reader *r, size_t digits)
{
    uint64_t value = 0;
    if (r->rest.len < digits || weft_str_to_u64(weft_str_make(r->rest.ptr, digits), &value) < 0) {
        r->bad = true;
        return 0;
    }
    r->rest = weft_str_make(r->rest.ptr + digits, r->rest.len - digits);
    return (int32_t)value;
}

/* A day's name, short or in full. */
static void read_weekday(struct reader *r, bool in_full)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(day_names); i++) {
        weft_str name = weft_str_make(day_names[i], in_full ? strlen(day_names[i]) : NAME_BYTES);
        if (weft_str_starts(r->rest, name)) {
            read_literal(r, name);
            return;
        }
    }
    r->bad = true;
}

static int32_t read_month(struct reader *r)
{
    for (int32_t i = 0; i < MONTHS_IN_YEAR; i++) {
        weft_str name = weft_str_make(month_names[i], NAME_BYTES);
        if (weft_str_starts(r->rest, name)) {
            read_literal(r, name);
            return i + 1;
        }
    }
    r->bad = true;
    return 1;
}

/* The date fields as numbers, not yet checked. */
struct fields {
    int32_t year, month, day, second; /* of the day */
};

/* hh:mm:ss in seconds of the day. A leap second (60) is the next minute's first, as POSIX counts.
 */
static int32_t read_time(struct reader *r)
{
    int32_t hour = read_number(r, 2);
    read_literal(r, WEFT_S(":"));
    int32_t minute = read_number(r, 2);
    read_literal(r, WEFT_S(":"));
    int32_t second = read_number(r, 2);
    r->bad |= hour > 23 || minute > 59 || second > 60;
    return (hour * 60 + minute) * 60 + second;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static void read_fixdate(struct reader *r, struct fields *f)
{
    read_weekday(r, false);
    read_literal(r, WEFT_S(", "));
    f->day = read_number(r, 2);
    read_literal(r, WEFT_S(" "));
    f->month = read_month(r);
    read_literal(r, WEFT_S(" "));
    f->year = read_number(r, 4);
    read_literal(r, WEFT_S(" "));
    f->second = read_time(r);
    read_literal(r, WEFT_S(" GMT"));
}

/* Sunday, 06-Nov-94 08:49:37 GMT */
static void read_rfc850(struct reader *r, struct fields *f)
{
    read_weekday(r, true);
    read_literal(r, WEFT_S(", "));
    f->day = read_number(r, 2);
    read_literal(r, WEFT_S("-"));
    f->month = read_month(r);
    read_literal(r, WEFT_S("-"));
    f->year = read_number(r, 2);
    read_literal(r, WEFT_S(" "));
    f->second = read_time(r);
    read_literal(r, WEFT_S(" GMT"));
}

/* Sun Nov  6 08:49:37 1994 */
static void read_asctime(struct reader *r, struct fields *f)
{
    read_weekday(r, false);
    read_literal(r, WEFT_S(" "));
    f->month = read_month(r);
    read_literal(r, WEFT_S(" "));
    if (r->rest.len > 0 && r->rest.ptr[0] == ' ') {
        read_literal(r, WEFT_S(" "));
        f->day = read_number(r, 1);
    } else {
        f->day = read_number(r, 2);
    }
    read_literal(r, WEFT_S(" "));
    f->second = read_time(r);
    read_literal(r, WEFT_S(" "));
    f->year = read_number(r, 4);
}

static bool is_a_day(const struct fields *f)
{
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = f->year % 4 == 0 && (f->year % 100 != 0 || f->year % 400 == 0);
    if (f->day < 1 || f->day > lengths[f->month - 1])
        return false;
    return f->month != 2 || f->day < 29 || leap;
}

static int64_t seconds_of(const struct fields *f)
{
    return days_from_civil(f->year, f->month, f->day) * (int64_t)DAY_S + f->second;
}

/* The century in which a two-digit year lies at most 50 years ahead. */
static void choose_century(struct fields *f, uint64_t now_s)
{
    struct weft_civil now;
    weft_civil_from_s(now_s, &now);
    f->year += (int32_t)(now.year / 100 * 100) + 100;
    struct fields limit = {(int32_t)now.year + YEARS_AHEAD, now.month, now.day, 0};
    limit.second = (now.hour * 60 + now.minute) * 60 + now.second;
    while (f->year > 0 && seconds_of(f) > seconds_of(&limit))
        f->year -= 100;
}

weft_rc weft_http_date_parse(weft_str text, uint64_t now_s, uint64_t *out_s)
{
    struct reader r = {.rest = text};
    struct fields f = {.month = 1};
    if (text.len < 4)
        return WEFT_ESYNTAX;
    bool two_digit_year = false;
    if (text.ptr[NAME_BYTES] == ',') {
        read_fixdate(&r, &f);
    } else if (text.ptr[NAME_BYTES] == ' ') {
        read_asctime(&r, &f);
    } else {
        read_rfc850(&r, &f);
        two_digit_year = true;
    }
    if (r.bad || r.rest.len > 0)
        return WEFT_ESYNTAX;
    if (two_digit_year)
        choose_century(&f, now_s);
    if (!is_a_day(&f))
        return WEFT_ESYNTAX;
    int64_t seconds = seconds_of(&f);
    *out_s = seconds < 0 ? 0 : (uint64_t)seconds;
    return 0;
}
