/* settings_fuzz.c - any bytes as a settings file: an answer with lines that fit, or settings that
 * lie in their ranges. The first byte chooses whether the rest is a file or a value. */
#include "app/config_mounts.h"
#include "app/params.h"
#include "app/settings_yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is in force reads again as what it is. */
static void values_hold(const struct weft_config *config)
{
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        char text[WEFT_CONFIG_PATH_BYTES];
        char why[WEFT_CONFIG_ERROR_BYTES];
        weft_param_text(config, &weft_params[i], text, sizeof(text));
        weft_rc rc = weft_param_try(&weft_params[i], weft_str_z(text), why, sizeof(why));
        weft_assert(rc == 0);
    }
}

static void mounts_hold(const struct weft_config *config)
{
    weft_assert(config->mount_count <= WEFT_CONFIG_MOUNTS_MAX);
    weft_assert(config->mount_texts_len < WEFT_CONFIG_MOUNT_TEXTS_BYTES);
    for (uint32_t i = 0; i < config->mount_count; i++) {
        const struct weft_config_mount *mount = &config->mounts[i];
        weft_assert(weft_config_mount_text(config, mount->url)[0] == '/');
        weft_assert(weft_config_mount_text(config, mount->directory)[0] != 0);
        weft_assert(mount->index <= config->mount_texts_len);
        weft_assert(mount->cache_control <= config->mount_texts_len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct weft_config config;
    static struct weft_config_errors errors;
    if (size == 0)
        return 0;
    weft_str text = weft_str_make((const char *)data + 1, size - 1);
    weft_config_defaults(&config);
    errors = (struct weft_config_errors){0};
    if (data[0] < WEFT_PARAM_COUNT) {
        weft_config_apply(&config, &weft_params[data[0]], text,
                          (struct weft_config_source){WEFT_CONFIG_FROM_FLAG, 0}, "--flag", &errors);
    } else {
        weft_rc rc = weft_settings_yaml(&config, "weft.yaml", text, &errors);
        weft_assert((rc == 0) == (errors.error_count == 0));
    }
    values_hold(&config);
    mounts_hold(&config);
    return 0;
}
