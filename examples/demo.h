/* demo.h - the demo's routes, one file each; `weft demo` and the tests serve them.
 *
 * Lifetime: called once while an application is set up.
 * Threads:  one.
 * Memory:   none.
 */
#ifndef WEFT_EXAMPLES_DEMO_H
#define WEFT_EXAMPLES_DEMO_H

#include <weft/weft.h>

/** All of the below. */
void weft_demo_routes(weft_app *app);

void weft_demo_text(weft_app *app);   /* /  /efficient  /health */
void weft_demo_json(weft_app *app);   /* /json */
void weft_demo_user(weft_app *app);   /* /user/{id:u64} */
void weft_demo_echo(weft_app *app);   /* POST /echo */
void weft_demo_csv(weft_app *app);    /* /csv/{name}  POST /csv/stats */
void weft_demo_login(weft_app *app);  /* POST /login  /whoami  POST /logout */
void weft_demo_upload(weft_app *app); /* POST /form  POST /upload */
void weft_demo_stream(weft_app *app); /* /stream */
void weft_demo_events(weft_app *app); /* /events */
void weft_demo_memory(weft_app *app); /* /memory-test */
void weft_demo_burst(weft_app *app);  /* /burst */
void weft_demo_pool(weft_app *app);   /* /pool/on  /pool/off */
void weft_demo_cache(weft_app *app);  /* /cache  /cache/{key} */
void weft_demo_shop(weft_app *app);   /* /shop/products  /shop/cart */
void weft_demo_pay(weft_app *app);    /* /pay */
void weft_demo_users(weft_app *app);  /* /users  /users/census */

/** Files below the setting `root`, or the bundled ones: pattern_z is /file/{file:^.*$}. And
 * /static/. */
void weft_demo_files(weft_app *app, const char *pattern_z);

#endif
