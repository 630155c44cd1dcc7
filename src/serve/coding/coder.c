/* coder.c - see coder.h. The libraries' interfaces are written down here as far as they are used:
 * their headers are not needed to build, they themselves not to run. */
#include "serve/coding/coder.h"
#include "base/fmt.h"
#include "base/rehearsal.h"
#include <dlfcn.h>
#include <sys/mman.h>

#define ALIGN        ((size_t)16)
#define FREE_LOOKS   64                /* pieces that an allocation looks at */
#define INPUT_ONCE   ((size_t)1 << 30) /* zlib counts in unsigned int */
#define STREAM_START WEFT_ALIGN_UP(sizeof(struct weft_coder), WEFT_CACHE_LINE)

/* ---- how much of what ---- */

/* Level, log2 of the window and of zstd's tables (it shrinks them by itself only where the size is
 * known), bytes of memory that this takes: zstd's and zlib's are exact, brotli's depends on the
 * input and is the most seen of many thousand made-up ones and a tenth. */
static const struct recipe {
    int level;
    int window;
    int tables;
    size_t bytes;
} recipes[WEFT_CODING_COUNT][WEFT_EFFORT_COUNT] = {
    [WEFT_CODING_GZIP] = {{1, 15, 0, 272 << 10}, {6, 15, 0, 272 << 10}, {8, 15, 0, 272 << 10}},
    [WEFT_CODING_BR] = {{2, 15, 0, 1344 << 10}, {3, 16, 0, 1664 << 10}, {5, 16, 0, 3712 << 10}},
    [WEFT_CODING_ZSTD] = {{1, 15, 14, 320 << 10}, {5, 15, 16, 640 << 10}, {6, 16, 17, 1280 << 10}},
};

size_t weft_coder_bytes(uint32_t codings, enum weft_effort effort)
{
    size_t most = 0;
    for (enum weft_coding coding = WEFT_CODING_GZIP; coding < WEFT_CODING_COUNT; coding++)
        if (codings & WEFT_CODING_BIT(coding))
            most = WEFT_MAX(most, recipes[coding][effort].bytes);
    return WEFT_ALIGN_UP(STREAM_START + most, WEFT_PAGE_BYTES);
}

/* ---- the libraries ---- */

/* zlib.h's z_stream */
struct zlib_stream {
    const unsigned char *next_in;
    unsigned avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned avail_out;
    unsigned long total_out;
    const char *message;
    void *state;
    void *(*alloc)(void *opaque, unsigned items, unsigned bytes);
    void (*free)(void *opaque, void *ptr);
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
};

/* zstd.h's ZSTD_inBuffer and ZSTD_outBuffer */
struct zstd_buffer {
    void *ptr;
    size_t size;
    size_t at;
};

static struct {
    int (*deflate_init)(struct zlib_stream *stream, int level, int method, int window, int memory,
                        int strategy, const char *version, int stream_bytes);
    int (*deflate_reset)(struct zlib_stream *stream);
    int (*deflate)(struct zlib_stream *stream, int flush);

    void *(*br_create)(void *(*alloc)(void *opaque, size_t bytes),
                       void (*free)(void *opaque, void *ptr), void *opaque);
    int (*br_set)(void *state, int parameter, uint32_t value);
    int (*br_run)(void *state, int op, size_t *in_len, const uint8_t **in, size_t *out_room,
                  uint8_t **out, size_t *total);
    int (*br_more)(void *state);

    void *(*zstd_init)(void *workspace, size_t bytes);
    size_t (*zstd_set)(void *context, int parameter, int value);
    size_t (*zstd_reset)(void *context, int what);
    size_t (*zstd_size)(void *context, unsigned long long bytes);
    size_t (*zstd_run)(void *context, struct zstd_buffer *out, struct zstd_buffer *in, int op);
    unsigned (*zstd_failed)(size_t result);
} lib;

struct symbol {
    void *to; /* a function pointer in lib */
    const char *name_z;
};

static const struct library {
    const char *file_z;
    const char *package_z;
    struct symbol symbols[7];
} libraries[WEFT_CODING_COUNT] = {
    [WEFT_CODING_GZIP] = {"libz.so.1",
                          "zlib1g",
                          {{&lib.deflate_init, "deflateInit2_"},
                           {&lib.deflate_reset, "deflateReset"},
                           {&lib.deflate, "deflate"}}},
    [WEFT_CODING_BR] = {"libbrotlienc.so.1",
                        "libbrotli1",
                        {{&lib.br_create, "BrotliEncoderCreateInstance"},
                         {&lib.br_set, "BrotliEncoderSetParameter"},
                         {&lib.br_run, "BrotliEncoderCompressStream"},
                         {&lib.br_more, "BrotliEncoderHasMoreOutput"}}},
    [WEFT_CODING_ZSTD] = {"libzstd.so.1",
                          "libzstd1",
                          {{&lib.zstd_init, "ZSTD_initStaticCCtx"},
                           {&lib.zstd_set, "ZSTD_CCtx_setParameter"},
                           {&lib.zstd_reset, "ZSTD_CCtx_reset"},
                           {&lib.zstd_size, "ZSTD_CCtx_setPledgedSrcSize"},
                           {&lib.zstd_run, "ZSTD_compressStream2"},
                           {&lib.zstd_failed, "ZSTD_isError"}}},
};

/* Loaded once and kept. */
static bool load(const struct library *library)
{
    void *handle = dlopen(library->file_z, RTLD_NOW | RTLD_LOCAL);
    for (const struct symbol *symbol = library->symbols; handle != NULL && symbol->to != NULL;
         symbol++) {
        void *found = dlsym(handle, symbol->name_z);
        if (found == NULL)
            return false;
        memcpy(symbol->to, &found, sizeof(found));
    }
    return handle != NULL;
}

/* ---- a heap in the coder's memory ---- */

struct weft_coder_free {
    size_t bytes; /* this header included */
    struct weft_coder_free *next;
};

static struct weft_coder_free *reuse(struct weft_coder *coder, size_t bytes, size_t bytes_max)
{
    struct weft_coder_free **link = &coder->free;
    for (int i = 0; *link != NULL && i < FREE_LOOKS; i++, link = &(*link)->next) {
        struct weft_coder_free *piece = *link;
        if (piece->bytes >= bytes && piece->bytes <= bytes_max) {
            *link = piece->next;
            return piece;
        }
    }
    return NULL;
}

static struct weft_coder_free *bump(struct weft_coder *coder, size_t bytes)
{
    if (bytes > coder->bytes - coder->top)
        return NULL;
    struct weft_coder_free *piece = (void *)((char *)coder + coder->top);
    coder->top += bytes;
    coder->high = WEFT_MAX(coder->high, coder->top);
    piece->bytes = bytes;
    return piece;
}

/* What fits well is used again, before what was never used, before what is too large. */
static struct weft_coder_free *take_piece(struct weft_coder *coder, size_t bytes)
{
    struct weft_coder_free *piece = reuse(coder, bytes, bytes + bytes / 4);
    if (piece == NULL)
        piece = bump(coder, bytes);
    if (piece == NULL)
        piece = reuse(coder, bytes, SIZE_MAX);
    return piece;
}

static void *heap_alloc(void *opaque, size_t bytes)
{
    struct weft_coder *coder = opaque;
    bytes = WEFT_MIN(bytes, coder->bytes); /* which is too much, and does not overflow */
    bytes = WEFT_ALIGN_UP(bytes, ALIGN) + sizeof(struct weft_coder_free);
    struct weft_coder_free *piece = NULL;
    if (!weft_fail_point("library"))
        piece = take_piece(coder, bytes);
    if (piece == NULL && coder->back != NULL)
        longjmp(*coder->back, 1);
    return piece != NULL ? piece + 1 : NULL;
}

static void heap_free(void *opaque, void *ptr)
{
    struct weft_coder *coder = opaque;
    if (ptr == NULL)
        return;
    struct weft_coder_free *piece = (struct weft_coder_free *)ptr - 1;
    if ((char *)piece + piece->bytes == (char *)coder + coder->top) {
        coder->top -= piece->bytes;
        return;
    }
    piece->next = coder->free;
    coder->free = piece;
}

static void *heap_zalloc(void *opaque, unsigned items, unsigned bytes)
{
    return heap_alloc(opaque, (size_t)items * bytes);
}

static void heap_reset(struct weft_coder *coder)
{
    coder->coding = WEFT_CODING_IDENTITY;
    coder->stream = NULL;
    coder->free = NULL;
    coder->back = NULL;
    coder->top = STREAM_START;
    coder->high = WEFT_MAX(coder->high, coder->top);
}

/* ---- gzip ---- */

#define ZLIB_OK       0
#define ZLIB_END      1
#define ZLIB_NOTHING  (-5) /* Z_BUF_ERROR: nothing to do */
#define ZLIB_DEFLATED 8
#define ZLIB_GZIP     16 /* added to the window's log: a gzip header instead of zlib's */
#define ZLIB_MEMORY   8

static weft_rc gzip_make(struct weft_coder *coder, const struct recipe *recipe)
{
    struct zlib_stream *stream = heap_alloc(coder, sizeof(*stream));
    if (stream == NULL)
        return WEFT_ENOMEM;
    *stream = (struct zlib_stream){.alloc = heap_zalloc, .free = heap_free, .opaque = coder};
    coder->stream = stream;
    int result = lib.deflate_init(stream, recipe->level, ZLIB_DEFLATED, recipe->window + ZLIB_GZIP,
                                  ZLIB_MEMORY, 0, "1", (int)sizeof(*stream));
    return result == ZLIB_OK ? 0 : WEFT_ENOMEM;
}

static weft_rc gzip_run(struct weft_coder *coder, enum weft_coder_op op, struct weft_coder_io *io)
{
    static const int flushes[] = {0, 2, 4}; /* Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH */
    struct zlib_stream *stream = coder->stream;
    size_t in = WEFT_MIN(io->in_len, INPUT_ONCE), out = WEFT_MIN(io->out_room, INPUT_ONCE);
    stream->next_in = (const unsigned char *)io->in;
    stream->avail_in = (unsigned)in;
    stream->next_out = (unsigned char *)io->out;
    stream->avail_out = (unsigned)out;
    int result = lib.deflate(stream, in < io->in_len ? 0 : flushes[op]);
    if (result != ZLIB_OK && result != ZLIB_END && result != ZLIB_NOTHING)
        return WEFT_ESTATE;
    io->in += in - stream->avail_in;
    io->in_len -= in - stream->avail_in;
    io->out += out - stream->avail_out;
    io->out_room -= out - stream->avail_out;
    bool done = op == WEFT_CODER_FINISH ? result == ZLIB_END : stream->avail_out > 0;
    return done && io->in_len == 0 ? 0 : WEFT_NEXT;
}

/* ---- br ---- */

#define BR_QUALITY   1
#define BR_WINDOW    2
#define BR_SIZE_HINT 5

/* Brotli as Debian builds it ends the process when its allocator says no. So the allocator does not
 * say no: it comes back here. Whatever brotli was at lies in the coder's memory and goes with it.
 */
static weft_rc br_out_of_memory(struct weft_coder *coder)
{
    heap_reset(coder);
    return WEFT_ENOMEM;
}

static weft_rc br_make(struct weft_coder *coder, const struct recipe *recipe, uint64_t size)
{
    jmp_buf back;
    if (setjmp(back) != 0)
        return br_out_of_memory(coder);
    coder->back = &back;
    void *state = lib.br_create(heap_alloc, heap_free, coder);
    coder->stream = state;
    uint32_t hint = (uint32_t)WEFT_MIN(size, (uint64_t)1 << 30);
    bool set = state != NULL && lib.br_set(state, BR_QUALITY, (uint32_t)recipe->level) &&
               lib.br_set(state, BR_WINDOW, (uint32_t)recipe->window) &&
               (size == UINT64_MAX || lib.br_set(state, BR_SIZE_HINT, hint));
    coder->back = NULL;
    return set ? 0 : WEFT_ENOMEM;
}

static weft_rc br_run(struct weft_coder *coder, enum weft_coder_op op, struct weft_coder_io *io)
{
    jmp_buf back;
    if (setjmp(back) != 0)
        return br_out_of_memory(coder);
    coder->back = &back;
    const uint8_t *in = (const uint8_t *)io->in;
    uint8_t *out = (uint8_t *)io->out;
    int good = lib.br_run(coder->stream, (int)op, &io->in_len, &in, &io->out_room, &out, NULL);
    coder->back = NULL;
    if (!good)
        return WEFT_ESTATE;
    io->in = (const char *)in;
    io->out = (char *)out;
    return io->in_len == 0 && !lib.br_more(coder->stream) ? 0 : WEFT_NEXT;
}

/* ---- zstd ---- */

#define ZSTD_LEVEL        100
#define ZSTD_WINDOW       101
#define ZSTD_HASH         102
#define ZSTD_CHAIN        103
#define ZSTD_SESSION_ONLY 1

static weft_rc zstd_make(struct weft_coder *coder, const struct recipe *recipe)
{
    size_t room = WEFT_MIN(coder->bytes - coder->top, recipe->bytes);
    void *context = lib.zstd_init((char *)coder + coder->top, room);
    if (context == NULL)
        return WEFT_ENOMEM;
    coder->stream = context;
    coder->top += room;
    coder->high = WEFT_MAX(coder->high, coder->top);
    bool failed = lib.zstd_failed(lib.zstd_set(context, ZSTD_LEVEL, recipe->level)) ||
                  lib.zstd_failed(lib.zstd_set(context, ZSTD_WINDOW, recipe->window)) ||
                  lib.zstd_failed(lib.zstd_set(context, ZSTD_HASH, recipe->tables)) ||
                  lib.zstd_failed(lib.zstd_set(context, ZSTD_CHAIN, recipe->tables));
    return failed ? WEFT_ENOMEM : 0;
}

static weft_rc zstd_begin(struct weft_coder *coder, uint64_t size)
{
    if (lib.zstd_failed(lib.zstd_reset(coder->stream, ZSTD_SESSION_ONLY)) ||
        lib.zstd_failed(lib.zstd_size(coder->stream, size))) /* UINT64_MAX is its "unknown" too */
        return WEFT_ENOMEM;
    return 0;
}

static weft_rc zstd_run(struct weft_coder *coder, enum weft_coder_op op, struct weft_coder_io *io)
{
    struct zstd_buffer in = {(void *)(uintptr_t)io->in, io->in_len, 0};
    struct zstd_buffer out = {io->out, io->out_room, 0};
    size_t left = lib.zstd_run(coder->stream, &out, &in, (int)op);
    if (lib.zstd_failed(left))
        return WEFT_ENOMEM;
    io->in += in.at;
    io->in_len -= in.at;
    io->out += out.at;
    io->out_room -= out.at;
    bool done = op == WEFT_CODER_MORE || left == 0;
    return done && io->in_len == 0 ? 0 : WEFT_NEXT;
}

/* ---- any of them ---- */

static weft_rc make(struct weft_coder *coder, enum weft_coding coding, enum weft_effort effort,
                    uint64_t size)
{
    const struct recipe *recipe = &recipes[coding][effort];
    heap_reset(coder);
    weft_rc rc = WEFT_ENOTSUP;
    if (coding == WEFT_CODING_GZIP)
        rc = gzip_make(coder, recipe);
    else if (coding == WEFT_CODING_BR)
        rc = br_make(coder, recipe, size);
    else if (coding == WEFT_CODING_ZSTD)
        rc = zstd_make(coder, recipe);
    if (rc != 0) {
        heap_reset(coder);
        return rc;
    }
    coder->coding = (uint8_t)coding;
    coder->effort = (uint8_t)effort;
    return 0;
}

weft_rc weft_coder_start(struct weft_coder *coder, size_t bytes, enum weft_coding coding,
                         enum weft_effort effort, uint64_t size)
{
    bool same = coder->coding == coding && coder->effort == effort && coding != WEFT_CODING_BR;
    coder->bytes = bytes;
    if (!same)
        WEFT_TRY(make(coder, coding, effort, size));
    else if (coding == WEFT_CODING_GZIP && lib.deflate_reset(coder->stream) != ZLIB_OK)
        return WEFT_ENOMEM;
    return coding == WEFT_CODING_ZSTD ? zstd_begin(coder, size) : 0;
}

weft_rc weft_coder_run(struct weft_coder *coder, enum weft_coder_op op, struct weft_coder_io *io)
{
    if (op == WEFT_CODER_MORE && io->in_len == 0)
        return 0;
    switch (coder->coding) {
    case WEFT_CODING_GZIP:
        return gzip_run(coder, op, io);
    case WEFT_CODING_BR:
        return br_run(coder, op, io);
    case WEFT_CODING_ZSTD:
        return zstd_run(coder, op, io);
    default:
        return WEFT_ESTATE;
    }
}

/* ---- at start ---- */

/* A library of another version may want more memory: found out here and not by a request. */
static bool try_one(struct weft_coder *coder, size_t bytes, enum weft_coding coding,
                    enum weft_effort effort)
{
    char out[256];
    struct weft_coder_io io = {"weft", 4, out, sizeof(out)};
    return weft_coder_start(coder, bytes, coding, effort, UINT64_MAX) == 0 &&
           weft_coder_run(coder, WEFT_CODER_MORE, &io) == 0 &&
           weft_coder_run(coder, WEFT_CODER_FINISH, &io) == 0;
}

static weft_rc try_all(uint32_t codings, enum weft_effort effort, char *why, size_t room)
{
    size_t bytes = weft_coder_bytes(codings, effort);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return WEFT_ENOMEM;
    weft_rc rc = 0;
    for (enum weft_coding coding = WEFT_CODING_GZIP; coding < WEFT_CODING_COUNT; coding++)
        if (codings & WEFT_CODING_BIT(coding) && !try_one(memory, bytes, coding, effort)) {
            why[weft_fmt(why, room - 1, "%s takes more memory than it used to",
                         libraries[coding].file_z)] = 0;
            rc = WEFT_ENOTSUP;
        }
    munmap(memory, bytes);
    return rc;
}

weft_rc weft_coders_load(uint32_t codings, enum weft_effort effort, char *why, size_t room)
{
    for (enum weft_coding coding = WEFT_CODING_GZIP; coding < WEFT_CODING_COUNT; coding++) {
        const struct library *library = &libraries[coding];
        if (!(codings & WEFT_CODING_BIT(coding)) || load(library))
            continue;
        size_t len = weft_fmt(why, room - 1, "%s cannot be loaded (Debian's package %s)",
                              library->file_z, library->package_z);
        why[WEFT_MIN(len, room - 1)] = 0;
        return WEFT_ENOTSUP;
    }
    return try_all(codings, effort, why, room);
}
