/* demo_pool.c - an object that is dear to make: /pool/on takes one that is there, /pool/off makes
 * and frees one for each request. Both answer the CRC-32 of ?text=; its table is what costs.
 */
#include "demo.h"
#include <stdlib.h>

#define CRC32_POLYNOMIAL 0xedb88320u /* reflected, as in zip and PNG */

struct digest {
    uint32_t table[256];
    uint32_t value;
};

static void make(void *object)
{
    struct digest *digest = object;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t row = i;
        for (int bit = 0; bit < 8; bit++)
            row = row >> 1 ^ (row & 1 ? CRC32_POLYNOMIAL : 0);
        digest->table[i] = row;
    }
    digest->value = UINT32_MAX;
}

static void start_over(void *object)
{
    ((struct digest *)object)->value = UINT32_MAX;
}

/* Nobody else's but this worker's: no lock. */
WEFT_OBJECTS(digests, struct digest, 16, .per_worker = true, .init = make, .reset = start_over);

static weft_rc answer(weft_req *rq, struct digest *digest)
{
    weft_str text = weft_query_param(rq, WEFT_S("text"));
    for (size_t i = 0; i < text.len; i++)
        digest->value =
            digest->value >> 8 ^ digest->table[(digest->value ^ (unsigned char)text.ptr[i]) & 0xff];
    weft_str hex = weft_format(rq, "%08x\n", digest->value ^ UINT32_MAX);
    return hex.ptr == NULL ? WEFT_ENOMEM : weft_text(rq, 200, hex);
}

static weft_rc on(weft_req *rq)
{
    weft_handle handle;
    struct digest *digest = weft_object_take(digests, &handle);
    if (digest == NULL)
        return WEFT_EFULL;
    weft_rc rc = answer(rq, digest);
    weft_rc put = weft_object_put(digests, handle);
    return rc != WEFT_OK ? rc : put;
}

static weft_rc off(weft_req *rq)
{
    WEFT_TRY(weft_charge(rq, 2 * sizeof(struct digest)));
    struct digest *digest = malloc(sizeof(*digest));
    if (digest == NULL)
        return WEFT_ENOMEM;
    make(digest);
    weft_rc rc = answer(rq, digest);
    free(digest);
    return rc;
}

void weft_demo_pool(weft_app *app)
{
    weft_app_objects(app, digests);
    weft_get(app, "/pool/on", on);
    weft_route(app, "GET", "/pool/off", off,
               WEFT_ROUTE_OPTS(.memory = 16 << 10, .heap = 2 * sizeof(struct digest)));
}
