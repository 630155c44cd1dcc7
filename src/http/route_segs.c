/* route_segs.c - walking by segments; see route_segs.h. Text is read sixteen bytes at a time and
 * never past the path: what begins in its last sixteen bytes is read from a copy with zeros behind.
 */
#include "http/route_segs.h"
#include <endian.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define BLOCK 64u /* bytes whose slashes fit into one mask */
#define WIDE  16u /* bytes read at a time */
#define LOW_7 0x7f7f7f7f7f7f7f7fu

/* Ones for the first n bytes of two little-endian words. */
#define ONES(n) ((n) >= 8 ? ~(uint64_t)0 : ((uint64_t)1 << (8 * (n) % 64)) - 1)
#define EACH(word)                                                                                 \
    {                                                                                              \
        word(0), word(1), word(2), word(3), word(4), word(5), word(6), word(7), word(8), word(9),  \
            word(10), word(11), word(12), word(13), word(14), word(15), word(16)                   \
    }
#define LOW(n)  ONES(n)
#define HIGH(n) ((n) > 8 ? ONES((n)-8) : 0)
static const uint64_t keep_low[WIDE + 1] = EACH(LOW), keep_high[WIDE + 1] = EACH(HIGH);

static inline uint64_t load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

/* Bit i: byte i is a slash. */
static inline uint64_t slashes_of_word(uint64_t word)
{
    uint64_t x = word ^ (0x0101010101010101u * '/');
    uint64_t zeros = ~(((x & LOW_7) + LOW_7) | x | LOW_7); /* the high bit of each zero byte */
    return ((zeros >> 7) * 0x0102040810204080u) >> 56;
}

static inline uint64_t slashes_of(const char *at)
{
#if defined(__SSE2__)
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('/')));
#else
    return slashes_of_word(load(at)) | slashes_of_word(load(at + 8)) << 8;
#endif
}

/* Those of the first 64 bytes, without a branch: where the path is shorter, its last bytes are
 * looked at several times. len: WIDE at least. */
static inline uint64_t slashes_first(const char *text, size_t len)
{
    uint64_t mask = 0;
    for (size_t i = 0; i < BLOCK; i += WIDE) {
        size_t at = WEFT_MIN(i, len - WIDE);
        mask |= slashes_of(text + at) << at;
    }
    return mask;
}

/* Those from a later multiple of 64 on; few paths are that long. */
static uint64_t slashes_later(weft_str path, size_t base)
{
    uint64_t mask = 0;
    for (size_t at = base; at < WEFT_MIN(path.len, base + BLOCK); at++)
        mask |= (uint64_t)(path.ptr[at] == '/') << (at - base);
    return mask;
}

/* The end of the path ends a segment too. */
static inline uint64_t end_bit(size_t len, size_t base)
{
    return len - base < BLOCK ? (uint64_t)1 << (len - base) : 0;
}

struct walk {
    const char *path;  /* borrowed */
    const char *tail;  /* `cut` bytes before the copy of the path's end: what is at cut or behind is
                        * read from there */
    size_t cut, start; /* start: of the segment, behind its slash */
    weft_str *params;  /* the next one */
    uint32_t state;
};

static inline const struct weft_seg_slot *slot_at(const struct weft_segs *segs, uint32_t state)
{
    return (const void *)((const char *)segs->slots + state);
}

/* owner == state ? yes : no. Left to itself, the compiler makes a jump of it, which nothing can
 * foresee: half of the time of a match. */
static inline uint32_t choose(uint32_t owner, uint32_t state, uint32_t yes, uint32_t no)
{
#if defined(__x86_64__)
    __asm__("cmpl %[state], %[owner]\n\tcmovne %[no], %[yes]"
            : [yes] "+r"(yes)
            : [owner] "r"(owner), [state] "r"(state), [no] "r"(no)
            : "cc");
    return yes;
#else
    return no ^ ((yes ^ no) & (0u - (uint32_t)(owner == state)));
#endif
}

/* One segment. Everything here is data: no branch but the one at the end, which seldom goes there.
 *  returns  false: nothing leads on */
static inline bool step(const struct weft_segs *segs, struct walk *w, size_t end)
{
    size_t len = end - w->start;
    const char *text = (w->start < w->cut ? w->path : w->tail) + w->start;
    size_t kept = WEFT_MIN(len, WIDE);
    uint64_t low = load(text) & keep_low[kept], high = load(text + 8) & keep_high[kept];
    uint64_t hash = weft_seg_hash(segs, low, high, len);
    uint32_t byte = ((uint32_t)(hash >> 32) ^ segs->shifts[(uint32_t)hash & segs->shift_mask]) &
                    segs->symbol_mask;
    const struct weft_seg_symbol *symbol = (const void *)((const char *)segs->symbols + byte);
    uint64_t differs = (symbol->low ^ low) | (symbol->high ^ high) | (symbol->len ^ len);

    uint32_t id = symbol->id & (0u - (uint32_t)(differs == 0));

    const char *row = (const char *)segs->slots + id; /* known before the state is */
    const struct weft_seg_slot *own = slot_at(segs, w->state),
                               *other = (const void *)(row + w->state);
    *w->params = weft_str_make(w->path + w->start, len);
    w->params += other->owner != w->state;
    w->state = choose(other->owner, w->state, other->next, own->next);
    w->start = end + 1;
    return w->state != WEFT_SEG_DEAD;
}

static inline bool steps(const struct weft_segs *segs, struct walk *w, uint64_t mask, size_t base)
{
    for (; mask != 0; mask &= mask - 1)
        if (!step(segs, w, base + (unsigned)__builtin_ctzll(mask)))
            return false;
    return true;
}

static WEFT_COLD const struct weft_seg_slot *find_later(const struct weft_segs *segs,
                                                        struct walk *w, size_t len)
{
    for (size_t base = BLOCK; base <= len; base += BLOCK) {
        uint64_t mask = slashes_later(weft_str_make(w->path, len), base) | end_bit(len, base);
        bool empty = (mask & 1) != 0 && w->start == base;
        if (empty || (mask & mask << 1) != 0 || !steps(segs, w, mask, base))
            return NULL;
    }
    return slot_at(segs, w->state);
}

const struct weft_seg_slot *weft_segs_find(const struct weft_segs *segs, weft_str path,
                                           weft_str *params)
{
    char tail[2 * WIDE] = {0}; /* the path's end, or all of it */
    struct walk w = {
        .path = path.ptr, .tail = tail, .start = 1, .params = params, .state = segs->root};
    uint64_t mask;
    if (WEFT_LIKELY(path.len >= WIDE)) {
        w.cut = path.len - WIDE;
        w.tail = (const char *)((uintptr_t)tail - w.cut);
        memcpy(tail, path.ptr + w.cut, WIDE);
        mask = slashes_first(path.ptr, path.len);
    } else {
        if (path.len >= 8) {
            memcpy(tail + path.len - 8, path.ptr + path.len - 8, 8);
            memcpy(tail, path.ptr, 8);
        } else if (path.len > 0) {
            memcpy(tail, path.ptr, path.len);
        }
        mask = slashes_of(tail);
    }
    mask |= end_bit(path.len, 0);
    if ((mask & 1) == 0 || (mask & mask << 1) != 0) /* empty segments: seldom, and not here */
        return NULL;
    if (!steps(segs, &w, mask & ~(uint64_t)1, 0))
        return NULL;
    return WEFT_LIKELY(path.len < BLOCK) ? slot_at(segs, w.state) : find_later(segs, &w, path.len);
}
