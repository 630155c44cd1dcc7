/* mounts.h - directories under URLs: from the program's calls and the settings to routes, opened
 * when the server starts.
 *
 * Lifetime: the application's; directories are open while it runs.
 * Threads:  the main thread.
 * Memory:   WEFT_APP_MOUNTS_MAX rows in the application; the table of media types from the heap, a
 *           term of the plan, where there is a mount or a root.
 */
#ifndef WEFT_APP_MOUNTS_H
#define WEFT_APP_MOUNTS_H

#include "app/app.h"

/** The mounts of the settings become routes, the media types are read. Before routes are given
 *  their defaults. Mistakes are the application's. */
void weft_mounts_apply(weft_app *app);

/** Open every directory.
 *  root_fd  of the setting `root`, -1 without; borrowed while it runs
 *  returns  0; -errno, and a line in the log */
WEFT_CHECK weft_rc weft_mounts_open(weft_app *app, int root_fd);
void weft_mounts_close(weft_app *app);

/** Bytes of the table of media types. */
size_t weft_mounts_mime_bytes(const weft_app *app);

#endif
