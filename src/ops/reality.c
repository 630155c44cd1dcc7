/* reality.c - see reality.h. */
#include "ops/reality.h"
#include "io/loop.h"
#include <link.h>
#include <malloc.h>
#include <unistd.h>

/* ---- the kernel's side ---- */

static size_t kib(weft_str text, weft_str key)
{
    uint64_t value = 0;
    return weft_textfile_number(text, key, &value) ? (size_t)value << 10 : 0;
}

void weft_process_memory_read(struct weft_process_memory *out)
{
    char room[4096];
    uint64_t threads = 0;
    weft_str text = weft_textfile_read("/proc/self/smaps_rollup", room, sizeof(room));
    out->rss = kib(text, WEFT_S("Rss:"));
    out->lazy_free = kib(text, WEFT_S("LazyFree:"));
    out->private_bytes = kib(text, WEFT_S("Private_Clean:")) + kib(text, WEFT_S("Private_Dirty:"));
    out->swap = kib(text, WEFT_S("Swap:"));
    text = weft_textfile_read("/proc/self/status", room, sizeof(room));
    out->page_tables = kib(text, WEFT_S("VmPTE:"));
    out->peak_rss = kib(text, WEFT_S("VmHWM:"));
    (void)weft_textfile_number(text, WEFT_S("Threads:"), &threads);
    out->threads = (size_t)threads;
}

/* ---- ours ---- */

struct image {
    const struct weft_pagemap *map;
    struct weft_reality *reality;
};

/* The segments that the loader mapped for a program, a library or the kernel's vdso. */
static int count_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct image *image = arg;
    image->reality->image_count++;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD)
            image->reality->image += weft_pagemap_present(
                image->map, (const void *)(info->dlpi_addr + part->p_vaddr), part->p_memsz);
    }
    return 0;
}

/* jemalloc cannot be asked where its pages are. Those in use are touched, but for what it keeps
 * ready for threads. */
static size_t present_jemalloc(const struct weft_profile_stats *stats)
{
    size_t active = stats->active - WEFT_MIN(stats->active, stats->thread_caches);
    return active + stats->dirty + stats->muzzy + stats->tables;
}

/* glibc's first arena is the range of brk(2), which can be counted; what it has besides (arenas of
 * other threads, large blocks) is taken as it says. */
static void read_heap(const struct weft_pagemap *map, struct weft_heap_memory *out)
{
    weft_profile_stats(&out->stats);
    bool jemalloc = strcmp(out->stats.allocator_z, "jemalloc") == 0;
    out->present = jemalloc ? present_jemalloc(&out->stats) : out->stats.resident;
    if (strcmp(out->stats.allocator_z, "glibc") != 0 || map->fd < 0)
        return;
    uintptr_t from = (uintptr_t)weft_textfile_stat(WEFT_STAT_START_BRK), to = (uintptr_t)sbrk(0);
    if (from == 0 || to <= from)
        return;
    struct mallinfo2 all = mallinfo2();
    size_t main_bytes = to - from;
    size_t others = all.arena > main_bytes ? all.arena - main_bytes : 0;
    out->present = weft_pagemap_present(map, (const void *)from, main_bytes) + others + all.hblkhd;
}

struct counting {
    const struct weft_pagemap *map;
    const struct weft_ledger *ledger;
    size_t *held;
};

#define NOT_COUNTED SIZE_MAX       /* has told no range: what is booked stands */
#define ELSEWHERE   (SIZE_MAX - 1) /* has no pages of its own: they are another row's */

static void count_range(void *arg, const struct weft_account *account, const void *base,
                        size_t bytes)
{
    struct counting *counting = arg;
    size_t index = (size_t)(account - counting->ledger->accounts);
    if (index >= counting->ledger->account_count)
        return;
    size_t *held = &counting->held[index];
    if (base == NULL) {
        *held = ELSEWHERE;
        return;
    }
    if (counting->map->fd < 0)
        return;
    if (*held == NOT_COUNTED)
        *held = 0;
    *held += weft_pagemap_present(counting->map, base, bytes);
}

/* What no loop told of, where it told by itself. */
static void count_told(struct counting *counting, const struct weft_account *account)
{
    if (atomic_load(&account->more_ranges) > 0)
        return;
    for (size_t i = 0; i < WEFT_ACCOUNT_RANGES; i++) {
        size_t bytes = atomic_load_explicit(&account->ranges[i].bytes, memory_order_acquire);
        uintptr_t base = atomic_load_explicit(&account->ranges[i].base, memory_order_relaxed);
        if (bytes > 0)
            count_range(counting, account, (const void *)base, bytes);
    }
}

static void read_ledger(struct weft_reality *reality, const struct weft_pagemap *map,
                        const struct weft_ledger *ledger, const struct weft_loop *const *loops,
                        size_t loop_count)
{
    struct counting counting = {map, ledger, reality->held};
    for (size_t i = 0; i < ledger->account_count; i++)
        reality->held[i] = NOT_COUNTED;
    for (size_t i = 0; i < loop_count; i++)
        if (loops[i] != NULL)
            weft_loop_ranges(loops[i], count_range, &counting);
    for (size_t i = 0; i < ledger->account_count; i++) {
        if (reality->held[i] == NOT_COUNTED)
            count_told(&counting, &ledger->accounts[i]);
        size_t committed = atomic_load(&ledger->accounts[i].committed);
        if (reality->held[i] == ELSEWHERE)
            reality->held[i] = committed = 0;
        else if (reality->held[i] == NOT_COUNTED)
            reality->held[i] = committed;
        reality->ledger += reality->held[i];
        reality->booked += committed;
    }
}

static void sum_up(struct weft_reality *reality)
{
    reality->own =
        reality->ledger + reality->image + reality->heap.present + reality->threads.present_bytes;
    reality->residual = (ptrdiff_t)(reality->process.rss - reality->own);
    if (reality->process.rss > 0)
        reality->explained =
            (uint32_t)((double)reality->own * 1000 / (double)reality->process.rss + 0.5);
}

void weft_reality_read(struct weft_reality *reality, const char *root_z,
                       const struct weft_ledger *ledger, const struct weft_loop *const *loops,
                       size_t loop_count, size_t *held)
{
    struct weft_pagemap map;
    *reality = (struct weft_reality){.held = held};
    reality->counted = weft_pagemap_open(&map);
    weft_process_memory_read(&reality->process);
    read_ledger(reality, &map, ledger, loops, loop_count);
    (void)dl_iterate_phdr(count_object, &(struct image){&map, reality});
    read_heap(&map, &reality->heap);
    weft_threads_read(&map, &reality->threads);
    weft_pagemap_close(&map);
    reality->in_cgroup = weft_cgroup_usage(root_z, &reality->cgroup);
    weft_sockstat_read(root_z, &reality->sockets);
    for (size_t i = 0; i < loop_count; i++)
        if (loops[i] != NULL)
            weft_slots_sample(&loops[i]->slots, WEFT_SOCKETS_ASKED, &reality->sample);
    sum_up(reality);
}
