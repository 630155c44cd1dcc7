/* regex.c - see regex.h.
 *
 * PCRE2 takes memory from a leash: one per expression and scratch, below the router's. Its machine
 * code lies in mappings of its own and is counted by its size; so is the stack that the machine
 * code runs on.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "http/regex.h"
#include "mem/leash.h"
#include <pcre2.h>
#include <stdlib.h>

#define STACK_BYTES_FIRST   ((size_t)32 << 10)
#define DEPTH_MAX           1000u          /* nesting, for expressions that are interpreted */
#define SCRATCH_BYTES_OTHER ((size_t)1024) /* contexts and match data: asserted at create */

struct weft_regex {
    pcre2_code *code;        /* owned */
    struct weft_leash leash; /* what PCRE2 took for it */
    bool fast;               /* machine code exists */
};

struct weft_regex_scratch {
    pcre2_match_context *context; /* owned: the limits */
    pcre2_match_data *data;       /* owned */
    pcre2_jit_stack *stack;       /* owned; NULL when this PCRE2 has no machine code */
    struct weft_leash leash;
};

static pcre2_general_context *memory_of(struct weft_leash *leash)
{
    return pcre2_general_context_create(weft_leash_hook_malloc_last, weft_leash_hook_free_last,
                                        leash);
}

static pcre2_code *compile(weft_str text, pcre2_general_context *memory, int *error, size_t *out_at)
{
    const uint32_t options = PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL |
                             PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C;
    pcre2_compile_context *context = pcre2_compile_context_create(memory);
    *error = PCRE2_ERROR_HEAP_FAILED;
    if (!context)
        return NULL;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text.ptr, text.len, options, error, out_at, context);
    pcre2_compile_context_free(context);
    return code;
}

weft_rc weft_regex_create(weft_str text, struct weft_leash *leash, char *error, size_t error_bytes,
                          size_t *out_at, struct weft_regex **out)
{
    struct weft_regex *regex = calloc(1, sizeof(*regex));
    if (!regex)
        return WEFT_ENOMEM;
    weft_leash_init(&regex->leash, "pcre2", leash, 0);
    int code_error = PCRE2_ERROR_HEAP_FAILED;
    pcre2_general_context *memory = memory_of(&regex->leash);
    if (memory)
        regex->code = compile(text, memory, &code_error, out_at);
    pcre2_general_context_free(memory);
    if (!regex->code) {
        weft_regex_destroy(regex);
        if (code_error == PCRE2_ERROR_HEAP_FAILED)
            return WEFT_ENOMEM;
        (void)pcre2_get_error_message(code_error, (PCRE2_UCHAR *)error,
                                      error_bytes); /* may be cut */
        return WEFT_ESYNTAX;
    }
    regex->fast = pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE) == 0; /* else interpreted */
    *out = regex;
    return 0;
}

void weft_regex_destroy(struct weft_regex *regex)
{
    if (!regex)
        return;
    pcre2_code_free(regex->code);
    weft_leash_fini(&regex->leash);
    free(regex);
}

size_t weft_regex_bytes(const struct weft_regex *regex)
{
    size_t machine_code = 0;
    (void)pcre2_pattern_info(regex->code, PCRE2_INFO_JITSIZE, &machine_code); /* 0 without */
    return sizeof(*regex) + weft_leash_used(&regex->leash) + machine_code;
}

static bool scratch_fill(struct weft_regex_scratch *scratch, pcre2_general_context *memory)
{
    scratch->context = pcre2_match_context_create(memory);
    scratch->data = pcre2_match_data_create(1, memory);
    if (!scratch->context || !scratch->data)
        return false;
    (void)pcre2_set_match_limit(scratch->context, WEFT_REGEX_STEPS_MAX); /* these three return 0 */
    (void)pcre2_set_depth_limit(scratch->context, DEPTH_MAX);
    (void)pcre2_set_heap_limit(scratch->context, (uint32_t)(WEFT_REGEX_FRAME_BYTES_MAX >> 10));
    uint32_t has_jit = 0;
    if (pcre2_config(PCRE2_CONFIG_JIT, &has_jit) < 0 || has_jit == 0)
        return true;
    scratch->stack = pcre2_jit_stack_create(STACK_BYTES_FIRST, WEFT_REGEX_STACK_BYTES_MAX, memory);
    pcre2_jit_stack_assign(scratch->context, NULL, scratch->stack);
    return scratch->stack != NULL;
}

weft_rc weft_regex_scratch_create(struct weft_leash *leash, struct weft_regex_scratch **out)
{
    struct weft_regex_scratch *scratch = calloc(1, sizeof(*scratch));
    if (!scratch)
        return WEFT_ENOMEM;
    weft_leash_init(&scratch->leash, "pcre2", leash, 0);
    pcre2_general_context *memory = memory_of(&scratch->leash);
    bool filled = memory && scratch_fill(scratch, memory);
    pcre2_general_context_free(memory);
    if (!filled) {
        weft_regex_scratch_destroy(scratch);
        return WEFT_ENOMEM;
    }
    weft_assert(weft_leash_used(&scratch->leash) <=
                SCRATCH_BYTES_OTHER); /* the sum below is an upper bound */
    *out = scratch;
    return 0;
}

void weft_regex_scratch_destroy(struct weft_regex_scratch *scratch)
{
    if (!scratch)
        return;
    pcre2_jit_stack_free(scratch->stack);
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    weft_leash_fini(&scratch->leash);
    free(scratch);
}

size_t weft_regex_scratch_bytes(void)
{
    return sizeof(struct weft_regex_scratch) + weft_regex_scratch_leash_bytes() +
           WEFT_REGEX_STACK_BYTES_MAX;
}

size_t weft_regex_scratch_leash_bytes(void)
{
    return SCRATCH_BYTES_OTHER + WEFT_REGEX_FRAME_BYTES_MAX;
}

enum weft_regex_rc weft_regex_match(const struct weft_regex *regex,
                                    struct weft_regex_scratch *scratch, weft_str text)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.len > 0 ? text.ptr : "");
    int rc;
    if (WEFT_LIKELY(regex->fast))
        rc = pcre2_jit_match(regex->code, subject, text.len, 0, 0, scratch->data, scratch->context);
    else /* keeps its frames in scratch->data, not on the stack (since 10.41) */
        rc = pcre2_match(regex->code, subject, text.len, 0, 0, scratch->data, scratch->context);
    if (rc == PCRE2_ERROR_NOMATCH)
        return WEFT_REGEX_NO;
    return rc >= 0 ? WEFT_REGEX_YES : WEFT_REGEX_LIMIT;
}
