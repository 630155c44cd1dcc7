/* learned_test.c - the file of what routes needed: written every minute while the server runs, and
 * how large it may be. */
#include "unit.h"
#include "fixture.h"
#include "app/learned.h"
#include <unistd.h>
#include <weft/weft.h>

#define MINUTE_MS     ((uint64_t)WEFT_LEARNED_EVERY_S * 1000)
#define REQUEST_BYTES 5000

static struct server {
    weft_app *app;
    struct weft_ledger ledger;
    struct weft_worker worker;
    struct weft_loop admin;
    struct weft_learned learned;
} server;

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("hello"));
}

static int open_server(void **state)
{
    struct weft_histories *histories = &server.worker.service.histories;
    struct weft_account *account = NULL;
    server = (struct server){.admin.now_ms = 1000};
    weft_wheel_init(&server.admin.wheel, server.admin.now_ms, 1);
    if (fixture_make(state) != 0)
        return -1;
    server.app = weft_app_new();
    weft_get(server.app, "/hello", hello);
    weft_config_defaults(&server.app->config);
    snprintf(server.app->config.memory_history_path, WEFT_CONFIG_PATH_BYTES, "%s/history", root);
    assert_int_equal(weft_ledger_init(&server.ledger, 0), 0);
    assert_int_equal(weft_account_open(&server.ledger, "histories", 0, &account), 0);
    return weft_histories_init(histories, account, server.app->route_count);
}

static int close_server(void **state)
{
    weft_learned_stop(&server.learned);
    weft_histories_fini(&server.worker.service.histories);
    weft_ledger_fini(&server.ledger);
    weft_app_free(server.app);
    return fixture_remove(state);
}

static void start(void)
{
    weft_learned_init(&server.learned, server.app, &server.worker, 1);
    weft_learned_start(&server.learned, &server.admin);
}

static void pass_ms(uint64_t ms)
{
    server.admin.now_ms += ms;
    assert_false(weft_wheel_advance(&server.admin.wheel, server.admin.now_ms, 8));
}

static void ask(int times)
{
    for (int i = 0; i < times; i++)
        weft_histories_add(&server.worker.service.histories, 0, REQUEST_BYTES);
}

/* Requests that the file knows of; -1: there is none, or it is not whole. */
static long requests_in_file(void)
{
    char text[200] = "";
    long requests = -1;
    FILE *file = fopen(server.learned.path_z, "re");
    if (file == NULL)
        return -1;
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    return len > 0 && text[len - 1] == '\n' &&
                   sscanf(text, "weft-history 1\nGET %ld 5000 ", &requests) == 1
               ? requests
               : -1;
}

static void it_is_written_every_minute(void **state)
{
    (void)state;
    start();
    ask(3);
    pass_ms(MINUTE_MS - 1);
    assert_int_equal(requests_in_file(), -1);
    pass_ms(1);
    assert_int_equal(requests_in_file(), 3);
    ask(4);
    pass_ms(MINUTE_MS - 1);
    assert_int_equal(requests_in_file(), 3);
    pass_ms(1);
    assert_int_equal(requests_in_file(), 7);
    weft_learned_stop(&server.learned);
    ask(1);
    pass_ms(2 * MINUTE_MS);
    assert_int_equal(requests_in_file(), 7);
}

static void a_minute_that_cannot_be_written_is_made_up_for(void **state)
{
    (void)state;
    char away[80];
    snprintf(away, sizeof(away), "%s.away", root);
    start();
    ask(3);
    assert_int_equal(rename(root, away), 0);
    pass_ms(MINUTE_MS);
    assert_int_equal(rename(away, root), 0);
    assert_int_equal(requests_in_file(), -1);
    pass_ms(MINUTE_MS);
    assert_int_equal(requests_in_file(), 3);
}

static void a_file_of_8_mib_is_none(void **state)
{
    (void)state;
    const char *path_z = server.app->config.memory_history_path;
    put("/history", "weft-history 1\nGET 5 64 64:5 /hello\n");
    assert_int_equal(truncate(path_z, (off_t)WEFT_LEARNED_BYTES), 0);
    start();
    assert_true(server.learned.refused);
    pass_ms(MINUTE_MS);
    struct stat info;
    assert_int_equal(stat(path_z, &info), 0);
    assert_int_equal(info.st_size, WEFT_LEARNED_BYTES); /* left alone */
    char why[1400];
    assert_int_equal(weft_learned_read(server.app, path_z, NULL, NULL, why, sizeof(why)),
                     WEFT_ESYNTAX);
    assert_non_null(strstr(why, "larger than a history can be"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define LEARNED_TEST(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)
        LEARNED_TEST(it_is_written_every_minute),
        LEARNED_TEST(a_minute_that_cannot_be_written_is_made_up_for),
        LEARNED_TEST(a_file_of_8_mib_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
