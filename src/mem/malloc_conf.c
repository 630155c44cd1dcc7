/* malloc_conf.c - see malloc_conf.h. */
#include "mem/malloc_conf.h"
#include <errno.h>
#include <stdlib.h>

enum kind {
    BOOL,
    NUMBER,  /* in C's notation, a sign and hexadecimal included */
    COUNT,   /* 1 and more, or "default" */
    DECAY,   /* ms; -1 and more */
    DECIMAL, /* a number with or without a point; -1 */
    WORD,    /* one of those listed */
    ANY,     /* a grammar of its own */
};

struct key {
    const char *name_z;
    enum kind kind;
    const char *words_z; /* of a WORD: separated by '|' */
};

/* shows MC-24: what jemalloc 5.3.0-1 of Debian takes (tests/e2e/profile_test.py asks it). */
static const struct key keys[] = {
    {"abort", BOOL, NULL},
    {"abort_conf", BOOL, NULL},
    {"background_thread", BOOL, NULL},
    {"bin_shards", ANY, NULL},
    {"confirm_conf", BOOL, NULL},
    {"dirty_decay_ms", DECAY, NULL},
    {"dss", WORD, "disabled|primary|secondary"},
    {"experimental_infallible_new", BOOL, NULL},
    {"hpa", BOOL, NULL},
    {"hpa_dirty_mult", DECIMAL, NULL},
    {"hpa_hugification_threshold", NUMBER, NULL},
    {"hpa_hugification_threshold_ratio", DECIMAL, NULL},
    {"hpa_hugify_delay_ms", NUMBER, NULL},
    {"hpa_min_purge_interval_ms", NUMBER, NULL},
    {"hpa_sec_batch_fill_extra", NUMBER, NULL},
    {"hpa_sec_bytes_after_flush", NUMBER, NULL},
    {"hpa_sec_max_alloc", NUMBER, NULL},
    {"hpa_sec_max_bytes", NUMBER, NULL},
    {"hpa_sec_nshards", NUMBER, NULL},
    {"hpa_slab_max_alloc", NUMBER, NULL},
    {"junk", WORD, "true|false|alloc|free"},
    {"lg_extent_max_active_fit", NUMBER, NULL},
    {"lg_prof_interval", NUMBER, NULL},
    {"lg_prof_sample", NUMBER, NULL},
    {"lg_tcache_flush_large_div", NUMBER, NULL},
    {"lg_tcache_flush_small_div", NUMBER, NULL},
    {"lg_tcache_max", NUMBER, NULL},
    {"lg_tcache_nslots_mul", NUMBER, NULL},
    {"max_background_threads", NUMBER, NULL},
    {"metadata_thp", WORD, "disabled|auto|always"},
    {"mutex_max_spin", NUMBER, NULL},
    {"muzzy_decay_ms", DECAY, NULL},
    {"narenas", COUNT, NULL},
    {"narenas_ratio", DECIMAL, NULL},
    {"oversize_threshold", NUMBER, NULL},
    {"percpu_arena", WORD, "disabled|percpu|phycpu"},
    {"prof", BOOL, NULL},
    {"prof_accum", BOOL, NULL},
    {"prof_active", BOOL, NULL},
    {"prof_final", BOOL, NULL},
    {"prof_gdump", BOOL, NULL},
    {"prof_leak", BOOL, NULL},
    {"prof_leak_error", BOOL, NULL},
    {"prof_log", BOOL, NULL},
    {"prof_prefix", ANY, NULL},
    {"prof_recent_alloc_max", NUMBER, NULL},
    {"prof_stats", BOOL, NULL},
    {"prof_sys_thread_name", BOOL, NULL},
    {"prof_thread_active_init", BOOL, NULL},
    {"prof_time_resolution", WORD, "default|high"},
    {"prof_unbias", BOOL, NULL},
    {"retain", BOOL, NULL},
    {"san_guard_large", NUMBER, NULL},
    {"san_guard_small", NUMBER, NULL},
    {"slab_sizes", ANY, NULL},
    {"stats_interval", NUMBER, NULL},
    {"stats_interval_opts", ANY, NULL},
    {"stats_print", BOOL, NULL},
    {"stats_print_opts", ANY, NULL},
    {"tcache", BOOL, NULL},
    {"tcache_gc_delay_bytes", NUMBER, NULL},
    {"tcache_gc_incr_bytes", NUMBER, NULL},
    {"tcache_max", NUMBER, NULL},
    {"tcache_nslots_large", NUMBER, NULL},
    {"tcache_nslots_small_max", NUMBER, NULL},
    {"tcache_nslots_small_min", NUMBER, NULL},
    {"thp", WORD, "default|always|never"},
    {"trust_madvise", BOOL, NULL},
    {"zero", BOOL, NULL},
    {"zero_realloc", WORD, "alloc|free|abort"},
};

static const struct key *find(weft_str name)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(keys); i++)
        if (weft_str_eq(name, weft_str_z(keys[i].name_z)))
            return &keys[i];
    return NULL;
}

static bool is_word(weft_str value, const char *words_z)
{
    while (*words_z != 0) {
        size_t len = strcspn(words_z, "|");
        if (weft_str_eq(value, weft_str_make(words_z, len)))
            return true;
        words_z += len + (words_z[len] == '|');
    }
    return false;
}

/* As jemalloc reads numbers: strtoumax with base 0, the whole value, a sign allowed. */
static bool to_number(weft_str value, long long *out)
{
    char text[32] = {0};
    char *end = NULL;
    if (value.len == 0 || value.len >= sizeof(text))
        return false;
    memcpy(text, value.ptr, value.len);
    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return false;
    errno = 0;
    long long number = strtoll(text, &end, 0);
    if (*end != 0 || end == text || errno != 0)
        return false;
    *out = number;
    return true;
}

static bool is_decimal(weft_str value)
{
    long long number = 0;
    size_t digits = 0, points = 0;
    for (size_t i = 0; i < value.len; i++) {
        digits += value.ptr[i] >= '0' && value.ptr[i] <= '9';
        points += value.ptr[i] == '.';
    }
    return (digits > 0 && points <= 1 && digits + points == value.len) ||
           (to_number(value, &number) && number == -1);
}

/* What is wrong with the value; NULL: nothing. */
static const char *value_wrong(const struct key *key, weft_str value)
{
    long long number = 0;
    switch (key->kind) {
    case BOOL:
        return is_word(value, "true|false") ? NULL : "is neither true nor false";
    case NUMBER:
        return to_number(value, &number) ? NULL : "is not a number";
    case COUNT:
        if (is_word(value, "default") || (to_number(value, &number) && number >= 1))
            return NULL;
        return "is neither a number from 1 nor default";
    case DECAY:
        if (to_number(value, &number) && number >= -1)
            return NULL;
        return "is not a number of ms from -1 (never)";
    case DECIMAL:
        return is_decimal(value) ? NULL : "is not a number";
    case WORD:
        return is_word(value, key->words_z) ? NULL : "is none of the words that it takes";
    case ANY:
        return value.len > 0 ? NULL : "is empty";
    }
    return NULL;
}

static bool is_key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static void no_pair(weft_str *rest, struct weft_malloc_conf_pair *out, const char *wrong_z)
{
    out->key = *rest;
    out->wrong_z = wrong_z;
    rest->len = 0;
}

bool weft_malloc_conf_next(weft_str *rest, struct weft_malloc_conf_pair *out)
{
    size_t key = 0, end = 0;
    *out = (struct weft_malloc_conf_pair){.wrong_z = NULL};
    if (rest->len == 0)
        return false;
    while (key < rest->len && is_key_byte(rest->ptr[key]))
        key++;
    if (key == 0 || key == rest->len || rest->ptr[key] != ':') {
        no_pair(rest, out, "no key:value pair starts here");
        return true;
    }
    for (end = key + 1; end < rest->len && rest->ptr[end] != ',';)
        end++;
    if (end + 1 == rest->len) {
        no_pair(rest, out, "ends with a comma");
        return true;
    }
    out->key = weft_str_make(rest->ptr, key);
    out->value = weft_str_make(rest->ptr + key + 1, end - key - 1);
    const struct key *known = find(out->key);
    out->wrong_z = known == NULL ? "is no key of jemalloc 5.3" : value_wrong(known, out->value);
    size_t next = WEFT_MIN(end + 1, rest->len);
    *rest = weft_str_make(rest->ptr + next, rest->len - next);
    return true;
}

bool weft_malloc_conf_aborts(weft_str conf)
{
    struct weft_malloc_conf_pair pair;
    bool aborts = false;
    while (weft_malloc_conf_next(&conf, &pair))
        if (weft_str_eq(pair.key, WEFT_S("abort_conf")) && pair.wrong_z == NULL)
            aborts = weft_str_eq(pair.value, WEFT_S("true"));
    return aborts;
}
