/* cold.c - see cold.h. */
#include "io/cold.h"
#include "io/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#define RETRY_MS          10
#define FETCH_PIECE_BYTES 16384 /* on the pool thread's stack */

/* ---- is it there? ---- */

static bool lives_in_memory(int file)
{
    struct statfs info;
    return fstatfs(file, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC ||
                                         info.f_type == HUGETLBFS_MAGIC);
}

static enum weft_warmth probe(int file, uint64_t offset)
{
    char byte;
    struct iovec to = {&byte, 1};
    if (preadv2(file, &to, 1, (off_t)offset, RWF_NOWAIT) >= 0)
        return WEFT_WARM;
    if (errno == EAGAIN)
        return WEFT_COLD_NOW;
    return lives_in_memory(file) ? WEFT_WARM : WEFT_COLD_UNKNOWN;
}

/* Linux 6.5, in our words: headers may be older. */
#define SYS_CACHESTAT 451
struct cache_range {
    uint64_t offset, bytes;
};
struct cache_figures {
    uint64_t cached, dirty, writeback, evicted, recently_evicted; /* pages */
};

/* Are all of its pages there? They may be on their way in: that is what probes are for. *out_known
 * false: the kernel does not tell us, not of this file. */
static bool all_pages(int file, uint64_t offset, size_t bytes, bool *out_known)
{
    struct cache_range range = {offset, bytes};
    struct cache_figures figures = {0};
    *out_known = syscall(SYS_CACHESTAT, file, &range, &figures, 0) == 0;
    uint64_t first = offset / WEFT_PAGE_BYTES, last = (offset + bytes - 1) / WEFT_PAGE_BYTES;
    return figures.cached >= last - first + 1;
}

/* Holes of such files have no pages, and need none. */
static enum weft_warmth cold_unless_in_memory(int file)
{
    return lives_in_memory(file) ? WEFT_WARM : WEFT_COLD_NOW;
}

static enum weft_warmth probe_all(int file, uint64_t offset, size_t bytes)
{
    enum weft_warmth warmth = WEFT_WARM;
    for (size_t at = WEFT_COLD_STRIDE_BYTES; at < bytes && warmth == WEFT_WARM;
         at += WEFT_COLD_STRIDE_BYTES)
        warmth = probe(file, offset + at);
    return warmth;
}

enum weft_warmth weft_file_warmth(int file, uint64_t offset, size_t bytes)
{
    weft_assert(bytes > 0);
    enum weft_warmth warmth = probe(file, offset);
    if (warmth == WEFT_WARM && bytes > WEFT_COLD_STRIDE_BYTES) {
        bool known = false;
        if (!all_pages(file, offset, bytes, &known))
            warmth = known ? cold_unless_in_memory(file) : probe_all(file, offset, bytes);
    }
    if (warmth == WEFT_WARM && bytes > WEFT_PAGE_BYTES)
        warmth = probe(file, offset + bytes - 1);
    return warmth;
}

/* ---- fetching it ---- */

/* Errors are found out by who sends. */
static void fetch(struct weft_offload_job *job)
{
    const struct weft_cold_fetch *f = WEFT_CONTAINER_OF(job, struct weft_cold_fetch, job);
    char piece[FETCH_PIECE_BYTES];
    (void)posix_fadvise(f->file, (off_t)f->offset, (off_t)f->bytes, POSIX_FADV_WILLNEED);
    for (size_t at = 0; at < f->bytes;) {
        ssize_t n =
            pread(f->file, piece, WEFT_MIN(sizeof(piece), f->bytes - at), (off_t)(f->offset + at));
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

static void fetched(struct weft_offload_job *job)
{
    struct weft_cold_fetch *f = WEFT_CONTAINER_OF(job, struct weft_cold_fetch, job);
    weft_loop_post(f->loop, &f->post);
}

/* In a turn of its own: a thousand may have waited for the same part. */
static void go_on(struct weft_conn *conn)
{
    conn->progress_ms = conn->loop->now_ms; /* it was not the client that took its time */
    weft_engine_want_write(&conn->loop->engine, conn->slot, true);
}

static weft_rc find_room(struct weft_conn *conn);

/* Whoever waits for a fetch gets one, as long as there are some. */
static void next_ones(struct weft_loop *loop)
{
    struct weft_cold *cold = &loop->cold;
    while (cold->first != NULL) {
        struct weft_conn *conn = cold->first, *next = conn->cold_next;
        if (find_room(conn) == WEFT_EFULL) {
            conn->cold_next = next;
            return;
        }
        cold->first = next;
        if (next == NULL)
            cold->last = NULL;
    }
}

static void over(struct weft_post *post)
{
    struct weft_cold_fetch *f = WEFT_CONTAINER_OF(post, struct weft_cold_fetch, post);
    struct weft_loop *loop = f->loop;
    struct weft_conn *waiters = f->waiters;
    f->loop = NULL;
    f->waiters = NULL;
    while (waiters != NULL) {
        struct weft_conn *conn = waiters;
        waiters = conn->cold_next;
        conn->file_warm = f->offset + f->bytes;
        go_on(conn);
    }
    next_ones(loop);
}

static void join(struct weft_cold_fetch *f, struct weft_conn *conn)
{
    conn->cold_next = f->waiters;
    f->waiters = conn;
}

static weft_rc start(struct weft_cold_fetch *f, struct weft_conn *conn, size_t bytes)
{
    *f = (struct weft_cold_fetch){.job = {.run = fetch, .done = fetched},
                                  .post = {.run = over},
                                  .loop = conn->loop,
                                  .file = conn->file,
                                  .offset = conn->file_offset,
                                  .bytes = bytes};
    weft_rc rc = weft_offload_submit(conn->loop->cold.offload, &f->job);
    if (rc != 0) {
        f->loop = NULL;
        return rc == WEFT_ENOMEM ? WEFT_EFULL : rc;
    }
    weft_loop_count(conn->loop, WEFT_COUNTER_FILES_COLD);
    join(f, conn);
    return 0;
}

static size_t part_of(const struct weft_conn *conn)
{
    return (size_t)WEFT_MIN(conn->file_left, (uint64_t)WEFT_COLD_PART_BYTES);
}

/* Joins those who wait for the same bytes, or begins. */
static weft_rc take_fetch(struct weft_conn *conn)
{
    struct weft_cold *cold = &conn->loop->cold;
    struct weft_cold_fetch *free = NULL;
    for (int i = 0; i < WEFT_COLD_FETCHES; i++) {
        struct weft_cold_fetch *f = &cold->fetches[i];
        if (f->loop == NULL) {
            free = f;
        } else if (f->file == conn->file && conn->file_offset >= f->offset &&
                   conn->file_offset < f->offset + f->bytes) {
            join(f, conn);
            return 0;
        }
    }
    return free == NULL ? WEFT_EFULL : start(free, conn, part_of(conn));
}

/* May be wrong for so long about a file that was closed, and another one opened by its number: then
 * that one is read as everybody reads. */
#define KNOWN_MS 100

static struct weft_cold_known *known_of(struct weft_cold *cold, int file, uint64_t part)
{
    return &cold->known[((uint64_t)(unsigned)file * 31 + part) % WEFT_COLD_KNOWN];
}

/* Is all of the part there that ends at `end` or before? */
static bool part_warm(struct weft_conn *conn, uint64_t part, uint64_t end)
{
    uint64_t now = conn->loop->now_ms, from = part * WEFT_COLD_PART_BYTES;
    struct weft_cold_known *known = known_of(&conn->loop->cold, conn->file, part);
    if (known->file == conn->file && known->part == part && known->until_ms > now)
        return true;
    size_t bytes = (size_t)WEFT_MIN((uint64_t)WEFT_COLD_PART_BYTES, end - from);
    if (weft_file_warmth(conn->file, from, bytes) != WEFT_WARM)
        return false;
    *known = (struct weft_cold_known){conn->file, part, now + KNOWN_MS};
    return true;
}

/* As much of the file as goes in one step, by whole parts, so that clients ask for the same ones.
 */
static bool step_warm(struct weft_conn *conn)
{
    uint64_t end = conn->file_offset + conn->file_left, part_bytes = WEFT_COLD_PART_BYTES;
    uint64_t first = conn->file_offset / part_bytes;
    if (!part_warm(conn, first, end))
        return false;
    conn->file_warm = WEFT_MIN(end, (first + 1) * part_bytes);
    if (conn->file_warm < end && part_warm(conn, first + 1, end))
        conn->file_warm = WEFT_MIN(end, (first + 2) * part_bytes);
    return true;
}

/* For one that has waited: what it wants may have come with what others wanted. */
static weft_rc find_room(struct weft_conn *conn)
{
    weft_rc rc = 0;
    if (step_warm(conn))
        go_on(conn);
    else
        rc = take_fetch(conn);
    if (rc != 0 && rc != WEFT_EFULL)
        go_on(conn); /* the pool is at its end: it asks once more, and hears so */
    return rc;
}

static void retry(struct weft_timer *timer)
{
    struct weft_cold *cold = WEFT_CONTAINER_OF(timer, struct weft_cold, retry);
    struct weft_loop *loop = WEFT_CONTAINER_OF(cold, struct weft_loop, cold);
    next_ones(loop);
    if (cold->first != NULL)
        weft_timer_arm(&loop->wheel, timer, loop->now_ms + RETRY_MS);
}

static void stand_in_line(struct weft_conn *conn)
{
    struct weft_cold *cold = &conn->loop->cold;
    conn->cold_next = NULL;
    if (cold->last == NULL)
        cold->first = conn;
    else
        cold->last->cold_next = conn;
    cold->last = conn;
    weft_loop_count(conn->loop, WEFT_COUNTER_FILES_COLD_QUEUED);
    cold->retry.fire = retry;
    if (!weft_timer_armed(&cold->retry)) /* none of ours may be under way to call the next */
        weft_timer_arm(&conn->loop->wheel, &cold->retry, conn->loop->now_ms + RETRY_MS);
}

weft_rc weft_cold_ask(struct weft_conn *conn)
{
    struct weft_cold *cold = &conn->loop->cold;
    if (conn->file_offset < conn->file_warm)
        return 0;
    if (cold->offload == NULL) {
        conn->file_warm = conn->file_offset + conn->file_left;
        return 0;
    }
    if (step_warm(conn))
        return 0;
    weft_rc rc = take_fetch(conn);
    if (rc == WEFT_EFULL) {
        stand_in_line(conn);
        rc = 0;
    }
    return rc == 0 ? (weft_rc)-EINPROGRESS : rc;
}
