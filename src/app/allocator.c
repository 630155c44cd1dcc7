/* allocator.c - see allocator.h. */
#include "app/allocator.h"
#include "app/params.h"
#include "mem/malloc_conf.h"
#include "mem/preload.h"
#include <errno.h>
#include <stdlib.h>

#define SONAME     "libjemalloc.so.2" /* since jemalloc 4.0; Debian's package is libjemalloc2 */
#define CONF_BYTES 2048

enum weft_profile weft_allocator_profile(const struct weft_config *config)
{
    enum weft_profile profile = (enum weft_profile)config->memory_profile;
    bool raw = config->memory_malloc_conf[0] != 0;
    return profile == WEFT_PROFILE_SYSTEM && raw ? WEFT_PROFILE_THROUGHPUT : profile;
}

/* What jemalloc is told: the profile, then the setting, then the environment's own MALLOC_CONF, of
 * which each may overrule those before it. */
static bool whole_conf(const struct weft_config *config, char *out, size_t room)
{
    const char *env_z = getenv("MALLOC_CONF");
    const char *raw_z = config->memory_malloc_conf;
    if (env_z == NULL)
        env_z = "";
    int len = snprintf(out, room, "%s%s%s%s%s", weft_profile_conf(weft_allocator_profile(config)),
                       *raw_z ? "," : "", raw_z, *env_z ? "," : "", env_z);
    return len >= 0 && (size_t)len < room;
}

/* ---- the rules ---- */

struct teller {
    const struct weft_config *config;
    struct weft_config_errors *errors;
    bool fatal; /* abort_conf is true in the end */
};

/* A bad pair, with where it was written. */
static void tell(const struct teller *teller, const char *where_z, const char *key_z,
                 const struct weft_malloc_conf_pair *pair)
{
    char key[WEFT_PARAM_SHOWN_BYTES], value[WEFT_PARAM_SHOWN_BYTES];
    weft_param_shown(pair->key, key);
    weft_param_shown(pair->value, value);
    if (teller->fatal)
        weft_config_error(teller->errors, "%s: %s: %s:%s: %s %s (abort_conf:false lets it pass)",
                          where_z, key_z, key, value, key, pair->wrong_z);
    else
        weft_config_warn(teller->errors, "%s: %s: %s:%s: %s %s", where_z, key_z, key, value, key,
                         pair->wrong_z);
}

static void tell_each(const struct teller *teller, const char *where_z, const char *key_z,
                      const char *conf_z)
{
    struct weft_malloc_conf_pair pair;
    weft_str rest = weft_str_z(conf_z);
    while (weft_malloc_conf_next(&rest, &pair))
        if (pair.wrong_z != NULL)
            tell(teller, where_z, key_z, &pair);
}

/* The pairs that a user wrote, bad ones told as errors or as warnings. */
static void read_pairs(const struct weft_config *config, bool fatal,
                       struct weft_config_errors *errors)
{
    char conf[CONF_BYTES], source[WEFT_CONFIG_PATH_BYTES + 16];
    const char *env_z = getenv("MALLOC_CONF");
    if (!whole_conf(config, conf, sizeof(conf))) {
        weft_config_error(errors, "MALLOC_CONF: with memory.malloc_conf longer than %d bytes",
                          CONF_BYTES - 1);
        return;
    }
    struct teller teller = {config, errors, weft_malloc_conf_aborts(weft_str_z(conf))};
    if (teller.fatal != fatal)
        return;
    weft_config_source_text(config, WEFT_PARAM_memory_malloc_conf, source, sizeof(source));
    tell_each(&teller, source, "memory.malloc_conf", config->memory_malloc_conf);
    if (env_z != NULL)
        tell_each(&teller, "environment", "MALLOC_CONF", env_z);
}

void weft_allocator_check(const struct weft_config *config, struct weft_config_errors *errors)
{
    char source[WEFT_CONFIG_PATH_BYTES + 16];
    if (weft_allocator_profile(config) == WEFT_PROFILE_SYSTEM)
        return;
    if (config->memory_profile == WEFT_PROFILE_SYSTEM &&
        config->sources[WEFT_PARAM_memory_profile].origin != WEFT_CONFIG_FROM_DEFAULT) {
        weft_config_source_text(config, WEFT_PARAM_memory_profile, source, sizeof(source));
        weft_config_error(errors,
                          "%s: memory.profile: system has no use for memory.malloc_conf: leave one "
                          "of the two out",
                          source);
        return;
    }
    read_pairs(config, true, errors);
}

/* ---- the right malloc ---- */

/* "weft.yaml:3: memory.profile: balanced" or what else asked for jemalloc. */
static const char *asked_by(const struct weft_config *config, char *out, size_t room)
{
    char source[WEFT_CONFIG_PATH_BYTES + 16], value[WEFT_PARAM_SHOWN_BYTES];
    bool profile = config->memory_profile != WEFT_PROFILE_SYSTEM;
    enum weft_param_id id = profile ? WEFT_PARAM_memory_profile : WEFT_PARAM_memory_malloc_conf;
    weft_config_source_text(config, id, source, sizeof(source));
    if (profile)
        weft_param_text(config, &weft_params[id], value, sizeof(value));
    else
        weft_param_shown(weft_str_z(config->memory_malloc_conf), value);
    (void)snprintf(out, room, "%s: %s: %s", source, weft_params[id].key_z, value);
    return out;
}

/* What to tell of a process that cannot have jemalloc, and whether that is the end. */
static weft_rc cannot(weft_rc rc, const char *asked_z, const char *why_z,
                      struct weft_config_errors *errors)
{
    if (rc == WEFT_ENOTSUP) {
        weft_config_warn(errors, "%s: no effect, the system's malloc stays: %s", asked_z, why_z);
        return 0;
    }
    if (rc == WEFT_ENOTFOUND)
        weft_config_error(errors,
                          "%s needs jemalloc, and " SONAME " cannot be loaded (%s): install the "
                          "package libjemalloc2, or set memory.profile to system",
                          asked_z, why_z);
    else
        weft_config_error(errors,
                          "%s: jemalloc cannot be preloaded: %s; set memory.profile to "
                          "system",
                          asked_z, why_z);
    return WEFT_ECONFIG;
}

/* jemalloc linked to the program is told by MALLOC_CONF alone. */
static weft_rc exec_with(const struct weft_config *config, const char *asked_z,
                         struct weft_config_errors *errors)
{
    char conf[CONF_BYTES], why[256] = "";
    bool linked = weft_profile_is_jemalloc();
    if (!linked) {
        weft_rc rc = weft_preload_probe(SONAME, why, sizeof(why));
        if (rc != 0)
            return cannot(rc, asked_z, why, errors);
    }
    if (!whole_conf(config, conf, sizeof(conf)))
        return WEFT_ECONFIG; /* told by the check */
    weft_rc rc = weft_preload_exec(linked ? NULL : SONAME, "MALLOC_CONF", conf);
    return cannot(rc, asked_z, weft_rc_text(rc), errors);
}

weft_rc weft_allocator_ready(const struct weft_config *config, bool may_exec,
                             struct weft_config_errors *errors)
{
    char asked[WEFT_CONFIG_PATH_BYTES + 128];
    bool started = may_exec && weft_preload_settle();
    if (weft_allocator_profile(config) == WEFT_PROFILE_SYSTEM)
        return 0;
    asked_by(config, asked, sizeof(asked));
    if (!may_exec) {
        if (!weft_profile_is_jemalloc())
            weft_config_warn(errors,
                             "%s: no effect: weft_run() does not change its program's malloc; "
                             "start it with LD_PRELOAD=" SONAME ", or use weft_main()",
                             asked);
        return 0;
    }
    if (!started)
        return exec_with(config, asked, errors);
    read_pairs(config, false, errors);
    if (weft_profile_is_jemalloc())
        return 0;
    return cannot((weft_rc)-ENOEXEC, asked, "LD_PRELOAD=" SONAME " had no effect", errors);
}
