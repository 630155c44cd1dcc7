/* mem.h - memory with a limit of your choosing: pools of objects, and text that grows in the arena.
 *
 * A pool holds objects of one type, so many and never more. They outlive requests, so they are
 * named by handles: index and generation in one number, which tells an object that was put from
 * the next one in its place, and which may travel to a client and back.
 *
 *   WEFT_OBJECTS(carts, struct cart, 1000);                 at file level
 *   weft_app_objects(app, carts);                           while setting up
 *
 *   weft_handle handle;
 *   struct cart *cart = weft_object_take(carts, &handle);   NULL: all 1,000 are out
 *   cart = weft_object_get(carts, handle);                  NULL: it was put meanwhile
 *   weft_rc rc = weft_object_put(carts, handle);
 *
 * Lifetime: pools: while the application runs. Builders: the request.
 * Threads:  a pool is all workers', behind a lock, or has a part for each worker, without one.
 * Memory:   a pool: its term of the plan, weft_objects_bytes(); address space until used. Pages of
 *           objects that lie free go back after a peak; not where there is an init(): what it made
 *           may hold things that fini() alone gives back, and that is called at the end.
 */
#ifndef WEFT_MEM_H
#define WEFT_MEM_H

#include <weft/app.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- pools of objects ---- */

/** Names an object of a pool; 0 names none. The index is in the low 32 bits. */
typedef uint64_t weft_handle;

/** The object's place in its pool, 0..capacity-1. */
static inline uint32_t weft_handle_index(weft_handle handle)
{
    return (uint32_t)handle;
}

/** A pool, as declared by WEFT_OBJECTS. What may be given there, by name: per_worker and hooks.
 *  Hooks are called with the object, while the pool is locked: they are short, and wait for
 *  nothing. */
typedef struct weft_objects {
    size_t size;                 /* filled by the macro, as the next three */
    const char *name_z;          /* static: its name in the plan and in /memory */
    size_t object_bytes;         /* 0 < .. <= 1 MiB */
    uint32_t capacity;           /* > 0; of each worker where they are per_worker */
    bool per_worker;             /* no lock; a handle is good on the worker that took it only */
    void (*init)(void *object);  /* a new one, zeroed, once: what it makes stays. Needs a reset */
    void (*reset)(void *object); /* before each take but one that init() made it for */
    void (*fini)(void *object);  /* each one there ever was, when the application stops */
    struct weft_object_store *store; /* Weft's own: set while the application runs */
} weft_objects;

/** Declare a pool at file level: WEFT_OBJECTS(carts, struct cart, 1000, .reset = empty). */
#define WEFT_OBJECTS(name, type, count, ...)                                                       \
    typedef type weft_objects_type_##name;                                                         \
    static weft_objects name = {.size = sizeof(weft_objects),                                      \
                                .name_z = #name,                                                   \
                                .object_bytes = sizeof(type),                                      \
                                .capacity = (count),                                               \
                                __VA_ARGS__}

/** Give the pool to an application: its bytes become a term of the plan, its address space is there
 *  as soon as the application runs. One application at a time; 16 pools at most (rule 6). */
#define weft_app_objects(app, name) weft_app_add_objects((app), &(name))

/** Take an object; O(1). The one given back last comes first.
 *  out_handle  names it until it is put; written on success only
 *  returns     typed; borrowed until it is put. As init() or reset() left it; with neither hook it
 *              is zeroed. NULL when capacity objects are out (counted): return WEFT_EFULL then
 *              (503). Also NULL while the application does not run, and on a thread that is no
 *              worker where the pool is per_worker
 *  cost        about 10 ns, 30 with the lock that all workers share, and what resetting costs */
#define weft_object_take(name, out_handle)                                                         \
    ((weft_objects_type_##name *)weft_objects_take(&(name), (out_handle)))

/** The object behind a handle.
 *  returns  typed; NULL when the handle is stale: the object was put, or there never was one.
 *           Borrowed until it is put: where another worker may do that, lock the pool while you
 *           look */
#define weft_object_get(name, handle)                                                              \
    ((weft_objects_type_##name *)weft_objects_get(&(name), (handle)))

/** Give an object back.
 *  returns  0; WEFT_ESTALE: it was put before, or there never was one: nothing happens, it is
 *           counted; a checked build (-Dchecked=true) traps. There, too, what was put is
 *           overwritten: who uses it still, or reads what reset() did not set, is found out.
 *           (Where there is an init(), objects are then finished when they are put and made anew)
 */
#define weft_object_put(name, handle) weft_objects_put(&(name), (handle))

/** The next object that is out, by index; start with *handle = 0. Lock the pool around the loop.
 *  returns  typed; NULL behind the last
 *  cost     one step per slot passed */
#define weft_object_next(name, handle)                                                             \
    ((weft_objects_type_##name *)weft_objects_next(&(name), (handle)))

/** Hold a shared pool for yourself: while you look at or change objects that others may too. Only
 *  for a few lines, and never across a wait. The calls above may be made meanwhile; they lock by
 *  themselves otherwise. Nests. Nothing happens where a pool is per_worker. */
#define weft_object_lock(name)   weft_objects_lock(&(name))
#define weft_object_unlock(name) weft_objects_unlock(&(name))

typedef struct weft_objects_stats {
    uint64_t capacity; /* of all workers together, as all of these */
    uint64_t used;     /* out now */
    uint64_t made;     /* slots ever used: the pages that may be touched */
    uint64_t taken;    /* since the start */
    uint64_t refused;  /* takes that found it full */
    uint64_t stale;    /* puts of what was not out */
} weft_objects_stats;

/** Its figures; where it is per_worker a little old. All 0 while the application does not run. */
weft_objects_stats weft_objects_stats_of(const weft_objects *objects);

/** Bytes at worst, exactly: the term of the plan. */
size_t weft_objects_bytes(const weft_objects *objects, uint32_t workers);

/* What the macros call. */
void weft_app_add_objects(weft_app *app, weft_objects *objects);
void *weft_objects_take(weft_objects *objects, weft_handle *out_handle);
void *weft_objects_get(weft_objects *objects, weft_handle handle);
weft_rc weft_objects_put(weft_objects *objects, weft_handle handle) WEFT_CHECK;
void *weft_objects_next(weft_objects *objects, weft_handle *handle);
void weft_objects_lock(weft_objects *objects);
void weft_objects_unlock(weft_objects *objects);

/* ---- text ---- */

/** Text that is put together piece by piece; the fields are the builder's own. Calls after a
 *  mistake do nothing: the mistake is told once, at the end (rule 5). */
typedef struct weft_builder {
    char *start, *at, *end;
    weft_req *rq; /* NULL: does not grow */
    weft_rc rc;
    struct weft_alloc_site *site; /* who began it */
} weft_builder;

/** Build in the request's arena, with room for so many bytes at first. When that is used up it
 *  doubles: in place where nothing was allocated since, else by a copy that leaves the old bytes to
 *  the request's end. A good guess makes it one allocation.
 *  room     > 0; all of it just below 1 MiB at most
 *  returns  0; WEFT_ENOMEM past the route's cap (rule 4) */
WEFT_CHECK weft_rc weft_builder_begin(weft_req *rq, weft_builder *builder, size_t room);
WEFT_CHECK weft_rc weft_builder_begin_at(weft_req *rq, weft_builder *builder, size_t room,
                                         struct weft_alloc_site *site);
#define weft_builder_begin(rq, builder, room)                                                      \
    weft_builder_begin_at((rq), (builder), (room), WEFT_ALLOC_SITE())

/** Build in bytes of your own, on the stack for instance; beyond them it is WEFT_ELIMIT. Neither
 *  arena nor heap is used. Borrowed while the text is. */
void weft_builder_over(weft_builder *builder, char *bytes, size_t room);

/** Makes room for `more` bytes, or notes why not. For weft_builder_add(). */
bool weft_builder_grow(weft_builder *builder, size_t more);

/** Add bytes; borrowed for the call. */
static inline void weft_builder_add(weft_builder *builder, weft_str text)
{
    if (text.len > (size_t)(builder->end - builder->at) && !weft_builder_grow(builder, text.len))
        return;
    if (text.len > 0)
        __builtin_memcpy(builder->at, text.ptr, text.len);
    builder->at += text.len;
}

/** Add a number in decimal. */
void weft_builder_u64(weft_builder *builder, uint64_t value);
void weft_builder_i64(weft_builder *builder, int64_t value);

/** Add text by printf's rules, as far as weft_printf() goes. */
void weft_builder_format(weft_builder *builder, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** What was built, where it lies: until the request ends, or as long as your bytes do. More may be
 *  added behind it, which may move it.
 *  returns  0; WEFT_ENOMEM, WEFT_ELIMIT: it did not fit */
WEFT_CHECK weft_rc weft_builder_text(const weft_builder *builder, weft_str *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
