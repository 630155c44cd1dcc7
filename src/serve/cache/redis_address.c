/* redis_address.c - see redis_address.h. */
#include "serve/cache/redis_address.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>
#include "base/str.h"

#define UNIX_PREFIX  "unix:"
#define PORT_DEFAULT WEFT_S("6379")

static bool copy(weft_str text, char *to, size_t room)
{
    if (text.len == 0 || text.len >= room || memchr(text.ptr, 0, text.len) != NULL)
        return false;
    memcpy(to, text.ptr, text.len);
    to[text.len] = 0;
    return true;
}

static weft_rc read_unix(weft_str path, struct weft_redis_address *out)
{
    struct sockaddr_un *to = (struct sockaddr_un *)(void *)&out->sockets[0].to;
    to->sun_family = AF_UNIX;
    out->sockets[0].bytes = sizeof(*to);
    out->socket_count = 1;
    return copy(path, to->sun_path, sizeof(to->sun_path)) ? 0 : WEFT_ECONFIG;
}

/* Host and port, cut at the last colon that is not part of an IPv6 address. */
static void cut(weft_str text, weft_str *out_host, weft_str *out_port)
{
    *out_host = text;
    *out_port = PORT_DEFAULT;
    const char *colon = memrchr(text.ptr, ':', text.len);
    const char *bracket = memchr(text.ptr, ']', text.len);
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        size_t len = (size_t)(colon - text.ptr);
        *out_host = weft_str_make(text.ptr, len);
        *out_port = weft_str_make(colon + 1, text.len - len - 1);
    }
    if (out_host->len >= 2 && out_host->ptr[0] == '[' && out_host->ptr[out_host->len - 1] == ']')
        *out_host = weft_str_make(out_host->ptr + 1, out_host->len - 2);
}

/* An address in digits is known for good; a name is asked for each time. */
static void read_digits(struct weft_redis_address *address, uint16_t port)
{
    struct weft_redis_socket *socket = &address->sockets[0];
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&socket->to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&socket->to;
    if (inet_pton(AF_INET, address->host_z, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        socket->bytes = sizeof(*v4);
    } else if (inet_pton(AF_INET6, address->host_z, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        socket->bytes = sizeof(*v6);
    } else {
        return;
    }
    address->socket_count = 1;
    address->host_z[0] = 0;
}

weft_rc weft_redis_address_read(weft_str text, struct weft_redis_address *out)
{
    struct weft_redis_address address = {.host_z = ""};
    weft_str host, port_text;
    uint64_t port = 0;
    size_t prefix = strlen(UNIX_PREFIX);
    if (text.len > prefix && memcmp(text.ptr, UNIX_PREFIX, prefix) == 0) {
        WEFT_TRY(read_unix(weft_str_make(text.ptr + prefix, text.len - prefix), &address));
        *out = address;
        return 0;
    }
    cut(text, &host, &port_text);
    bool good = copy(host, address.host_z, sizeof(address.host_z)) &&
                copy(port_text, address.port_z, sizeof(address.port_z)) &&
                weft_str_to_u64(port_text, &port) == 0 && port > 0 && port <= UINT16_MAX;
    if (!good)
        return WEFT_ECONFIG;
    read_digits(&address, (uint16_t)port);
    *out = address;
    return 0;
}

weft_rc weft_redis_address_resolve(struct weft_redis_address *address)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(address->host_z, address->port_z, &hints, &found) != 0 || found == NULL)
        return (weft_rc)-EHOSTUNREACH;
    address->socket_count = 0;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next) {
        if (address->socket_count == WEFT_REDIS_SOCKETS_MAX)
            break;
        struct weft_redis_socket *socket = &address->sockets[address->socket_count++];
        memcpy(&socket->to, at->ai_addr, at->ai_addrlen);
        socket->bytes = at->ai_addrlen;
    }
    freeaddrinfo(found);
    return 0;
}
