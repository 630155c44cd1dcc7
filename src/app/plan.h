/* plan.h - the memory sum: what the settings cost at worst, term by term, before anything starts.
 *
 * Lifetime: the caller's struct.
 * Threads:  any, at start.
 * Memory:   none of its own.
 */
#ifndef WEFT_APP_PLAN_H
#define WEFT_APP_PLAN_H

#include <stdio.h>
#include <weft/cache.h>
#include <weft/channel.h>
#include "app/config.h"
#include "app/machine.h"
#include "io/loop.h"
#include "mem/objects.h"
#include "serve/files/file_table.h"
#include "serve/coding/compress.h"

#define WEFT_PLAN_TERMS_MAX 80 /* 26 of ours, 48 of the program (app.h) */

/* What the plan must know of the application. */
struct weft_plan_app {
    size_t route_memory_max;       /* largest arena cap of a route */
    weft_str route_memory_largest; /* that route's pattern; empty: it is the setting's */
    size_t route_heap_max;         /* of it, most that a route may malloc */
    size_t route_stack_max;        /* largest stack that a route asks for */
    uint32_t route_count;
    size_t router_bytes;  /* compiled routes and their names */
    size_t scratch_bytes; /* per worker, for regular expressions */
    size_t mime_bytes;    /* the table of media types; 0: there is none */
    const struct weft_protocol *protocol;
    weft_objects *const *objects; /* pools that the program declared */
    uint32_t objects_count;
    weft_cache *const *caches; /* likewise */
    uint32_t caches_count;
    bool serves_files;             /* from a directory: some stay open */
    weft_channel *const *channels; /* likewise */
    uint32_t channels_count;
};

struct weft_plan_term {
    const char *name_z;
    char formula[96];
    size_t bytes; /* all workers together */
    bool elastic; /* not fixed: what is left of the limit, as far as it can be used */
};

struct weft_plan {
    uint32_t workers;
    uint32_t connections_max;
    size_t limit;
    char limit_source[1200];
    const struct weft_engine_ops *engine;
    const char *engine_note;         /* why auto fell back; NULL: it did not */
    struct weft_loop_options worker; /* of each worker; of the admin loop */
    struct weft_loop_options admin;
    struct weft_file_options files;        /* of each worker; entries 0: none stay open */
    struct weft_compress_options compress; /* of each worker; codings 0: off */
    size_t fixed, total;
    size_t heap; /* of the arenas, what may be malloc: all workers together */
    uint32_t term_count;
    struct weft_plan_term terms[WEFT_PLAN_TERMS_MAX];
    bool scaled; /* defaults were made smaller to fit the limit */
};

/** Work it out. What the user has not set is made smaller where the limit asks for it; what was set
 * is left as it is. returns  0; WEFT_EBUDGET: does not fit, a line in errors names limit and
 * largest term; WEFT_ECONFIG (an engine that this machine does not have) */
WEFT_CHECK weft_rc weft_plan_make(struct weft_plan *plan, const struct weft_config *config,
                                  const struct weft_machine *machine,
                                  const struct weft_plan_app *app,
                                  struct weft_config_errors *errors);

void weft_plan_print(FILE *to, const struct weft_plan *plan);

#endif
