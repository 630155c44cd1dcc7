/* settings_print.c - the table of settings for people: --help, docs/settings.md, values in force.
 */
#include "app/config.h"
#include "app/config_mounts.h"
#include "app/params.h"

void weft_config_errors_print(FILE *to, const struct weft_config_errors *errors)
{
    uint32_t listed = WEFT_MIN(errors->error_count, (uint32_t)WEFT_CONFIG_ERRORS_MAX);
    uint32_t warned = WEFT_MIN(errors->warning_count, (uint32_t)WEFT_CONFIG_ERRORS_MAX);
    for (uint32_t i = 0; i < warned; i++)
        (void)fprintf(to, "warning: %s\n", errors->warnings[i]);
    for (uint32_t i = 0; i < listed; i++)
        (void)fprintf(to, "error: %s\n", errors->errors[i]);
    if (errors->error_count > listed)
        (void)fprintf(to, "error: and %u more\n", errors->error_count - listed);
}

/* What stands for the value in --help. */
static const char *placeholder(const struct weft_param *param)
{
    switch (param->type) {
    case WEFT_PARAM_TYPE_COUNT:
        return " N";
    case WEFT_PARAM_TYPE_BYTES:
        return " SIZE";
    case WEFT_PARAM_TYPE_MS:
        return " TIME";
    case WEFT_PARAM_TYPE_BOOL:
        return "=on|off";
    case WEFT_PARAM_TYPE_ENUM:
        return " WORD";
    case WEFT_PARAM_TYPE_HOST:
        return " ADDRESS";
    case WEFT_PARAM_TYPE_TEXT:
        return " TEXT";
    case WEFT_PARAM_TYPE_PATH:
        return " PATH";
    }
    return "";
}

/* The flag that people type: the alias is the shorter or better known name. */
static const char *flag_of(const struct weft_param *param, char *out)
{
    const char *name_z = param->alias_z ? param->alias_z : param->key_z;
    return weft_param_spell(name_z, WEFT_PARAM_SPELL_FLAG, out);
}

void weft_config_print_help(FILE *to)
{
    (void)fputs(
        "  -c, --config FILE              settings from a YAML file\n"
        "  -h, --help                     this text\n"
        "  -V, --version                  the version\n"
        "\n"
        "Settings. A flag wins over the environment (--port: WEFT_PORT), that over the file, that\n"
        "over the default. Sizes: 64K, 8M, 1G. Times: 500ms, 30s, 5m, 1h.\n",
        to);
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        const struct weft_param *param = &weft_params[i];
        char name[WEFT_CONFIG_KEY_BYTES];
        char flag[2 * WEFT_CONFIG_KEY_BYTES];
        char range[128];
        (void)snprintf(flag, sizeof(flag), "--%s%s", flag_of(param, name), placeholder(param));
        weft_param_range(param, range, sizeof(range));
        (void)fprintf(to, "  %-30s %s\n", flag, param->help_z);
        (void)fprintf(to, "  %-30s [%s] (%s)\n", "",
                      param->default_z[0] ? param->default_z : "empty", range);
    }
    weft_config_mounts_print_help(to);
}

static void print_docs_row(FILE *to, const struct weft_param *param)
{
    char name[WEFT_CONFIG_KEY_BYTES];
    char range[128];
    weft_param_range(param, range, sizeof(range));
    (void)fprintf(to, "| `%s`", param->key_z);
    if (param->alias_z)
        (void)fprintf(to, ", `%s`", param->alias_z);
    (void)fprintf(to, " | `--%s`", flag_of(param, name));
    if (param->default_z[0])
        (void)fprintf(to, " | `%s`", param->default_z);
    else
        (void)fputs(" | empty", to);
    (void)fprintf(to, " | %s | %s |\n", range, param->help_z);
}

void weft_config_print_docs(FILE *to)
{
    (void)fputs(
        "# Settings\n"
        "\n"
        "<!-- Written from src/app/params.def by `app_config_test --write-docs`, a unit test that\n"
        "     otherwise compares the two. Not edited by hand. -->\n"
        "\n"
        "A setting comes from a flag, else from the environment, else from the file that `-c "
        "FILE`\n"
        "names, else it has its default. The names of `http.buffer_bytes` in the three places:\n"
        "\n"
        "| where | spelled |\n"
        "|---|---|\n"
        "| file | `http.buffer_bytes: 16K`, or `buffer_bytes: 16K` below `http:` |\n"
        "| environment | `WEFT_HTTP_BUFFER_BYTES=16K` |\n"
        "| flag | `--http-buffer-bytes 16K` or `--http-buffer-bytes=16K` |\n"
        "\n"
        "Where a second name is given it works in all three places too. Sizes are bytes or carry\n"
        "`K`, `M` or `G` (powers of 1024); times are milliseconds or carry `ms`, `s`, `m`, `h` or\n"
        "`d`; switches are `on` or `off`. `weft check -c FILE` lists every mistake with its line,\n"
        "its key and the range; a server with a mistake in its settings does not start.\n"
        "\n"
        "| setting | flag | default | allowed | meaning |\n"
        "|---|---|---|---|---|\n",
        to);
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++)
        print_docs_row(to, &weft_params[i]);
    weft_config_mounts_print_docs(to);
}

/* Control bytes never get this far. */
void weft_config_print_quoted(FILE *to, const char *text_z)
{
    (void)fputc('"', to);
    for (; *text_z; text_z++) {
        if (*text_z == '"' || *text_z == '\\')
            (void)fputc('\\', to);
        (void)fputc(*text_z, to);
    }
    (void)fputc('"', to);
}

void weft_config_print(FILE *to, const struct weft_config *config)
{
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        const struct weft_param *param = &weft_params[i];
        char value[WEFT_CONFIG_PATH_BYTES];
        char source[WEFT_CONFIG_PATH_BYTES + 16];
        weft_param_text(config, param, value, sizeof(value));
        (void)fprintf(to, "%s: ", param->key_z);
        if (param->type >= WEFT_PARAM_TYPE_HOST)
            weft_config_print_quoted(to, value);
        else
            (void)fputs(value, to);
        weft_config_source_text(config, (enum weft_param_id)i, source, sizeof(source));
        (void)fprintf(to, " # %s\n", source);
    }
    weft_config_mounts_print(to, config);
}
