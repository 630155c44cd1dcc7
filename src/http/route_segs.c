/* route_segs.c - see route_segs.h: looking a path up. What looks roundabout here is there so that
 * it compiles to moves where a branch would be as good as random. No byte beyond the path is read.
 */
#include "http/route_segs.h"
#include <endian.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define WORD_BYTES  ((size_t)8)
#define BLOCK_BYTES ((size_t)64) /* slashes are looked for in blocks: one bit per byte */
#define LOW_BITS    0x0101010101010101u
#define LOW7_BITS   0x7f7f7f7f7f7f7f7fu

static inline uint64_t load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

/* All ones when the condition holds. The compiler is not told what the value can be, or it would
 * make the branch that is to be avoided. */
static inline uint64_t ones_if(bool condition)
{
    uint64_t mask = 0 - (uint64_t)condition;
    __asm__("" : "+r"(mask));
    return mask;
}

/* A bit for each slash in the 64 bytes from `from`. Eight bytes may be read, however short it is.
 */
static uint64_t slashes(const char *path, size_t len, size_t from)
{
    uint64_t mask = 0;
    size_t room = WEFT_MAX(len, WORD_BYTES);
    size_t end = WEFT_MIN(len, from + BLOCK_BYTES);
    for (size_t at = from; at < end; at += WORD_BYTES) {
        size_t over = at + WORD_BYTES > room ? at + WORD_BYTES - room : 0;
        uint64_t x = (load(path + at - over) >> (8 * over)) ^ (LOW_BITS * '/');
        uint64_t zero = ~(((x & LOW7_BITS) + LOW7_BITS) | x | LOW7_BITS); /* exact: high bits */
        mask |= ((zero >> 7) * 0x0102040810204080u >> 56) << (at - from);
    }
    return mask;
}

/* The same for the first 64: most paths end there. Four loads whatever the length, each moved back
 * to where it is inside the path. */
static inline uint64_t first_slashes(const char *path, size_t len)
{
#if defined(__SSE2__)
    const size_t step = sizeof(__m128i);
    if (WEFT_LIKELY(len >= step)) {
        const __m128i slash = _mm_set1_epi8('/');
        uint64_t mask = 0;
        for (size_t i = 0; i < BLOCK_BYTES; i += step) {
            size_t at = WEFT_MIN(i, len - step);
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(path + at));
            uint64_t found = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, slash));
            mask |= found >> (i - at) << i;
        }
        return mask;
    }
#endif
    return slashes(path, len, 0);
}

/* The end of the path ends a segment too. */
static inline uint64_t end_bit(size_t len, size_t from)
{
    return len - from < BLOCK_BYTES ? (uint64_t)1 << (len - from) : 0;
}

/* Where to go from `state` with the segment path[end - len, end); *out_param: it is the value of a
 * parameter. That is a jump: at most places it always goes the same way.
 *  key  its last eight bytes, or all of it and zeros */
static inline const struct weft_seg_state *step(const struct weft_segs *segs,
                                                const struct weft_seg_state *state,
                                                const char *path, size_t end, size_t len,
                                                uint64_t key, bool *out_param)
{
    uint64_t is_long = ones_if(len > WORD_BYTES);
    uint64_t head = load(path + ((end - len) & is_long)) & is_long; /* path + 0 can be read, too */
    uint64_t hash = weft_seg_hash(key, head, len);
    const struct weft_seg_word *word = &state->words[hash >> state->shift & state->mask];
    uint64_t differ = (word->key ^ key) | (word->head ^ head) | (word->len ^ len);
    if (WEFT_UNLIKELY(len > 2 * WORD_BYTES) && differ == 0)
        differ = memcmp(segs->texts + word->text, path + end - len, len) != 0;
    *out_param = differ != 0;
    return differ == 0 ? word->next : state->param;
}

static bool are_numbers(const struct weft_seg_state *state, const weft_str *params)
{
    uint64_t natural;
    int64_t integer;
    for (uint32_t i = 0; (state->u64s | state->i64s) >> i != 0; i++) {
        if ((state->u64s >> i & 1) != 0 && weft_str_to_u64(params[i], &natural) < 0)
            return false;
        if ((state->i64s >> i & 1) != 0 && weft_str_to_i64(params[i], &integer) < 0)
            return false;
    }
    return true;
}

/* A path of less than a word, as a word. */
static inline uint64_t short_text(weft_str path)
{
    uint64_t word = 0;
    for (size_t i = path.len; i-- > 0;)
        word = word << 8 | (unsigned char)path.ptr[i];
    return htole64(word);
}

/* The key of a segment (weft_seg_word): its last eight bytes, or all of it. */
static inline uint64_t key_of(const char *text, size_t start, size_t end)
{
    size_t len = end - start;
    if (WEFT_LIKELY(end >= WORD_BYTES))
        return load(text + end - WORD_BYTES) >> (8 * (WORD_BYTES - WEFT_MIN(len, WORD_BYTES)));
    return load(text) >> (8 * start) & (((uint64_t)1 << (8 * len)) - 1);
}

static inline const struct weft_node_route *route_of(const struct weft_segs *segs,
                                                     const struct weft_seg_state *state,
                                                     enum weft_method method,
                                                     const weft_str *params)
{
    uint32_t place = state->places[method];
    if (place == 0 || ((state->u64s | state->i64s) != 0 && !are_numbers(state, params)))
        return NULL;
    return &segs->routes[state->route + place - 1];
}

const struct weft_node_route *weft_segs_find(const struct weft_segs *segs, enum weft_method method,
                                             weft_str path, weft_str *params)
{
    const struct weft_seg_state *state = segs->states;
    size_t len = path.len;
    if (WEFT_UNLIKELY(len < 2 || len > WEFT_SEGS_PATH_MAX || path.ptr[0] != '/' ||
                      method >= WEFT_METHOD_OTHER))
        return NULL;
    uint64_t copy;
    const char *text = path.ptr;
    if (len < WORD_BYTES) {
        copy = short_text(path);
        text = (const char *)&copy;
    }
    weft_str *param = params;
    size_t block = 0, start = 1;
    uint64_t ends = first_slashes(text, len) | end_bit(len, 0);
    if ((ends & ends >> 1) != 0)
        return NULL;  /* an empty segment */
    ends &= ends - 1; /* the slash that begins the path */
    for (;;) {
        if (WEFT_UNLIKELY(ends == 0)) {
            do {
                block += BLOCK_BYTES;
                ends = slashes(text, len, block) | end_bit(len, block);
            } while (ends == 0);
            if ((ends & ends >> 1) != 0 || block + (size_t)__builtin_ctzll(ends) == start)
                return NULL;
        }
        size_t end = block + (size_t)__builtin_ctzll(ends);
        ends &= ends - 1;
        *param = weft_str_make(path.ptr + start, end - start);
        if (state->words != NULL) {
            bool is_param;
            state = step(segs, state, text, end, end - start, key_of(text, start, end), &is_param);
            param += is_param;
        } else {
            state = state->param;
            param++;
        }
        if (WEFT_UNLIKELY(state == NULL))
            return NULL;
        if (end == len)
            return route_of(segs, state, method, params);
        start = end + 1;
    }
}
