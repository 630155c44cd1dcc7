/* params.h - the table of settings at run time: find a row, read a value, write it as text.
 *
 * Lifetime: the table is static; texts go to the caller's arrays.
 * Threads:  any, on different configs.
 * Memory:   static: WEFT_PARAM_COUNT rows.
 */
#ifndef WEFT_APP_PARAMS_H
#define WEFT_APP_PARAMS_H

#include "app/config.h"

enum weft_param_type {
    WEFT_PARAM_TYPE_COUNT,
    WEFT_PARAM_TYPE_BYTES,
    WEFT_PARAM_TYPE_MS,
    WEFT_PARAM_TYPE_BOOL,
    WEFT_PARAM_TYPE_ENUM,
    WEFT_PARAM_TYPE_HOST,
    WEFT_PARAM_TYPE_TEXT,
    WEFT_PARAM_TYPE_PATH
};

/* One row of params.def, where the columns are explained. */
struct weft_param {
    const char *key_z;
    const char *alias_z; /* NULL: none */
    const char *default_z;
    const char *zero_z; /* NULL: none */
    const char *unit_z;
    const char *help_z;
    uint64_t min;
    uint64_t max;
    enum weft_param_type type;
    uint32_t offset; /* of the member in struct weft_config, bytes */
};

extern const struct weft_param weft_params[WEFT_PARAM_COUNT];

/* How a name is spelled: http.buffer_bytes, http-buffer-bytes, HTTP_BUFFER_BYTES. */
enum weft_param_spelling { WEFT_PARAM_SPELL_KEY, WEFT_PARAM_SPELL_FLAG, WEFT_PARAM_SPELL_ENV };

static inline enum weft_param_id weft_param_id(const struct weft_param *param)
{
    return (enum weft_param_id)(param - weft_params);
}

/** A key or alias as it is spelled there; out has WEFT_CONFIG_KEY_BYTES. Returns out. */
const char *weft_param_spell(const char *key_z, enum weft_param_spelling spelling, char *out);

/** The row with that key or alias; NULL when there is none. */
const struct weft_param *weft_param_find(weft_str name, enum weft_param_spelling spelling);

/** The known name that looks most like a wrong one, spelled alike in out (WEFT_CONFIG_KEY_BYTES).
 *  returns  false: none comes close */
bool weft_param_nearest(weft_str name, enum weft_param_spelling spelling, char *out);

/** Read a value and store it in its member.
 *  out_why    what is wrong with it, range included: "12 is out of range (1K to 65000, bytes)"
 *  returns    0; WEFT_ESYNTAX or WEFT_ERANGE: *config is untouched, out_why is written */
WEFT_CHECK
weft_rc weft_param_set(struct weft_config *config, const struct weft_param *param, weft_str value,
                       char *out_why, size_t why_bytes);

/** Does the value read and lie in its range? Stores nothing, otherwise like weft_param_set(). */
WEFT_CHECK
weft_rc weft_param_try(const struct weft_param *param, weft_str value, char *out_why,
                       size_t why_bytes);

/** on, off, true, false, yes, no, 1, 0, in any case.
 *  returns  0 or WEFT_ESYNTAX */
WEFT_CHECK
weft_rc weft_param_to_bool(weft_str value, bool *out);

/** The value in force as a user would write it, not quoted. Returns out. */
const char *weft_param_text(const struct weft_config *config, const struct weft_param *param,
                            char *out, size_t out_bytes);

/** What is allowed: "1K to 65000, bytes", "on or off". Returns out. */
const char *weft_param_range(const struct weft_param *param, char *out, size_t out_bytes);

/** What kind of value is due: "a number", "a size", "on or off". Static. */
const char *weft_param_noun(const struct weft_param *param);

/** A foreign text for a message: control bytes become '?', the tail of a long one "...". Returns
 *  out, which has WEFT_PARAM_SHOWN_BYTES. */
#define WEFT_PARAM_SHOWN_BYTES 64
const char *weft_param_shown(weft_str text, char *out);

/** weft_param_set() for the loaders: a value that a stronger source has set already is checked
 *  only; a bad one becomes a line that begins with where. */
void weft_config_apply(struct weft_config *config, const struct weft_param *param, weft_str value,
                       struct weft_config_source source, const char *where_z,
                       struct weft_config_errors *errors);

#endif
