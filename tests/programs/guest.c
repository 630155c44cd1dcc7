/* guest.c - a program for tests/e2e/profile_test.py that only uses libweft: it has a malloc and
 * settings of its own, and calls weft_run(). */
#include <weft/weft.h>

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("hello"));
}

int main(void)
{
    weft_app *app = weft_app_new();
    if (app == NULL)
        return 1;
    weft_get(app, "/", hello);
    weft_app_port(app, 0);
    weft_app_set(app, "admin.port", "auto");
    weft_app_set(app, "memory.profile", "balanced");
    int status = weft_run(app);
    weft_app_free(app);
    return status;
}
