/* multipart_fuzz.c - any bytes as a multipart body: in one piece, byte by byte and in pieces of 7,
 * the parts, their data and the verdict are the same. The first line is the Content-Type where it
 * names a good boundary, else the boundary is "b". */
#include "base/str.h"
#include "serve/input/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    int verdict;
    uint64_t parts;
    uint64_t hash; /* of all names, types and data: FNV-1a */
};

static void add(struct outcome *outcome, weft_str text)
{
    for (size_t i = 0; i < text.len; i++)
        outcome->hash = (outcome->hash ^ (uint8_t)text.ptr[i]) * 0x100000001b3u;
}

static void add_part(struct outcome *outcome, const weft_form_part *part)
{
    weft_assert(part->name.ptr != NULL);
    weft_assert(part->type.len > 0);
    weft_assert(memchr(part->filename.ptr != NULL ? part->filename.ptr : "", '/',
                       part->filename.len) == NULL);
    outcome->parts++;
    add(outcome, part->name);
    add(outcome, WEFT_S("|"));
    add(outcome, part->filename);
    add(outcome, WEFT_S("|"));
    add(outcome, part->type);
}

static struct outcome read_in(weft_str type, weft_str body, size_t piece)
{
    static struct weft_multipart_parser parser;
    struct outcome outcome = {0, 0, 0xcbf29ce484222325u};
    if (weft_multipart_init(&parser, type) != 0)
        weft_assert(weft_multipart_init(&parser, WEFT_S("multipart/form-data; boundary=b")) == 0);
    bool in_part = false;
    for (size_t at = 0;
         at < body.len && outcome.verdict >= 0 && outcome.verdict != WEFT_MULTIPART_DONE;
         at += piece) {
        size_t len = WEFT_MIN(piece, body.len - at), looked = 0;
        do {
            size_t used = 0;
            weft_str bytes = {0};
            outcome.verdict =
                weft_multipart_next(&parser, body.ptr + at + looked, len - looked, &used, &bytes);
            looked += used;
            weft_assert(looked <= len);
            if (outcome.verdict == WEFT_MULTIPART_PART)
                add_part(&outcome, &parser.part);
            if (outcome.verdict == WEFT_MULTIPART_DATA)
                weft_assert(in_part && bytes.len > 0);
            if (outcome.verdict == WEFT_MULTIPART_DATA)
                add(&outcome, bytes);
            if (outcome.verdict == WEFT_MULTIPART_END)
                add(&outcome, WEFT_S("."));
            in_part = (in_part || outcome.verdict == WEFT_MULTIPART_PART) &&
                      outcome.verdict != WEFT_MULTIPART_END;
        } while (outcome.verdict > WEFT_MULTIPART_MORE && outcome.verdict != WEFT_MULTIPART_DONE);
        weft_assert(outcome.verdict != WEFT_MULTIPART_MORE || looked == len);
    }
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_str body = {(const char *)data, size};
    const char *lf = size > 0 ? memchr(data, '\n', size) : NULL;
    weft_str type = {body.ptr, lf != NULL ? (size_t)(lf - body.ptr) : 0};
    struct outcome whole = read_in(type, body, size > 0 ? size : 1);
    const size_t pieces[] = {1, 7};
    for (size_t i = 0; i < WEFT_COUNT_OF(pieces); i++) {
        struct outcome split = read_in(type, body, pieces[i]);
        weft_assert(split.verdict == whole.verdict);
        weft_assert(split.parts == whole.parts);
        weft_assert(split.hash == whole.hash);
    }
    return 0;
}
