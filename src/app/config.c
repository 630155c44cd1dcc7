/* config.c - flags, environment and file into one struct, and the rules between settings.
 *
 * Each value is stored with its source, and a weaker source never overwrites a stronger one.
 * Every loader goes on after a mistake: who fixes a file wants the whole list.
 */
#include "app/config.h"
#include "app/allocator.h"
#include "app/config_mounts.h"
#include "app/params.h"
#include "app/settings_yaml.h"
#include "serve/coding/compress.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(struct weft_config) <= 16 << 10, "config.h says 16 KB");

void weft_config_error(struct weft_config_errors *errors, const char *format, ...)
{
    if (errors->error_count++ >= WEFT_CONFIG_ERRORS_MAX)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(errors->errors[errors->error_count - 1], WEFT_CONFIG_ERROR_BYTES, format, args);
    va_end(args);
}

void weft_config_warn(struct weft_config_errors *errors, const char *format, ...)
{
    if (errors->warning_count++ >= WEFT_CONFIG_ERRORS_MAX)
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(errors->warnings[errors->warning_count - 1], WEFT_CONFIG_ERROR_BYTES, format,
                    args);
    va_end(args);
}

void weft_config_defaults(struct weft_config *config)
{
    *config = (struct weft_config){0};
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        char why[WEFT_CONFIG_ERROR_BYTES];
        weft_str value = weft_str_z(weft_params[i].default_z);
        weft_rc rc = weft_param_set(config, &weft_params[i], value, why, sizeof(why));
        weft_assert(rc == 0); /* a row of params.def contradicts itself */
    }
}

void weft_config_apply(struct weft_config *config, const struct weft_param *param, weft_str value,
                       struct weft_config_source source, const char *where_z,
                       struct weft_config_errors *errors)
{
    char why[WEFT_CONFIG_ERROR_BYTES];
    struct weft_config_source *held = &config->sources[weft_param_id(param)];
    weft_rc rc = held->origin > source.origin
                     ? weft_param_try(param, value, why, sizeof(why))
                     : weft_param_set(config, param, value, why, sizeof(why));
    if (rc < 0)
        weft_config_error(errors, "%s: %s", where_z, why);
    else if (held->origin <= source.origin)
        *held = source;
}

/* Reads a whole file, at most WEFT_CONFIG_FILE_BYTES_MAX. *out_text is the caller's to free. */
static weft_rc read_all(int fd, char **out_text, size_t *out_len)
{
    size_t len = 0;
    char *text = malloc(WEFT_CONFIG_FILE_BYTES_MAX + 1);
    if (!text)
        return WEFT_ENOMEM;
    while (len <= WEFT_CONFIG_FILE_BYTES_MAX) {
        ssize_t n = read(fd, text + len, WEFT_CONFIG_FILE_BYTES_MAX + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int error = errno;
            free(text);
            return (weft_rc)-error;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    if (len > WEFT_CONFIG_FILE_BYTES_MAX) {
        free(text);
        return WEFT_ELIMIT;
    }
    *out_text = text;
    *out_len = len;
    return 0;
}

static weft_rc read_file(const char *path_z, char **out_text, size_t *out_len)
{
    int fd = open(path_z, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return (weft_rc)-errno;
    weft_rc rc = read_all(fd, out_text, out_len);
    close(fd);
    return rc;
}

static weft_rc note_file(struct weft_config *config, const char *path_z,
                         struct weft_config_errors *errors)
{
    size_t len = strlen(path_z);
    if (len == 0 || len >= WEFT_CONFIG_PATH_BYTES) {
        weft_config_error(errors, "-c: a file name of 1 to %d bytes is due",
                          WEFT_CONFIG_PATH_BYTES - 1);
        return WEFT_ECONFIG;
    }
    memmove(config->file, path_z, len + 1); /* it may be config->file itself */
    return 0;
}

weft_rc weft_config_load_file(struct weft_config *config, const char *path_z,
                              struct weft_config_errors *errors)
{
    char *text = NULL;
    size_t len = 0;
    WEFT_TRY(note_file(config, path_z, errors));
    weft_rc rc = read_file(path_z, &text, &len);
    if (rc == 0)
        rc = weft_settings_yaml(config, config->file, weft_str_make(text, len), errors);
    free(text);
    if (rc == 0 || rc == WEFT_ECONFIG)
        return rc;
    if (rc == WEFT_ELIMIT)
        weft_config_error(errors, "%s: larger than 1M, the most that a settings file may have",
                          config->file);
    else
        weft_config_error(errors, "%s: %s", config->file,
                          rc > -4096 ? strerror(-(int)rc) : weft_rc_text(rc));
    return WEFT_ECONFIG;
}

/* One `WEFT_NAME=value`. `seen` holds a bit per setting: its alias may stand beside its name. */
static void env_entry(struct weft_config *config, weft_str name, weft_str value, bool *seen,
                      struct weft_config_errors *errors)
{
    char shown[WEFT_PARAM_SHOWN_BYTES];
    char near[WEFT_CONFIG_KEY_BYTES];
    const struct weft_param *param = weft_param_find(name, WEFT_PARAM_SPELL_ENV);
    char where[WEFT_CONFIG_KEY_BYTES + sizeof("WEFT_")];
    if (!param && weft_param_nearest(name, WEFT_PARAM_SPELL_ENV, near)) {
        weft_config_warn(errors, "WEFT_%s: no such setting; did you mean WEFT_%s?",
                         weft_param_shown(name, shown), near);
        return;
    }
    if (!param) {
        weft_config_warn(errors, "WEFT_%s: no such setting", weft_param_shown(name, shown));
        return;
    }
    bool *twice = &seen[weft_param_id(param)];
    (void)snprintf(where, sizeof(where), "WEFT_%.*s", (int)name.len, name.ptr);
    if (*twice)
        weft_config_error(errors, "%s: %s is set twice in the environment", where, param->key_z);
    else
        weft_config_apply(config, param, value,
                          (struct weft_config_source){WEFT_CONFIG_FROM_ENV, 0}, where, errors);
    *twice = true;
}

weft_rc weft_config_load_env(struct weft_config *config, char *const *envp,
                             struct weft_config_errors *errors)
{
    uint32_t errors_before = errors->error_count;
    bool seen[WEFT_PARAM_COUNT] = {false};
    for (; *envp; envp++) {
        weft_str entry = weft_str_z(*envp);
        if (!weft_str_starts(entry, WEFT_S("WEFT_")))
            continue;
        const char *name = entry.ptr + 5;
        size_t name_len = strcspn(name, "=");
        const char *value = name[name_len] == '=' ? name + name_len + 1 : name + name_len;
        env_entry(config, weft_str_make(name, name_len), weft_str_z(value), seen, errors);
    }
    return errors->error_count > errors_before ? WEFT_ECONFIG : 0;
}

/* The command line while it is read. */
struct flags {
    struct weft_config *config;
    struct weft_config_errors *errors;
    int argc;
    char *const *argv;
    int at; /* the argument that is looked at */
};

/* The value that follows a flag as an argument of its own; NULL: there is none. */
static const char *next_value(struct flags *flags)
{
    if (flags->at + 1 >= flags->argc || strncmp(flags->argv[flags->at + 1], "--", 2) == 0)
        return NULL;
    return flags->argv[++flags->at];
}

/* `--nodelay` alone is on; `--nodelay off` reads as it looks. */
static const char *next_bool(struct flags *flags)
{
    if (flags->at + 1 < flags->argc && flags->argv[flags->at + 1][0] != '-')
        return flags->argv[++flags->at];
    return "on";
}

static void unknown_flag(struct flags *flags, weft_str name, bool has_value)
{
    char shown[WEFT_PARAM_SHOWN_BYTES];
    char near[WEFT_CONFIG_KEY_BYTES];
    if (weft_param_nearest(name, WEFT_PARAM_SPELL_FLAG, near))
        weft_config_error(flags->errors, "--%s: no such flag; did you mean --%s?",
                          weft_param_shown(name, shown), near);
    else
        weft_config_error(flags->errors, "--%s: no such flag (--help lists them)",
                          weft_param_shown(name, shown));
    /* What looks like its value is no second mistake. */
    if (!has_value && flags->at + 1 < flags->argc && flags->argv[flags->at + 1][0] != '-')
        flags->at++;
}

/* `--name`, `--name=value` or `--name value` of a setting. */
static void setting_flag(struct flags *flags, weft_str name, const char *value_z)
{
    char where[WEFT_CONFIG_KEY_BYTES + sizeof("--")];
    char range[128];
    const struct weft_param *param = weft_param_find(name, WEFT_PARAM_SPELL_FLAG);
    if (!param) {
        unknown_flag(flags, name, value_z != NULL);
        return;
    }
    (void)snprintf(where, sizeof(where), "--%.*s", (int)name.len, name.ptr);
    if (!value_z)
        value_z = param->type == WEFT_PARAM_TYPE_BOOL ? next_bool(flags) : next_value(flags);
    if (!value_z) {
        weft_config_error(flags->errors, "%s: its value is missing (%s)", where,
                          weft_param_range(param, range, sizeof(range)));
        return;
    }
    weft_config_apply(flags->config, param, weft_str_z(value_z),
                      (struct weft_config_source){WEFT_CONFIG_FROM_FLAG, 0}, where, flags->errors);
}

static void file_flag(struct flags *flags, const char *value_z)
{
    if (!value_z)
        value_z = next_value(flags);
    (void)note_file(flags->config, value_z ? value_z : "", flags->errors); /* adds its own line */
}

static void mount_flag(struct flags *flags, const char *value_z)
{
    if (!value_z)
        value_z = next_value(flags);
    weft_config_mount_flag(flags->config, value_z ? value_z : "", flags->errors);
}

static void long_flag(struct flags *flags, const char *text_z)
{
    weft_str name = weft_str_make(text_z, strcspn(text_z, "="));
    const char *value_z = text_z[name.len] == '=' ? text_z + name.len + 1 : NULL;
    if (weft_str_eq(name, WEFT_S("config")))
        file_flag(flags, value_z);
    else if (weft_str_eq(name, WEFT_S("static")))
        mount_flag(flags, value_z);
    else if (weft_str_eq(name, WEFT_S("help")))
        flags->config->help_wanted = true;
    else if (weft_str_eq(name, WEFT_S("version")))
        flags->config->version_wanted = true;
    else
        setting_flag(flags, name, value_z);
}

static void one_flag(struct flags *flags, const char *text_z)
{
    char shown[WEFT_PARAM_SHOWN_BYTES];
    if (strncmp(text_z, "--", 2) == 0 && text_z[2])
        long_flag(flags, text_z + 2);
    else if (strcmp(text_z, "-h") == 0)
        flags->config->help_wanted = true;
    else if (strcmp(text_z, "-V") == 0)
        flags->config->version_wanted = true;
    else if (strncmp(text_z, "-c", 2) == 0)
        file_flag(flags, text_z[2] ? text_z + 2 : NULL);
    else
        weft_config_error(flags->errors, "%s: unexpected; settings are given as --name=value",
                          weft_param_shown(weft_str_z(text_z), shown));
}

weft_rc weft_config_load_flags(struct weft_config *config, int argc, char *const *argv,
                               struct weft_config_errors *errors)
{
    uint32_t errors_before = errors->error_count;
    struct flags flags = {.config = config, .errors = errors, .argc = argc, .argv = argv, .at = 1};
    for (; flags.at < argc; flags.at++)
        one_flag(&flags, argv[flags.at]);
    return errors->error_count > errors_before ? WEFT_ECONFIG : 0;
}

weft_rc weft_config_load(struct weft_config *config, int argc, char *const *argv, char *const *envp,
                         struct weft_config_errors *errors)
{
    weft_config_defaults(config);
    weft_rc flags_rc = weft_config_load_flags(config, argc, argv, errors);
    if (config->help_wanted || config->version_wanted)
        return 0;
    weft_rc file_rc = 0;
    if (config->file[0])
        file_rc = weft_config_load_file(config, config->file, errors);
    weft_rc env_rc = weft_config_load_env(config, envp, errors);
    weft_rc check_rc = weft_config_check(config, errors);
    bool good = flags_rc == 0 && file_rc == 0 && env_rc == 0 && check_rc == 0;
    return good ? 0 : WEFT_ECONFIG;
}

size_t weft_config_head_bytes_max(const struct weft_config *config)
{
    return config->request_head_bytes_max > 0 ? config->request_head_bytes_max
                                              : config->http_buffer_bytes;
}

/* A broken rule, told with where its setting came from. */
static void rule(const struct weft_config *config, enum weft_param_id id, const char *why_z,
                 struct weft_config_errors *errors)
{
    char source[WEFT_CONFIG_PATH_BYTES + 16];
    char value[WEFT_CONFIG_PATH_BYTES];
    char shown[WEFT_PARAM_SHOWN_BYTES];
    const struct weft_param *param = &weft_params[id];
    weft_param_text(config, param, value, sizeof(value));
    /* A file's line and a default do not name the setting; a flag and the environment do. */
    bool unnamed = config->sources[id].origin == WEFT_CONFIG_FROM_FILE ||
                   config->sources[id].origin == WEFT_CONFIG_FROM_DEFAULT;
    weft_config_error(errors, "%s: %s%s%s %s",
                      weft_config_source_text(config, id, source, sizeof(source)),
                      unnamed ? param->key_z : "", unnamed ? ": " : "",
                      weft_param_shown(weft_str_z(value), shown), why_z);
}

static bool same_listener(const struct weft_config *config)
{
    return config->admin_enabled && config->port != 0 && config->port == config->admin_port &&
           strcmp(config->host, config->admin_host) == 0;
}

/* What may stand behind "charset=" without quotes (RFC 9110 5.6.2). */
static bool is_charset(const char *text_z)
{
    static const char good[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:+";
    return text_z[strspn(text_z, good)] == 0;
}

static bool is_directory(const char *path_z)
{
    struct stat st;
    return stat(path_z, &st) == 0 && S_ISDIR(st.st_mode);
}

weft_rc weft_config_check(const struct weft_config *config, struct weft_config_errors *errors)
{
    uint32_t errors_before = errors->error_count;
    if ((config->buffers_count & (config->buffers_count - 1)) != 0)
        rule(config, WEFT_PARAM_buffers_count, "is not a power of two", errors);
    if (config->request_head_bytes_max > config->http_buffer_bytes)
        rule(config, WEFT_PARAM_request_head_bytes_max,
             "is more than http.buffer_bytes: a head fits in one buffer", errors);
    if (config->timer_precision_ms != 1 && config->timer_precision_ms != 10)
        rule(config, WEFT_PARAM_timer_precision_ms, "is neither 1ms nor 10ms", errors);
    if (same_listener(config))
        rule(config, WEFT_PARAM_admin_port, "is the port of the public listener too", errors);
    if (config->root[0] && !is_directory(config->root))
        rule(config, WEFT_PARAM_root, "is not a directory that can be reached", errors);
    if (!is_charset(config->files_charset))
        rule(config, WEFT_PARAM_files_charset, "is not the name of a charset", errors);
    weft_config_mounts_check(config, errors);
    uint32_t codings;
    if (weft_compress_codings(weft_str_z(config->compress_codings), &codings) != 0)
        rule(config, WEFT_PARAM_compress_codings, "is not a list of zstd, br and gzip", errors);
    weft_allocator_check(config, errors);
    return errors->error_count > errors_before ? WEFT_ECONFIG : 0;
}

const char *weft_config_source_text(const struct weft_config *config, enum weft_param_id id,
                                    char *out, size_t out_bytes)
{
    char name[WEFT_CONFIG_KEY_BYTES];
    const char *key_z = weft_params[id].key_z, *alias_z = weft_params[id].alias_z;
    switch (config->sources[id].origin) {
    case WEFT_CONFIG_FROM_DEFAULT:
        (void)snprintf(out, out_bytes, "default");
        break;
    case WEFT_CONFIG_FROM_FILE:
        (void)snprintf(out, out_bytes, "%s:%u", config->file, config->sources[id].line);
        break;
    case WEFT_CONFIG_FROM_ENV:
        (void)snprintf(out, out_bytes, "WEFT_%s",
                       weft_param_spell(key_z, WEFT_PARAM_SPELL_ENV, name));
        break;
    case WEFT_CONFIG_FROM_FLAG:
        (void)snprintf(out, out_bytes, "--%s",
                       weft_param_spell(alias_z ? alias_z : key_z, WEFT_PARAM_SPELL_FLAG, name));
        break;
    }
    return out;
}
