/* file.c - see file.h. */
#include "serve/file.h"
#include "base/str.h"
#include "http/service.h"
#include "serve/open_files.h"
#include <errno.h>

static weft_rc not_there(weft_req *rq)
{
    return weft_text(rq, 404, WEFT_S("File not found"));
}

weft_rc weft_file_send(weft_req *rq, int root_fd, weft_str path)
{
    const struct weft_open_file *file = NULL;
    weft_rc rc = weft_open_file(rq, root_fd, path, &file);
    if (rc == (weft_rc)-EACCES)
        return weft_text(rq, 403, WEFT_S("Forbidden"));
    if (rc == (weft_rc)-ENOENT || rc == (weft_rc)-EISDIR)
        return not_there(rq);
    WEFT_TRY(rc);
    return weft_open_file_reply(rq, 200, weft_file_type(path), file, 0, file->size);
}

weft_rc weft_file(weft_req *rq, weft_str path)
{
    int root_fd = rq->service->site->root_fd;
    return root_fd < 0 ? not_there(rq) : weft_file_send(rq, root_fd, path);
}

weft_str weft_file_type(weft_str path)
{
    static const struct {
        weft_str ending;
        weft_str type;
    } types[] = {
        {WEFT_S(".html"), WEFT_S("text/html")},
        {WEFT_S(".css"), WEFT_S("text/css")},
        {WEFT_S(".js"), WEFT_S("text/javascript")},
        {WEFT_S(".json"), WEFT_S("application/json")},
        {WEFT_S(".txt"), WEFT_S("text/plain")},
        {WEFT_S(".md"), WEFT_S("text/markdown")},
        {WEFT_S(".csv"), WEFT_S("text/csv")},
        {WEFT_S(".xml"), WEFT_S("application/xml")},
        {WEFT_S(".svg"), WEFT_S("image/svg+xml")},
        {WEFT_S(".png"), WEFT_S("image/png")},
        {WEFT_S(".jpg"), WEFT_S("image/jpeg")},
        {WEFT_S(".jpeg"), WEFT_S("image/jpeg")},
        {WEFT_S(".gif"), WEFT_S("image/gif")},
        {WEFT_S(".webp"), WEFT_S("image/webp")},
        {WEFT_S(".ico"), WEFT_S("image/x-icon")},
        {WEFT_S(".pdf"), WEFT_S("application/pdf")},
        {WEFT_S(".wasm"), WEFT_S("application/wasm")},
        {WEFT_S(".woff2"), WEFT_S("font/woff2")},
        {WEFT_S(".mp4"), WEFT_S("video/mp4")},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(types); i++)
        if (weft_str_ends(path, types[i].ending))
            return types[i].type;
    return WEFT_S("application/octet-stream");
}
