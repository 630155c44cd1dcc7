/* mounts.c - see mounts.h. */
#include "app/mounts.h"
#include <weft/files.h>
#include "app/config_mounts.h"
#include "base/log.h"
#include "serve/files/listing.h"
#include "serve/files/mime.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- setting up ---- */

/* The pattern of everything below: the URL, a slash, a star. Empty when there can be none. */
static weft_str pattern_of(weft_app *app, const char *url_z)
{
    char text[WEFT_PATTERN_BYTES_MAX];
    size_t len = strlen(url_z);
    if (url_z[0] != '/' || strpbrk(url_z, "{}:*") != NULL || len + 2 > sizeof(text))
        return (weft_str){0};
    memcpy(text, url_z, len);
    if (text[len - 1] != '/')
        text[len++] = '/';
    text[len++] = '*';
    return weft_app_dup(app, weft_str_make(text, len));
}

static weft_str kept(weft_app *app, const char *text_z)
{
    return text_z[0] == 0 ? (weft_str){0} : weft_app_dup(app, weft_str_z(text_z));
}

static struct weft_app_mount *mount_at(weft_app *app, weft_str url)
{
    for (uint32_t i = 0; i < app->mount_count; i++)
        if (weft_str_eq(app->mounts[i].mount.url, url))
            return &app->mounts[i];
    return NULL;
}

/* A new place, with its two routes. */
static struct weft_app_mount *add_mount(weft_app *app, weft_str pattern)
{
    if (app->mount_count == WEFT_APP_MOUNTS_MAX) {
        weft_app_mistake(app, "more than %d mounts", WEFT_APP_MOUNTS_MAX);
        return NULL;
    }
    struct weft_app_mount *at = &app->mounts[app->mount_count++];
    *at = (struct weft_app_mount){.mount = {.root_fd = -1}};
    at->mount.url = weft_str_make(pattern.ptr, pattern.len - 1);
    at->route = weft_app_add_route(app, "GET", pattern, weft_mount_serve, NULL);
    if (at->route != NULL)
        at->route->context = &at->mount;
    if (pattern.len > 2)
        weft_app_add_route(app, "GET", weft_str_make(pattern.ptr, pattern.len - 2),
                           weft_mount_redirect, NULL);
    return at;
}

/* It stands in every head, and is not looked at again there. */
static bool is_header_value(weft_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return true;
}

/* Its rules, maybe in the place of others. */
static void set_rules(weft_app *app, struct weft_app_mount *at, const char *directory_z,
                      const weft_static_opts *opts)
{
    struct weft_mount *mount = &at->mount;
    const char *cache_control_z = opts->cache_control_z != NULL ? opts->cache_control_z : "";
    mount->directory = weft_str_z(weft_app_keep_z(app, directory_z));
    mount->index = kept(app, opts->index_z != NULL ? opts->index_z : "index.html");
    mount->rules.cache_control = kept(app, cache_control_z);
    if (!is_header_value(mount->rules.cache_control))
        weft_app_mistake(app, "mount %.*s: .cache_control_z holds control bytes",
                         (int)mount->url.len, mount->url.ptr);
    mount->rules.precompressed = opts->precompressed;
    mount->hidden = opts->hidden;
    mount->listing = opts->listing;
    if (!opts->listing || at->route == NULL)
        return;
    at->route->memory_bytes = WEFT_MAX(at->route->memory_bytes, WEFT_LISTING_MEMORY_BYTES);
    app->memory_max = WEFT_MAX(app->memory_max, at->route->memory_bytes);
}

void weft_static(weft_app *app, const char *url_z, const char *directory_z,
                 const weft_static_opts *opts)
{
    static const weft_static_opts none = {.size = sizeof(none)};
    if (app == NULL)
        return;
    opts = opts == NULL ? &none : opts;
    if (opts->size != sizeof(*opts)) {
        weft_app_mistake(app, "mount %s: options of another version of weft (use WEFT_STATIC_OPTS)",
                         url_z);
        return;
    }
    weft_str pattern = pattern_of(app, url_z);
    if (pattern.len == 0) {
        weft_app_mistake(app, "a mount: a path without parameters is due, /x/, not %s", url_z);
        return;
    }
    struct weft_app_mount *at = mount_at(app, weft_str_make(pattern.ptr, pattern.len - 1));
    if (at == NULL)
        at = add_mount(app, pattern);
    if (at != NULL)
        set_rules(app, at, directory_z, opts);
}

/* ---- from the settings ---- */

static void apply_one(weft_app *app, const struct weft_config_mount *from)
{
    const struct weft_config *config = &app->config;
    weft_static(
        app, weft_config_mount_text(config, from->url),
        weft_config_mount_text(config, from->directory),
        WEFT_STATIC_OPTS(.index_z = weft_config_mount_text(config, from->index),
                         .cache_control_z = weft_config_mount_text(config, from->cache_control),
                         .listing = from->listing, .precompressed = from->precompressed,
                         .hidden = from->hidden));
}

static size_t read_start(const char *path_z, char *to, size_t room)
{
    size_t len = 0;
    int fd = open(path_z, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && len < room) {
        ssize_t n = read(fd, to + len, room - len);
        if (n <= 0 && errno != EINTR)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return len;
}

/* What cannot be read is as if it were empty: the built-in types remain. */
static void read_types(weft_app *app)
{
    const struct weft_config *config = &app->config;
    char *text = malloc(WEFT_MIME_FILE_BYTES_MAX);
    if (text == NULL) {
        weft_app_mistake(app, "out of memory at the media types");
        return;
    }
    size_t len = 0;
    if (config->files_mime_types[0] != 0)
        len = read_start(config->files_mime_types, text, WEFT_MIME_FILE_BYTES_MAX);
    if (weft_mime_create(weft_str_make(text, len), weft_str_z(config->files_charset), &app->mime) !=
        0)
        weft_app_mistake(app, "out of memory at the media types");
    free(text);
}

/* Is there a directory to serve from? */
static bool serves_files(const weft_app *app)
{
    for (uint32_t i = 0; i < app->mount_count; i++)
        if (app->mounts[i].mount.directory.len > 0)
            return true;
    return app->config.root[0] != 0;
}

void weft_mounts_apply(weft_app *app)
{
    for (uint32_t i = 0; i < app->config.mount_count; i++)
        apply_one(app, &app->config.mounts[i]);
    if (app->mime == NULL && serves_files(app))
        read_types(app);
}

size_t weft_mounts_mime_bytes(const weft_app *app)
{
    return app->mime == NULL ? 0 : weft_mime_bytes(app->mime);
}

/* ---- while it runs ---- */

weft_rc weft_mounts_open(weft_app *app, int root_fd)
{
    for (uint32_t i = 0; i < app->mount_count; i++) {
        struct weft_mount *mount = &app->mounts[i].mount;
        mount->root_fd = root_fd;
        if (mount->directory.len == 0) {
            if (root_fd < 0 && mount->url.len == 1) /* all of it is 404 */
                weft_log_warn("static %.*s: there is no directory to serve (--static, --root)",
                              (int)mount->url.len, mount->url.ptr);
            continue;
        }
        mount->root_fd = open(mount->directory.ptr, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (mount->root_fd >= 0)
            continue;
        weft_rc rc = (weft_rc)-errno;
        weft_log_error("static: cannot open %s: %s", mount->directory.ptr, weft_rc_text(rc));
        return rc;
    }
    return 0;
}

void weft_mounts_close(weft_app *app)
{
    for (uint32_t i = 0; i < app->mount_count; i++) {
        struct weft_mount *mount = &app->mounts[i].mount;
        if (mount->directory.len > 0 && mount->root_fd >= 0)
            close(mount->root_fd);
        mount->root_fd = -1;
    }
}
