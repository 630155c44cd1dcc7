/* coder_test.c - what goes in comes out of the libraries' own decoders, whatever the pieces; each
 * coder keeps to its memory, and says so when that is too small. */
#include "serve/coding/coder.h"
#include "decoder.h"
#include <stdlib.h>
#include <sys/mman.h>

#define ALL                                                                                        \
    (WEFT_CODING_BIT(WEFT_CODING_GZIP) | WEFT_CODING_BIT(WEFT_CODING_BR) |                         \
     WEFT_CODING_BIT(WEFT_CODING_ZSTD))
#define TEXT_BYTES ((size_t)600 << 10)

static char text[TEXT_BYTES], coded[TEXT_BYTES + TEXT_BYTES / 8], back[TEXT_BYTES + 64];
static uint32_t seed = 1;

static uint32_t next(void)
{
    return seed = seed * 1664525 + 1013904223;
}

enum kind { WORDS, NOISE, ZEROS, MIXED, KINDS };

/* Words of a made-up language, so that there is something to find. */
static void fill(enum kind kind, size_t len)
{
    static const char *const words[] = {"warp ",  "weft ",    "shuttle ", "loom,\n",   "thread ",
                                        "heddle", "selvage ", "twill ",   "\"yarn\":", "1024 "};
    for (size_t at = 0; at < len;) {
        bool noise = kind == NOISE || (kind == MIXED && next() >> 30 == 0);
        const char *word = words[(next() >> 16) % WEFT_COUNT_OF(words)];
        size_t n = kind == ZEROS || noise ? 1 : WEFT_MIN(strlen(word), len - at);
        for (size_t i = 0; i < n; i++)
            text[at + i] = kind == ZEROS ? 0 : noise ? (char)(next() >> 24) : word[i];
        at += n;
    }
}

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

/* All of the text through it, in pieces and with little room each time. Returns coded bytes. */
static size_t run_all(struct weft_coder *coder, size_t len, size_t piece, size_t room)
{
    size_t at = 0;
    for (size_t from = 0; from <= len; from += piece) {
        size_t n = WEFT_MIN(piece, len - from);
        enum weft_coder_op op = from + n == len ? WEFT_CODER_FINISH : WEFT_CODER_MORE;
        struct weft_coder_io io = {.in = text + from, .in_len = n};
        weft_rc rc;
        do {
            io.out = coded + at;
            io.out_room = WEFT_MIN(room, sizeof(coded) - at);
            size_t before = io.out_room;
            rc = weft_coder_run(coder, op, &io);
            at += before - io.out_room;
        } while (rc == WEFT_NEXT);
        assert_int_equal(rc, 0);
        if (op == WEFT_CODER_FINISH)
            break;
    }
    return at;
}

static void assert_decodes(enum weft_coding coding, size_t coded_len, size_t len)
{
    struct decoder d;
    decoder_init(&d, coding);
    assert_int_equal(decode(&d, coded, coded_len, back, sizeof(back)), len);
    assert_memory_equal(back, text, len);
    assert_true(d.ended);
    decoder_fini(&d);
}

static void every_coding_round_trips(void **state)
{
    (void)state;
    static const size_t lens[] = {TEXT_BYTES, 0, 1, 5000, 131072};
    static const size_t pieces[] = {16384, 1, 100, 977, 50000};
    char why[256];
    for (enum weft_effort effort = WEFT_EFFORT_FAST; effort < WEFT_EFFORT_COUNT; effort++) {
        assert_int_equal(weft_coders_load(ALL, effort, why, sizeof(why)), 0);
        for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
            size_t bytes = weft_coder_bytes(WEFT_CODING_BIT(c), effort), high = 0;
            struct weft_coder *coder = map(bytes);
            for (size_t i = 0; i < WEFT_COUNT_OF(lens); i++) {
                fill((enum kind)(i % KINDS), lens[i]);
                bool known = i % 2 == 0;
                assert_int_equal(
                    weft_coder_start(coder, bytes, c, effort, known ? lens[i] : UINT64_MAX), 0);
                assert_decodes(c, run_all(coder, lens[i], pieces[i], i == 0 ? 4000 : 64), lens[i]);
                high = WEFT_MAX(high, coder->high);
            }
            assert_true(high <= bytes);
            if (c == WEFT_CODING_BR) /* the others' need is exact */
                assert_true(high <= bytes - bytes / 10);
            print_message("effort %d %s: %zu of %zu bytes\n", effort, weft_coding_name(c).ptr, high,
                          bytes);
            munmap(coder, bytes);
        }
    }
}

/* What was said before a flush is known to the client behind it. */
static void a_flush_brings_all_out(void **state)
{
    (void)state;
    fill(WORDS, 3000);
    size_t bytes = weft_coder_bytes(ALL, WEFT_EFFORT_BALANCED);
    struct weft_coder *coder = map(bytes);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        struct decoder d;
        decoder_init(&d, c);
        assert_int_equal(weft_coder_start(coder, bytes, c, WEFT_EFFORT_BALANCED, UINT64_MAX), 0);
        size_t known = 0;
        for (size_t from = 0; from < 3000; from += 500) {
            struct weft_coder_io io = {text + from, 500, coded, sizeof(coded)};
            assert_int_equal(weft_coder_run(coder, WEFT_CODER_FLUSH, &io), 0);
            size_t n = sizeof(coded) - io.out_room;
            known += decode(&d, coded, n, back + known, sizeof(back) - known);
            assert_int_equal(known, from + 500);
        }
        struct weft_coder_io none = {NULL, 0, coded, sizeof(coded)};
        assert_int_equal(weft_coder_run(coder, WEFT_CODER_FINISH, &none), 0);
        decode(&d, coded, sizeof(coded) - none.out_room, back + known, sizeof(back) - known);
        assert_true(d.ended);
        assert_memory_equal(back, text, 3000);
        decoder_fini(&d);
    }
    munmap(coder, bytes);
}

/* Broken off in the middle, another coding, pages gone: the next stream does not notice. */
static void a_coder_is_used_again(void **state)
{
    (void)state;
    fill(WORDS, 40000);
    size_t bytes = weft_coder_bytes(ALL, WEFT_EFFORT_BALANCED);
    struct weft_coder *coder = map(bytes);
    for (int i = 0; i < 24; i++) {
        enum weft_coding c = (enum weft_coding)(WEFT_CODING_GZIP + i / 2 % 3);
        assert_int_equal(weft_coder_start(coder, bytes, c, WEFT_EFFORT_BALANCED, UINT64_MAX), 0);
        struct weft_coder_io io = {text, 30000, coded, 100};
        weft_ignore(weft_coder_run(coder, WEFT_CODER_MORE, &io)); /* broken off */
        if (i % 5 == 4)
            madvise(coder, bytes, MADV_DONTNEED);
        assert_int_equal(weft_coder_start(coder, bytes, c, WEFT_EFFORT_BALANCED, 40000), 0);
        assert_decodes(c, run_all(coder, 40000, 4096, 4096), 40000);
    }
    munmap(coder, bytes);
}

static void too_little_memory_is_an_answer(void **state)
{
    (void)state;
    fill(MIXED, TEXT_BYTES);
    for (enum weft_coding c = WEFT_CODING_GZIP; c < WEFT_CODING_COUNT; c++) {
        size_t full = weft_coder_bytes(WEFT_CODING_BIT(c), WEFT_EFFORT_BALANCED);
        struct weft_coder *coder = map(full);
        int refused = 0;
        for (size_t bytes = 4096; bytes < full / 2; bytes += 65536) {
            weft_rc rc = weft_coder_start(coder, bytes, c, WEFT_EFFORT_BALANCED, UINT64_MAX);
            struct weft_coder_io io = {text, TEXT_BYTES, coded, sizeof(coded)};
            if (rc == 0)
                rc = weft_coder_run(coder, WEFT_CODER_FINISH, &io);
            assert_int_equal(rc, WEFT_ENOMEM);
            assert_true(coder->high <= bytes);
            refused++;
            memset(coder, 0, sizeof(*coder)); /* begin anew */
        }
        assert_true(refused > 0);
        munmap(coder, full);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_coding_round_trips),
        cmocka_unit_test(a_flush_brings_all_out),
        cmocka_unit_test(a_coder_is_used_again),
        cmocka_unit_test(too_little_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
