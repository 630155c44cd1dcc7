/* log_test.c - the line, its limits, and what a flood becomes. */
#include "unit.h"
#include "base/log.h"
#include "base/str.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define PREFIX_BYTES 31 /* "2026-11-21T04:06:35.123Z warn  " */

/* A sink that keeps the last line. */
struct kept {
    struct weft_log_sink sink;
    char line[WEFT_LOG_LINE_BYTES + 1];
    size_t len;
    _Atomic size_t count;
};

static void keep(const struct weft_log_sink *sink, enum weft_log_level level, const char *line,
                 size_t len)
{
    (void)level;
    struct kept *kept = sink->context;
    assert_true(len <= WEFT_LOG_LINE_BYTES);
    memcpy(kept->line, line, len);
    kept->line[len] = 0;
    kept->len = len;
    kept->count++;
}

static struct kept kept = {.sink = {keep, &kept}};

static int fresh(void **state)
{
    (void)state;
    kept.len = 0;
    kept.count = 0;
    weft_log_set_sink(&kept.sink);
    weft_log_set_level(WEFT_LOG_INFO);
    return 0;
}

static void a_line_has_time_level_and_text(void **state)
{
    (void)state;
    errno = EAGAIN;
    weft_log_warn("%s is %d", "answer", 42);
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(kept.line + PREFIX_BYTES, "answer is 42\n");
    const char *shape = "dddd-dd-ddTdd:dd:dd.dddZ warn  ";
    for (size_t i = 0; shape[i] != 0; i++) {
        if (shape[i] == 'd')
            assert_in_range(kept.line[i], '0', '9');
        else
            assert_int_equal(kept.line[i], shape[i]);
    }
}

static void below_the_level_nothing_is_written(void **state)
{
    (void)state;
    weft_log_debug("no");
    assert_int_equal(kept.count, 0);
    weft_log_set_level(WEFT_LOG_ERROR);
    weft_log_warn("no");
    assert_int_equal(kept.count, 0);
    weft_log_error("yes");
    assert_int_equal(kept.count, 1);
    weft_log_set_level(WEFT_LOG_OFF);
    weft_log_error("no");
    assert_int_equal(kept.count, 1);
}

static void one_event_is_one_line(void **state)
{
    (void)state;
    weft_log_info("path %s", "/a\r\n2026 error forged\x1b[31m\x7f\xc3\xa4");
    assert_string_equal(kept.line + PREFIX_BYTES, "path /a??2026 error forged?[31m?\xc3\xa4\n");
}

static void a_long_line_is_cut(void **state)
{
    (void)state;
    char text[3000];
    memset(text, 'x', sizeof(text));
    for (int len = 900; len < 1100; len++) {
        weft_log_info("%.*s", len, text);
        size_t whole = PREFIX_BYTES + (size_t)len + 1;
        assert_int_equal(kept.len, WEFT_MIN(whole, (size_t)WEFT_LOG_LINE_BYTES));
        assert_int_equal(kept.line[kept.len - 1], '\n');
        if (whole > WEFT_LOG_LINE_BYTES)
            assert_string_equal(kept.line + kept.len - 5, "x...\n");
    }
}

static void a_site_admits_n_per_second_and_says_what_it_kept_back(void **state)
{
    (void)state;
    struct weft_log_site site = {0};
    uint32_t suppressed = 9;
    for (int i = 0; i < 100; i++)
        assert_int_equal(weft_log_admit(&site, 3, 1000, &suppressed), i < 3);
    assert_int_equal(suppressed, 0);
    assert_true(weft_log_admit(&site, 3, 1005, &suppressed));
    assert_int_equal(suppressed, 97);
    assert_true(weft_log_admit(&site, 3, 1005, &suppressed));
    assert_int_equal(suppressed, 0); /* said once */
    assert_true(weft_log_admit(&site, 3, 1006, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void a_flood_is_a_few_lines(void **state)
{
    (void)state;
    struct weft_log_site site = {0};
    for (int i = 0; i < 100000; i++)
        weft_log_limited(&site, 2, WEFT_LOG_WARN, "event %d", i);
    assert_in_range(kept.count, 2, 8); /* a second may end in between */
    for (int i = 0; i < 1000; i++)
        WEFT_LOG_LIMITED(1, WEFT_LOG_WARN, "another %d", i);
    assert_in_range(kept.count, 3, 12);
}

static void the_next_line_names_how_many_were_not_shown(void **state)
{
    (void)state;
    /* A second long past in which 13 events came, 3 too many. */
    struct weft_log_site site = {(uint64_t)UINT32_MAX << 32 | 13};
    char text[2000];
    memset(text, 'x', sizeof(text));
    weft_log_limited(&site, 10, WEFT_LOG_WARN, "%.*s", (int)sizeof(text), text);
    assert_int_equal(kept.len, WEFT_LOG_LINE_BYTES);
    assert_string_equal(kept.line + kept.len - strlen("x... (3 more not shown)\n"),
                        "x... (3 more not shown)\n");
}

#define FLOOD_EVENTS 20000
static struct weft_log_site flood_site;
static _Atomic uint32_t flood_passed;

static void *flood(void *unused)
{
    for (int i = 0; i < FLOOD_EVENTS; i++) {
        uint32_t suppressed;
        if (weft_log_admit(&flood_site, 100, 7, &suppressed))
            flood_passed++;
    }
    return unused;
}

static void threads_share_a_site(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flood, NULL), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(flood_passed, 100);
    uint32_t suppressed = 0;
    assert_true(weft_log_admit(&flood_site, 100, 8, &suppressed));
    assert_int_equal(suppressed, 4 * FLOOD_EVENTS - 100);
}

/* Lines go to stderr, one write each: a pipe takes its place, and then a full pipe. */
static void the_default_sink_is_stderr(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    int stderr_before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    weft_log_set_sink(NULL);
    weft_log_error("to stderr");
    char text[128] = {0};
    ssize_t len = read(ends[0], text, sizeof(text) - 1);
    for (int i = 0; i < 3000; i++)
        weft_log_error("%0500d", i); /* past the pipe's 64 KiB: dropped, not waited for */
    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(len, PREFIX_BYTES + 10);
    assert_string_equal(text + PREFIX_BYTES, "to stderr\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_time_level_and_text, fresh),
        cmocka_unit_test_setup(below_the_level_nothing_is_written, fresh),
        cmocka_unit_test_setup(one_event_is_one_line, fresh),
        cmocka_unit_test_setup(a_long_line_is_cut, fresh),
        cmocka_unit_test_setup(a_site_admits_n_per_second_and_says_what_it_kept_back, fresh),
        cmocka_unit_test_setup(a_flood_is_a_few_lines, fresh),
        cmocka_unit_test_setup(the_next_line_names_how_many_were_not_shown, fresh),
        cmocka_unit_test_setup(threads_share_a_site, fresh),
        cmocka_unit_test_setup(the_default_sink_is_stderr, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
