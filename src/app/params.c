/* params.c - one parser and one printer per type, driven by the rows of params.def.
 *
 * A default is a text like any other and goes through the same parser as a user's value, so that
 * the documentation shows exactly what could be written.
 */
#include "app/params.h"
#include <arpa/inet.h>
#include <inttypes.h>

/* clang-format off: the macros of the table are laid out by hand */
#define WEFT_PARAM(member, key, alias, kind, min_, max_, default_, zero, unit, help)               \
    {key,                                                                                          \
     alias,                                                                                        \
     default_,                                                                                     \
     zero,                                                                                         \
     unit,                                                                                         \
     help,                                                                                         \
     min_,                                                                                         \
     max_,                                                                                         \
     WEFT_PARAM_TYPE_##kind,                                                                       \
     offsetof(struct weft_config, member)},
const struct weft_param weft_params[WEFT_PARAM_COUNT] = {
#include "app/params.def"
};
#undef WEFT_PARAM
/* clang-format on */

const char *weft_param_spell(const char *key_z, enum weft_param_spelling spelling, char *out)
{
    size_t at = 0;
    for (; key_z[at] && at + 1 < WEFT_CONFIG_KEY_BYTES; at++) {
        char c = key_z[at];
        bool joint = c == '.' || c == '_';
        if (spelling == WEFT_PARAM_SPELL_FLAG && joint)
            c = '-';
        else if (spelling == WEFT_PARAM_SPELL_ENV)
            c = (char)(joint ? '_' : c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        out[at] = c;
    }
    out[at] = '\0';
    return out;
}

/* The names of the table in order: keys at even, aliases at odd steps; NULL where there is none. */
static const char *name_at(size_t step)
{
    const struct weft_param *param = &weft_params[step / 2];
    return step % 2 == 0 ? param->key_z : param->alias_z;
}

const struct weft_param *weft_param_find(weft_str name, enum weft_param_spelling spelling)
{
    for (size_t step = 0; step < 2 * (size_t)WEFT_PARAM_COUNT; step++) {
        char known[WEFT_CONFIG_KEY_BYTES];
        if (name_at(step) &&
            weft_str_eq(name, weft_str_z(weft_param_spell(name_at(step), spelling, known))))
            return &weft_params[step / 2];
    }
    return NULL;
}

/* Levenshtein's distance, one row at a time. Both are shorter than WEFT_CONFIG_KEY_BYTES. */
static size_t distance(weft_str a, weft_str b)
{
    size_t row[WEFT_CONFIG_KEY_BYTES];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.len; j++) {
            size_t swap = diagonal + (a.ptr[i] != b.ptr[j]);
            diagonal = row[j + 1];
            row[j + 1] = WEFT_MIN(swap, WEFT_MIN(row[j], row[j + 1]) + 1);
        }
    }
    return row[b.len];
}

/* The best candidate so far. */
struct nearest {
    weft_str name;
    size_t distance; /* a candidate has to be nearer */
    char *out;
    bool found;
};

static void candidate(struct nearest *nearest, weft_str known)
{
    size_t far = distance(nearest->name, known);
    if (far >= nearest->distance)
        return;
    nearest->distance = far;
    nearest->found = true;
    memcpy(nearest->out, known.ptr, known.len);
    nearest->out[known.len] = '\0';
}

bool weft_param_nearest(weft_str name, enum weft_param_spelling spelling, char *out)
{
    if (name.len >= WEFT_CONFIG_KEY_BYTES)
        return false;
    /* Further off than a third of the name is no typing mistake; nor is a name without one letter
     * of it. */
    struct nearest nearest = {
        .name = name, .out = out, .distance = WEFT_MIN(WEFT_MAX(name.len / 3, 2u) + 1, name.len)};
    for (size_t step = 0; step < 2 * (size_t)WEFT_PARAM_COUNT; step++) {
        char known[WEFT_CONFIG_KEY_BYTES] = "";
        if (!name_at(step))
            continue;
        weft_param_spell(name_at(step), spelling, known);
        candidate(&nearest, weft_str_z(known));
        if (spelling == WEFT_PARAM_SPELL_KEY) /* the group alone, for `timeout: {...}` */
            candidate(&nearest, weft_str_make(known, strcspn(known, ".")));
    }
    return nearest.found;
}

const char *weft_param_shown(weft_str text, char *out)
{
    if (text.len == 0)
        return memcpy(out, "nothing", sizeof("nothing"));
    size_t room = WEFT_PARAM_SHOWN_BYTES - sizeof("...");
    size_t len = WEFT_MIN(text.len, room);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        out[i] = (char)(c < 0x20 || c >= 0x7f ? '?' : c);
    }
    memcpy(out + len, text.len > len ? "..." : "", text.len > len ? sizeof("...") : 1);
    return out;
}

const char *weft_param_noun(const struct weft_param *param)
{
    switch (param->type) {
    case WEFT_PARAM_TYPE_COUNT:
        return "a number";
    case WEFT_PARAM_TYPE_BYTES:
        return "a size";
    case WEFT_PARAM_TYPE_MS:
        return "a time";
    case WEFT_PARAM_TYPE_BOOL:
        return "on or off";
    case WEFT_PARAM_TYPE_ENUM:
        return "one of its choices";
    case WEFT_PARAM_TYPE_HOST:
        return "an IP address";
    case WEFT_PARAM_TYPE_TEXT:
        return "a text";
    case WEFT_PARAM_TYPE_PATH:
        return "a path";
    }
    return "";
}

struct scale {
    uint64_t factor;
    const char *name_z;
};

static void scaled_text(uint64_t value, const struct scale *scales, size_t count, char *out,
                        size_t out_bytes)
{
    size_t at = 0;
    while (at + 1 < count && (value == 0 || value % scales[at].factor != 0))
        at++;
    (void)snprintf(out, out_bytes, "%" PRIu64 "%s", value / scales[at].factor,
                   value == 0 ? "" : scales[at].name_z);
}

/* A number in the largest unit that shows it exactly: 8K, 65000, 90s. */
static const char *number_text(enum weft_param_type type, uint64_t value, char *out,
                               size_t out_bytes)
{
    static const struct scale plain[] = {{1, ""}};
    static const struct scale sizes[] = {{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "K"}, {1, ""}};
    static const struct scale times[] = {
        {86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    if (type == WEFT_PARAM_TYPE_BYTES)
        scaled_text(value, sizes, WEFT_COUNT_OF(sizes), out, out_bytes);
    else if (type == WEFT_PARAM_TYPE_MS)
        scaled_text(value, times, WEFT_COUNT_OF(times), out, out_bytes);
    else
        scaled_text(value, plain, WEFT_COUNT_OF(plain), out, out_bytes);
    return out;
}

/* The choice number `index` of "auto|uring|epoll"; an empty slice beyond the last. */
static weft_str choice_at(const struct weft_param *param, size_t index)
{
    const char *at = param->unit_z;
    for (; index > 0; index--) {
        at = strchr(at, '|');
        if (!at)
            return (weft_str){0};
        at++;
    }
    return weft_str_make(at, strcspn(at, "|"));
}

static void choices_text(const struct weft_param *param, char *out, size_t out_bytes)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; choice_at(param, i).len > 0 && len < out_bytes; i++) {
        weft_str choice = choice_at(param, i);
        const char *joint_z = i == 0 ? "" : choice_at(param, i + 1).len > 0 ? ", " : " or ";
        len += (size_t)snprintf(out + len, out_bytes - len, "%s%.*s", joint_z, (int)choice.len,
                                choice.ptr);
    }
}

const char *weft_param_range(const struct weft_param *param, char *out, size_t out_bytes)
{
    char min[32];
    char max[32];
    switch (param->type) {
    case WEFT_PARAM_TYPE_COUNT:
    case WEFT_PARAM_TYPE_BYTES:
    case WEFT_PARAM_TYPE_MS:
        (void)snprintf(out, out_bytes, "%s to %s%s%s%s%s",
                       number_text(param->type, param->min, min, sizeof(min)),
                       number_text(param->type, param->max, max, sizeof(max)),
                       param->zero_z ? " or " : "", param->zero_z ? param->zero_z : "",
                       param->unit_z[0] ? ", " : "", param->unit_z);
        break;
    case WEFT_PARAM_TYPE_ENUM:
        choices_text(param, out, out_bytes);
        break;
    case WEFT_PARAM_TYPE_TEXT:
    case WEFT_PARAM_TYPE_PATH:
        (void)snprintf(out, out_bytes, "at most %" PRIu64 " bytes, no control characters",
                       param->max);
        break;
    case WEFT_PARAM_TYPE_BOOL:
        (void)snprintf(out, out_bytes, "on or off");
        break;
    case WEFT_PARAM_TYPE_HOST:
        (void)snprintf(out, out_bytes, "an IPv4 or IPv6 address, or localhost");
        break;
    }
    return out;
}

weft_rc weft_param_to_bool(weft_str value, bool *out)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
    for (size_t i = 0; i < WEFT_COUNT_OF(words); i++) {
        if (!weft_str_ieq(value, weft_str_z(words[i])))
            continue;
        *out = i % 2 == 1;
        return 0;
    }
    return WEFT_ESYNTAX;
}

static weft_rc to_number(const struct weft_param *param, weft_str value, uint64_t *out)
{
    uint64_t number = 0;
    if (param->zero_z && weft_str_ieq(value, weft_str_z(param->zero_z))) {
        *out = 0;
        return 0;
    }
    if (param->type == WEFT_PARAM_TYPE_BYTES)
        WEFT_TRY(weft_str_to_bytes(value, &number));
    else if (param->type == WEFT_PARAM_TYPE_MS)
        WEFT_TRY(weft_str_to_ms(value, &number));
    else
        WEFT_TRY(weft_str_to_u64(value, &number));
    bool word = number == 0 && param->zero_z;
    if (!word && (number < param->min || number > param->max))
        return WEFT_ERANGE;
    *out = number;
    return 0;
}

static weft_rc to_choice(const struct weft_param *param, weft_str value, uint64_t *out)
{
    for (size_t i = 0; choice_at(param, i).len > 0; i++) {
        if (!weft_str_ieq(value, choice_at(param, i)))
            continue;
        *out = i;
        return 0;
    }
    /* YAML's `off`, however it is spelled: a choice named "off" takes the other words for it. */
    bool on = true;
    if (weft_str_eq(choice_at(param, 0), WEFT_S("off")) && weft_param_to_bool(value, &on) == 0 &&
        !on) {
        *out = 0;
        return 0;
    }
    return WEFT_ESYNTAX;
}

/* Copies a text that is short enough and free of control bytes; zero-terminates it. */
static weft_rc to_text(weft_str value, size_t len_max, char *out)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f)
            return WEFT_ESYNTAX;
    if (value.len > len_max)
        return WEFT_ERANGE;
    if (value.len > 0)
        memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return 0;
}

/* Addresses only: a name would mean asking a resolver before the first log line. */
static weft_rc to_host(weft_str value, char *out)
{
    char text[WEFT_CONFIG_HOST_BYTES];
    unsigned char binary[sizeof(struct in6_addr)];
    if (value.len > 2 && value.ptr[0] == '[' && value.ptr[value.len - 1] == ']')
        value = weft_str_make(value.ptr + 1, value.len - 2);
    if (weft_str_ieq(value, WEFT_S("localhost")))
        value = WEFT_S("127.0.0.1");
    if (to_text(value, sizeof(text) - 1, text) < 0)
        return WEFT_ESYNTAX;
    if (inet_pton(AF_INET, text, binary) != 1 && inet_pton(AF_INET6, text, binary) != 1)
        return WEFT_ESYNTAX;
    memcpy(out, text, value.len + 1);
    return 0;
}

/* A value that was read, before it is stored: to_value() decides, store() cannot fail. */
struct value {
    uint64_t number;
    char text[WEFT_CONFIG_PATH_BYTES];
};

static weft_rc to_value(const struct weft_param *param, weft_str value, struct value *out)
{
    bool on = false;
    switch (param->type) {
    case WEFT_PARAM_TYPE_COUNT:
    case WEFT_PARAM_TYPE_BYTES:
    case WEFT_PARAM_TYPE_MS:
        return to_number(param, value, &out->number);
    case WEFT_PARAM_TYPE_BOOL:
        WEFT_TRY(weft_param_to_bool(value, &on));
        out->number = on;
        return 0;
    case WEFT_PARAM_TYPE_ENUM:
        return to_choice(param, value, &out->number);
    case WEFT_PARAM_TYPE_HOST:
        return to_host(value, out->text);
    case WEFT_PARAM_TYPE_TEXT:
    case WEFT_PARAM_TYPE_PATH:
        return to_text(value, param->max, out->text);
    }
    return WEFT_ESYNTAX;
}

static void store(struct weft_config *config, const struct weft_param *param,
                  const struct value *value)
{
    char *member = (char *)config + param->offset;
    uint32_t small = (uint32_t)value->number; /* config_test checks that the ranges fit */
    size_t bytes = (size_t)value->number;
    bool on = value->number != 0;
    switch (param->type) {
    case WEFT_PARAM_TYPE_COUNT:
    case WEFT_PARAM_TYPE_MS:
    case WEFT_PARAM_TYPE_ENUM:
        memcpy(member, &small, sizeof(small));
        break;
    case WEFT_PARAM_TYPE_BYTES:
        memcpy(member, &bytes, sizeof(bytes));
        break;
    case WEFT_PARAM_TYPE_BOOL:
        memcpy(member, &on, sizeof(on));
        break;
    case WEFT_PARAM_TYPE_HOST:
    case WEFT_PARAM_TYPE_TEXT:
    case WEFT_PARAM_TYPE_PATH:
        memcpy(member, value->text, strlen(value->text) + 1);
        break;
    }
}

static weft_rc read_value(const struct weft_param *param, weft_str text, struct value *out,
                          char *out_why, size_t why_bytes)
{
    weft_rc rc = to_value(param, text, out);
    if (rc == 0)
        return 0;
    char range[128];
    char shown[WEFT_PARAM_SHOWN_BYTES];
    weft_param_range(param, range, sizeof(range));
    weft_param_shown(text, shown);
    if (rc == WEFT_ERANGE)
        (void)snprintf(out_why, why_bytes, "%s is out of range (%s)", shown, range);
    else
        (void)snprintf(out_why, why_bytes, "%s is not %s (%s)", shown, weft_param_noun(param),
                       range);
    return rc;
}

weft_rc weft_param_try(const struct weft_param *param, weft_str value, char *out_why,
                       size_t why_bytes)
{
    struct value read = {.number = 0};
    return read_value(param, value, &read, out_why, why_bytes);
}

weft_rc weft_param_set(struct weft_config *config, const struct weft_param *param, weft_str value,
                       char *out_why, size_t why_bytes)
{
    struct value read = {.number = 0};
    WEFT_TRY(read_value(param, value, &read, out_why, why_bytes));
    store(config, param, &read);
    return 0;
}

const char *weft_param_text(const struct weft_config *config, const struct weft_param *param,
                            char *out, size_t out_bytes)
{
    const char *member = (const char *)config + param->offset;
    uint32_t small = 0;
    size_t bytes = 0;
    bool on = false;
    if (param->type >= WEFT_PARAM_TYPE_HOST) {
        (void)snprintf(out, out_bytes, "%s", member);
        return out;
    }
    if (param->type == WEFT_PARAM_TYPE_BOOL) {
        memcpy(&on, member, sizeof(on));
        (void)snprintf(out, out_bytes, "%s", on ? "on" : "off");
        return out;
    }
    if (param->type == WEFT_PARAM_TYPE_BYTES)
        memcpy(&bytes, member, sizeof(bytes));
    else
        memcpy(&small, member, sizeof(small));
    uint64_t number = param->type == WEFT_PARAM_TYPE_BYTES ? bytes : small;
    if (param->type == WEFT_PARAM_TYPE_ENUM) {
        weft_str choice = choice_at(param, small);
        (void)snprintf(out, out_bytes, "%.*s", (int)choice.len, choice.ptr);
    } else if (number == 0 && param->zero_z) {
        (void)snprintf(out, out_bytes, "%s", param->zero_z);
    } else {
        number_text(param->type, number, out, out_bytes);
    }
    return out;
}
