/* listener.c - see listener.h.
 *
 * When descriptors run out, accept fails without taking anybody from the queue, and a loop that
 * just tried again would spin. So the listener pauses; a descriptor kept in reserve lets those who
 * wait be told 503; it goes on when a connection closes, or after a moment.
 */
#include "io/listener.h"
#include "io/loop.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define RETRY_MS      100
#define REFUSALS_MAX  16    /* per pause */
#define LAST_CALL_MAX 65536 /* connections taken from a queue that is about to close */

static bool parse_address(const char *host_z, uint16_t port, struct sockaddr_storage *out,
                          socklen_t *out_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    *out = (struct sockaddr_storage){0};
    const char *host = strcmp(host_z, "localhost") == 0 ? "127.0.0.1" : host_z;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *out_len = sizeof(*v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        *out_len = sizeof(*v6);
        return true;
    }
    return false;
}

static weft_rc set_options(int fd, const struct weft_listen_options *options)
{
    int on = 1;
    struct linger linger = {.l_onoff = options->linger_s >= 0, .l_linger = options->linger_s};
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        (options->share && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) ||
        (options->nodelay && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0) ||
        (options->linger_s >= 0 &&
         setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) != 0))
        return (weft_rc)-errno;
    return 0;
}

static weft_rc bind_and_listen(int fd, const struct weft_listen_options *options,
                               const struct sockaddr_storage *address, socklen_t len)
{
    WEFT_TRY(set_options(fd, options));
    if (bind(fd, (const struct sockaddr *)address, len) != 0 || listen(fd, options->backlog) != 0)
        return (weft_rc)-errno;
    return 0;
}

weft_rc weft_listener_open(struct weft_listener *listener,
                           const struct weft_listen_options *options, char *out_error,
                           size_t error_bytes)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    *listener = (struct weft_listener){.fd = -1, .reserve = -1};
    if (!parse_address(options->host_z, options->port, &address, &len)) {
        snprintf(out_error, error_bytes, "'%s' is not an IPv4 or IPv6 address", options->host_z);
        return WEFT_EINVAL;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    weft_rc rc = fd < 0 ? (weft_rc)-errno : bind_and_listen(fd, options, &address, len);
    if (rc != 0) {
        snprintf(out_error, error_bytes, "cannot listen on %s port %u: %s", options->host_z,
                 options->port, weft_rc_text(rc));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    (void)getsockname(fd, (struct sockaddr *)&address, &len); /* a bound socket has a name */
    listener->fd = fd;
    listener->port =
        ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                           : ((struct sockaddr_in6 *)&address)->sin6_port);
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return 0;
}

static void retry(struct weft_timer *timer)
{
    weft_listener_resume(WEFT_CONTAINER_OF(timer, struct weft_listener, retry));
}

weft_rc weft_listener_start(struct weft_listener *listener, struct weft_loop *loop, uint32_t id)
{
    listener->loop = loop;
    listener->id = id;
    listener->retry = (struct weft_timer){.fire = retry};
    /* io_uring waits by itself, and a non-blocking listener would tell it not to. */
    int flags = loop->engine.listeners_block ? 0 : O_NONBLOCK;
    if (fcntl(listener->fd, F_SETFL, flags) != 0)
        return (weft_rc)-errno;
    return loop->engine.ops->listen(&loop->engine, id, listener->fd);
}

/* One from the queue without waiting, whatever the socket's mode. */
static int accept_now(struct weft_listener *listener)
{
    struct pollfd ready = {.fd = listener->fd, .events = POLLIN};
    if (poll(&ready, 1, 0) != 1)
        return -1;
    return accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* Gives up the reserve to tell a few of those who wait that there is no room. */
static void refuse_some(struct weft_listener *listener)
{
    weft_str text = listener->loop->protocol->refusal;
    for (int i = 0; i < REFUSALS_MAX && listener->reserve >= 0; i++) {
        close(listener->reserve);
        int fd = accept_now(listener);
        if (fd >= 0) {
            (void)!send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL); /* best effort */
            (void)shutdown(fd, SHUT_WR);
            close(fd);
            weft_loop_count(listener->loop, WEFT_COUNTER_REFUSED_CONNS);
        }
        listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            break;
    }
}

void weft_listener_accepted(struct weft_listener *listener, int fd)
{
    struct weft_loop *loop = listener->loop;
    if (fd >= 0) {
        weft_conn_open(loop, fd);
        return;
    }
    if (listener->fd < 0)
        return; /* closed meanwhile */
    bool full = fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS;
    weft_loop_count(loop, full ? WEFT_COUNTER_ACCEPT_PAUSES : WEFT_COUNTER_ACCEPT_ERRORS);
    listener->paused = true;
    if (full)
        refuse_some(listener);
    weft_timer_arm(&loop->wheel, &listener->retry, loop->now_ms + RETRY_MS);
}

void weft_listener_stop(struct weft_listener *listener)
{
    if (listener->paused || listener->fd < 0)
        return;
    struct weft_engine *engine = &listener->loop->engine;
    engine->ops->unlisten(engine, listener->id, listener->fd);
    listener->paused = true;
}

void weft_listener_resume(struct weft_listener *listener)
{
    if (!listener->paused || listener->fd < 0)
        return;
    listener->paused = false;
    weft_timer_disarm(&listener->loop->wheel, &listener->retry);
    if (listener->reserve < 0)
        listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    weft_rc rc =
        listener->loop->engine.ops->listen(&listener->loop->engine, listener->id, listener->fd);
    if (rc != 0) {
        listener->paused = true;
        weft_timer_arm(&listener->loop->wheel, &listener->retry, listener->loop->now_ms + RETRY_MS);
    }
}

void weft_listener_close(struct weft_listener *listener)
{
    if (listener->fd < 0)
        return;
    if (listener->loop != NULL) {
        struct weft_loop *loop = listener->loop;
        weft_timer_disarm(&loop->wheel, &listener->retry);
        loop->engine.ops->unlisten(&loop->engine, listener->id, listener->fd);
        for (int i = 0; i < LAST_CALL_MAX; i++) {
            int fd = accept_now(listener);
            if (fd < 0)
                break;
            weft_conn_open(loop, fd);
        }
    }
    /* An accept that the kernel has under way would keep the socket listening: nobody is let in any
     * more. */
    (void)shutdown(listener->fd,
                   SHUT_RDWR); /* cannot fail in a way that matters: it is closed next */
    close(listener->fd);
    if (listener->reserve >= 0)
        close(listener->reserve);
    listener->fd = listener->reserve = -1;
}
