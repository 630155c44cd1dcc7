/* files.h - directories under URLs. A single file as an answer: weft_file(), weft_reply_file()
 * (response.h).
 *
 * Lifetime: as the application's routes.
 * Threads:  while setting up: one.
 * Memory:   a mount is two routes and its texts, the heap of the start; its directory stays open.
 */
#ifndef WEFT_FILES_H
#define WEFT_FILES_H

#include <weft/app.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** How a directory is served; all of it may be left out. Texts are zero-terminated and copied. */
typedef struct weft_static_opts {
    size_t size;         /* filled by the macro */
    const char *index_z; /* files that stand for a directory, with spaces between them: the first
                          * that is there. NULL: index.html; "": none */
    const char *cache_control_z; /* value of the Cache-Control header; NULL: none is sent */
    bool listing;       /* a directory without index shows what lies in it: 128 KiB a request */
    bool precompressed; /* x.zst, x.br or x.gz, where it is there and not older, is sent for x */
    bool hidden;        /* names that begin with a dot are served; without, only /.well-known/ is */
} weft_static_opts;
#define WEFT_STATIC_OPTS(...)                                                                      \
    (&(const weft_static_opts){.size = sizeof(weft_static_opts), __VA_ARGS__})

/** Serve the files of a directory under a URL, to GET and HEAD: with validators (ETag,
 *  Last-Modified), conditions, ranges, and the type by a name's ending; 301 where a directory is
 *  named without its last slash. Nothing outside of the directory can be reached. Routes that match
 *  more closely win; middleware that was added before applies. A mount of the same URL in the
 *  settings (`static:`) takes its place. 32 mounts at most, the settings' included.
 *  url_z        begins with '/'; "/x" and "/x/" are the same; no parameters
 *  directory_z  must be there when the server starts; "": the setting `root`, and nothing without
 *               one
 *  opts         WEFT_STATIC_OPTS(...), copied, or NULL */
void weft_static(weft_app *app, const char *url_z, const char *directory_z,
                 const weft_static_opts *opts);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
