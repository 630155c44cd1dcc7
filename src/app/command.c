/* command.c - the command line of an application: serve, plan, check, settings, docs, --help. */
#include <weft/app.h>
#include "app/allocator.h"
#include "app/params.h"
#include "app/server.h"
#include "base/log.h"
#include "mem/preload.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct command {
    const char *name_z;
    const char *help_z;
    int (*run)(weft_app *app);
};

/* ---- from settings to a plan ---- */

static bool make_plan(weft_app *app, struct weft_machine *machine, struct weft_plan *plan,
                      struct weft_config_errors *errors, int *out_exit)
{
    struct weft_plan_app needs;
    weft_machine_read(machine, "/");
    (void)weft_machine_raise_nofile(); /* what it is then is what the plan counts with */
    weft_app_apply_config(app);
    if (weft_app_error(app) != NULL) /* a mount of the settings that the program has no room for */
        weft_config_error(errors, "%s", weft_app_error(app));
    weft_rc rc = errors->error_count > 0 ? WEFT_ECONFIG : weft_server_describe(app, &needs);
    if (rc == 0)
        rc = weft_plan_make(plan, &app->config, machine, &needs, errors);
    weft_config_errors_print(stderr, errors);
    if (rc != 0 && errors->error_count == 0)
        fprintf(stderr, "weft: %s\n", weft_rc_text(rc));
    *out_exit = rc == 0 ? WEFT_EXIT_GOOD : WEFT_EXIT_CONFIG;
    return rc == 0;
}

static void set_log_level(const struct weft_config *config)
{
    static const enum weft_log_level levels[] = {WEFT_LOG_ERROR, WEFT_LOG_WARN, WEFT_LOG_INFO,
                                                 WEFT_LOG_DEBUG};
    weft_log_set_level(levels[config->log_level]);
}

static int run_serve(weft_app *app)
{
    struct weft_machine machine;
    struct weft_plan plan;
    struct weft_config_errors errors = {0};
    int status = WEFT_EXIT_GOOD;
    set_log_level(&app->config);
    if (!make_plan(app, &machine, &plan, &errors, &status))
        return status;
    return weft_server_run(app, &machine, &plan);
}

static int run_plan(weft_app *app)
{
    struct weft_machine machine;
    struct weft_plan plan = {0};
    struct weft_config_errors errors = {0};
    int status = WEFT_EXIT_GOOD;
    bool fits = make_plan(app, &machine, &plan, &errors, &status);
    if (plan.total > 0) /* one that does not fit is what somebody wants to see */
        weft_plan_print(stdout, &plan);
    if (!fits)
        return status;
    if (app->learned_wanted && weft_learned_print(stdout, app, &plan) != 0)
        return WEFT_EXIT_CONFIG;
    return status;
}

static int run_check(weft_app *app)
{
    printf("weft: %s%sthe settings are good\n", app->config.file, app->config.file[0] ? ": " : "");
    return WEFT_EXIT_GOOD;
}

static int run_settings(weft_app *app)
{
    weft_config_print(stdout, &app->config);
    return WEFT_EXIT_GOOD;
}

static int run_docs(weft_app *app)
{
    (void)app;
    weft_config_print_docs(stdout);
    return WEFT_EXIT_GOOD;
}

static const struct command commands[] = {
    {"serve",
     "serve until SIGTERM, SIGINT or SIGHUP (a second one cuts what is left);\n"
     "             the weft program itself: the directories of --static and --root",
     run_serve},
    {"demo", "the same, with the demo routes: the weft program without a command", run_serve},
    {"plan",
     "print the worst case in memory, term by term; 2 when it does not fit\n"
     "             plan serve: that of `weft serve`, which has no demo routes\n"
     "             --learned: and a cap for each route, from memory.history_path",
     run_plan},
    {"check", "check the settings (-c FILE) and say what is wrong with them", run_check},
    {"settings", "print the settings in force and where each comes from", run_settings},
    {"docs", "print docs/settings.md", run_docs},
};

static const struct command *find_command(const char *name_z)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(commands); i++)
        if (strcmp(commands[i].name_z, name_z) == 0)
            return &commands[i];
    return NULL;
}

static int usage_error(const char *program_z, const char *word_z)
{
    fprintf(stderr, "weft: there is no command '%s' (", word_z);
    for (size_t i = 0; i < WEFT_COUNT_OF(commands); i++)
        fprintf(stderr, "%s%s", i > 0 ? ", " : "", commands[i].name_z);
    fprintf(stderr, "); see %s --help\n", program_z);
    return WEFT_EXIT_CONFIG;
}

static void print_help(const char *program_z)
{
    printf("usage: %s [command] [-c FILE] [--setting value ...]\n\ncommands:\n", program_z);
    for (size_t i = 0; i < WEFT_COUNT_OF(commands); i++)
        printf("  %-10s %s\n", commands[i].name_z, commands[i].help_z);
    printf("  %-10s %s\n  %-10s %s\n\n", "--help", "print this", "--version", "print the version");
    weft_config_print_help(stdout);
}

/* The one flag that is no setting: taken out of what settings are read from. */
static bool take_learned(int *argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++)
        if (strcmp(argv[i], "--learned") != 0)
            argv[kept++] = argv[i];
    bool found = kept < *argc;
    *argc = kept;
    return found;
}

/* ---- settings: flags, environment, file, the program's own, defaults ---- */

static weft_rc program_settings(weft_app *app, struct weft_config_errors *errors)
{
    for (uint32_t i = 0; i < app->setting_count; i++) {
        const struct weft_app_setting *setting = &app->settings[i];
        const struct weft_param *param =
            weft_param_find(weft_str_z(setting->name_z), WEFT_PARAM_SPELL_KEY);
        char why[WEFT_CONFIG_ERROR_BYTES] = "";
        if (app->config.sources[weft_param_id(param)].origin != WEFT_CONFIG_FROM_DEFAULT)
            continue;
        if (weft_param_set(&app->config, param, weft_str_z(setting->value_z), why, sizeof(why)) !=
            0)
            weft_config_error(errors, "weft_app_set: %s: %s", setting->name_z, why);
    }
    return errors->error_count > 0 ? WEFT_ECONFIG : weft_config_check(&app->config, errors);
}

/* may_exec: the process is ours, not a program's that only runs a server. */
static int command_line(weft_app *app, int argc, char **argv, bool may_exec)
{
    const struct command *command = &commands[0];
    const char *program_z = argc > 0 ? argv[0] : "weft";
    if (argc > 1 && argv[1][0] != '-') {
        command = find_command(argv[1]);
        if (command == NULL && strcmp(argv[1], "help") == 0) {
            print_help(program_z);
            return WEFT_EXIT_GOOD;
        }
        if (command == NULL)
            return usage_error(program_z, argv[1]);
        argc--;
        argv++;
        if (command->run == run_plan && argc > 1 && strcmp(argv[1], "serve") == 0) {
            argc--; /* of which program is main()'s to know */
            argv++;
        }
    }
    struct weft_config_errors errors = {0};
    if (command->run == run_serve)
        signal(SIGPIPE, SIG_IGN); /* of clients that left, and of who read what we say */
    if (command->run == run_plan)
        app->learned_wanted = take_learned(&argc, argv);
    weft_rc rc = weft_config_load(&app->config, argc, argv, environ, &errors);
    if (app->config.help_wanted) {
        print_help(program_z);
        return WEFT_EXIT_GOOD;
    }
    if (app->config.version_wanted) {
        printf("weft %s\n", WEFT_VERSION);
        return WEFT_EXIT_GOOD;
    }
    if (rc == 0)
        rc = program_settings(app, &errors);
    if (rc == 0 && command->run == run_serve)
        rc = weft_allocator_ready(&app->config, may_exec, &errors);
    weft_config_errors_print(stderr, &errors);
    return rc == 0 ? command->run(app) : WEFT_EXIT_CONFIG;
}

int weft_main(weft_app *app, int argc, char **argv)
{
    int status = WEFT_EXIT_FAILED;
    (void)weft_preload_settle(); /* whether we were executed again is asked when it matters */
    if (weft_app_error(app) != NULL)
        fprintf(stderr, "weft: %s\n", weft_app_error(app));
    else
        status = command_line(app, argc, argv, true);
    weft_app_free(app);
    return status;
}

int weft_run(weft_app *app)
{
    char *none[] = {(char[]){"weft"}, NULL};
    if (weft_app_error(app) != NULL) {
        fprintf(stderr, "weft: %s\n", weft_app_error(app));
        return WEFT_EXIT_FAILED;
    }
    return command_line(app, 1, none, false);
}

void weft_app_stop(weft_app *app)
{
    if (app == NULL)
        return;
    atomic_fetch_add(&app->stopping, 1); /* before the look: the server waits for it */
    struct weft_server *server = atomic_load(&app->server);
    if (server != NULL)
        weft_server_stop(server);
    atomic_fetch_sub(&app->stopping, 1);
}
