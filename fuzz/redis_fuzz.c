/* redis_fuzz.c - any bytes as what a Redis answers: whole or byte by byte it is the same reply or
 * the same kind of error, a value lies within the room that was given, and the heap's books end at
 * 0. Without libhiredis0.14 there is nothing to try. */
#include "base/str.h"
#include "serve/cache/redis_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM_BYTES  256
#define REPLY_BYTES 4096

static char room[ROOM_BYTES];

static char *make_room(void *arg, size_t len)
{
    (void)arg;
    return len <= ROOM_BYTES ? room : NULL;
}

static weft_rc read_all(weft_str bytes, size_t piece, struct weft_redis_reply *reply)
{
    weft_rc rc = WEFT_NEXT;
    struct weft_redis_reader *reader = weft_redis_reader_create();
    *reply = (struct weft_redis_reply){.make_room = make_room, .bytes_max = REPLY_BYTES};
    for (size_t at = 0; at < bytes.len && rc == WEFT_NEXT; at += piece)
        rc = weft_redis_reader_feed(
            reader, weft_str_make(bytes.ptr + at, WEFT_MIN(piece, bytes.len - at)), reply);
    weft_assert(weft_leash_used(weft_redis_heap()) <= weft_redis_reader_bytes(REPLY_BYTES));
    weft_redis_reader_destroy(reader);
    weft_assert(weft_leash_used(weft_redis_heap()) == 0);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why_z = "";
    struct weft_redis_reply whole, pieces;
    weft_str bytes = weft_str_make((const char *)data, WEFT_MIN(size, (size_t)2 * REPLY_BYTES));
    if (weft_redis_load(&why_z) != 0)
        return 0;
    weft_rc rc = read_all(bytes, bytes.len, &whole);
    weft_rc again = read_all(bytes, 1, &pieces);
    if (rc == 0) { /* a second reply in the same piece is garbage; in a later one it is not seen */
        weft_assert(again == 0);
        weft_assert(whole.type == pieces.type);
        weft_assert(whole.no_room == pieces.no_room);
        weft_assert(whole.type != WEFT_REDIS_INTEGER || whole.integer == pieces.integer);
        weft_assert(whole.text.len == pieces.text.len);
        weft_assert(whole.type != WEFT_REDIS_VALUE || whole.no_room || whole.text.ptr == room);
    }
    weft_assert(rc != WEFT_NEXT || again == WEFT_NEXT);
    return 0;
}
