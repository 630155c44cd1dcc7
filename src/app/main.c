/* main.c - the weft binary: the demo routes, or directories of files. */
#include <weft/weft.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <demo.h>

static bool is_demo(int argc, char **argv)
{
    for (int i = 1; i < argc && argv[i][0] != '-'; i++)
        if (strcmp(argv[i], "demo") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    if (app == NULL)
        return weft_main(NULL, argc, argv); /* says so */
    if (argc <= 1 || argv[1][0] == '-' || strcmp(argv[1], "serve") != 0 || is_demo(argc, argv))
        weft_demo_routes(app);
    else
        weft_static(app, "/", "",
                    NULL); /* of --root; a mount of the settings at / takes its place */
    return weft_main(app, argc, argv);
}
