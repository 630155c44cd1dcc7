/* service.h - from a parsed request to its answer: path, route, middleware, handler, errors.
 *
 * The site is what may be answered (routes, limits, texts): immutable, shared by all workers. The
 * service is one worker's use of it. Neither knows which protocol the request came by.
 *
 * Lifetime: site: process. Service: worker.
 * Threads:  site: read-only once workers run. Service: the owner worker only.
 * Memory:   site: heap, while the server starts. Service: itself and the router's scratch.
 */
#ifndef WEFT_HTTP_SERVICE_H
#define WEFT_HTTP_SERVICE_H

#include <weft/app.h>
#include "http/chain.h"
#include "http/chunked.h"
#include "http/filter.h"
#include "http/message.h"
#include "io/offload.h"
#include "mem/history.h"

struct weft_cookie_keys; /* http/cookie_keys.h */
struct weft_mime;        /* serve/files/mime.h */
struct weft_files;       /* serve/files/open_files.h */

struct weft_route {
    weft_handler_fn handler;
    struct weft_chain chain; /* middleware that applies, resolved when the route is added */
    size_t memory_bytes;     /* arena cap of one request */
    size_t heap_bytes;       /* of it, what may be charged for malloc */
    uint64_t body_bytes_max; /* UINT64_MAX: any size */
    uint32_t deadline_ms;    /* 0 = none */
    bool vital;              /* served however short memory is */
    bool body_length;        /* a chunked body is refused: 411 */
    weft_str pattern;        /* borrowed from the application: its name in reports */
    weft_str method;         /* borrowed likewise */
    uint32_t index;          /* in the site; UINT32_MAX: of no route */
    const void *context;     /* borrowed: what the handler is of; NULL but for mounts */
};

struct weft_service_limits {
    struct weft_parse_limits head;
    struct weft_chunked_limits chunked;
    uint64_t body_bytes_max;
    size_t inline_body_bytes;   /* weft_req_body_moves(): these and smaller ones */
    uint64_t discard_bytes_max; /* unread body that is read and dropped to keep a connection */
    uint32_t header_ms;
    uint32_t body_grace_ms;
    uint32_t body_rate_min; /* bytes per second, after the grace; 0 = none */
    uint32_t write_ms;
};

enum weft_access_format {
    WEFT_ACCESS_OFF,
    WEFT_ACCESS_TEXT,
    WEFT_ACCESS_JSON,
};

/* Lines that wait to be written together: middleware.h. */
struct weft_access_log {
    char *lines; /* owned: WEFT_ACCESS_LOG_BYTES; NULL: off */
    size_t len;
    struct weft_timer flush;
    struct weft_loop *loop;
    struct weft_account *account;
};

struct weft_site {
    struct weft_router *router; /* borrowed */
    uint32_t route_count;       /* indexes of routes are below it */
    struct weft_route fallback; /* serves 404, 405 and OPTIONS: its chain is the application's */
    struct weft_service_limits limits;
    weft_str server;      /* value of the Server header; empty: none */
    weft_str cors_origin; /* empty: off */
    enum weft_access_format access;
    bool receipt;                 /* heads of answers show what the request took */
    const struct weft_mime *mime; /* borrowed: types of files; NULL: the built-in ones */
    int root_fd;                  /* directory that files are served from; -1: none. Borrowed */
    int upload_fd;                /* directory that uploads are saved in; -1: none. Borrowed */
    struct weft_offload *offload; /* borrowed: the process's */
    const struct weft_cookie_keys *cookie_keys; /* borrowed; NULL: none are configured */
    void *user;                                 /* borrowed: the application's */
    weft_str (*setting)(const struct weft_site *site, const char *name_z);
    const void *config; /* borrowed: for `setting` */
};

#define WEFT_PREFIX_BYTES 160

struct weft_service {
    const struct weft_site *site;
    struct weft_loop *loop;
    struct weft_router_scratch *scratch; /* owned */
    struct weft_access_log access_log;
    const struct weft_filter *filter; /* borrowed: codes what is answered; NULL: nobody does */
    struct weft_histories histories;  /* what routes needed; empty: not kept */
    struct weft_usage usage;          /* owned: who holds what, by route and place */
    uint64_t request_ids;             /* given out so far, from a random start */
    struct weft_files *files;         /* borrowed: open ones; NULL: none are kept */
#ifdef WEFT_CHECKED
    uint64_t held_since_ns; /* hold.h */
#endif
    /* What every head begins with: status line of 200, Server, Date. Made anew once a second. */
    uint64_t prefix_s;
    uint16_t prefix_len;
    uint16_t prefix_status_len; /* of the status line in it */
    char prefix[WEFT_PREFIX_BYTES];
};

WEFT_CHECK weft_rc weft_service_init(struct weft_service *service, const struct weft_site *site,
                                     struct weft_loop *loop);
void weft_service_fini(struct weft_service *service);

/** Answer a request whose head, fields and base are filled in: on its task. Afterwards it is
 *  answered; a stream that was begun is ended, or was broken off (a negative result). */
WEFT_CHECK weft_rc weft_service_handle(weft_req *rq);

/** "HTTP/1.1 200 OK", Server and Date for this second. */
weft_str weft_service_prefix(struct weft_service *service);

#endif
