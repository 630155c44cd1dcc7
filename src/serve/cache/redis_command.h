/* redis_command.h - commands to Redis as bytes: pure. What is the caller's is not copied.
 *
 * A key is "weft:", the space, ":" and what it is called there: so caches do not meet, and nobody
 * else's keys are touched.
 *
 * Lifetime: call.
 * Threads:  any.
 * Memory:   none but the struct.
 */
#ifndef WEFT_SERVE_CACHE_REDIS_COMMAND_H
#define WEFT_SERVE_CACHE_REDIS_COMMAND_H

#include <sys/uio.h>
#include "base/base.h"

#define WEFT_REDIS_SPACE_BYTES_MAX    ((size_t)64)
#define WEFT_REDIS_PASSWORD_BYTES_MAX ((size_t)255)
#define WEFT_REDIS_HELLO_BYTES        ((size_t)384)
#define WEFT_REDIS_HELLOS             2

struct weft_redis_command {
    struct iovec
        pieces[5]; /* to be sent in this order; they point into text and what is borrowed */
    uint32_t piece_count;
    uint32_t len; /* of text */
    char text[256];
};

/** One command each. Key and value are borrowed as long as the command.
 *  space    1..WEFT_REDIS_SPACE_BYTES_MAX bytes
 *  ttl_ms   > 0; longer than a hundred years: for ever */
void weft_redis_get(struct weft_redis_command *out, weft_str space, weft_str key);
void weft_redis_del(struct weft_redis_command *out, weft_str space, weft_str key);
void weft_redis_set(struct weft_redis_command *out, weft_str space, weft_str key, weft_str value,
                    uint64_t ttl_ms);

/** What a new connection says first: zero, one or two commands, each answered by itself.
 *  to           WEFT_REDIS_HELLO_BYTES; what is said points into it
 *  password     at most WEFT_REDIS_PASSWORD_BYTES_MAX; empty: none
 *  out          the commands; the others are empty */
void weft_redis_hello(char *to, weft_str password, uint32_t database,
                      weft_str out[WEFT_REDIS_HELLOS]);

#endif
