/* file_test.c - a file as an answer where it is not what a GET asks for; what the system says of
 * files that it will not open. */
#include "answer.h"
#include <weft/response.h>
#include "http/h1.h"
#include "serve/files/beneath.h"
#include <fcntl.h>
#include <stdlib.h>

static char folder[] = "/tmp/weft-file-test.XXXXXX";
static int folder_fd = -1;

static weft_rc file(weft_req *rq)
{
    return weft_file(rq, WEFT_S("a.txt"));
}

static const struct seam_route routes[] = {
    {.method_z = "GET", .pattern_z = "/", .handler = file},
    {.method_z = "POST", .pattern_z = "/", .handler = file},
    {.method_z = "PUT", .pattern_z = "/", .handler = file},
};

static int open_worker(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 4);
    seam.site.root_fd = folder_fd;
    return 0;
}

static void ask(const char *method_z, const char *fields_z)
{
    char text[512];
    snprintf(text, sizeof(text), "%s / HTTP/1.1\r\nHost: x\r\n%s\r\n", method_z, fields_z);
    wire_open();
    feed_text(text);
    hang_up(0);
    seam.wire.out[seam.wire.out_len] = 0;
}

static void conditions_are_about_the_target(void **state)
{
    (void)state;
    static const char *const fields[] = {"If-None-Match: *\r\n", "If-Match: \"other\"\r\n",
                                         "Range: bytes=0-1\r\n",
                                         "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
                                         "If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n"};
    static const char *const statuses[] = {"304", "412", "206", "304", "412"};
    for (size_t i = 0; i < WEFT_COUNT_OF(fields); i++) {
        ask("GET", fields[i]);
        expect(statuses[i], i == 0 || i == 3 ? "" : i == 2 ? "he" : "Precondition Failed");
        for (int k = 0; k < 2; k++) { /* as if it had not been sent: the work is done */
            ask(k == 0 ? "POST" : "PUT", fields[i]);
            expect("200", "hello");
            assert_false(output_has("ETag") || output_has("Last-Modified"));
            assert_false(output_has("Accept-Ranges"));
        }
    }
}

static void what_is_sent_twice_does_not_read(void **state)
{
    (void)state;
    ask("GET", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n");
    expect("200", "hello");
    ask("GET", "If-Modified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n"
               "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n");
    expect("200", "hello");
    ask("GET", "If-Unmodified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
               "If-Unmodified-Since: Mon, 01 Jan 1990 00:00:00 GMT\r\n");
    expect("200", "hello");
    ask("GET", "Range: bytes=0-1\r\nIf-Range: \"other\"\r\n"
               "If-Range: Sat, 01 Jan 2000 00:00:00 GMT\r\n");
    expect("200", "hello"); /* the whole of it is always right */
}

/* Not "not there": who asked would take it for gone. */
static void what_cannot_be_opened(void **state)
{
    (void)state;
    seam.site.root_fd = 1000000; /* EBADF, which is nobody's wish */
    ask("GET", "");
    assert_true(output_begins("HTTP/1.1 500 "));
    assert_int_equal(counted(WEFT_COUNTER_FILES_FAILED), 1);
    seam.site.root_fd = folder_fd;
    assert_int_equal(unlinkat(folder_fd, "a.txt", 0), 0);
    ask("GET", "");
    expect("404", "File not found");
    assert_int_equal(counted(WEFT_COUNTER_FILES_FAILED), 1);
}

static void meanings(void **state)
{
    (void)state;
    static const struct {
        int error;
        weft_rc rc;
    } rows[] = {
        {ENOENT, (weft_rc)-ENOENT}, {ENOTDIR, (weft_rc)-ENOENT},
        {ENXIO, (weft_rc)-ENOENT},  {ENAMETOOLONG, (weft_rc)-ENOENT},
        {EISDIR, (weft_rc)-EISDIR}, {EACCES, (weft_rc)-EACCES},
        {EPERM, (weft_rc)-EACCES},  {EXDEV, (weft_rc)-EACCES},
        {ELOOP, (weft_rc)-EACCES},  {EINVAL, (weft_rc)-ENOENT},
        {EILSEQ, (weft_rc)-ENOENT}, {EMFILE, WEFT_EFULL},
        {ENFILE, WEFT_EFULL},       {ENOMEM, WEFT_EFULL},
        {EAGAIN, WEFT_EFULL},       {EIO, (weft_rc)-EIO},
        {ESTALE, (weft_rc)-ESTALE},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
        assert_int_equal(weft_beneath_meaning(-rows[i].error), rows[i].rc);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(folder_fd, "a.txt", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, "hello", 5) == 5;
    return good ? close(fd) : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlinkat(folder_fd, "a.txt", 0);
    close(folder_fd);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(conditions_are_about_the_target, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(what_is_sent_twice_does_not_read, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened, open_worker, close_worker),
        cmocka_unit_test(meanings),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
