/* config_test.c - settings from file, environment and flags: values, sources, and every mistake.
 *
 * `app_config_test --write-docs` writes docs/settings.md instead of comparing it.
 */
#include "unit.h"
#include "app/config.h"
#include "app/params.h"
#include "app/settings_yaml.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DOCS_PATH WEFT_SOURCE_ROOT "/docs/settings.md"

static struct weft_config config;
static struct weft_config_errors errors;

static int fresh(void **state)
{
    (void)state;
    weft_config_defaults(&config);
    errors = (struct weft_config_errors){0};
    return 0;
}

static weft_rc load_text(const char *text_z)
{
    return weft_settings_yaml(&config, "weft.yaml", weft_str_z(text_z), &errors);
}

#define LOAD_FLAGS(...) load_flags((const char *const[]){"weft", __VA_ARGS__, NULL})
static weft_rc load_flags(const char *const *argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    return weft_config_load_flags(&config, argc, (char *const *)(uintptr_t)argv, &errors);
}

#define LOAD_ENV(...) load_env((const char *const[]){"HOME=/", __VA_ARGS__, NULL})
static weft_rc load_env(const char *const *envp)
{
    return weft_config_load_env(&config, (char *const *)(uintptr_t)envp, &errors);
}

/* One mistake in a fresh config, told with these words. */
static void refused(const char *text_z, const char *message_z)
{
    fresh(NULL);
    assert_int_equal(load_text(text_z), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 1);
    assert_string_equal(errors.errors[0], message_z);
}

static void refused_flag(const char *flag_z, const char *message_z)
{
    fresh(NULL);
    assert_int_equal(LOAD_FLAGS(flag_z), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 1);
    assert_string_equal(errors.errors[0], message_z);
}

static char *printed(void (*print)(FILE *), size_t *out_len)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, out_len);
    assert_non_null(to);
    print(to);
    fclose(to);
    return text;
}

/* --- the table ------------------------------------------------------------------------------- */

static void defaults_are_those_of_the_issue(void **state)
{
    (void)state;
    assert_string_equal(config.host, "127.0.0.1");
    assert_int_equal(config.port, 60000);
    assert_string_equal(config.admin_host, "127.0.0.1");
    assert_int_equal(config.admin_port, 60001);
    assert_int_equal(config.http_buffer_bytes, 8192); /* shows HC-03 */
    assert_int_equal(config.ws_buffer_bytes, 4096);   /* shows HC-04 */
    assert_true(config.tcp_nodelay);
    assert_int_equal(config.tcp_linger_ms, 0);
    assert_int_equal(config.engine, WEFT_CONFIG_ENGINE_AUTO);
    assert_int_equal(config.log_access, WEFT_CONFIG_ACCESS_OFF);
    assert_int_equal(config.log_level, WEFT_CONFIG_LEVEL_INFO);
    assert_int_equal(config.timeouts_request_ms, 0);
    assert_int_equal(config.memory_limit_bytes, 0);
    assert_int_equal(config.sources[WEFT_PARAM_port].origin, WEFT_CONFIG_FROM_DEFAULT);
    assert_int_equal(weft_config_check(&config, &errors), 0);
}

/* The member is the key with '_' for '.', so that one can be found from the other. */
static void members_are_named_like_their_keys(void **state)
{
    (void)state;
    static const char *const members[] = {
#define WEFT_PARAM(member, ...) #member,
#include "app/params.def"
#undef WEFT_PARAM
    };
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        char name[WEFT_CONFIG_KEY_BYTES];
        snprintf(name, sizeof(name), "%s", weft_params[i].key_z);
        for (char *at = name; *at; at++)
            *at = *at == '.' ? '_' : *at;
        assert_string_equal(members[i], name);
    }
}

static void rows_are_sound(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        const struct weft_param *param = &weft_params[i];
        char name[WEFT_CONFIG_KEY_BYTES];
        assert_true(strlen(param->key_z) < WEFT_CONFIG_KEY_BYTES);
        assert_true(param->min <= param->max);
        assert_true(strchr(param->help_z, '|') == NULL); /* would break the table of the docs */
        if (param->type == WEFT_PARAM_TYPE_COUNT || param->type == WEFT_PARAM_TYPE_MS)
            assert_true(param->max <= UINT32_MAX);
        if (param->type == WEFT_PARAM_TYPE_TEXT)
            assert_true(param->max < WEFT_CONFIG_TEXT_BYTES);
        if (param->type == WEFT_PARAM_TYPE_PATH)
            assert_true(param->max < WEFT_CONFIG_PATH_BYTES);
        for (int spelling = WEFT_PARAM_SPELL_KEY; spelling <= WEFT_PARAM_SPELL_ENV; spelling++) {
            weft_param_spell(param->key_z, (enum weft_param_spelling)spelling, name);
            assert_ptr_equal(weft_param_find(weft_str_z(name), (enum weft_param_spelling)spelling),
                             param);
            if (!param->alias_z)
                continue;
            weft_param_spell(param->alias_z, (enum weft_param_spelling)spelling, name);
            assert_ptr_equal(weft_param_find(weft_str_z(name), (enum weft_param_spelling)spelling),
                             param);
        }
    }
}

/* Both ends of every range are taken, and one step beyond is not. */
static void ranges_hold_at_their_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        const struct weft_param *param = &weft_params[i];
        char text[32];
        char why[WEFT_CONFIG_ERROR_BYTES];
        if (param->type > WEFT_PARAM_TYPE_MS)
            continue;
        snprintf(text, sizeof(text), "%llu", (unsigned long long)param->max);
        assert_int_equal(weft_param_try(param, weft_str_z(text), why, sizeof(why)), 0);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)param->max + 1);
        assert_int_equal(weft_param_try(param, weft_str_z(text), why, sizeof(why)), WEFT_ERANGE);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)param->min);
        assert_int_equal(weft_param_try(param, weft_str_z(text), why, sizeof(why)), 0);
        if (param->min < 2)
            continue; /* 0 has a test of its own */
        snprintf(text, sizeof(text), "%llu", (unsigned long long)param->min - 1);
        assert_int_equal(weft_param_try(param, weft_str_z(text), why, sizeof(why)), WEFT_ERANGE);
    }
}

static void docs_are_what_the_table_says(void **state)
{
    (void)state;
    size_t want_len = 0;
    char *want = printed(weft_config_print_docs, &want_len);
    char *held = calloc(1, want_len + 2);
    FILE *file = fopen(DOCS_PATH, "re");
    assert_non_null(held);
    assert_non_null(file);
    size_t held_len = fread(held, 1, want_len + 1, file);
    fclose(file);
    if (held_len != want_len || memcmp(held, want, want_len) != 0)
        fail_msg("docs/settings.md is not what params.def says: run this test with --write-docs");
    free(held);
    free(want);
}

static void help_has_every_flag(void **state)
{
    (void)state;
    size_t len = 0;
    char *help = printed(weft_config_print_help, &len);
    const char *const flags[] = {
        "--host ",    "--port ",       "--admin-host ",       "--admin-port ",     "--workers ",
        "--engine ",  "--root ",       "--memory-limit ",     "--config ",         "--nodelay=",
        "--backlog ", "--access-log ", "--http-buffer-size ", "--ws-buffer-size ", "--linger ",
        "--version",  "--tasks-max ",  "--connections-max ",
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(flags); i++)
        if (!strstr(help, flags[i]))
            fail_msg("no %s in --help", flags[i]);
    free(help);
}

/* --- the file -------------------------------------------------------------------------------- */

static void nested_and_dotted_keys(void **state)
{
    (void)state;
    assert_int_equal(load_text("# a comment\n"
                               "host: 0.0.0.0\n"
                               "port: 8080\n"
                               "http:\n"
                               "  buffer_bytes: 16K\n"
                               "timeouts: {idle_ms: 90s, request_ms: 500ms}\n"
                               "tcp.nodelay: no\n"
                               "admin:\n"
                               "  host: \"::1\"\n"
                               "request:\n"
                               "  body_bytes_max: unlimited\n"
                               "server.header: \"\"\n"
                               "log.access: off\n"
                               "engine: epoll\n"),
                     0);
    assert_int_equal(errors.error_count, 0);
    assert_string_equal(config.host, "0.0.0.0");
    assert_int_equal(config.port, 8080);
    assert_int_equal(config.http_buffer_bytes, 16384);
    assert_int_equal(config.timeouts_idle_ms, 90000);
    assert_int_equal(config.timeouts_request_ms, 500);
    assert_false(config.tcp_nodelay);
    assert_string_equal(config.admin_host, "::1");
    assert_true(config.request_body_bytes_max == 0);
    assert_string_equal(config.server_header, "");
    assert_int_equal(config.log_access, WEFT_CONFIG_ACCESS_OFF);
    assert_int_equal(config.engine, WEFT_CONFIG_ENGINE_EPOLL);
    assert_int_equal(config.sources[WEFT_PARAM_http_buffer_bytes].origin, WEFT_CONFIG_FROM_FILE);
    assert_int_equal(config.sources[WEFT_PARAM_http_buffer_bytes].line, 5);
}

/* shows HC-03 and HC-04: the names of the source documents */
static void aliases_are_names_too(void **state)
{
    (void)state;
    assert_int_equal(load_text("http_buffer_size: 16384\nws_buffer_size: 8192\nnodelay: off\n"
                               "linger: 2s\nbacklog: 7\nmemory_limit: 64M\n"),
                     0);
    assert_int_equal(config.http_buffer_bytes, 16384);
    assert_int_equal(config.ws_buffer_bytes, 8192);
    assert_false(config.tcp_nodelay);
    assert_int_equal(config.tcp_linger_ms, 2000);
    assert_int_equal(config.tcp_backlog, 7);
    assert_int_equal(config.memory_limit_bytes, 64 << 20);
    refused("http_buffer_size: 8K\nhttp: {buffer_bytes: 9K}\n",
            "weft.yaml:2: http.buffer_bytes: set twice, first in line 1");
}

static void files_with_nothing_in_them(void **state)
{
    (void)state;
    const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "---\n...\n", "~\n", "{}\n"};
    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++)
        assert_int_equal(load_text(texts[i]), 0);
    assert_int_equal(load_text("root: ~\nserver.header:\n"), 0);
    assert_string_equal(config.server_header, "");
}

static void mistakes_in_values(void **state)
{
    (void)state;
    refused("colours: 1\n", "weft.yaml:1: colours: no such setting (docs/settings.md lists them)");
    refused("port: 1\n\nhttp.buffer_bytes: 12\n",
            "weft.yaml:3: http.buffer_bytes: 12 is out of range (1K to 65000, bytes)");
    refused("port: 65536\n", "weft.yaml:1: port: 65536 is out of range (1 to 65535 or auto)");
    refused("port: many\n", "weft.yaml:1: port: many is not a number (1 to 65535 or auto)");
    refused("port: -1\n", "weft.yaml:1: port: -1 is not a number (1 to 65535 or auto)");
    refused("port: 99999999999999999999\n", "weft.yaml:1: port: 99999999999999999999 is out of "
                                            "range (1 to 65535 or auto)");
    refused("port:\n", "weft.yaml:1: port: nothing is not a number (1 to 65535 or auto)");
    refused("timeouts.idle_ms: 2x\n",
            "weft.yaml:1: timeouts.idle_ms: 2x is not a time (10ms to 1d)");
    refused("timeouts.idle_ms: 0\n",
            "weft.yaml:1: timeouts.idle_ms: 0 is out of range (10ms to 1d)");
    refused("engine: kqueue\n",
            "weft.yaml:1: engine: kqueue is not one of its choices (auto, uring or epoll)");
    refused("nodelay: maybe\n", "weft.yaml:1: nodelay: maybe is not on or off (on or off)");
    refused("host: example.org\n",
            "weft.yaml:1: host: example.org is not an IP address (an IPv4 or "
            "IPv6 address, or localhost)");
    refused("server.header: \"a\\r\\nSet-Cookie: x\"\n",
            "weft.yaml:1: server.header: a??Set-Cookie: x is not a text (at most 64 bytes, no "
            "control characters)");
    refused("root: \"/srv\\0/../etc\"\n",
            "weft.yaml:1: root: /srv?/../etc is not a path (at most 1023 bytes, no "
            "control characters)");
}

static void mistakes_in_shape(void **state)
{
    (void)state;
    refused("http.bufer_bytes: 8K\n",
            "weft.yaml:1: http.bufer_bytes: no such setting; did you mean http.buffer_bytes?");
    refused("http:\n  bufer_bytes: 8K\n",
            "weft.yaml:2: http.bufer_bytes: no such setting; did you mean http.buffer_bytes?");
    refused("timeout: {idle_ms: 1s}\nport: 1\n",
            "weft.yaml:1: timeout: no such setting; did you mean timeouts?");
    refused("a: 1\n", "weft.yaml:1: a: no such setting (docs/settings.md lists them)");
    refused("port: [1, {a: [2]}]\nworkers: 2\n",
            "weft.yaml:1: port: a list where a number is due (1 to 65535 or auto)");
    assert_int_equal(config.workers, 2); /* what follows is still read */
    refused("port: {a: 1}\n",
            "weft.yaml:1: port: a mapping where a number is due (1 to 65535 or auto)");
    refused("http: [1]\n", "weft.yaml:1: http: a list where settings are due");
    refused("http: 8K\n", "weft.yaml:1: http: a value where settings are due");
    refused("port: 1\nworkers: 2\nport: 3\n", "weft.yaml:3: port: set twice, first in line 1");
    assert_int_equal(config.port, 1);
    refused("- port\n", "weft.yaml:1: a list where settings (`key: value`) are due");
    refused("port\n", "weft.yaml:1: a value where settings (`key: value`) are due");
    refused("? {a: 1}\n: 2\n", "weft.yaml:1: a mapping as a key: keys are words");
    refused("? [a]\n: 2\n", "weft.yaml:1: a list where settings (`key: value`) are due");
    refused("port: 1\n---\nport: 2\n", "weft.yaml:2: a second document in the file");
    refused("port: &p 1\nadmin.port: *p\n",
            "weft.yaml:2: an alias (`*name`): values are written out");
}

static void broken_yaml_names_its_line(void **state)
{
    (void)state;
    const struct {
        const char *text_z;
        const char *start_z;
    } cases[] = {
        {"port: 1\nhost: [1\nworkers: 2\n", "weft.yaml:3: not valid YAML: "},
        {"port: 1\n  host: x\n", "weft.yaml:2: not valid YAML: "},
        {"port: 1\n\tworkers: 2\n", "weft.yaml:2: not valid YAML: "},
        {"port: 1\n\nhost: \"abc\n", "weft.yaml:4: not valid YAML: "},
        {"port: 1\nroot: \xff\xfe\n", "weft.yaml:2: not valid YAML: "},
        {"port: 1\nroot: \x01\n", "weft.yaml:2: not valid YAML: "},
        {"port: *p\n", "weft.yaml:1: an alias"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        fresh(NULL);
        assert_int_equal(load_text(cases[i].text_z), WEFT_ECONFIG);
        const char *last_z = errors.errors[errors.error_count - 1];
        if (strncmp(last_z, cases[i].start_z, strlen(cases[i].start_z)) != 0)
            fail_msg("case %zu: %s", i, last_z);
    }
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[4096];
    const char openers[] = "[{";
    for (size_t i = 0; i < 2; i++) {
        fresh(NULL);
        size_t len = (size_t)snprintf(text, sizeof(text), "root: ");
        memset(text + len, openers[i], sizeof(text) - len - 1);
        text[sizeof(text) - 1] = '\0';
        assert_int_equal(load_text(text), WEFT_ECONFIG);
    }
    fresh(NULL);
    assert_int_equal(load_text("root: [[[[[[[[[[1]]]]]]]]]]\n"), WEFT_ECONFIG);
    assert_string_equal(errors.errors[1], "weft.yaml:1: nested too deeply");
}

static void many_mistakes_are_listed_and_counted(void **state)
{
    (void)state;
    char text[4096];
    size_t len = 0;
    for (int i = 0; i < 30; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "unknown_%d: 1\n", i);
    snprintf(text + len, sizeof(text) - len, "port: 7\n");
    assert_int_equal(load_text(text), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 30);
    assert_non_null(strstr(errors.errors[WEFT_CONFIG_ERRORS_MAX - 1], "weft.yaml:20: unknown_19"));
    assert_int_equal(config.port, 7);
    char *shown = NULL;
    size_t shown_len = 0;
    FILE *to = open_memstream(&shown, &shown_len);
    assert_non_null(to);
    weft_config_errors_print(to, &errors);
    fclose(to);
    assert_non_null(strstr(shown, "error: and 10 more\n"));
    free(shown);
}

/* Every prefix and many one-byte changes of a file: an answer, never a crash. */
static void damaged_files_get_an_answer(void **state)
{
    (void)state;
    static const char good[] = "host: 0.0.0.0\nhttp: {buffer_bytes: 16K}\ntimeouts:\n"
                               "  idle_ms: \"90s\"\nlog: {access: json}\nroot: 'a''b'\n";
    static const char bytes[] = {0, '\n', '[', '{', '}', ':', '&', '*', '\t', '"', '|', (char)0xff};
    char text[sizeof(good)];
    for (size_t len = 0; len < sizeof(good); len++) {
        fresh(NULL);
        weft_rc cut_rc = weft_settings_yaml(&config, "f", weft_str_make(good, len), &errors);
        assert_int_equal(cut_rc, errors.error_count > 0 ? WEFT_ECONFIG : 0);
        for (size_t i = 0; i < sizeof(bytes); i++) {
            memcpy(text, good, sizeof(good));
            text[len] = bytes[i];
            fresh(NULL);
            weft_rc rc =
                weft_settings_yaml(&config, "f", weft_str_make(text, sizeof(good) - 1), &errors);
            assert_int_equal(rc, errors.error_count > 0 ? WEFT_ECONFIG : 0);
        }
    }
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    char path[] = "/tmp/weft-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)WEFT_CONFIG_FILE_BYTES_MAX + 1), 0);
    close(fd);
    assert_int_equal(weft_config_load_file(&config, path, &errors), WEFT_ECONFIG);
    assert_non_null(strstr(errors.errors[0], "larger than 1M"));
    assert_string_equal(config.file, path);
    unlink(path);
    assert_int_equal(weft_config_load_file(&config, path, &errors), WEFT_ECONFIG);
    assert_non_null(strstr(errors.errors[1], ": No such file or directory"));
    assert_int_equal(weft_config_load_file(&config, "/", &errors), WEFT_ECONFIG);
    assert_string_equal(errors.errors[2], "/: Is a directory");
    assert_int_equal(weft_config_load_file(&config, "", &errors), WEFT_ECONFIG);
}

/* --- environment and flags ------------------------------------------------------------------- */

static void environment(void **state)
{
    (void)state;
    assert_int_equal(LOAD_ENV("WEFT_HTTP_BUFFER_BYTES=16K", "WEFT_PORT=0", "WEFTY_PORT=1",
                              "WEFT_LINGER=off", "WEFT_PROT=1", "WEFT_", "WEFT_COLOURS=1"),
                     0);
    assert_int_equal(config.http_buffer_bytes, 16384);
    assert_int_equal(config.port, 0);
    assert_int_equal(errors.warning_count, 3);
    assert_string_equal(errors.warnings[0], "WEFT_PROT: no such setting; did you mean WEFT_PORT?");
    assert_string_equal(errors.warnings[2], "WEFT_COLOURS: no such setting");
    assert_int_equal(LOAD_ENV("WEFT_WORKERS=0x2", "WEFT_PORT"), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 2);
    assert_string_equal(errors.errors[0],
                        "WEFT_WORKERS: 0x2 is not a number (1 to 256 or auto, threads)");
    assert_int_equal(LOAD_ENV("WEFT_NODELAY=1", "WEFT_TCP_NODELAY=1"), WEFT_ECONFIG);
    assert_string_equal(errors.errors[2],
                        "WEFT_TCP_NODELAY: tcp.nodelay is set twice in the environment");
}

static void flags(void **state)
{
    (void)state;
    assert_int_equal(LOAD_FLAGS("--port", "0", "--admin-port=9000", "--nodelay=off",
                                "--admin-enabled", "--workers", "auto", "--memory-limit", "64M",
                                "-c", "a.yaml", "--http-buffer-size=16K", "--root="),
                     0);
    assert_int_equal(config.port, 0);
    assert_int_equal(config.admin_port, 9000);
    assert_false(config.tcp_nodelay);
    assert_true(config.admin_enabled);
    assert_int_equal(config.workers, 0);
    assert_int_equal(config.memory_limit_bytes, 64 << 20);
    assert_int_equal(config.http_buffer_bytes, 16384);
    assert_string_equal(config.file, "a.yaml");
    assert_false(config.help_wanted);
    assert_int_equal(LOAD_FLAGS("--admin-enabled", "off", "--config=b.yaml", "-h", "--version",
                                "--port", "1", "--port", "2"),
                     0);
    assert_false(config.admin_enabled);
    assert_int_equal(config.port, 2); /* the last one counts, as everywhere */
    assert_string_equal(config.file, "b.yaml");
    assert_true(config.help_wanted);
    assert_true(config.version_wanted);
}

static void mistakes_in_flags(void **state)
{
    (void)state;
    assert_int_equal(LOAD_FLAGS("--prot", "1", "--xyzzyx", "--port", "2"), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 2); /* "1" is the value of a flag that is told already */
    fresh(NULL);
    assert_int_equal(LOAD_FLAGS("--nodelay", "maybe"), WEFT_ECONFIG);
    assert_string_equal(errors.errors[0], "--nodelay: maybe is not on or off (on or off)");
    refused_flag("--port=70000", "--port: 70000 is out of range (1 to 65535 or auto)");
    refused_flag("--prot=1", "--prot: no such flag; did you mean --port?");
    refused_flag("--xyzzyx", "--xyzzyx: no such flag (--help lists them)");
    refused_flag("--port", "--port: its value is missing (1 to 65535 or auto)");
    refused_flag("8080", "8080: unexpected; settings are given as --name=value");
    refused_flag("-p", "-p: unexpected; settings are given as --name=value");
    refused_flag("--", "--: unexpected; settings are given as --name=value");
    refused_flag("-c", "-c: a file name of 1 to 1023 bytes is due");
}

/* --- together -------------------------------------------------------------------------------- */

static void write_file(const char *path_z, const char *text_z)
{
    FILE *file = fopen(path_z, "we");
    assert_non_null(file);
    assert_true(fputs(text_z, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void flag_over_environment_over_file_over_default(void **state)
{
    (void)state;
    char path[] = "/tmp/weft-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    write_file(path, "port: 1\nworkers: 1\ntcp: {backlog: 1}\n");
    char *argv[] = {"weft", "--port", "3", "-c", path, NULL};
    char *envp[] = {"WEFT_PORT=2", "WEFT_WORKERS=2", NULL};
    char text[256];
    assert_int_equal(weft_config_load(&config, 5, argv, envp, &errors), 0);
    assert_int_equal(config.port, 3);
    assert_int_equal(config.workers, 2);
    assert_int_equal(config.tcp_backlog, 1);
    assert_int_equal(config.ws_buffer_bytes, 4096);
    assert_string_equal(weft_config_source_text(&config, WEFT_PARAM_port, text, sizeof(text)),
                        "--port");
    assert_string_equal(weft_config_source_text(&config, WEFT_PARAM_workers, text, sizeof(text)),
                        "WEFT_WORKERS");
    char want[64];
    snprintf(want, sizeof(want), "%s:3", path);
    assert_string_equal(
        weft_config_source_text(&config, WEFT_PARAM_tcp_backlog, text, sizeof(text)), want);
    assert_string_equal(
        weft_config_source_text(&config, WEFT_PARAM_ws_buffer_bytes, text, sizeof(text)),
        "default");
    char *typed[] = {"weft", "--memory-limit-bytes=64M", NULL}; /* told as --help spells it */
    assert_int_equal(weft_config_load(&config, 2, typed, envp, &errors), 0);
    assert_string_equal(
        weft_config_source_text(&config, WEFT_PARAM_memory_limit_bytes, text, sizeof(text)),
        "--memory-limit");
    /* A mistake counts although a stronger source has the last word. */
    write_file(path, "port: 1x\n");
    assert_int_equal(weft_config_load(&config, 5, argv, envp, &errors), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 1);
    unlink(path);
}

static void help_reads_nothing_else(void **state)
{
    (void)state;
    char *argv[] = {"weft", "--help", "-c", "/no/such/file", NULL};
    char *envp[] = {"WEFT_PORT=x", NULL};
    assert_int_equal(weft_config_load(&config, 4, argv, envp, &errors), 0);
    assert_true(config.help_wanted);
    assert_int_equal(errors.error_count, 0);
}

static void rules_between_settings(void **state)
{
    (void)state;
    assert_int_equal(load_text("buffers.count: 100\n\nrequest.head_bytes_max: 16K\n"
                               "timer.precision_ms: 5\nadmin.port: 60000\nroot: /no/such/dir\n"),
                     0);
    snprintf(config.file, sizeof(config.file), "weft.yaml");
    assert_int_equal(weft_config_check(&config, &errors), WEFT_ECONFIG);
    assert_int_equal(errors.error_count, 5);
    assert_string_equal(errors.errors[0], "weft.yaml:1: buffers.count: 100 is not a power of two");
    assert_string_equal(errors.errors[1], "weft.yaml:3: request.head_bytes_max: 16K is more than "
                                          "http.buffer_bytes: a head fits in one buffer");
    assert_string_equal(errors.errors[4],
                        "weft.yaml:6: root: /no/such/dir is not a directory that can be reached");
}

static void head_limit_follows_the_buffer(void **state)
{
    (void)state;
    assert_int_equal(weft_config_head_bytes_max(&config), 8192);
    assert_int_equal(load_text("request.head_bytes_max: 4K\n"), 0);
    assert_int_equal(weft_config_head_bytes_max(&config), 4096);
}

/* What is printed loads again, and to the same values. */
static void printed_values_load_again(void **state)
{
    (void)state;
    assert_int_equal(load_text("port: 0\nroot: \"a \\\"b\\\\c # d\"\nlog.access: json\nlinger: 3s\n"
                               "http_buffer_size: 10001\ntimeouts.idle_ms: 1500\n"),
                     0);
    struct weft_config before = config;
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    weft_config_print(to, &config);
    fclose(to);
    fresh(NULL);
    assert_int_equal(load_text(text), 0);
    for (size_t i = 0; i < WEFT_PARAM_COUNT; i++) {
        char was[WEFT_CONFIG_PATH_BYTES];
        char is[WEFT_CONFIG_PATH_BYTES];
        assert_string_equal(weft_param_text(&before, &weft_params[i], was, sizeof(was)),
                            weft_param_text(&config, &weft_params[i], is, sizeof(is)));
    }
    assert_string_equal(config.root, "a \"b\\c # d");
    free(text);
}

static int write_docs(void)
{
    FILE *file = fopen(DOCS_PATH, "we");
    if (!file)
        return 1;
    weft_config_print_docs(file);
    return fclose(file) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--write-docs") == 0)
        return write_docs();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(defaults_are_those_of_the_issue, fresh),
        cmocka_unit_test_setup(members_are_named_like_their_keys, fresh),
        cmocka_unit_test_setup(rows_are_sound, fresh),
        cmocka_unit_test_setup(ranges_hold_at_their_ends, fresh),
        cmocka_unit_test_setup(docs_are_what_the_table_says, fresh),
        cmocka_unit_test_setup(help_has_every_flag, fresh),
        cmocka_unit_test_setup(nested_and_dotted_keys, fresh),
        cmocka_unit_test_setup(aliases_are_names_too, fresh),
        cmocka_unit_test_setup(files_with_nothing_in_them, fresh),
        cmocka_unit_test_setup(mistakes_in_values, fresh),
        cmocka_unit_test_setup(mistakes_in_shape, fresh),
        cmocka_unit_test_setup(broken_yaml_names_its_line, fresh),
        cmocka_unit_test_setup(depth_is_bounded, fresh),
        cmocka_unit_test_setup(many_mistakes_are_listed_and_counted, fresh),
        cmocka_unit_test_setup(damaged_files_get_an_answer, fresh),
        cmocka_unit_test_setup(files_that_cannot_be_read, fresh),
        cmocka_unit_test_setup(environment, fresh),
        cmocka_unit_test_setup(flags, fresh),
        cmocka_unit_test_setup(mistakes_in_flags, fresh),
        cmocka_unit_test_setup(flag_over_environment_over_file_over_default, fresh),
        cmocka_unit_test_setup(help_reads_nothing_else, fresh),
        cmocka_unit_test_setup(rules_between_settings, fresh),
        cmocka_unit_test_setup(head_limit_follows_the_buffer, fresh),
        cmocka_unit_test_setup(printed_values_load_again, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
