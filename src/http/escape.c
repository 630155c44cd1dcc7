/* escape.c - see escape.h. */
#include "http/escape.h"

#ifdef WEFT_CHECKED
#include "base/log.h"
#include "http/service.h"
#include "mem/objects.h"
#include <link.h>

/* The whole point is to read what others own, while they may write it. */
#define READS_ALL __attribute__((no_sanitize("address", "thread", "undefined")))

static _Atomic uintptr_t told[WEFT_ESCAPES_MAX];

/* returns  whether this place is new */
static bool tell_once(const void *place)
{
    for (size_t i = 0; i < WEFT_ESCAPES_MAX; i++) {
        uintptr_t none = 0;
        if (atomic_load(&told[i]) == (uintptr_t)place)
            return false;
        if (atomic_compare_exchange_strong(&told[i], &none, (uintptr_t)place))
            return true;
        if (none == (uintptr_t)place)
            return false;
    }
    return false;
}

static bool in_head(const weft_req *rq, const char *p)
{
    return p > rq->base && p < rq->base + rq->head.bytes; /* at its start others point too */
}

static void found(weft_req *rq, const char *where_z, const void *place, const char *slice)
{
    weft_loop_count(rq->loop, WEFT_COUNTER_ESCAPES);
    if (!tell_once(place))
        return;
    weft_str route = rq->route != NULL ? rq->route->pattern : WEFT_S("(none)");
    weft_log_error("route %.*s kept a request slice: %s at %p points into its %s; promote it with "
                   "weft_app_dup()",
                   (int)route.len, route.ptr, where_z, place,
                   in_head(rq, slice) ? "head" : "arena");
}

READS_ALL static void search(weft_req *rq, const char *where_z, const void *from, size_t bytes)
{
    const char *const *word =
        (const char *const *)(const void *)WEFT_ALIGN_UP((uintptr_t)from, sizeof(*word));
    const char *const *end = word + (bytes - ((uintptr_t)word - (uintptr_t)from)) / sizeof(*word);
    for (; bytes >= sizeof(*word) && word < end; word++)
        if (*word != NULL && (in_head(rq, *word) || weft_arena_holds(&rq->arena, *word)))
            found(rq, where_z, word, *word);
}

/* The first object that the loader tells of is the program itself. */
static int search_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_W) != 0)
            search(arg, "the program's data", (const void *)(info->dlpi_addr + segment->p_vaddr),
                   segment->p_memsz);
    }
    return 1;
}

static void search_object(void *arg, const weft_objects *objects, const void *object)
{
    search(arg, objects->name_z, object, objects->object_bytes);
}

void weft_escape_look(weft_req *rq)
{
    dl_iterate_phdr(search_program, rq);
    weft_objects_each(search_object, rq);
}
#endif
