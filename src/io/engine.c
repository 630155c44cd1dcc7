/* engine.c - which backend: what was asked for, or the better one that works here. */
#include "io/engine.h"
#include "base/str.h"

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
