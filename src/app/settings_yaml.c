/* settings_yaml.c - a walk over libyaml's events that keeps nothing but the path to where it is.
 *
 * `http: {buffer_bytes: 8K}` and `http.buffer_bytes: 8K` are the same: the keys above are joined
 * with dots. `static` alone is a list, of mappings of one level. No tree is built and nothing
 * recurses; a part that makes no sense is reported once and skipped, so that one run lists all
 * mistakes. Only broken YAML ends the walk early.
 */
#include "app/settings_yaml.h"
#include "app/config_mounts.h"
#include "app/params.h"
#include <yaml.h>

#define PATH_BYTES 160 /* longer than any known key, so that a longer one is unknown anyhow */

struct walk {
    struct weft_config *config;
    struct weft_config_errors *errors;
    const char *name_z;
    char path[PATH_BYTES];                    /* keys down to here; zero-terminated */
    size_t path_len;                          /* at the end of the innermost key */
    size_t open_len[WEFT_SETTINGS_DEPTH_MAX]; /* path_len of each open mapping */
    uint32_t depth;                           /* open mappings that are walked */
    uint32_t skip;                            /* open lists and mappings that are not; 0: none */
    uint32_t documents;
    struct weft_config_mount_draft mount;  /* an entry of `static` while it is read */
    uint32_t mount_line;                   /* where it begins */
    char mount_key[WEFT_CONFIG_KEY_BYTES]; /* that waits for its value; "": none */
    bool in_mounts;                        /* inside the list `static` */
    bool in_mount;                         /* inside an entry of it */
    bool has_key;                          /* path ends with a key that waits for its value */
    bool done;
    uint32_t seen_line[WEFT_PARAM_COUNT]; /* where a setting stood in this file; 0: not yet */
};

static uint32_t line_of(const yaml_event_t *event)
{
    return (uint32_t)event->start_mark.line + 1;
}

static void push_key(struct walk *walk, weft_str key)
{
    size_t at = walk->open_len[walk->depth - 1];
    char shown[WEFT_PARAM_SHOWN_BYTES];
    walk->path_len = at + (size_t)snprintf(walk->path + at, PATH_BYTES - at, "%s%s",
                                           at > 0 ? "." : "", weft_param_shown(key, shown));
    walk->path_len = WEFT_MIN(walk->path_len, (size_t)PATH_BYTES - 1);
    walk->has_key = true;
}

static const struct weft_param *param_here(const struct walk *walk)
{
    return weft_param_find(weft_str_make(walk->path, walk->path_len), WEFT_PARAM_SPELL_KEY);
}

/* Is there a setting below this path? */
static bool group_here(const struct walk *walk)
{
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++)
        if (strncmp(weft_params[i].key_z, walk->path, walk->path_len) == 0 &&
            weft_params[i].key_z[walk->path_len] == '.')
            return true;
    return false;
}

static void unknown_here(struct walk *walk, uint32_t line)
{
    char near[WEFT_CONFIG_KEY_BYTES];
    weft_str path = weft_str_make(walk->path, walk->path_len);
    /* The search takes a while: not for lines that nobody will see. */
    bool listed = walk->errors->error_count < WEFT_CONFIG_ERRORS_MAX;
    if (listed && weft_param_nearest(path, WEFT_PARAM_SPELL_KEY, near))
        weft_config_error(walk->errors, "%s:%u: %s: no such setting; did you mean %s?",
                          walk->name_z, line, walk->path, near);
    else
        weft_config_error(walk->errors, "%s:%u: %s: no such setting (docs/settings.md lists them)",
                          walk->name_z, line, walk->path);
}

/* A list or a mapping stands where one value is due; or a list where there may be a mapping. */
static void misplaced_here(struct walk *walk, const char *what_z, uint32_t line)
{
    const struct weft_param *param = param_here(walk);
    char range[128];
    if (param)
        weft_config_error(walk->errors, "%s:%u: %s: %s where %s is due (%s)", walk->name_z, line,
                          walk->path, what_z, weft_param_noun(param),
                          weft_param_range(param, range, sizeof(range)));
    else if (group_here(walk))
        weft_config_error(walk->errors, "%s:%u: %s: %s where settings are due", walk->name_z, line,
                          walk->path, what_z);
    else
        unknown_here(walk, line);
}

/* The keys of a document are words: anything else as a key, and it is not a settings file. */
static void stop(struct walk *walk, const char *why_z, uint32_t line)
{
    weft_config_error(walk->errors, "%s:%u: %s", walk->name_z, line, why_z);
    walk->done = true;
}

static bool is_null(const yaml_event_t *event, weft_str value)
{
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (weft_str_eq(value, WEFT_S("~")) || weft_str_ieq(value, WEFT_S("null")));
}

/* ---- the list `static` ---- */

static bool mounts_here(const struct walk *walk)
{
    return strcmp(walk->path, "static") == 0;
}

static void mount_where(const struct walk *walk, uint32_t line, char *out, size_t out_bytes)
{
    (void)snprintf(out, out_bytes, "%s:%u: static", walk->name_z, line);
}

static void mounts_misplaced(struct walk *walk, const char *what_z, uint32_t line)
{
    weft_config_error(walk->errors,
                      "%s:%u: static: %s where a list of mounts (`- url: /x/`) is due",
                      walk->name_z, line, what_z);
}

static void mount_scalar(struct walk *walk, const yaml_event_t *event, weft_str value)
{
    char where[WEFT_CONFIG_PATH_BYTES + PATH_BYTES + 16];
    if (!walk->in_mount) {
        mounts_misplaced(walk, "a value", line_of(event));
        return;
    }
    if (walk->mount_key[0] == 0) {
        weft_param_shown(value, walk->mount_key);
        return;
    }
    mount_where(walk, line_of(event), where, sizeof(where));
    weft_config_mount_set(&walk->mount, weft_str_z(walk->mount_key),
                          is_null(event, value) ? WEFT_S("") : value, where, walk->errors);
    walk->mount_key[0] = 0;
}

static void open_mount(struct walk *walk, const yaml_event_t *event)
{
    if (walk->in_mount) {
        mounts_misplaced(walk, "a mapping inside a mount", line_of(event));
        walk->skip = 1;
        walk->mount_key[0] = 0;
        return;
    }
    weft_config_mount_begin(&walk->mount);
    walk->mount_key[0] = 0;
    walk->mount_line = line_of(event);
    walk->in_mount = true;
}

static void close_mount(struct walk *walk)
{
    char where[WEFT_CONFIG_PATH_BYTES + PATH_BYTES + 16];
    struct weft_config_source source = {WEFT_CONFIG_FROM_FILE, walk->mount_line};
    mount_where(walk, walk->mount_line, where, sizeof(where));
    weft_config_mount_add(walk->config, &walk->mount, source, where, walk->errors);
    walk->in_mount = false;
}

/* Everything between the brackets. */
static void mounts_step(struct walk *walk, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
        open_mount(walk, event);
        break;
    case YAML_MAPPING_END_EVENT:
        close_mount(walk);
        break;
    case YAML_SEQUENCE_START_EVENT:
        mounts_misplaced(walk, "a list", line_of(event));
        walk->skip = 1;
        walk->mount_key[0] = 0;
        break;
    case YAML_SEQUENCE_END_EVENT:
        walk->in_mounts = false;
        break;
    case YAML_SCALAR_EVENT:
        mount_scalar(
            walk, event,
            weft_str_make((const char *)event->data.scalar.value, event->data.scalar.length));
        break;
    case YAML_ALIAS_EVENT:
        stop(walk, "an alias (`*name`): values are written out", line_of(event));
        break;
    default:
        break;
    }
}

static void value_here(struct walk *walk, const yaml_event_t *event, weft_str value)
{
    uint32_t line = line_of(event);
    char where[WEFT_CONFIG_PATH_BYTES + PATH_BYTES + 16];
    const struct weft_param *param = param_here(walk);
    if (mounts_here(walk)) {
        if (!is_null(event, value))
            mounts_misplaced(walk, "a value", line);
        return;
    }
    if (!param && group_here(walk)) {
        weft_config_error(walk->errors, "%s:%u: %s: a value where settings are due", walk->name_z,
                          line, walk->path);
        return;
    }
    if (!param) {
        unknown_here(walk, line);
        return;
    }
    uint32_t *seen_line = &walk->seen_line[weft_param_id(param)];
    if (*seen_line > 0) {
        weft_config_error(walk->errors, "%s:%u: %s: set twice, first in line %u", walk->name_z,
                          line, walk->path, *seen_line);
        return;
    }
    *seen_line = line;
    (void)snprintf(where, sizeof(where), "%s:%u: %s", walk->name_z, line, walk->path);
    struct weft_config_source source = {WEFT_CONFIG_FROM_FILE, line};
    weft_config_apply(walk->config, param, is_null(event, value) ? WEFT_S("") : value, source,
                      where, walk->errors);
}

static void scalar(struct walk *walk, const yaml_event_t *event)
{
    weft_str value =
        weft_str_make((const char *)event->data.scalar.value, event->data.scalar.length);
    if (walk->depth == 0) {
        /* An empty file, or one of comments, may still hold an empty document. */
        if (value.len > 0 && !is_null(event, value))
            stop(walk, "a value where settings (`key: value`) are due", line_of(event));
    } else if (!walk->has_key) {
        push_key(walk, value);
    } else {
        value_here(walk, event, value);
        walk->has_key = false;
    }
}

static void open_mapping(struct walk *walk, const yaml_event_t *event)
{
    if (walk->depth > 0 && !walk->has_key) {
        stop(walk, "a mapping as a key: keys are words", line_of(event));
        return;
    }
    if (walk->depth == WEFT_SETTINGS_DEPTH_MAX) {
        stop(walk, "nested too deeply", line_of(event));
        return;
    }
    if (walk->depth > 0 && mounts_here(walk)) {
        mounts_misplaced(walk, "a mapping", line_of(event));
        walk->skip = 1;
    } else if (walk->depth > 0 && (param_here(walk) || !group_here(walk))) {
        misplaced_here(walk, "a mapping", line_of(event));
        walk->skip = 1;
    } else {
        walk->open_len[walk->depth++] = walk->path_len;
    }
    walk->has_key = false;
}

static void open_list(struct walk *walk, const yaml_event_t *event)
{
    if (!walk->has_key) {
        stop(walk, "a list where settings (`key: value`) are due", line_of(event));
        return;
    }
    walk->has_key = false;
    walk->in_mounts = mounts_here(walk);
    if (walk->in_mounts)
        return;
    misplaced_here(walk, "a list", line_of(event));
    walk->skip = 1;
}

/* Counts what is opened and closed inside a part that was reported already. */
static void skipped(struct walk *walk, const yaml_event_t *event)
{
    if (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT)
        walk->skip++;
    else if (event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT)
        walk->skip--;
    if (walk->skip + walk->depth > WEFT_SETTINGS_DEPTH_MAX)
        stop(walk, "nested too deeply", line_of(event));
}

static void step(struct walk *walk, const yaml_event_t *event)
{
    if (walk->skip > 0) {
        skipped(walk, event);
        return;
    }
    if (walk->in_mounts) {
        mounts_step(walk, event);
        return;
    }
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (walk->documents++ > 0)
            stop(walk, "a second document in the file", line_of(event));
        break;
    case YAML_MAPPING_START_EVENT:
        open_mapping(walk, event);
        break;
    case YAML_MAPPING_END_EVENT:
        walk->depth--;
        walk->path_len = walk->open_len[walk->depth];
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_list(walk, event);
        break;
    case YAML_SCALAR_EVENT:
        scalar(walk, event);
        break;
    case YAML_ALIAS_EVENT:
        stop(walk, "an alias (`*name`): values are written out", line_of(event));
        break;
    case YAML_STREAM_END_EVENT:
        walk->done = true;
        break;
    default:
        break;
    }
}

/* Where libyaml stopped. Its reader knows an offset only: bytes that are no text have no line yet.
 */
static uint32_t problem_line(const yaml_parser_t *parser, weft_str text)
{
    if (parser->error != YAML_READER_ERROR)
        return (uint32_t)parser->problem_mark.line + 1;
    uint32_t line = 1;
    for (size_t i = 0; i < parser->problem_offset && i < text.len; i++)
        line += text.ptr[i] == '\n';
    return line;
}

static void broken(const yaml_parser_t *parser, struct walk *walk, weft_str text)
{
    weft_config_error(walk->errors, "%s:%u: not valid YAML: %s%s%s", walk->name_z,
                      problem_line(parser, text), parser->problem ? parser->problem : "unreadable",
                      parser->context ? " " : "", parser->context ? parser->context : "");
    walk->done = true;
}

weft_rc weft_settings_yaml(struct weft_config *config, const char *name_z, weft_str text,
                           struct weft_config_errors *errors)
{
    yaml_parser_t parser;
    struct walk walk = {.config = config, .errors = errors, .name_z = name_z};
    uint32_t errors_before = errors->error_count;
    if (!yaml_parser_initialize(&parser))
        return WEFT_ENOMEM;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    while (!walk.done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            broken(&parser, &walk, text);
            break;
        }
        step(&walk, &event);
        yaml_event_delete(&event);
    }
    bool no_memory = parser.error == YAML_MEMORY_ERROR;
    yaml_parser_delete(&parser);
    if (no_memory)
        return WEFT_ENOMEM;
    return errors->error_count > errors_before ? WEFT_ECONFIG : 0;
}
