/* config_mounts.c - see config_mounts.h. */
#include "app/config_mounts.h"
#include "app/params.h"
#include <sys/stat.h>

static const struct key {
    const char *name_z;
    size_t offset;
    size_t room; /* of a text, its zero included; 0: a switch */
    const char *default_z;
    const char *help_z;
} keys[] = {
#define TEXT(member, default_z, help_z)                                                            \
    {                                                                                              \
#member, offsetof(struct weft_config_mount_draft, member),                                 \
            sizeof(((struct weft_config_mount_draft *)0)->member), default_z, help_z               \
    }
#define SWITCH(member, help_z)                                                                     \
    {                                                                                              \
#member, offsetof(struct weft_config_mount_draft, member), 0, "off", help_z                \
    }
    TEXT(url, "", "path that the directory is found under; begins with `/`"),
    TEXT(directory, "", "what is served"),
    TEXT(index, "index.html",
         "files that stand for a directory, with spaces between: the first that is there; empty: "
         "none"),
    TEXT(cache_control, "", "value of the Cache-Control header; empty: none is sent"),
    SWITCH(listing, "a directory without index shows what lies in it"),
    SWITCH(precompressed, "`x.zst`, `x.br` or `x.gz`, where it is there, not older, and the client "
                          "takes it, is sent for `x`"),
    SWITCH(hidden, "names that begin with a dot are served; without, only `/.well-known/` is"),
};

#undef TEXT
#undef SWITCH

void weft_config_mount_begin(struct weft_config_mount_draft *draft)
{
    *draft = (struct weft_config_mount_draft){.index = "index.html"};
}

static const struct key *find_key(weft_str name)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(keys); i++)
        if (weft_str_eq(name, weft_str_z(keys[i].name_z)))
            return &keys[i];
    return NULL;
}

static bool has_control(weft_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return true;
    return false;
}

void weft_config_mount_set(struct weft_config_mount_draft *draft, weft_str key, weft_str value,
                           const char *where_z, struct weft_config_errors *errors)
{
    char shown[WEFT_PARAM_SHOWN_BYTES];
    const struct key *known = find_key(key);
    if (known == NULL) {
        weft_config_error(errors,
                          "%s: %s: no such key of a mount (url, directory, index, cache_control, "
                          "listing, precompressed, hidden)",
                          where_z, weft_param_shown(key, shown));
        return;
    }
    char *to = (char *)draft + known->offset;
    if (known->room == 0) {
        bool on = false;
        if (weft_param_to_bool(value, &on) == 0)
            memcpy(to, &on, sizeof(on));
        else
            weft_config_error(errors, "%s: %s: %s is not on or off", where_z, known->name_z,
                              weft_param_shown(value, shown));
    } else if (value.len >= known->room || has_control(value)) {
        weft_config_error(errors, "%s: %s: %s is not a text of at most %zu bytes", where_z,
                          known->name_z, weft_param_shown(value, shown), known->room - 1);
    } else {
        if (value.len > 0)
            memcpy(to, value.ptr, value.len);
        to[value.len] = 0;
    }
}

/* "/x" and "/x/" are one URL. */
static bool same_url(const char *a_z, const char *b_z)
{
    weft_str a = weft_str_z(a_z), b = weft_str_z(b_z);
    a.len -= a.len > 0 && a.ptr[a.len - 1] == '/';
    b.len -= b.len > 0 && b.ptr[b.len - 1] == '/';
    return weft_str_eq(a, b);
}

/* Where it was put; 0, the empty text, for an empty one. UINT16_MAX: no room. */
static uint16_t put_text(struct weft_config *config, const char *text_z)
{
    size_t bytes = strlen(text_z) + 1;
    if (bytes == 1)
        return 0;
    size_t at = config->mount_texts_len + 1u; /* behind the zero of the one before */
    if (bytes > sizeof(config->mount_texts) - at)
        return UINT16_MAX;
    memcpy(config->mount_texts + at, text_z, bytes);
    config->mount_texts_len = (uint16_t)(at + bytes - 1);
    return (uint16_t)at;
}

static void append(struct weft_config *config, const struct weft_config_mount_draft *draft,
                   struct weft_config_source source, const char *where_z,
                   struct weft_config_errors *errors)
{
    struct weft_config_mount mount = {
        .url = put_text(config, draft->url),
        .directory = put_text(config, draft->directory),
        .index = put_text(config, draft->index),
        .cache_control = put_text(config, draft->cache_control),
        .listing = draft->listing,
        .precompressed = draft->precompressed,
        .hidden = draft->hidden,
        .source = source,
    };
    bool fits = mount.url != UINT16_MAX && mount.directory != UINT16_MAX &&
                mount.index != UINT16_MAX && mount.cache_control != UINT16_MAX;
    if (!fits || config->mount_count == WEFT_CONFIG_MOUNTS_MAX)
        weft_config_error(errors, "%s: more than %d mounts, or %d bytes of their texts", where_z,
                          WEFT_CONFIG_MOUNTS_MAX, WEFT_CONFIG_MOUNT_TEXTS_BYTES);
    else
        config->mounts[config->mount_count++] = mount;
}

void weft_config_mount_add(struct weft_config *config, const struct weft_config_mount_draft *draft,
                           struct weft_config_source source, const char *where_z,
                           struct weft_config_errors *errors)
{
    if (draft->url[0] != '/' || draft->directory[0] == 0) {
        weft_config_error(errors, "%s: a mount has a url, which begins with '/', and a directory",
                          where_z);
        return;
    }
    for (uint32_t i = 0; i < config->mount_count; i++) {
        const struct weft_config_mount *there = &config->mounts[i];
        if (!same_url(weft_config_mount_text(config, there->url), draft->url))
            continue;
        if (there->source.origin == source.origin)
            weft_config_error(errors, "%s: %s is mounted twice", where_z, draft->url);
        return; /* flags are read first */
    }
    append(config, draft, source, where_z, errors);
}

void weft_config_mount_flag(struct weft_config *config, const char *value_z,
                            struct weft_config_errors *errors)
{
    struct weft_config_mount_draft draft;
    size_t url = strcspn(value_z, "=");
    uint32_t errors_before = errors->error_count;
    if (value_z[url] == 0) {
        weft_config_error(errors, "--static: /url/=directory is due");
        return;
    }
    weft_config_mount_begin(&draft);
    weft_config_mount_set(&draft, WEFT_S("url"), weft_str_make(value_z, url), "--static", errors);
    weft_config_mount_set(&draft, WEFT_S("directory"), weft_str_z(value_z + url + 1), "--static",
                          errors);
    if (errors->error_count == errors_before)
        weft_config_mount_add(config, &draft, (struct weft_config_source){WEFT_CONFIG_FROM_FLAG, 0},
                              "--static", errors);
}

void weft_config_mounts_check(const struct weft_config *config, struct weft_config_errors *errors)
{
    for (uint32_t i = 0; i < config->mount_count; i++) {
        const struct weft_config_mount *mount = &config->mounts[i];
        const char *directory_z = weft_config_mount_text(config, mount->directory);
        struct stat info;
        char where[WEFT_CONFIG_PATH_BYTES + 16] = "--static";
        char shown[WEFT_PARAM_SHOWN_BYTES];
        if (stat(directory_z, &info) == 0 && S_ISDIR(info.st_mode))
            continue;
        if (mount->source.origin == WEFT_CONFIG_FROM_FILE)
            (void)snprintf(where, sizeof(where), "%s:%u: static", config->file, mount->source.line);
        weft_config_error(errors, "%s: %s is not a directory that can be reached", where,
                          weft_param_shown(weft_str_z(directory_z), shown));
    }
}

/* ---- for people ---- */

static void print_text(FILE *to, const char *key_z, const char *text_z)
{
    (void)fprintf(to, "    %s: ", key_z);
    weft_config_print_quoted(to, text_z);
    (void)fputc('\n', to);
}

void weft_config_mounts_print(FILE *to, const struct weft_config *config)
{
    if (config->mount_count > 0)
        (void)fputs("static:\n", to);
    for (uint32_t i = 0; i < config->mount_count; i++) {
        const struct weft_config_mount *mount = &config->mounts[i];
        (void)fputs("  -\n", to);
        print_text(to, "url", weft_config_mount_text(config, mount->url));
        print_text(to, "directory", weft_config_mount_text(config, mount->directory));
        print_text(to, "index", weft_config_mount_text(config, mount->index));
        print_text(to, "cache_control", weft_config_mount_text(config, mount->cache_control));
        (void)fprintf(to, "    listing: %s\n    precompressed: %s\n    hidden: %s\n",
                      mount->listing ? "on" : "off", mount->precompressed ? "on" : "off",
                      mount->hidden ? "on" : "off");
    }
}

void weft_config_mounts_print_docs(FILE *to)
{
    (void)fprintf(to,
                  "\n## static: directories under URLs\n"
                  "The one setting that is a list, of at most %d mounts (docs/files.md):\n"
                  "\n"
                  "```yaml\n"
                  "static:\n"
                  "  - url: /assets/\n"
                  "    directory: /srv/assets\n"
                  "    cache_control: public, max-age=3600\n"
                  "  - {url: /pub/, directory: /srv/pub, listing: on}\n"
                  "```\n"
                  "\n"
                  "The flag `--static=/assets/=/srv/assets` adds one with the defaults, and holds "
                  "against a mount of\n"
                  "that URL in the file.\n"
                  "\n"
                  "| key | default | meaning |\n"
                  "|---|---|---|\n",
                  WEFT_CONFIG_MOUNTS_MAX);
    for (size_t i = 0; i < WEFT_COUNT_OF(keys); i++)
        if (keys[i].default_z[0])
            (void)fprintf(to, "| `%s` | `%s` | %s |\n", keys[i].name_z, keys[i].default_z,
                          keys[i].help_z);
        else
            (void)fprintf(to, "| `%s` | %s | %s |\n", keys[i].name_z, i < 2 ? "due" : "empty",
                          keys[i].help_z);
}

void weft_config_mounts_print_help(FILE *to)
{
    (void)fprintf(to, "  %-30s %s\n  %-30s %s\n", "--static /URL/=DIRECTORY",
                  "serve the files of a directory under a URL; may be repeated", "",
                  "[none] (more in the file: docs/settings.md)");
}
