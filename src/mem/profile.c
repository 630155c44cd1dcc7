/* profile.c - see profile.h. jemalloc's interface is one function, mallctl(name, out, set), looked
 * up by name: a plain server carries no trace of it but that look-up. */
#include "mem/profile.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>

typedef int mallctl_fn(const char *name, void *old, size_t *old_len, void *set, size_t set_len);

#define ARENAS_ALL "4096" /* MALLCTL_ARENAS_ALL */

/* Beside the keys that the profiles are named for. What handlers malloc is small objects, many at a
 * time and freed together: slabs of up to 32 pages instead of 1 to 7 are fewer to find, fill and
 * give back, and their tables a sixth. A slab goes back when the last of its 512 objects at most is
 * free. */
#define SLABS "slab_sizes:64-1024:32,"

const char *weft_profile_conf(enum weft_profile profile)
{
    static const char *const confs[WEFT_PROFILE_COUNT] = {
        [WEFT_PROFILE_SYSTEM] = "",
        [WEFT_PROFILE_THROUGHPUT] = "abort_conf:true",
        [WEFT_PROFILE_BALANCED] = "background_thread:true,dirty_decay_ms:500,"
                                  "muzzy_decay_ms:1000," SLABS "abort_conf:true",
        [WEFT_PROFILE_AGGRESSIVE] = "background_thread:true,tcache:false,dirty_decay_ms:0,"
                                    "muzzy_decay_ms:0," SLABS "abort_conf:true",
    };
    weft_assert(profile < WEFT_PROFILE_COUNT);
    return confs[profile];
}

/* NULL: not jemalloc. Looked up each time: rare, and so without state that threads would share. */
static mallctl_fn *find_mallctl(void)
{
    return (mallctl_fn *)dlsym(RTLD_DEFAULT, "mallctl");
}

bool weft_profile_is_jemalloc(void)
{
    return find_mallctl() != NULL;
}

/* ---- figures ---- */

static size_t size_of(mallctl_fn *mallctl, const char *name_z)
{
    size_t value = 0, len = sizeof(value);
    return mallctl(name_z, &value, &len, NULL, 0) == 0 ? value : 0; /* built without statistics */
}

static uint32_t arena_count(mallctl_fn *mallctl)
{
    unsigned count = 0;
    size_t len = sizeof(count);
    return mallctl("arenas.narenas", &count, &len, NULL, 0) == 0 ? count : 0;
}

/* Tables of the first arena at start: those that all share are in it, laid out for every address
 * there may be. Any other arena's are touched. */
static size_t tables_first;

static void gather(mallctl_fn *mallctl)
{
    uint64_t epoch = 1; /* any write makes it gather its figures */
    (void)mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch)); /* without statistics: zeros */
}

static size_t tables_of(mallctl_fn *mallctl, unsigned arena)
{
    char name[48];
    (void)snprintf(name, sizeof(name), "stats.arenas.%u.base", arena);
    return size_of(mallctl, name); /* 0 for one that was not needed so far */
}

static size_t tables_grown(mallctl_fn *mallctl)
{
    size_t grown = 0;
    uint32_t count = arena_count(mallctl);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = tables_of(mallctl, i);
        grown += i == 0 ? bytes - WEFT_MIN(bytes, tables_first) : bytes;
    }
    return grown;
}

void weft_profile_start(void)
{
    mallctl_fn *mallctl = find_mallctl();
    if (mallctl == NULL)
        return;
    gather(mallctl);
    tables_first = tables_of(mallctl, 0);
}

static void read_jemalloc(mallctl_fn *mallctl, struct weft_profile_stats *out)
{
    gather(mallctl);
    out->allocator_z = "jemalloc";
    out->allocated = size_of(mallctl, "stats.allocated");
    out->active = size_of(mallctl, "stats.active");
    out->resident = size_of(mallctl, "stats.resident");
    out->retained = size_of(mallctl, "stats.retained");
    out->thread_caches = size_of(mallctl, "stats.arenas." ARENAS_ALL ".tcache_bytes");
    out->arenas = arena_count(mallctl);
    size_t page = size_of(mallctl, "arenas.page");
    out->dirty = page * size_of(mallctl, "stats.arenas." ARENAS_ALL ".pdirty");
    out->muzzy = page * size_of(mallctl, "stats.arenas." ARENAS_ALL ".pmuzzy");
    out->tables = tables_grown(mallctl);
}

#ifdef __GLIBC__
/* Somebody else's malloc (mimalloc, a sanitizer's) leaves mallinfo2() to glibc, which then has
 * never given out a byte; one that passes on to glibc's (a counter, a tracer) does not. */
static bool read_glibc(struct mallinfo2 *out)
{
    *out = mallinfo2(); /* of all arenas; hblkhd is mapped singly */
    return out->arena + out->hblkhd > 0;
}

static void read_system(struct weft_profile_stats *out)
{
    struct mallinfo2 info;
    if (!read_glibc(&info))
        return;
    out->allocator_z = "glibc";
    out->allocated = info.uordblks + info.hblkhd;
    out->active = out->allocated;
    out->resident = info.arena + info.hblkhd;
}

static weft_rc purge_system(void)
{
    struct mallinfo2 info;
    if (!read_glibc(&info))
        return WEFT_ENOTSUP;
    (void)malloc_trim(0); /* whether there was something to give back */
    return 0;
}
#else
static void read_system(struct weft_profile_stats *out)
{
    (void)out;
}

static weft_rc purge_system(void)
{
    return WEFT_ENOTSUP;
}
#endif

void weft_profile_stats(struct weft_profile_stats *out)
{
    *out = (struct weft_profile_stats){.allocator_z = "other"};
    mallctl_fn *mallctl = find_mallctl();
    if (mallctl != NULL)
        read_jemalloc(mallctl, out);
    else
        read_system(out);
}

/* ---- giving back ---- */

static weft_rc decay_of(mallctl_fn *mallctl, const char *name_z, ssize_t *out)
{
    size_t len = sizeof(*out);
    return mallctl(name_z, out, &len, NULL, 0) == 0 ? 0 : WEFT_ENOTSUP;
}

weft_rc weft_profile_decay_get(struct weft_profile_decay *out)
{
    mallctl_fn *mallctl = find_mallctl();
    struct weft_profile_decay decay = {0};
    if (mallctl == NULL)
        return WEFT_ENOTSUP;
    WEFT_TRY(decay_of(mallctl, "arenas.dirty_decay_ms", &decay.dirty_ms));
    WEFT_TRY(decay_of(mallctl, "arenas.muzzy_decay_ms", &decay.muzzy_ms));
    *out = decay;
    return 0;
}

/* kind_z   "dirty" or "muzzy" */
static weft_rc set_decay(mallctl_fn *mallctl, const char *kind_z, ssize_t ms)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "arenas.%s_decay_ms", kind_z);
    if (mallctl(name, NULL, NULL, &ms, sizeof(ms)) != 0)
        return WEFT_ERANGE;
    uint32_t count = arena_count(mallctl);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "arena.%u.%s_decay_ms", i, kind_z);
        (void)mallctl(name, NULL, NULL, &ms, sizeof(ms)); /* refused by those not yet in use: they
                                                             begin with what was set above */
    }
    return 0;
}

/* The background thread sleeps as long as the old times allow, with -1 until more pages come: a new
 * one looks at once. */
static void wake(mallctl_fn *mallctl)
{
    bool on = false;
    size_t len = sizeof(on);
    if (mallctl("background_thread", &on, &len, NULL, 0) != 0 || !on)
        return;
    for (int i = 0; i < 2; i++) {
        on = !on;
        (void)mallctl("background_thread", NULL, NULL, &on, sizeof(on)); /* no thread to be had: */
    } /* then pages go back as others are freed */
}

weft_rc weft_profile_decay_set(struct weft_profile_decay decay)
{
    mallctl_fn *mallctl = find_mallctl();
    if (mallctl == NULL)
        return WEFT_ENOTSUP;
    WEFT_TRY(set_decay(mallctl, "dirty", decay.dirty_ms));
    WEFT_TRY(set_decay(mallctl, "muzzy", decay.muzzy_ms));
    wake(mallctl);
    return 0;
}

weft_rc weft_profile_purge(void)
{
    mallctl_fn *mallctl = find_mallctl();
    if (mallctl == NULL)
        return purge_system();
    return mallctl("arena." ARENAS_ALL ".purge", NULL, NULL, NULL, 0) == 0 ? 0 : WEFT_ENOTSUP;
}
