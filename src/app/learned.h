/* learned.h - what the routes' requests needed, kept over restarts, and contracts made of it.
 *
 * A text file (memory.history_path): a version line, then one line per route:
 *
 *     weft-history 1
 *     GET 52113 61440 64:12,4096:40210,61440:11891 /user/{id}
 *     method, requests ever, most bytes ever, bytes:requests of the last windows, pattern
 *
 * Written every minute and at the end, into a new file that then takes the old one's name. A file
 * that is not one of these is told about and left alone: nothing is learned from it and nothing is
 * written over it.
 *
 * Lifetime: the server's; reading also while `weft plan --learned` runs.
 * Threads:  the main thread.
 * Memory:   WEFT_LEARNED_BYTES of address space while reading or writing, touched as far as used.
 */
#ifndef WEFT_APP_LEARNED_H
#define WEFT_APP_LEARNED_H

#include "app/app.h"
#include "app/plan.h"
#include "app/worker.h"

#define WEFT_LEARNED_BYTES   ((size_t)8 << 20) /* a file is smaller */
#define WEFT_LEARNED_EVERY_S 60u

struct weft_learned {
    const weft_app *app;
    struct weft_worker *workers; /* borrowed: the server's */
    uint32_t worker_count;
    const char *path_z;     /* borrowed: the settings'; empty: off */
    bool refused;           /* a file that is not ours is there: do not write */
    struct weft_loop *loop; /* borrowed: the admin's */
    struct weft_timer timer;
};

/** Called for each route that a file knows and the program has. */
typedef void weft_learned_fn(void *arg, const struct weft_route *route,
                             const struct weft_history_sum *sum);

/** Read a file.
 *  out_why  room for why_bytes: a message with file and line, zero-terminated
 *  returns  0; -ENOENT; WEFT_ESYNTAX (not such a file: nothing was told); another -errno */
WEFT_CHECK weft_rc weft_learned_read(const weft_app *app, const char *path_z, weft_learned_fn *tell,
                                     void *arg, char *out_why, size_t why_bytes);

/** Give the workers what the file knows, before they start. Never fails: what is wrong is logged.
 */
void weft_learned_init(struct weft_learned *learned, const weft_app *app,
                       struct weft_worker *workers, uint32_t worker_count);

/** Write it every minute from now on. */
void weft_learned_start(struct weft_learned *learned, struct weft_loop *loop);
void weft_learned_stop(struct weft_learned *learned);

/** Write it now; an error is logged.
 *  sync  also make sure of the disk */
void weft_learned_write(struct weft_learned *learned, bool sync);

/** What all workers know of a route. */
void weft_learned_sum(const struct weft_learned *learned, const struct weft_route *route,
                      struct weft_history_sum *out);

/** Behind `weft plan`: per route its cap, what was learned, the cap that is proposed, and what the
 *  arenas then need.
 *  returns  0; an error that was printed to stderr */
WEFT_CHECK weft_rc weft_learned_print(FILE *to, const weft_app *app, const struct weft_plan *plan);

#endif
