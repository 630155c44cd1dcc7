/* demo_login.c - who somebody is, in a signed cookie: POST /login with a field `user`, GET /whoami,
 * POST /logout. It takes keys: --cookies-key-path FILE. (There is no password: what to ask for
 * before a cookie is handed out is the program's.) */
#include "demo.h"

#define AGE_S       3600
#define USER_COOKIE WEFT_S("user")

static weft_rc login(weft_req *rq)
{
    weft_form form;
    WEFT_TRY(weft_form_read(rq, &form));
    weft_str user = weft_form_value(&form, WEFT_S("user"));
    if (user.len == 0)
        return weft_fail(rq, 400, WEFT_S("user: who are you?\n"));
    weft_rc rc =
        weft_set_cookie(rq, USER_COOKIE, user, WEFT_COOKIE_OPTS(.max_age_s = AGE_S, .sign = true));
    if (rc == WEFT_EINVAL)
        return weft_fail(rq, 400, WEFT_S("user: a byte that no cookie may have\n"));
    if (rc != 0)
        return rc;
    return weft_status(rq, 204);
}

static weft_rc whoami(weft_req *rq)
{
    weft_str user = weft_signed_cookie(rq, USER_COOKIE);
    if (user.ptr == NULL)
        return weft_fail(rq, 401, WEFT_S("nobody\n"));
    return weft_text(rq, 200, user);
}

static weft_rc logout(weft_req *rq)
{
    WEFT_TRY(weft_drop_cookie(rq, USER_COOKIE, NULL));
    return weft_status(rq, 204);
}

void weft_demo_login(weft_app *app)
{
    weft_route(app, "POST", "/login", login, WEFT_ROUTE_OPTS(.body = 4 << 10));
    weft_get(app, "/whoami", whoami);
    weft_post(app, "/logout", logout);
}
