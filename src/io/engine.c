/* engine.c - which backend: what was asked for, or the better one that works here; and what a
 * socket is told by a plain system call where it has a descriptor. */
#include "io/engine.h"
#include <errno.h>
#include <unistd.h>

const struct weft_engine_ops *weft_engine_pick(const char *name_z, const char **out_why)
{
    *out_why = NULL;
    weft_str name = weft_str_z(name_z);
    if (weft_str_eq(name, WEFT_S("epoll")))
        return &weft_epoll_ops;
    if (weft_uring_usable(out_why))
        return &weft_uring_ops;
    return weft_str_eq(name, WEFT_S("auto")) ? &weft_epoll_ops : NULL;
}

void weft_engine_say(struct weft_engine *engine, uint32_t slot, weft_str text)
{
    int fd = engine->slots[slot].fd;
    ssize_t n = (ssize_t)text.len;
    if (weft_fd_direct(fd))
        engine->ops->say(engine, slot, text); /* it is taken: a socket's buffer is empty here */
    else
        n = send(fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0)
        weft_count_add(engine->counters, WEFT_COUNTER_BYTES_OUT, (uint64_t)n);
}

weft_rc weft_engine_shutdown(struct weft_engine *engine, uint32_t slot, int how)
{
    int fd = engine->slots[slot].fd;
    if (weft_fd_direct(fd))
        return engine->ops->shutdown(engine, slot, how);
    return shutdown(fd, how) == 0 ? 0 : (weft_rc)-errno;
}

weft_rc weft_engine_peer(struct weft_engine *engine, uint32_t slot, struct sockaddr_storage *out)
{
    int fd = engine->slots[slot].fd;
    if (weft_fd_direct(fd))
        return engine->ops->peer(engine, slot, out);
    socklen_t len = sizeof(*out);
    return getpeername(fd, (struct sockaddr *)out, &len) == 0 ? 0 : (weft_rc)-errno;
}

void weft_engine_close_fd(struct weft_engine *engine, int fd)
{
    if (weft_fd_direct(fd))
        engine->ops->close_fd(engine, fd);
    else
        close(fd);
}

size_t weft_engine_trim(struct weft_engine *engine)
{
    size_t bytes = engine->ops->idle_bytes(engine);
    engine->ops->trim(engine);
    return bytes;
}
