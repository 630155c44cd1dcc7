/* hello.c - the smallest server. Build: cc hello.c $(pkg-config --cflags --libs weft) */
#include <weft/weft.h>

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("Hello, World!"));
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", hello);
    return weft_main(app, argc, argv);
}
