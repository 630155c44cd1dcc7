/* app.h - an application while it is set up: its routes, middleware and settings.
 *
 * Lifetime: weft_app_new() to weft_app_free().
 * Threads:  one, until it runs; then read-only.
 * Memory:   heap, while the server starts.
 */
#ifndef WEFT_APP_APP_H
#define WEFT_APP_APP_H

#include <weft/app.h>
#include <weft/cache.h>
#include <weft/channel.h>
#include "app/config.h"
#include "http/service.h"
#include "mem/objects.h"
#include "serve/files/mount.h"
#include "serve/cache/cache.h"

#define WEFT_APP_SETTINGS_MAX 32
#define WEFT_APP_GROUPS_MAX   64
#define WEFT_APP_OBJECTS_MAX  16
#define WEFT_APP_CHANNELS_MAX 16
#define WEFT_APP_MOUNTS_MAX   32
#define WEFT_APP_CACHES_MAX   16
#define WEFT_APP_ERROR_BYTES  512

struct weft_app_setting {
    const char *name_z;  /* owned */
    const char *value_z; /* owned */
};

struct weft_group {
    weft_app *app;
    weft_str prefix;         /* owned */
    struct weft_chain chain; /* of the application at the time, then its own */
};

/* Kept pieces of heap: what routes are made of, and what weft_app_dup() promoted. */
struct weft_app_piece {
    struct weft_app_piece *next;
};

struct weft_server; /* app/server.h */

struct weft_app_route {
    struct weft_route route;
    struct weft_app_route *next; /* borrowed: lives as long as the application */
};

struct weft_app_mount {
    struct weft_mount mount;
    struct weft_route *route; /* borrowed: of what lies below */
};

struct weft_app {
    struct weft_router *router;    /* owned */
    struct weft_chain chain;       /* for the next route */
    struct weft_app_route *routes; /* newest first */
    uint32_t route_count;
    size_t route_bytes;
    size_t memory_max; /* of all routes */
    size_t heap_max;
    size_t stack_max;
    struct weft_group groups[WEFT_APP_GROUPS_MAX];
    uint32_t group_count;
    weft_objects *objects[WEFT_APP_OBJECTS_MAX]; /* borrowed: static */
    uint32_t objects_count;
    weft_channel *channels[WEFT_APP_CHANNELS_MAX]; /* borrowed: static */
    uint32_t channels_count;
    struct weft_app_mount mounts[WEFT_APP_MOUNTS_MAX];
    uint32_t mount_count;
    struct weft_mime *mime;                  /* owned; NULL: no files are served, or not yet */
    weft_cache *caches[WEFT_APP_CACHES_MAX]; /* borrowed: static */
    uint32_t caches_count;
    struct weft_cache_settings cache_settings; /* what they borrow */
    struct weft_app_setting settings[WEFT_APP_SETTINGS_MAX];
    uint32_t setting_count;
    _Atomic(struct weft_app_piece *) pieces; /* owned */
    void *user;                              /* borrowed */
    struct weft_config config;
    bool learned_wanted;                  /* plan --learned */
    _Atomic(struct weft_server *) server; /* borrowed: while it runs */
    _Atomic uint32_t stopping;            /* calls of weft_app_stop() that may look at it now */
    char error[WEFT_APP_ERROR_BYTES];
};

/** Note a mistake made while setting up; the first one is the one to mend. */
void weft_app_mistake(weft_app *app, const char *format, ...) WEFT_PRINTF(2, 3);

/** A copy that lives as long as the application; "" and a mistake where there is no memory. */
const char *weft_app_keep_z(weft_app *app, const char *text_z);

/** A route with the application's middleware.
 *  pattern  borrowed: lives as long as the application
 *  returns  borrowed from the application, for its context; NULL, and a mistake: it is none */
struct weft_route *weft_app_add_route(weft_app *app, const char *method_z, weft_str pattern,
                                      weft_handler_fn handler, const weft_route_opts *opts);

/** Give routes what they did not name themselves, once the settings are known. */
void weft_app_apply_config(weft_app *app);

#endif
