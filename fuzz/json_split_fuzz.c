/* json_split_fuzz.c - the same bytes in one piece and in pieces: the same objects are found at the
 * same places, and an array that is JSON is split into objects that are. */
#include "base/str.h"
#include "serve/json/json_read.h"
#include "serve/json/json_split.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct found {
    int rc;            /* of the first mistake; 0: none so far */
    uint64_t count;    /* objects that ended */
    uint64_t hash;     /* of their bytes, and of where they end */
    uint64_t offset;   /* where it stopped */
    bool objects_good; /* each is JSON; known only where they lie in one piece */
};

static void must(bool good)
{
    if (!good)
        abort();
}

static void mix(struct found *found, uint64_t value)
{
    found->hash = (found->hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct found split_in_pieces(const char *text, size_t len, size_t piece_bytes)
{
    struct weft_json_split split = {0};
    struct found found = {.objects_good = true};
    weft_json_error error;
    for (size_t at = 0; at < len && found.rc == 0;) {
        size_t n = WEFT_MIN(piece_bytes, len - at);
        char *exact = malloc(n);
        must(exact != NULL);
        memcpy(exact, text + at, n);
        weft_str piece = weft_str_make(exact, n);
        while (piece.len > 0 && found.rc == 0) {
            size_t used = 0;
            weft_str part = {0};
            int rc = weft_json_split_next(&split, piece, &used, &part);
            must(rc < 0 || (used > 0 && used <= piece.len));
            for (size_t i = 0; rc > 0 && i < part.len; i++)
                mix(&found, (unsigned char)part.ptr[i]);
            if (rc == WEFT_SPLIT_LAST) {
                mix(&found, split.offset);
                found.count++;
                found.objects_good &= weft_json_check(part, &error) == 0;
            }
            found.rc = rc < 0 ? rc : 0;
            piece = weft_str_make(piece.ptr + used, piece.len - used);
        }
        free(exact);
        at += n;
    }
    if (found.rc == 0)
        found.rc = weft_json_split_end(&split);
    found.offset = split.offset;
    must(found.rc == 0 || split.error_z != NULL);
    must(split.offset <= len);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    const char *text = (const char *)data + 1;
    struct found whole = split_in_pieces(text, len - 1, len - 1);
    struct found parts = split_in_pieces(text, len - 1, 1 + data[0] % 32);
    must(whole.rc == parts.rc && whole.count == parts.count);
    must(whole.hash == parts.hash && whole.offset == parts.offset);
    weft_json_error error;
    if (weft_json_check(weft_str_make(text, len - 1), &error) == 0)
        must(whole.rc == 0 ? whole.objects_good : whole.rc == WEFT_ERANGE);
    return 0;
}
