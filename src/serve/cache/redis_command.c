/* redis_command.c - see redis_command.h. The syntax is RESP: an array of strings, each with its
 * length before it. */
#include "serve/cache/redis_command.h"
#include <stdarg.h>
#include "base/fmt.h"

#define TTL_MS_MAX                                                                                 \
    ((uint64_t)100 * 365 * 86400 * 1000) /* Redis refuses what overflows with now                  \
                                          */
#define PREFIX "weft:"

static void add_piece(struct weft_redis_command *command, const char *ptr, size_t len)
{
    weft_assert(command->piece_count < WEFT_COUNT_OF(command->pieces));
    command->pieces[command->piece_count++] = (struct iovec){(void *)(uintptr_t)ptr, len};
}

/* Text of our own, behind what is there. */
WEFT_PRINTF(2, 3) static void say(struct weft_redis_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *to = command->text + command->len;
    size_t room = sizeof(command->text) - command->len;
    size_t len = weft_vfmt(to, room, format, args);
    va_end(args);
    weft_assert(len <= room);
    command->len += (uint32_t)len;
    add_piece(command, to, len);
}

static void begin(struct weft_redis_command *out, int words, const char *verb_z, weft_str space,
                  weft_str key)
{
    weft_assert(space.len > 0);
    weft_assert(space.len <= WEFT_REDIS_SPACE_BYTES_MAX);
    out->piece_count = 0;
    out->len = 0;
    say(out, "*%d\r\n$3\r\n%s\r\n$%zu\r\n" PREFIX "%.*s:", words, verb_z,
        strlen(PREFIX) + space.len + 1 + key.len, (int)space.len, space.ptr);
    add_piece(out, key.ptr, key.len);
}

void weft_redis_get(struct weft_redis_command *out, weft_str space, weft_str key)
{
    begin(out, 2, "GET", space, key);
    say(out, "\r\n");
}

void weft_redis_del(struct weft_redis_command *out, weft_str space, weft_str key)
{
    begin(out, 2, "DEL", space, key);
    say(out, "\r\n");
}

static size_t digits(uint64_t n)
{
    size_t count = 1;
    for (; n >= 10; n /= 10)
        count++;
    return count;
}

void weft_redis_set(struct weft_redis_command *out, weft_str space, weft_str key, weft_str value,
                    uint64_t ttl_ms)
{
    bool expires = ttl_ms <= TTL_MS_MAX;
    begin(out, expires ? 5 : 3, "SET", space, key);
    say(out, "\r\n$%zu\r\n", value.len);
    add_piece(out, value.ptr, value.len);
    if (expires)
        say(out, "\r\n$2\r\nPX\r\n$%zu\r\n%llu\r\n", digits(ttl_ms), (unsigned long long)ttl_ms);
    else
        say(out, "\r\n");
}

void weft_redis_hello(char *to, weft_str password, uint32_t database,
                      weft_str out[WEFT_REDIS_HELLOS])
{
    size_t auth = 0, select = 0;
    weft_assert(password.len <= WEFT_REDIS_PASSWORD_BYTES_MAX);
    if (password.len > 0)
        auth = weft_fmt(to, WEFT_REDIS_HELLO_BYTES, "*2\r\n$4\r\nAUTH\r\n$%zu\r\n%.*s\r\n",
                        password.len, (int)password.len, password.ptr);
    if (database > 0)
        select = weft_fmt(to + auth, WEFT_REDIS_HELLO_BYTES - auth,
                          "*2\r\n$6\r\nSELECT\r\n$%zu\r\n%u\r\n", digits(database), database);
    weft_assert(auth + select <= WEFT_REDIS_HELLO_BYTES);
    out[0] = (weft_str){to, auth};
    out[1] = (weft_str){to + auth, select};
}
