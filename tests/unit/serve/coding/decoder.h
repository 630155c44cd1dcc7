/* decoder.h - the libraries' own decoders, piece by piece, to compare with. Loaded like the coders.
 */
#ifndef WEFT_TESTS_DECODER_H
#define WEFT_TESTS_DECODER_H
#include "unit.h"
#include "http/coding.h"
#include <dlfcn.h>

struct decoder {
    enum weft_coding coding;
    void *state;
    uint64_t z[14]; /* zlib's z_stream: 112 bytes */
    bool ended;
};

static void *decoder_library(enum weft_coding coding)
{
    static const char *const names[] = {[WEFT_CODING_GZIP] = "libz.so.1",
                                        [WEFT_CODING_BR] = "libbrotlidec.so.1",
                                        [WEFT_CODING_ZSTD] = "libzstd.so.1"};
    void *library = dlopen(names[coding], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fail_msg("%s: install libbrotli1, libzstd1, zlib1g", names[coding]);
    return library;
}

static void *decoder_symbol(enum weft_coding coding, const char *name)
{
    void *found = dlsym(decoder_library(coding), name);
    assert_non_null(found);
    return found;
}

static void decoder_init(struct decoder *d, enum weft_coding coding)
{
    *d = (struct decoder){.coding = coding};
    if (coding == WEFT_CODING_GZIP) {
        int (*init)(void *, int, const char *, int) = decoder_symbol(coding, "inflateInit2_");
        assert_int_equal(init(d->z, 15 + 16, "1", (int)sizeof(d->z)), 0);
    } else if (coding == WEFT_CODING_BR) {
        void *(*make)(void *, void *, void *) =
            decoder_symbol(coding, "BrotliDecoderCreateInstance");
        d->state = make(NULL, NULL, NULL);
    } else {
        void *(*make)(void) = decoder_symbol(coding, "ZSTD_createDStream");
        d->state = make();
    }
}

static void decoder_fini(struct decoder *d)
{
    if (d->coding == WEFT_CODING_GZIP) {
        int (*end)(void *) = decoder_symbol(d->coding, "inflateEnd");
        end(d->z);
    } else if (d->coding == WEFT_CODING_BR) {
        void (*end)(void *) = decoder_symbol(d->coding, "BrotliDecoderDestroyInstance");
        end(d->state);
    } else {
        size_t (*end)(void *) = decoder_symbol(d->coding, "ZSTD_freeDStream");
        end(d->state);
    }
}

static size_t decode_gzip(struct decoder *d, const char *in, size_t len, char *out, size_t room)
{
    int (*run)(void *, int) = decoder_symbol(d->coding, "inflate");
    d->z[0] = (uint64_t)(uintptr_t)in;
    d->z[1] = len;
    d->z[3] = (uint64_t)(uintptr_t)out;
    d->z[4] = room;
    int result = run(d->z, 2);
    assert_true(result == 0 || result == 1 || result == -5);
    d->ended = result == 1;
    assert_int_equal((unsigned)d->z[1], 0);
    return room - (unsigned)d->z[4];
}

static size_t decode_br(struct decoder *d, const char *in, size_t len, char *out, size_t room)
{
    int (*run)(void *, size_t *, const char **, size_t *, char **, size_t *) =
        decoder_symbol(d->coding, "BrotliDecoderDecompressStream");
    size_t left = room;
    int result = run(d->state, &len, &in, &left, &out, NULL);
    assert_true(result == 1 || result == 2); /* done; wants more */
    d->ended = result == 1;
    assert_int_equal(len, 0);
    return room - left;
}

static size_t decode_zstd(struct decoder *d, const char *in, size_t len, char *out, size_t room)
{
    size_t (*run)(void *, void *, void *) = decoder_symbol(d->coding, "ZSTD_decompressStream");
    struct {
        void *ptr;
        size_t size, at;
    } from = {(void *)(uintptr_t)in, len, 0}, to = {out, room, 0};
    size_t result = 0;
    do {
        result = run(d->state, &to, &from);
        assert_true(result < (size_t)-200);
    } while (from.at < from.size && to.at < to.size);
    d->ended = result == 0;
    assert_int_equal(from.at, from.size);
    return to.at;
}

/* All of in; what can be known of the text by then goes to out. Returns its bytes. */
static size_t decode(struct decoder *d, const char *in, size_t len, char *out, size_t room)
{
    if (len == 0)
        return 0;
    if (d->coding == WEFT_CODING_GZIP)
        return decode_gzip(d, in, len, out, room);
    if (d->coding == WEFT_CODING_BR)
        return decode_br(d, in, len, out, room);
    return decode_zstd(d, in, len, out, room);
}

#endif
