/* json_fuzz.c - any bytes as JSON: the checker and the reader agree, and what was read, once
 * written, reads back and is written the same. */
#include "base/str.h"
#include "serve/json/json_read.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct place {
    weft_str city;
    uint16_t zip;
    bool has_zip;
};
WEFT_JSON_CLOSED(place_json, struct place, WEFT_F_STR(city, 0, 20),
                 WEFT_F_MAYBE(has_zip, WEFT_F_UINT(zip, 1, 65535)));

struct any {
    weft_str s;
    int32_t i;
    uint64_t u;
    double d;
    bool b, has_o;
    weft_str r;
    struct place o;
    WEFT_LIST(weft_str) l;
    WEFT_LIST(struct place) p;
    WEFT_LIST(struct {
        double *at;
        size_t count;
    })
    m;
    WEFT_LIST(struct any) a;
};
static const weft_json_desc any_json;
WEFT_JSON(any_json, struct any, WEFT_F_OPT(WEFT_F_STR(s, 0, 100)),
          WEFT_F_OPT(WEFT_F_INT(i, -1000, INT32_MAX)), WEFT_F_OPT(WEFT_F_UINT(u, 0, UINT64_MAX)),
          WEFT_F_OPT(WEFT_F_REAL(d, -1e300, 1e308)), WEFT_F_OPT(WEFT_F_BOOL(b)),
          WEFT_F_OPT(WEFT_F_RAW(r, 1000)), WEFT_F_MAYBE(has_o, WEFT_F_OBJECT(o, place_json)),
          WEFT_F_OPT(WEFT_F_LIST(l, WEFT_E_STR(0, 9), 0, 9)),
          WEFT_F_OPT(WEFT_F_LIST(p, WEFT_E_OBJECT(place_json), 0, 9)),
          WEFT_F_OPT(WEFT_F_LIST(m, WEFT_E_LIST(WEFT_E_REAL(-9, 1e9), 0, 9), 0, 9)),
          WEFT_F_OPT(WEFT_F_LIST(a, WEFT_E_OBJECT(any_json), 0, 9)));

static void must(bool good)
{
    if (!good)
        abort();
}

/* ---- memory, of a bounded size ---- */

static _Alignas(16) char memory_bytes[1 << 20];
static size_t memory_used;

static void *take(void *arg, size_t bytes)
{
    (void)arg;
    bytes = WEFT_ALIGN_UP(bytes, (size_t)16);
    if (bytes > sizeof(memory_bytes) - memory_used)
        return NULL;
    memory_used += bytes;
    return memory_bytes + memory_used - bytes;
}
static const struct weft_json_memory memory = {take, NULL};

/* In memory of just its size. */
static char *exact_copy(const void *from, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);
    must(copy != NULL);
    if (len > 0)
        memcpy(copy, from, len);
    return copy;
}

static weft_str write_any(const struct any *any, char *room, size_t bytes)
{
    struct weft_json json;
    weft_str out = {0};
    weft_json_init(&json, room, bytes);
    weft_json_put(&json, &any_json, any);
    weft_rc rc = weft_json_finish(&json, &out);
    must(rc == 0 || rc == WEFT_ELIMIT);
    return out;
}

static void writes_and_reads_back(const struct any *any)
{
    static char first[1 << 18], second[1 << 18];
    weft_json_error error;
    struct any again;
    weft_str once = write_any(any, first, sizeof(first));
    if (once.len == 0)
        return;
    must(weft_json_check(once, &error) == 0);
    char *copy = exact_copy(once.ptr, once.len);
    weft_rc rc = weft_json_parse(copy, once.len, &any_json, &again, &memory, &error);
    must(rc == 0 || rc == WEFT_ELIMIT); /* no memory left, perhaps */
    if (rc == 0)
        must(weft_str_eq(once, write_any(&again, second, sizeof(second))));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct any any;
    weft_json_error error, other;
    char *text = exact_copy(data, len);
    memory_used = 0;
    weft_rc checked = weft_json_check(weft_str_make(text, len), &error);
    must(len == 0 || memcmp(text, data, len) == 0); /* looking changes nothing */
    weft_rc rc = weft_json_parse(text, len, &any_json, &any, &memory, &other);
    must(checked == 0 || rc != 0);
    must(rc != WEFT_ESYNTAX || checked != 0);
    must(rc == 0 || (other.rc == rc && other.offset <= len));
    if (rc == 0)
        writes_and_reads_back(&any);
    free(text);
    return 0;
}
