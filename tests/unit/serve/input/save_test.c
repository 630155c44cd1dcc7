/* save_test.c - uploads: how many a request has under way, and what becomes of each. */
#include "answer.h"
#include <weft/form.h>
#include "http/h1.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>

#define POOL_QUEUE 8

static char folder[] = "/tmp/weft-save-test.XXXXXX";
static weft_rc beyond; /* what the one after the last was told */
static enum { LEAVE, LEAVE_TO_A_BUSY_POOL, DROP, KEEP } behind;

/* ---- the pool's one thread, busy ---- */

static sem_t entered, leave;

static void stand(struct weft_offload_job *job)
{
    (void)job;
    sem_post(&entered);
    sem_wait(&leave);
}

static void stood(struct weft_offload_job *job)
{
    (void)job;
}

static struct weft_offload_job blocker = {.run = stand, .done = stood};

static void keep_pool_busy(void)
{
    assert_int_equal(weft_offload_submit(seam.site.offload, &blocker), 0);
    sem_wait(&entered);
}

/* ---- a handler ---- */

/* Opens as many as may be, then does with each what `behind` says and opens one more instead. */
static weft_rc uploads(weft_req *rq)
{
    weft_upload *held[WEFT_UPLOADS_MAX], *more = NULL;
    for (size_t i = 0; i < WEFT_UPLOADS_MAX; i++)
        WEFT_TRY(weft_upload_open(rq, &held[i]));
    beyond = weft_upload_open(rq, &more);
    if (behind == LEAVE_TO_A_BUSY_POOL)
        keep_pool_busy();
    for (size_t i = 0; i < WEFT_UPLOADS_MAX && behind >= DROP; i++) {
        char name[16];
        int len = snprintf(name, sizeof(name), "kept%zu", i);
        if (behind == KEEP)
            WEFT_TRY(weft_upload_keep(held[i], weft_str_make(name, (size_t)len), false));
        weft_upload_drop(held[i]);
        weft_upload_drop(held[i]); /* once is enough */
        assert_int_equal(held[i]->fd, -1);
        assert_int_equal(weft_upload_keep(held[i], WEFT_S("again"), false), WEFT_ESTATE);
        WEFT_TRY(weft_upload_open(rq, &more));
        assert_int_equal(write(more->fd, "x", 1), 1);
        weft_upload_drop(more);
    }
    return behind < DROP ? beyond : weft_text(rq, 200, WEFT_S("ok"));
}

static const struct seam_route routes[] = {
    {.method_z = "POST", .pattern_z = "/", .handler = uploads},
};

static size_t names_in_folder(void)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += strncmp(entry->d_name, "kept", 4) == 0;
    closedir(dir);
    return count;
}

static int open_worker(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 4);
    seam.site.upload_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = openat(seam.site.upload_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        skip(); /* a file system without unnamed files */
    close(fd);
    return weft_offload_create(1, POOL_QUEUE, &seam.site.offload);
}

static int close_all(void **state)
{
    weft_offload_destroy(seam.site.offload);
    close(seam.site.upload_fd);
    return close_worker(state);
}

/* What the thread has done is told to the loop, which nobody turns here. */
static void ask(void)
{
    wire_open();
    feed_text("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    while (seam.loop.tasks.waiting > 0) {
        struct pollfd waker = {seam.loop.wake_fd, POLLIN, 0};
        uint64_t count;
        assert_int_equal(poll(&waker, 1, 5000), 1);
        assert_int_equal(read(seam.loop.wake_fd, &count, sizeof(count)), sizeof(count));
        struct weft_post *post = atomic_exchange(&seam.loop.posts, NULL); /* one waits, for one */
        post->run(post);
        settle();
    }
    hang_up(0);
    seam.wire.out[seam.wire.out_len] = 0;
    assert_int_equal(beyond, WEFT_ELIMIT);
    assert_int_equal(counted(WEFT_COUNTER_UPLOADS_REFUSED), 1);
}

static void one_too_many(void **state)
{
    (void)state;
    behind = LEAVE;
    ask();
    expect("413", "Content Too Large");
    assert_int_equal(counted(WEFT_COUNTER_UPLOADS_DROPPED), WEFT_UPLOADS_MAX);
}

static void what_the_pool_has_no_place_for_is_freed_here(void **state)
{
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&leave, 0, 0);
    behind = LEAVE_TO_A_BUSY_POOL;
    ask();
    sem_post(&leave);
    expect("413", "Content Too Large");
    assert_int_equal(counted(WEFT_COUNTER_UPLOADS_DROPPED), WEFT_UPLOADS_MAX);
    assert_int_equal(counted(WEFT_COUNTER_UPLOADS_FREED_HERE), WEFT_UPLOADS_MAX - POOL_QUEUE);
}

static void dropped_ones_make_room(void **state)
{
    (void)state;
    behind = DROP;
    ask();
    expect("200", "ok");
    assert_int_equal(counted(WEFT_COUNTER_UPLOADS_DROPPED), 2 * WEFT_UPLOADS_MAX);
    assert_int_equal(names_in_folder(), 0);
}

static void kept_ones_make_room(void **state)
{
    (void)state;
    behind = KEEP;
    ask();
    expect("200", "ok");
    assert_int_equal(counted(WEFT_COUNTER_UPLOADS_DROPPED), WEFT_UPLOADS_MAX);
    assert_int_equal(names_in_folder(), WEFT_UPLOADS_MAX);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_UPLOADS_MAX; i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/kept%zu", folder, i);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_too_many, open_worker, close_all),
        cmocka_unit_test_setup_teardown(what_the_pool_has_no_place_for_is_freed_here, open_worker,
                                        close_all),
        cmocka_unit_test_setup_teardown(dropped_ones_make_room, open_worker, close_all),
        cmocka_unit_test_setup_teardown(kept_ones_make_room, open_worker, close_all),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
