/* crowded.c - as many pools, channels and caches as a program may have: each a term and an owner.
 */
#include <weft/weft.h>

#define EACH(X) X(a) X(b) X(c) X(d) X(e) X(f) X(g) X(h) X(i) X(j) X(k) X(l) X(m) X(n) X(o) X(p)

#define DECLARE(name)                                                                              \
    WEFT_OBJECTS(pool_##name, uint64_t, 8);                                                        \
    WEFT_CHANNEL(channel_##name);                                                                  \
    WEFT_CACHE(cache_##name);
EACH(DECLARE)

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
#define GIVE(name)                                                                                 \
    weft_app_objects(app, pool_##name);                                                            \
    weft_app_channel(app, &channel_##name);                                                        \
    weft_app_cache(app, cache_##name);
    EACH(GIVE)
    return weft_main(app, argc, argv);
}
