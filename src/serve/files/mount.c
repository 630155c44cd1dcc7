/* mount.c - see mount.h. */
#include "serve/files/mount.h"
#include "base/str.h"
#include "http/service.h"
#include "serve/files/listing.h"
#include "serve/files/quote.h"
#include <errno.h>

static const struct weft_mount *mount_of(const weft_req *rq)
{
    const struct weft_mount *mount = rq->route->context;
    weft_assert(mount != NULL);
    return mount;
}

/* What the mount is asked for: the path behind its URL, relative. */
static weft_str relative(const weft_req *rq, const struct weft_mount *mount)
{
    weft_str path = weft_path(rq);
    weft_assert(weft_str_starts(path, mount->url));
    return weft_str_make(path.ptr + mount->url.len, path.len - mount->url.len);
}

/* To the kernel "a//b" is "a/b"; to routes and middleware, which may guard "a/b", it is not. */
static bool has_empty_segment(weft_str path)
{
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] == '/' && (i == 0 || path.ptr[i - 1] == '/'))
            return true;
    return false;
}

/* Nor is "a/./b" or "a/c/../b". */
static bool has_dot_segment(weft_str path)
{
    for (size_t from = 0, i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/')
            continue;
        weft_str name = weft_str_make(path.ptr + from, i - from);
        if (weft_str_eq(name, WEFT_S(".")) || weft_str_eq(name, WEFT_S("..")))
            return true;
        from = i + 1;
    }
    return false;
}

/* A name with a dot in front is nobody's business, but for what RFC 8615 puts there. */
static bool is_hidden(weft_str path)
{
    static const weft_str well_known = WEFT_S(".well-known/");
    if (weft_str_starts(path, well_known))
        path = weft_str_make(path.ptr + well_known.len, path.len - well_known.len);
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] == '.' && (i == 0 || path.ptr[i - 1] == '/'))
            return true;
    return false;
}

/* One slash for several in a row. */
static weft_str squeeze(char *to, weft_str path)
{
    size_t len = 0;
    for (size_t i = 0; i < path.len; i++)
        if (path.ptr[i] != '/' || i == 0 || path.ptr[i - 1] != '/')
            to[len++] = path.ptr[i];
    return weft_str_make(to, len);
}

/* Elsewhere here, the query kept. Written anew, percent-encoded, with one slash in front: "//host"
 * and "/\host" are other sites to a browser.
 *  ending   what the path has more */
static weft_rc redirect(weft_req *rq, weft_str ending)
{
    weft_str path = weft_path(rq), query = weft_query(rq);
    char *plain = weft_alloc(rq, path.len);
    char *to = weft_alloc(rq, 3 * path.len + ending.len + 1 + query.len);
    if (plain == NULL || to == NULL)
        return WEFT_ENOMEM;
    size_t at = weft_quote_path(to, squeeze(plain, path));
    if (ending.len > 0)
        memcpy(to + at, ending.ptr, ending.len);
    at += ending.len;
    if (query.len > 0) {
        to[at++] = '?';
        memcpy(to + at, query.ptr, query.len);
        at += query.len;
    }
    WEFT_TRY(weft_set_header(rq, WEFT_S("Location"), weft_str_make(to, at)));
    return weft_text(rq, 301, WEFT_S("Moved Permanently"));
}

static weft_str next_word(weft_str *left)
{
    weft_str text = weft_str_trim(*left);
    if (text.len == 0)
        return text;
    const char *end = memchr(text.ptr, ' ', text.len);
    size_t len = end == NULL ? text.len : (size_t)(end - text.ptr);
    *left = weft_str_make(text.ptr + len, text.len - len);
    return weft_str_make(text.ptr, len);
}

/* The first index file that is there.
 *  returns  as weft_file_send(); -ENOENT: none is */
static weft_rc send_index(weft_req *rq, const struct weft_mount *mount, weft_str path)
{
    weft_str left = mount->index;
    for (weft_str word = next_word(&left); word.len > 0; word = next_word(&left)) {
        weft_str name =
            weft_format(rq, "%.*s%.*s", (int)path.len, path.ptr, (int)word.len, word.ptr);
        if (name.ptr == NULL)
            return WEFT_ENOMEM;
        weft_rc rc = weft_file_send(rq, mount->root_fd, name, &mount->rules);
        if (rc != (weft_rc)-ENOENT && rc != (weft_rc)-EISDIR)
            return rc;
    }
    return (weft_rc)-ENOENT;
}

/* The index, else a listing, else nothing. path is empty or ends with a slash. */
static weft_rc send_directory(weft_req *rq, const struct weft_mount *mount, weft_str path)
{
    weft_rc rc = send_index(rq, mount, path);
    if (rc != (weft_rc)-ENOENT)
        return rc;
    if (!mount->listing)
        return weft_file_missing(rq);
    return weft_listing_send(rq, mount->root_fd, path, mount->hidden);
}

weft_rc weft_mount_serve(weft_req *rq)
{
    const struct weft_mount *mount = mount_of(rq);
    weft_str path = relative(rq, mount);
    if (mount->root_fd < 0 || memchr(path.ptr, 0, path.len) != NULL)
        return weft_file_missing(rq);
    if (has_dot_segment(path) || (!mount->hidden && is_hidden(path)))
        return weft_file_missing(rq);
    if (has_empty_segment(path))
        return redirect(rq, (weft_str){0});
    if (path.len == 0 || path.ptr[path.len - 1] == '/')
        return send_directory(rq, mount, path);
    weft_rc rc = weft_file_send(rq, mount->root_fd, path, &mount->rules);
    if (rc == (weft_rc)-EISDIR)
        return redirect(rq, WEFT_S("/"));
    return rc == (weft_rc)-ENOENT ? weft_file_missing(rq) : rc;
}

weft_rc weft_mount_redirect(weft_req *rq)
{
    return redirect(rq, WEFT_S("/"));
}
