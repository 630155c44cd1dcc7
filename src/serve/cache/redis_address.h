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

struct weft_redis_address {
    char host_z[256]; /* to be asked for at each connect; "": `socket` is the address */
    char port_z[6];
    socklen_t socket_bytes;
    struct sockaddr_storage socket;
};

/** Read "host:port", "host", "[v6]:port" or "unix:/path". The port is 6379 if not said.
 *  returns  0; WEFT_ECONFIG: it is none of these */
WEFT_CHECK weft_rc weft_redis_address_read(weft_str text, struct weft_redis_address *out);

/** The socket's address behind the name, as of now: fills `socket`. Blocks.
 *  returns  0; -EHOSTUNREACH: there is no such name, or nobody who knows */
WEFT_CHECK weft_rc weft_redis_address_resolve(struct weft_redis_address *address);

#endif
