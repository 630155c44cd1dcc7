/* redis_reader.c - see redis_reader.h. What of hiredis stands here is its interface, as read.h of
 * version 0.14 has it; the library is not needed to build. */
#include "serve/cache/redis_reader.h"
#include <dlfcn.h>
#include <stdlib.h>
#include "base/str.h"
#include "mem/imports.h"

#define LIBRARY          "libhiredis.so.0.14"
#define BUFFER_BYTES_MAX (16 * 1024) /* what its `maxbuf` begins with */

enum { TYPE_STRING = 1, TYPE_STATUS = 5, TYPE_ERROR = 6 };

struct task {
    int type;
    int element_count;
    int index;
    void *object;
    struct task *parent;
    void *user;
};

struct functions {
    void *(*make_string)(const struct task *task, char *text, size_t len);
    void *(*make_array)(const struct task *task, int count);
    void *(*make_integer)(const struct task *task, long long value);
    void *(*make_nil)(const struct task *task);
    void (*free_object)(void *object);
};

struct weft_redis_reader {
    int error;
    char error_text[128];
    char *buffer;
    size_t at, len;
    size_t buffer_bytes_max; /* an empty one that is larger is replaced; 0: not */
    struct task tasks[9];
    int task_index;
    void *reply;
    struct functions *functions;
    void *user;
};

static struct {
    struct weft_redis_reader *(*create)(struct functions *functions);
    void (*destroy)(struct weft_redis_reader *reader);
    int (*feed)(struct weft_redis_reader *reader, const char *bytes, size_t len);
    int (*get_reply)(struct weft_redis_reader *reader, void **out);
} library;

/* ---- its heap ---- */

static struct weft_leash heap = {
    .account = &heap.own,
    .own = {.name_z = "hiredis", .worker = WEFT_ACCOUNT_PROCESS},
};

struct weft_leash *weft_redis_heap(void)
{
    return &heap;
}

static void *heap_malloc(size_t bytes)
{
    return weft_leash_bare_take(&heap, bytes, false);
}

static void *heap_calloc(size_t count, size_t bytes)
{
    size_t all = 0;
    return __builtin_mul_overflow(count, bytes, &all) ? NULL
                                                      : weft_leash_bare_take(&heap, all, true);
}

static void *heap_realloc(void *ptr, size_t bytes)
{
    return weft_leash_bare_resize(&heap, ptr, bytes);
}

static void heap_free(void *ptr)
{
    weft_leash_bare_put(&heap, ptr);
}

static const struct weft_import heap_calls[] = {
    {"malloc", (void (*)(void))heap_malloc},
    {"calloc", (void (*)(void))heap_calloc},
    {"realloc", (void (*)(void))heap_realloc},
    {"free", (void (*)(void))heap_free},
};

/* ---- what it makes: the reply itself, so there is nothing to free ---- */

static bool ends_well(const char *end)
{
    return end[0] == '\r' && end[1] == '\n'; /* it takes two bytes for that without a look */
}

static void put_value(struct weft_redis_reply *reply, weft_str text)
{
    char *to = reply->make_room(reply->arg, text.len);
    reply->no_room = to == NULL;
    reply->text = weft_str_make(to, to == NULL ? 0 : text.len);
    if (to != NULL && text.len > 0)
        memcpy(to, text.ptr, text.len);
}

/* The text lies in its buffer, with its end behind it. NULL: an error. */
static void *make_string(const struct task *task, char *text, size_t len)
{
    struct weft_redis_reply *reply = task->user;
    if (!ends_well(text + len))
        return NULL;
    if (task->type == TYPE_STRING) {
        reply->type = WEFT_REDIS_VALUE;
        put_value(reply, weft_str_make(text, len));
    } else if (task->type == TYPE_ERROR) {
        reply->type = WEFT_REDIS_ERROR;
        reply->text = weft_str_make(text, len);
    } else {
        bool ok = len == 2 && memcmp(text, "OK", 2) == 0;
        reply->type = ok ? WEFT_REDIS_OK : WEFT_REDIS_OTHER;
    }
    return reply;
}

static void *make_array(const struct task *task, int count)
{
    (void)task;
    (void)count;
    return NULL; /* nothing that we ask is answered by one */
}

static void *make_integer(const struct task *task, long long value)
{
    struct weft_redis_reply *reply = task->user;
    reply->type = WEFT_REDIS_INTEGER;
    reply->integer = value;
    return reply;
}

static void *make_nil(const struct task *task)
{
    struct weft_redis_reply *reply = task->user;
    reply->type = WEFT_REDIS_NIL;
    return reply;
}

static struct functions functions = {make_string, make_array, make_integer, make_nil, NULL};

/* ---- loading ---- */

static bool look_up(void *handle)
{
    *(void **)&library.create = dlsym(handle, "redisReaderCreateWithFunctions");
    *(void **)&library.destroy = dlsym(handle, "redisReaderFree");
    *(void **)&library.feed = dlsym(handle, "redisReaderFeed");
    *(void **)&library.get_reply = dlsym(handle, "redisReaderGetReply");
    return library.create != NULL && library.destroy != NULL && library.feed != NULL &&
           library.get_reply != NULL;
}

/* Is it laid out as above? A build of somebody's own might not be. */
static bool is_as_expected(void)
{
    struct weft_redis_reader *reader = library.create(&functions);
    if (reader == NULL)
        return false;
    bool good = reader->error == 0 && reader->at == 0 && reader->len == 0 &&
                reader->buffer_bytes_max == BUFFER_BYTES_MAX && reader->task_index == -1 &&
                reader->reply == NULL && reader->functions == &functions && reader->user == NULL;
    library.destroy(reader);
    return good;
}

weft_rc weft_redis_load(const char **out_why)
{
    static bool loaded;
    if (loaded)
        return 0;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL || !look_up(handle)) {
        *out_why = LIBRARY " cannot be loaded (Debian's package is libhiredis0.14)";
        return WEFT_ENOTSUP;
    }
    if (weft_imports_redirect(handle, heap_calls, WEFT_COUNT_OF(heap_calls)) == 0 ||
        !is_as_expected()) {
        *out_why = LIBRARY " is not the version 0.14 that is expected";
        return WEFT_ENOTSUP;
    }
    loaded = true;
    return 0;
}

/* ---- reading ---- */

#define LEFTOVER_BYTES 1024 /* read and not yet dropped from its buffer */

/* The buffer is made twice as large as what must fit. malloc rounds up. */
size_t weft_redis_reader_bytes(size_t reply_bytes_max)
{
    return WEFT_ALIGN_UP(sizeof(struct weft_redis_reader) + 64, WEFT_CACHE_LINE) +
           WEFT_ALIGN_UP(2 * (reply_bytes_max + LEFTOVER_BYTES) + 64, WEFT_CACHE_LINE);
}

struct weft_redis_reader *weft_redis_reader_create(void)
{
    struct weft_redis_reader *reader = library.create(&functions);
    if (reader != NULL)
        reader->buffer_bytes_max = 0; /* who uses it makes it anew after a long reply */
    return reader;
}

void weft_redis_reader_destroy(struct weft_redis_reader *reader)
{
    if (reader != NULL)
        library.destroy(reader);
}

weft_rc weft_redis_reader_feed(struct weft_redis_reader *reader, weft_str bytes,
                               struct weft_redis_reply *reply)
{
    void *made = NULL;
    reply->bytes += bytes.len;
    if (reply->bytes > reply->bytes_max)
        return WEFT_ELIMIT;
    reader->user = reply;
    if (library.feed(reader, bytes.ptr, bytes.len) != 0)
        return WEFT_ENOMEM;
    if (library.get_reply(reader, &made) != 0)
        return WEFT_ESYNTAX;
    if (made == NULL)
        return WEFT_NEXT;
    return reader->at == reader->len ? 0 : WEFT_ESYNTAX;
}
