/* main.c - the weft binary: the demo routes, or directories of files. */
#include <weft/weft.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <demo.h>

/* `weft serve`, or `weft plan serve`: what it would take. */
static bool is_file_server(int argc, char **argv)
{
    int at = argc > 1 && strcmp(argv[1], "plan") == 0 ? 2 : 1;
    return argc > at && strcmp(argv[at], "serve") == 0;
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    if (app == NULL)
        return weft_main(NULL, argc, argv); /* says so */
    if (is_file_server(argc, argv))
        weft_static(app, "/", "", NULL); /* of --root; a mount of the settings at / replaces it */
    else
        weft_demo_routes(app);
    return weft_main(app, argc, argv);
}
