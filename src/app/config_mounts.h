/* config_mounts.h - the list `static:` of the settings: directories under URLs.
 *
 *   static:
 *     - url: /assets/
 *       directory: /srv/assets
 *       cache_control: public, max-age=3600
 *
 * The only setting that is a list. A flag adds to it, --static=/assets/=/srv/assets; where both
 * name a URL, the flag's holds.
 *
 * Lifetime: the caller's struct, as all settings.
 * Threads:  any, on different configs.
 * Memory:   WEFT_CONFIG_MOUNTS_MAX rows, and WEFT_CONFIG_MOUNT_TEXTS_BYTES for all their texts.
 */
#ifndef WEFT_APP_CONFIG_MOUNTS_H
#define WEFT_APP_CONFIG_MOUNTS_H

#include "app/config.h"

/* One of them while it is read. */
struct weft_config_mount_draft {
    char url[WEFT_CONFIG_TEXT_BYTES];
    char directory[WEFT_CONFIG_PATH_BYTES];
    char index[WEFT_CONFIG_TEXT_BYTES];
    char cache_control[WEFT_CONFIG_TEXT_BYTES];
    bool listing, precompressed, hidden;
};

/** Nothing but the defaults. */
void weft_config_mount_begin(struct weft_config_mount_draft *draft);

/** Read one of its keys. A mistake becomes a line that begins with where_z. */
void weft_config_mount_set(struct weft_config_mount_draft *draft, weft_str key, weft_str value,
                           const char *where_z, struct weft_config_errors *errors);

/** Add it, unless a stronger source has one of the same URL; a mistake (no url or directory, a
 *  second one of the same source, too many) becomes a line that begins with where_z. */
void weft_config_mount_add(struct weft_config *config, const struct weft_config_mount_draft *draft,
                           struct weft_config_source source, const char *where_z,
                           struct weft_config_errors *errors);

/** --static=/url/=directory: what follows the first '='. */
void weft_config_mount_flag(struct weft_config *config, const char *value_z,
                            struct weft_config_errors *errors);

/** One of its texts, zero-terminated; until the config changes. */
static inline const char *weft_config_mount_text(const struct weft_config *config, uint16_t at)
{
    return config->mount_texts + at;
}

/** Are the directories there? */
void weft_config_mounts_check(const struct weft_config *config, struct weft_config_errors *errors);

/** The list as it would stand in a file; and its part of docs/settings.md and --help. */
void weft_config_mounts_print(FILE *to, const struct weft_config *config);
void weft_config_mounts_print_docs(FILE *to);
void weft_config_mounts_print_help(FILE *to);

#endif
