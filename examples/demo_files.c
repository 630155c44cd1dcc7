/* demo_files.c - files below --root, from the page cache to the socket; without it, two that are
 * part of the program. And /static/, the same directory as a mount: with index files, listings, and
 * compressed files beside plain ones. */
#include "demo.h"

static const struct {
    weft_str path, type, body;
} bundled[] = {
    {WEFT_S("hello.txt"), WEFT_S("text/plain"), WEFT_S("Hello from a bundled file.\n")},
    {WEFT_S("index.html"), WEFT_S("text/html"),
     WEFT_S("<!doctype html>\n<title>Weft</title>\n<h1>Weft</h1>\n"
            "<p>Start with <code>--root DIR</code> to serve a directory of your own.</p>\n")},
};

static weft_rc file(weft_req *rq)
{
    weft_str path = weft_param(rq, "file");
    if (weft_setting(rq, "root").len > 0)
        return weft_file(rq, path);
    for (size_t i = 0; i < sizeof(bundled) / sizeof(bundled[0]); i++)
        if (weft_equal(path, bundled[i].path))
            return weft_reply(rq, 200, bundled[i].type, bundled[i].body);
    return weft_text(rq, 404, WEFT_S("File not found"));
}

void weft_demo_files(weft_app *app, const char *pattern_z)
{
    weft_get(app, pattern_z, file);
    weft_static(app, "/static/", "",
                WEFT_STATIC_OPTS(.listing = true, .precompressed = true,
                                 .cache_control_z = "public, max-age=60"));
}
