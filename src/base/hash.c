/* hash.c - see hash.h. One round per word and three at the end, little-endian as published. */
#include "base/hash.h"
#include <sys/random.h>
#include <time.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t turn(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void round_of(struct state *s)
{
    s->v0 += s->v1;
    s->v1 = turn(s->v1, 13) ^ s->v0;
    s->v0 = turn(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = turn(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = turn(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = turn(s->v1, 17) ^ s->v2;
    s->v2 = turn(s->v2, 32);
}

static inline void take_in(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    round_of(s);
    s->v0 ^= word;
}

static inline uint64_t word_at(const char *at, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, at, len);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

uint64_t weft_hash(const struct weft_hash_key *key, weft_str text)
{
    struct state s = {key->a ^ 0x736f6d6570736575u, key->b ^ 0x646f72616e646f6du,
                      key->a ^ 0x6c7967656e657261u, key->b ^ 0x7465646279746573u};
    const char *at = text.ptr;
    size_t left = text.len;
    for (; left >= 8; at += 8, left -= 8)
        take_in(&s, word_at(at, 8));
    uint64_t last = left > 0 ? word_at(at, left) : 0;
    take_in(&s, last | (uint64_t)text.len << 56);
    s.v2 ^= 0xff;
    round_of(&s);
    round_of(&s);
    round_of(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void weft_hash_key_make(struct weft_hash_key *out)
{
    if (getrandom(out, sizeof(*out), GRND_NONBLOCK) == (ssize_t)sizeof(*out))
        return;
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with a clock that there is */
    out->a = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)(uintptr_t)out;
    out->b = (uint64_t)now.tv_sec ^ 0x9e3779b97f4a7c15u;
}
