/* redis_reader_test.c - replies, whole and in pieces; what is none; and each heap call of hiredis
 * in the books. Skipped where libhiredis0.14 is not installed. */
#include "serve/cache/redis_reader.h"
#include <malloc.h>
#include <stdlib.h>
#include "base/str.h"
#include "unit.h"

static char room[4096];
static size_t room_bytes = sizeof(room);

static char *make_room(void *arg, size_t len)
{
    assert_ptr_equal(arg, room);
    return len <= room_bytes ? room : NULL;
}

static struct weft_redis_reply fresh(void)
{
    return (struct weft_redis_reply){.make_room = make_room, .arg = room, .bytes_max = 100000};
}

/* In pieces of so many bytes. */
static weft_rc fed(struct weft_redis_reader *reader, weft_str bytes, size_t piece,
                   struct weft_redis_reply *reply)
{
    weft_rc rc = WEFT_NEXT;
    for (size_t at = 0; at < bytes.len && rc == WEFT_NEXT; at += piece)
        rc = weft_redis_reader_feed(
            reader, weft_str_make(bytes.ptr + at, WEFT_MIN(piece, bytes.len - at)), reply);
    return rc;
}

static void is(const char *text_z, enum weft_redis_type type, const char *value_z)
{
    weft_str bytes = weft_str_z(text_z);
    for (size_t piece = 1; piece <= bytes.len; piece++) {
        struct weft_redis_reader *reader = weft_redis_reader_create();
        assert_non_null(reader);
        for (int i = 0; i < 3; i++) { /* one after the other */
            struct weft_redis_reply reply = fresh();
            assert_int_equal(fed(reader, bytes, piece, &reply), 0);
            assert_int_equal(reply.type, type);
            assert_int_equal(reply.bytes, bytes.len);
            if (value_z != NULL)
                assert_true(weft_str_eq(reply.text, weft_str_z(value_z)));
        }
        weft_redis_reader_destroy(reader);
    }
}

static void replies(void **state)
{
    (void)state;
    is("$5\r\nhello\r\n", WEFT_REDIS_VALUE, "hello");
    is("$0\r\n\r\n", WEFT_REDIS_VALUE, "");
    is("$4\r\n\r\n\r\n\r\n", WEFT_REDIS_VALUE, "\r\n\r\n");
    is("$-1\r\n", WEFT_REDIS_NIL, NULL);
    is("+OK\r\n", WEFT_REDIS_OK, NULL);
    is("+OKAY\r\n", WEFT_REDIS_OTHER, NULL);
    is(":1\r\n", WEFT_REDIS_INTEGER, NULL);
    is("-ERR wrong kind\r\n", WEFT_REDIS_ERROR, "ERR wrong kind");
}

static void garbage(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 400 Bad Request\r\n",
        "$5\r\nhelloXX", /* no end */
        "$-2\r\n",
        "$99999999999999999999\r\n",
        "$5x\r\nhello\r\n",
        ":one\r\n",
        "*1\r\n+OK\r\n",
        "*2147483647\r\n",
        "*0\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
        "+OK\r\n+OK\r\n", /* one was asked for */
        "\r\n",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++) {
        struct weft_redis_reader *reader = weft_redis_reader_create();
        struct weft_redis_reply reply = fresh();
        weft_rc rc = weft_redis_reader_feed(reader, weft_str_z(texts[i]), &reply);
        assert_int_equal(rc, WEFT_ESYNTAX);
        weft_redis_reader_destroy(reader);
    }
}

static void too_long(void **state)
{
    (void)state;
    char bytes[1000];
    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes, "$900000000\r\n", 12);
    struct weft_redis_reader *reader = weft_redis_reader_create();
    struct weft_redis_reply reply = fresh();
    reply.bytes_max = 5000;
    for (int i = 0; i < 5; i++)
        assert_int_equal(weft_redis_reader_feed(reader, weft_str_make(bytes, 1000), &reply),
                         WEFT_NEXT);
    assert_int_equal(weft_redis_reader_feed(reader, weft_str_make(bytes, 1), &reply), WEFT_ELIMIT);
    assert_true(weft_leash_used(weft_redis_heap()) <= weft_redis_reader_bytes(5000));
    weft_redis_reader_destroy(reader);
}

static void no_room_for_it(void **state)
{
    (void)state;
    struct weft_redis_reader *reader = weft_redis_reader_create();
    struct weft_redis_reply reply = fresh();
    room_bytes = 4;
    assert_int_equal(weft_redis_reader_feed(reader, WEFT_S("$5\r\nhello\r\n"), &reply), 0);
    assert_true(reply.no_room);
    assert_int_equal(reply.text.len, 0);
    room_bytes = sizeof(room);
    reply = fresh(); /* the connection is as good as before */
    assert_int_equal(weft_redis_reader_feed(reader, WEFT_S("$5\r\nhello\r\n"), &reply), 0);
    assert_false(reply.no_room);
    weft_redis_reader_destroy(reader);
}

/* What it has of the heap, after each call, is what malloc says: of one reader, two blocks. */
static void the_books_are_exact(void **state)
{
    (void)state;
    struct weft_leash *heap = weft_redis_heap();
    size_t before = mallinfo2().uordblks;
    assert_int_equal(weft_leash_used(heap), 0);
    struct weft_redis_reader *reader = weft_redis_reader_create();
    size_t after = mallinfo2().uordblks;
    if (after > before) /* glibc's own malloc: with 8 or 16 bytes of its own a block */
        assert_in_range(after - before, weft_leash_used(heap), weft_leash_used(heap) + 64);
    uint64_t takes = atomic_load(&heap->account->takes);
    for (int i = 0; i < 1000; i++) { /* its buffer has its size by then: nothing more is taken */
        struct weft_redis_reply reply = fresh();
        assert_int_equal(weft_redis_reader_feed(reader, WEFT_S("$5\r\nhello\r\n"), &reply), 0);
    }
    assert_in_range(atomic_load(&heap->account->takes) - takes, 1, 16);
    assert_true(weft_leash_used(heap) <= weft_redis_reader_bytes(1000));
    weft_redis_reader_destroy(reader);
    assert_int_equal(weft_leash_used(heap), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(garbage),
        cmocka_unit_test(too_long),
        cmocka_unit_test(no_room_for_it),
        cmocka_unit_test(the_books_are_exact),
    };
    const char *why_z = "";
    if (weft_redis_load(&why_z) != 0) {
        print_message("skipped: %s\n", why_z);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
