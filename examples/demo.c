/* demo.c - all demo routes together. */
#include "demo.h"

void weft_demo_routes(weft_app *app)
{
    weft_demo_text(app);
    weft_demo_json(app);
    weft_demo_user(app);
    weft_demo_csv(app);
    weft_demo_echo(app);
    weft_demo_login(app);
    weft_demo_stream(app);
    weft_demo_upload(app);
    weft_demo_events(app);
    weft_demo_memory(app);
    weft_demo_burst(app);
    weft_demo_pool(app);
    weft_demo_cache(app);
    weft_demo_shop(app);
    weft_demo_pay(app);
    weft_demo_users(app);
    weft_demo_files(app, "/file/{file:^.*$}");
}
