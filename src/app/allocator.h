/* allocator.h - the malloc that memory.profile asks for: checked with the settings, there before
 * the server is built, turned while it runs.
 *
 * Lifetime: none of its own.
 * Threads:  the first two: one, at start. The routes: the admin thread.
 * Memory:   none that stays.
 */
#ifndef WEFT_APP_ALLOCATOR_H
#define WEFT_APP_ALLOCATOR_H

#include <weft/app.h>
#include "app/config.h"
#include "mem/profile.h"

/** What the settings ask for: memory.malloc_conf alone means jemalloc too. */
enum weft_profile weft_allocator_profile(const struct weft_config *config);

/** The rules of memory.profile and memory.malloc_conf: part of weft_config_check(). Adds lines. */
void weft_allocator_check(const struct weft_config *config, struct weft_config_errors *errors);

/** See that this process has the malloc of its settings, which have been checked: by executing it
 *  again with jemalloc preloaded. Where that cannot work (a static program, another C library, a
 *  sanitizer) or may not be done there is a warning, and the system's malloc stays.
 *  may_exec  is the process ours (weft_main), or does it only use us (weft_run)?
 *  returns   0; WEFT_ECONFIG: errors has a line. Not at all when the process was executed again */
WEFT_CHECK weft_rc weft_allocator_ready(const struct weft_config *config, bool may_exec,
                                        struct weft_config_errors *errors);

/** POST /memory/decay?dirty_ms=..&muzzy_ms=.. and POST /memory/purge. */
void weft_allocator_routes(weft_app *admin);

#endif
