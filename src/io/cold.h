/* cold.h - parts of files that are not in memory: fetched by the offload pool, so that a worker
 * does not stand still for a disk.
 *
 * Before a part of a file is sent, the kernel is asked for single bytes of it, without waiting
 * (RWF_NOWAIT), and how many pages of it there are (cachestat). Where one is missing, a thread of
 * the pool reads the part, and the connections that want it wait together. A file system that
 * cannot answer (it may be on a network) is read so always, one whose files live in memory never.
 *
 * Lifetime: worker, part of its loop.
 * Threads:  the owner worker; a fetch is the pool thread's while it runs.
 * Memory:   part of struct weft_loop: WEFT_COLD_FETCHES fetches, WEFT_COLD_KNOWN parts. A
 * connection that waits is a link in a list.
 */
#ifndef WEFT_IO_COLD_H
#define WEFT_IO_COLD_H

#include "io/offload.h"
#include "io/post.h"
#include "io/timer.h"

struct weft_conn; /* io/conn.h */
struct weft_loop; /* io/loop.h */

#define WEFT_COLD_FETCHES      8                  /* under way at once, of one worker */
#define WEFT_COLD_PART_BYTES   ((size_t)2 << 20)  /* fetched, and taken for warm, at once */
#define WEFT_COLD_STRIDE_BYTES ((size_t)64 << 10) /* one byte of each is asked for */

struct weft_cold_fetch {
    struct weft_offload_job job;
    struct weft_post post;
    struct weft_loop *loop; /* NULL: free */
    int file;               /* borrowed from those who wait */
    uint64_t offset;
    size_t bytes;
    struct weft_conn *waiters;
};

/* A part that was found in memory a moment ago: many clients of one file ask once for all. */
struct weft_cold_known {
    int file;
    uint64_t part;
    uint64_t until_ms;
};
#define WEFT_COLD_KNOWN 64

struct weft_cold {
    struct weft_offload *offload; /* borrowed; NULL: nothing is ever fetched */
    struct weft_cold_fetch fetches[WEFT_COLD_FETCHES];
    struct weft_cold_known known[WEFT_COLD_KNOWN];
    struct weft_conn *first, *last; /* those for whom there was none free */
    struct weft_timer retry;        /* the pool was full of others' work */
};

enum weft_warmth {
    WEFT_WARM,
    WEFT_COLD_NOW,
    WEFT_COLD_UNKNOWN, /* the file system does not say */
};

/** Are the bytes [offset, offset + bytes) of a regular file in memory? What lies behind its end
 *  is. */
enum weft_warmth weft_file_warmth(int file, uint64_t offset, size_t bytes);

/** May the connection send its file from where it is? Then bytes up to conn->file_warm are in
 * memory. If not it waits: want_write() when it may go on. returns  0; -EINPROGRESS;
 * WEFT_ECANCELED: the pool is at its end */
WEFT_CHECK weft_rc weft_cold_ask(struct weft_conn *conn);

#endif
