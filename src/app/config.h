/* config.h - the settings of a server: plain values, where each came from, and what was wrong.
 *
 * A setting comes from a flag, else the environment, else the file, else its default. Its row in
 * params.def is its member here, its parser, its line of --help and its row in docs/settings.md.
 *
 * Lifetime: the caller's struct; strings are arrays inside it, nothing is borrowed or freed.
 * Threads:  read before the workers start, never written afterwards.
 * Memory:   sizeof(struct weft_config), 16 KB at most, and 20 KB for the errors while it is loaded;
 *           reading a file takes up to WEFT_CONFIG_FILE_BYTES_MAX and libyaml's heap, given back
 *           before the call returns.
 */
#ifndef WEFT_APP_CONFIG_H
#define WEFT_APP_CONFIG_H

#include "base/str.h"
#include <stdio.h>

#define WEFT_CONFIG_HOST_BYTES        64 /* room for a text, its final 0 included */
#define WEFT_CONFIG_TEXT_BYTES        256
#define WEFT_CONFIG_PATH_BYTES        1024
#define WEFT_CONFIG_FILE_BYTES_MAX    ((size_t)1 << 20)
#define WEFT_CONFIG_ERRORS_MAX        20   /* mistakes that are listed; the rest is counted */
#define WEFT_CONFIG_ERROR_BYTES       512  /* one message, cut beyond */
#define WEFT_CONFIG_MOUNTS_MAX        16   /* of the list `static` */
#define WEFT_CONFIG_MOUNT_TEXTS_BYTES 4096 /* of all their texts together */
#define WEFT_CONFIG_KEY_BYTES         64   /* room for the longest key, flag or variable name */

/* The choices of the ENUM settings, in the order of params.def. */
enum weft_config_engine {
    WEFT_CONFIG_ENGINE_AUTO,
    WEFT_CONFIG_ENGINE_URING,
    WEFT_CONFIG_ENGINE_EPOLL
};
enum weft_config_descriptors {
    WEFT_CONFIG_DESCRIPTORS_AUTO,
    WEFT_CONFIG_DESCRIPTORS_ORDINARY,
    WEFT_CONFIG_DESCRIPTORS_DIRECT
};
enum weft_config_files_send { /* the others as in enum weft_file_way */
                              WEFT_CONFIG_FILES_AUTO
};
enum { /* cache.policy behind "auto": as in enum weft_cache_policy; cache.shared likewise */
       WEFT_CONFIG_CACHE_POLICY_FIRST = 1,
       WEFT_CONFIG_CACHE_SHARED_OFF = 1
};
enum weft_config_access {
    WEFT_CONFIG_ACCESS_OFF,
    WEFT_CONFIG_ACCESS_TEXT,
    WEFT_CONFIG_ACCESS_JSON
};
enum weft_config_level {
    WEFT_CONFIG_LEVEL_ERROR,
    WEFT_CONFIG_LEVEL_WARN,
    WEFT_CONFIG_LEVEL_INFO,
    WEFT_CONFIG_LEVEL_DEBUG
};

/* WEFT_PARAM_port and so on: the row of a setting. */
enum weft_param_id {
#define WEFT_PARAM(member, ...) WEFT_PARAM_##member,
#include "app/params.def"
#undef WEFT_PARAM
    WEFT_PARAM_COUNT
};

/* From weak to strong. */
enum weft_config_origin {
    WEFT_CONFIG_FROM_DEFAULT,
    WEFT_CONFIG_FROM_FILE,
    WEFT_CONFIG_FROM_ENV,
    WEFT_CONFIG_FROM_FLAG
};

struct weft_config_source {
    enum weft_config_origin origin;
    uint32_t line; /* in the file, from 1; 0 elsewhere */
};

/* An entry of the list `static` (config_mounts.h); texts by where they begin in mount_texts. */
struct weft_config_mount {
    uint16_t url, directory, index, cache_control;
    bool listing, precompressed, hidden;
    struct weft_config_source source;
};

#define WEFT_PARAM_MEMBER_COUNT(member) uint32_t member;
#define WEFT_PARAM_MEMBER_BYTES(member) size_t member;
#define WEFT_PARAM_MEMBER_MS(member)    uint32_t member;
#define WEFT_PARAM_MEMBER_BOOL(member)  bool member;
#define WEFT_PARAM_MEMBER_ENUM(member)  uint32_t member;
#define WEFT_PARAM_MEMBER_HOST(member)  char member[WEFT_CONFIG_HOST_BYTES];
#define WEFT_PARAM_MEMBER_TEXT(member)  char member[WEFT_CONFIG_TEXT_BYTES];
#define WEFT_PARAM_MEMBER_PATH(member)  char member[WEFT_CONFIG_PATH_BYTES];

/* 0 stands for a setting's word for zero ("auto", "off", "unlimited"); the caller puts in what it
 * means, for it knows the machine. */
struct weft_config {
#define WEFT_PARAM(member, key, alias, type, ...) WEFT_PARAM_MEMBER_##type(member)
#include "app/params.def"
#undef WEFT_PARAM
    struct weft_config_source sources[WEFT_PARAM_COUNT];
    struct weft_config_mount mounts[WEFT_CONFIG_MOUNTS_MAX];
    uint32_t mount_count;
    uint16_t mount_texts_len; /* without the last zero */
    char mount_texts[WEFT_CONFIG_MOUNT_TEXTS_BYTES];
    char file[WEFT_CONFIG_PATH_BYTES]; /* -c FILE, or what was loaded last; "" for none */
    bool help_wanted;                  /* --help or -h was given */
    bool version_wanted;               /* --version or -V was given */
};

/* What was wrong, one line each, without line ends: `weft.yaml:3: port: 70000 is out of range (1 to
 * 65535 or auto)`. All calls below add to it and none empties it: it starts as {0}. */
struct weft_config_errors {
    uint32_t error_count;   /* all of them; the first WEFT_CONFIG_ERRORS_MAX have a line */
    uint32_t warning_count; /* likewise */
    char errors[WEFT_CONFIG_ERRORS_MAX][WEFT_CONFIG_ERROR_BYTES];
    char warnings[WEFT_CONFIG_ERRORS_MAX][WEFT_CONFIG_ERROR_BYTES];
};

/** Every setting at its default; no file, nothing wanted. */
void weft_config_defaults(struct weft_config *config);

/** Each of the three reads all of its input, whatever is wrong in it, and sets what is right and
 *  not yet set by a stronger source, so that their order does not matter.
 *  returns  0; WEFT_ECONFIG: at least one line was added to errors */
WEFT_CHECK
weft_rc weft_config_load_file(struct weft_config *config, const char *path_z,
                              struct weft_config_errors *errors);

/** envp     as main() has it, ended by NULL; a WEFT_ name that is no setting is a warning */
WEFT_CHECK
weft_rc weft_config_load_env(struct weft_config *config, char *const *envp,
                             struct weft_config_errors *errors);

/** argv     [0] is not looked at. `--port 1`, `--port=1`, `--nodelay`, `--nodelay=off`; and besides
 *           settings `-c FILE` or `--config FILE` (noted in config->file, not read), --help,
 *           --version */
WEFT_CHECK
weft_rc weft_config_load_flags(struct weft_config *config, int argc, char *const *argv,
                               struct weft_config_errors *errors);

/** Defaults, then flags, the file that they name, and the environment, then the check below. With
 *  --help or --version only that is noted, and nothing else is read. */
WEFT_CHECK
weft_rc weft_config_load(struct weft_config *config, int argc, char *const *argv, char *const *envp,
                         struct weft_config_errors *errors);

/** Rules between settings, and those that need a look at the file system (root). */
WEFT_CHECK
weft_rc weft_config_check(const struct weft_config *config, struct weft_config_errors *errors);

/** Most bytes that a request's head may have: request.head_bytes_max, or what its auto means. */
size_t weft_config_head_bytes_max(const struct weft_config *config);

/** Add a line. For callers with rules of their own, such as the plan. */
void weft_config_error(struct weft_config_errors *errors, const char *format, ...)
    WEFT_PRINTF(2, 3);
void weft_config_warn(struct weft_config_errors *errors, const char *format, ...) WEFT_PRINTF(2, 3);

/** A text as a double-quoted YAML scalar (YAML 1.2, 7.3.1). */
void weft_config_print_quoted(FILE *to, const char *text_z);

/** Where a setting came from: "default", "weft.yaml:3", "WEFT_PORT" or "--port".
 *  returns  out, zero-terminated, cut at out_bytes */
const char *weft_config_source_text(const struct weft_config *config, enum weft_param_id id,
                                    char *out, size_t out_bytes);

/** Warnings, then errors, a line each, then how many more there were. */
void weft_config_errors_print(FILE *to, const struct weft_config_errors *errors);

/** The settings' part of --help; docs/settings.md as it should be; and the values in force with
 *  their sources, as a file that loads to the same values. */
void weft_config_print_help(FILE *to);
void weft_config_print_docs(FILE *to);
void weft_config_print(FILE *to, const struct weft_config *config);

#endif
