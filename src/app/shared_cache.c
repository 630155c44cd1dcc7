/* shared_cache.c - see shared_cache.h. */
#include "app/shared_cache.h"
#include <string.h>
#include "base/log.h"
#include "mem/textfile.h"

struct weft_redis_options weft_shared_cache_options(const struct weft_config *config)
{
    return (struct weft_redis_options){
        .address_z = config->cache_redis,
        .password_z = "",
        .database = config->cache_redis_database,
        .connections = config->cache_redis_connections,
        .queue = config->cache_redis_queue,
        .timeout_ms = config->cache_redis_timeout_ms,
        .retry_ms = config->cache_redis_retry_ms,
        .value_bytes_max = config->cache_redis_value_bytes_max,
    };
}

/* The file's first line. */
static weft_rc read_password(const char *path_z, char *to, size_t room)
{
    weft_str text = weft_textfile_read(path_z, to, room);
    weft_str line = weft_str_cut(&text, '\n');
    if (line.len > 0 && line.len <= WEFT_REDIS_PASSWORD_BYTES_MAX) {
        to[line.len] = 0;
        return 0;
    }
    weft_log_error("cache.redis_password_path: %s: expected a line of 1 to %zu bytes", path_z,
                   WEFT_REDIS_PASSWORD_BYTES_MAX);
    return WEFT_ECONFIG;
}

weft_rc weft_shared_cache_open(const struct weft_config *config, struct weft_ledger *ledger,
                               struct weft_redis **out)
{
    char password[WEFT_REDIS_PASSWORD_BYTES_MAX + 2] = "", why[512] = "";
    struct weft_redis_options options = weft_shared_cache_options(config);
    if (!weft_shared_cache_wanted(config))
        return 0;
    if (config->cache_redis_password_path[0] != 0)
        WEFT_TRY(read_password(config->cache_redis_password_path, password, sizeof(password)));
    options.password_z = password;
    weft_rc rc = weft_redis_create(&options, ledger, out, why, sizeof(why));
    explicit_bzero(password, sizeof(password));
    if (rc != 0)
        weft_log_error("cache.%s", why);
    return rc;
}
