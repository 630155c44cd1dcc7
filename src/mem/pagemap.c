/* pagemap.c - see pagemap.h. */
#include "mem/pagemap.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* linux/fs.h since 6.7, spelled out for older headers. */
struct scan_region {
    uint64_t start, end, categories;
};
struct scan_arg {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN         _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (1u << 3)
#define SCAN_ZERO    (1u << 5)

#define ENTRY_PRESENT (1ull << 63)
#define ENTRIES       512 /* entries a read, one a page */
#define REGIONS       128 /* runs of pages a call */

static bool scan(const struct weft_pagemap *map, uint64_t from, uint64_t to, size_t *out)
{
    struct scan_region regions[REGIONS];
    size_t bytes = 0;
    while (from < to) {
        struct scan_arg arg = {.size = sizeof(arg),
                               .start = from,
                               .end = to,
                               .vec = (uint64_t)(uintptr_t)regions,
                               .vec_len = REGIONS,
                               .category_inverted = SCAN_ZERO,
                               .category_mask = SCAN_PRESENT | SCAN_ZERO,
                               .return_mask = SCAN_PRESENT};
        int count = ioctl(map->fd, SCAN, &arg);
        if (count < 0 || arg.walk_end <= from)
            return false;
        for (int i = 0; i < count; i++)
            bytes += (size_t)(regions[i].end - regions[i].start);
        from = arg.walk_end;
    }
    *out = bytes;
    return true;
}

static size_t read_entries(const struct weft_pagemap *map, uint64_t from, uint64_t to)
{
    uint64_t entries[ENTRIES];
    size_t present = 0;
    uint64_t page = from / WEFT_PAGE_BYTES, end = to / WEFT_PAGE_BYTES;
    while (page < end) {
        size_t want = (size_t)WEFT_MIN(end - page, (uint64_t)ENTRIES);
        ssize_t n =
            pread(map->fd, entries, want * sizeof(uint64_t), (off_t)(page * sizeof(uint64_t)));
        if (n < (ssize_t)sizeof(uint64_t))
            break;
        size_t got = (size_t)n / sizeof(uint64_t);
        for (size_t i = 0; i < got; i++)
            present += (entries[i] & ENTRY_PRESENT) != 0;
        page += got;
    }
    return present * WEFT_PAGE_BYTES;
}

bool weft_pagemap_open(struct weft_pagemap *map)
{
    map->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    map->scans = false;
    size_t bytes = 0;
    uint64_t here = (uint64_t)(uintptr_t)map & ~(uint64_t)(WEFT_PAGE_BYTES - 1);
    if (map->fd >= 0)
        map->scans = scan(map, here, here + WEFT_PAGE_BYTES, &bytes);
    return map->fd >= 0;
}

void weft_pagemap_close(struct weft_pagemap *map)
{
    if (map->fd >= 0)
        close(map->fd);
    map->fd = -1;
}

size_t weft_pagemap_present(const struct weft_pagemap *map, const void *base, size_t bytes)
{
    uint64_t from = (uint64_t)(uintptr_t)base & ~(uint64_t)(WEFT_PAGE_BYTES - 1);
    uint64_t to = WEFT_ALIGN_UP((uint64_t)(uintptr_t)base + bytes, (uint64_t)WEFT_PAGE_BYTES);
    size_t present = 0;
    if (map->fd < 0 || bytes == 0)
        return 0;
    if (map->scans && scan(map, from, to, &present))
        return present;
    return read_entries(map, from, to);
}
