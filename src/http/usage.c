/* usage.c - see usage.h. */
#include "http/usage.h"
#include "mem/budget.h"
#include <pthread.h>
#include <sys/mman.h>

/* What `id` of a place that came too late says: "other", and asked no more. */
#define SITE_OTHER (WEFT_USAGE_SITES_MAX * 2)

static const struct weft_alloc_site *_Atomic sites[WEFT_USAGE_SITES_MAX + 1];

static size_t rows(size_t routes)
{
    return WEFT_MIN(routes, (size_t)WEFT_USAGE_ROUTES_MAX) + 2;
}

size_t weft_usage_bytes(size_t routes)
{
    return WEFT_ALIGN_UP(rows(routes) * sizeof(struct weft_route_usage) +
                             (WEFT_USAGE_SITES_MAX + 1) * sizeof(struct weft_site_usage),
                         WEFT_PAGE_BYTES);
}

weft_rc weft_usage_init(struct weft_usage *usage, size_t routes)
{
    char *memory = weft_map(weft_usage_bytes(routes));
    if (memory == NULL)
        return WEFT_ENOMEM;
    usage->route_count = (uint32_t)rows(routes);
    usage->routes = (struct weft_route_usage *)(void *)memory;
    usage->sites = (struct weft_site_usage *)(void *)(usage->routes + usage->route_count);
    return 0;
}

void weft_usage_fini(struct weft_usage *usage)
{
    if (usage->routes != NULL)
        munmap(usage->routes, weft_usage_bytes(usage->route_count - 2));
    *usage = (struct weft_usage){0};
}

uint32_t weft_usage_site_new(struct weft_alloc_site *site)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static uint32_t given;
    pthread_mutex_lock(&lock);
    uint32_t id = __atomic_load_n(&site->id, __ATOMIC_RELAXED);
    if (id == 0) { /* else another worker was quicker */
        id = given < WEFT_USAGE_SITES_MAX ? ++given : SITE_OTHER;
        if (id != SITE_OTHER)
            atomic_store(&sites[id], site);
        __atomic_store_n(&site->id, id, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&lock);
    return id;
}

const struct weft_alloc_site *weft_usage_site(uint32_t id)
{
    return id <= WEFT_USAGE_SITES_MAX ? atomic_load(&sites[id]) : NULL;
}
