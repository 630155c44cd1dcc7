/* redis_address.h - where a Redis listens: a name and a port, or a socket in the file system.
 *
 * Lifetime: the text is the caller's; what was read of it stands by itself.
 * Threads:  any.
 * Memory:   the struct; resolving a name is libc's, which allocates.
 */
#ifndef WEFT_SERVE_CACHE_REDIS_ADDRESS_H
#define WEFT_SERVE_CACHE_REDIS_ADDRESS_H

#include <sys/socket.h>
#include "base/base.h"

#define WEFT_REDIS_SOCKETS_MAX 4 /* of one name; further ones are not tried */

struct weft_redis_socket {
    socklen_t bytes;
    struct sockaddr_storage to;
};

struct weft_redis_address {
    char host_z[256]; /* to be asked for at each connect; "": the socket is known */
    char port_z[6];
    uint32_t socket_count;
    struct weft_redis_socket sockets[WEFT_REDIS_SOCKETS_MAX]; /* to be tried in this order */
};

/** Read "host:port", "host", "[v6]:port" or "unix:/path". The port is 6379 if not said.
 *  returns  0; WEFT_ECONFIG: it is none of these */
WEFT_CHECK weft_rc weft_redis_address_read(weft_str text, struct weft_redis_address *out);

/** The addresses behind the name, as of now: fills `sockets`. Blocks.
 *  returns  0; -EHOSTUNREACH: there is no such name, or nobody who knows */
WEFT_CHECK weft_rc weft_redis_address_resolve(struct weft_redis_address *address);

#endif
