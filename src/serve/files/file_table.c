/* file_table.c - see file_table.h. */
#include "serve/files/file_table.h"
#include "base/rehearsal.h"
#include "base/str.h"
#include <sys/mman.h>

#define EVICT_LOOK_MAX 64 /* entries in use that are passed over in search of one that is not */
#define ROOM_EVICT_MAX 64 /* copies that one new copy may cost */
#define WORD_BITS      64

/* ---- layout ---- */

static uint32_t bucket_count(uint32_t entries)
{
    uint32_t count = 8;
    while (count < entries)
        count *= 2;
    return count;
}

static size_t page_count(const struct weft_file_options *options)
{
    return options->hot_file_bytes == 0 ? 0 : options->hot_bytes / WEFT_PAGE_BYTES;
}

static size_t bitmap_words(size_t pages)
{
    return (pages + WORD_BITS - 1) / WORD_BITS;
}

static bool bit(const uint64_t *bits, uint32_t index)
{
    return bits[index / WORD_BITS] >> (index % WORD_BITS) & 1;
}

static void bit_set(uint64_t *bits, uint32_t index, bool value)
{
    uint64_t mask = (uint64_t)1 << (index % WORD_BITS);
    bits[index / WORD_BITS] =
        value ? bits[index / WORD_BITS] | mask : bits[index / WORD_BITS] & ~mask;
}

/* All but the pages: in this order. */
static size_t books_bytes(const struct weft_file_options *options)
{
    size_t entries = options->entries * sizeof(struct weft_file_entry);
    size_t bitmaps = 2 * bitmap_words(page_count(options)) * sizeof(uint64_t);
    size_t buckets = 2 * bucket_count(options->entries) * sizeof(uint32_t);
    return WEFT_ALIGN_UP(entries + bitmaps + buckets, WEFT_PAGE_BYTES);
}

size_t weft_file_table_bytes(const struct weft_file_options *options)
{
    if (options->entries == 0)
        return 0;
    return books_bytes(options) + page_count(options) * WEFT_PAGE_BYTES;
}

weft_rc weft_file_table_init(struct weft_file_table *table, const struct weft_file_options *options,
                             struct weft_account *account,
                             void (*dropped)(struct weft_file_table *, struct weft_file_entry *))
{
    void *memory = NULL;
    weft_assert(options->entries > 0);
    WEFT_TRY(weft_account_map(account, weft_file_table_bytes(options), &memory));
    size_t pages = page_count(options), words = bitmap_words(pages);
    *table = (struct weft_file_table){.options = *options,
                                      .account = account,
                                      .dropped = dropped,
                                      .bucket_mask = bucket_count(options->entries) - 1,
                                      .page_count = (uint32_t)pages};
    table->newest = table->oldest = table->free = WEFT_FILE_NONE;
    table->entries = memory;
    table->taken = (uint64_t *)(void *)(table->entries + options->entries);
    table->touched = table->taken + words;
    table->buckets = (uint32_t *)(void *)(table->touched + words);
    table->pages = (char *)memory + books_bytes(options);
    table->watch_buckets = table->buckets + table->bucket_mask + 1;
    memset(table->buckets, 0xff, 2 * (table->bucket_mask + 1) * sizeof(*table->buckets));
    weft_account_commit(account, (ptrdiff_t)books_bytes(options));
    return 0;
}

weft_rc weft_file_table_prefault(struct weft_file_table *table)
{
    WEFT_TRY(weft_map_touch(table->entries, weft_file_table_bytes(&table->options)));
    for (uint32_t i = 0; i < table->page_count; i++)
        bit_set(table->touched, i, true);
    size_t bytes = table->page_count * WEFT_PAGE_BYTES;
    weft_account_commit(table->account, (ptrdiff_t)(bytes - table->booked));
    table->booked = bytes;
    return 0;
}

void weft_file_table_fini(struct weft_file_table *table)
{
    if (table->entries == NULL)
        return;
    while (table->oldest != WEFT_FILE_NONE)
        weft_file_table_drop(table, &table->entries[table->oldest]);
    weft_account_commit(table->account, -(ptrdiff_t)(books_bytes(&table->options) + table->booked));
    weft_account_unmap(table->account, table->entries, weft_file_table_bytes(&table->options));
    *table = (struct weft_file_table){0};
}

/* ---- entries ---- */

/* FNV-1a: names are short, and who chooses names that collide only slows himself: a bucket is
 * walked no further than there are entries. */
static uint32_t hash_of(int root_fd, weft_str path)
{
    uint32_t hash = 2166136261u ^ (uint32_t)root_fd;
    for (size_t i = 0; i < path.len; i++)
        hash = (hash ^ (unsigned char)path.ptr[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static uint32_t index_of(const struct weft_file_table *table, const struct weft_file_entry *entry)
{
    return (uint32_t)(entry - table->entries);
}

static void use_unlink(struct weft_file_table *table, struct weft_file_entry *entry)
{
    uint32_t *newer_link =
        entry->newer == WEFT_FILE_NONE ? &table->newest : &table->entries[entry->newer].older;
    uint32_t *older_link =
        entry->older == WEFT_FILE_NONE ? &table->oldest : &table->entries[entry->older].newer;
    *newer_link = entry->older;
    *older_link = entry->newer;
}

static void use_link(struct weft_file_table *table, struct weft_file_entry *entry)
{
    uint32_t index = index_of(table, entry);
    entry->newer = WEFT_FILE_NONE;
    entry->older = table->newest;
    if (table->newest == WEFT_FILE_NONE)
        table->oldest = index;
    else
        table->entries[table->newest].newer = index;
    table->newest = index;
}

static void unlist(struct weft_file_table *table, struct weft_file_entry *entry)
{
    uint32_t *link = &table->buckets[entry->hash & table->bucket_mask];
    while (&table->entries[*link] != entry)
        link = &table->entries[*link].chain;
    *link = entry->chain;
    use_unlink(table, entry);
    entry->listed = false;
}

/* Out of the table and used by nobody: gone. */
static void discard(struct weft_file_table *table, struct weft_file_entry *entry)
{
    weft_assert(!entry->listed);
    weft_assert(entry->refs == 0);
    table->dropped(table, entry);
    weft_file_table_unroom(table, entry);
    entry->newer = table->free;
    table->free = index_of(table, entry);
    table->used--;
    weft_account_unuse(table->account, sizeof(*entry));
}

void weft_file_table_drop(struct weft_file_table *table, struct weft_file_entry *entry)
{
    if (!entry->listed)
        return;
    unlist(table, entry);
    if (entry->refs == 0)
        discard(table, entry);
}

void weft_file_table_unref(struct weft_file_table *table, struct weft_file_entry *entry)
{
    weft_assert(entry->refs > 0);
    entry->refs--;
    if (entry->refs == 0 && !entry->listed)
        discard(table, entry);
}

static bool is_key(const struct weft_file_entry *entry, uint32_t hash, int root_fd, weft_str path)
{
    return entry->hash == hash && entry->root_fd == root_fd && entry->key_len == path.len &&
           memcmp(entry->key, path.ptr, path.len) == 0;
}

struct weft_file_entry *weft_file_table_find(struct weft_file_table *table, int root_fd,
                                             weft_str path, uint64_t now_ms)
{
    uint32_t hash = hash_of(root_fd, path);
    uint32_t index = table->buckets[hash & table->bucket_mask];
    while (index != WEFT_FILE_NONE && !is_key(&table->entries[index], hash, root_fd, path))
        index = table->entries[index].chain;
    if (index == WEFT_FILE_NONE)
        return NULL;
    struct weft_file_entry *entry = &table->entries[index];
    entry->used_ms = now_ms;
    entry->hits++;
    if (table->newest != index) {
        use_unlink(table, entry);
        use_link(table, entry);
    }
    return entry;
}

/* The one least recently used that no request holds. */
static struct weft_file_entry *victim(struct weft_file_table *table, bool with_copy)
{
    uint32_t index = table->oldest;
    for (int i = 0; i < EVICT_LOOK_MAX && index != WEFT_FILE_NONE; i++) {
        struct weft_file_entry *entry = &table->entries[index];
        if (entry->refs == 0 && (!with_copy || entry->pages > 0))
            return entry;
        index = entry->newer;
    }
    return NULL;
}

static struct weft_file_entry *take(struct weft_file_table *table)
{
    if (table->free == WEFT_FILE_NONE && table->fresh < table->options.entries)
        return &table->entries[table->fresh++];
    if (table->free == WEFT_FILE_NONE) {
        struct weft_file_entry *oldest = victim(table, false);
        if (oldest == NULL)
            return NULL;
        weft_file_table_drop(table, oldest);
    }
    struct weft_file_entry *entry = &table->entries[table->free];
    table->free = entry->newer;
    return entry;
}

struct weft_file_entry *weft_file_table_add(struct weft_file_table *table, int root_fd,
                                            weft_str path, uint64_t now_ms)
{
    weft_assert(path.len < WEFT_FILE_KEY_BYTES);
    struct weft_file_entry *entry = weft_fail_point("file") ? NULL : take(table);
    if (entry == NULL) {
        weft_account_refuse(table->account);
        return NULL;
    }
    *entry = (struct weft_file_entry){.table = table,
                                      .file = {.fd = -1},
                                      .watch = WEFT_FILE_UNWATCHED,
                                      .listed = true,
                                      .used_ms = now_ms,
                                      .checked_ms = now_ms,
                                      .root_fd = root_fd,
                                      .hash = hash_of(root_fd, path),
                                      .key_len = (uint16_t)path.len};
    memcpy(entry->key, path.ptr, path.len);
    uint32_t *bucket = &table->buckets[entry->hash & table->bucket_mask];
    entry->chain = *bucket;
    *bucket = index_of(table, entry);
    use_link(table, entry);
    table->used++;
    weft_account_use(table->account, sizeof(*entry));
    return entry;
}

/* ---- watches ---- */

/* Names are numbers that the system gives in turn. */
static uint32_t *watch_bucket(const struct weft_file_table *table, int watch)
{
    return &table->watch_buckets[(uint32_t)watch & table->bucket_mask];
}

void weft_file_table_watch(struct weft_file_table *table, struct weft_file_entry *entry, int watch)
{
    uint32_t *bucket = watch_bucket(table, watch);
    weft_assert(entry->watch == WEFT_FILE_UNWATCHED);
    entry->watch = watch;
    entry->watch_chain = *bucket;
    *bucket = index_of(table, entry);
}

bool weft_file_table_unwatch(struct weft_file_table *table, struct weft_file_entry *entry)
{
    bool last = true;
    uint32_t *link = watch_bucket(table, entry->watch);
    while (*link != WEFT_FILE_NONE) {
        struct weft_file_entry *one = &table->entries[*link];
        if (one == entry) {
            *link = entry->watch_chain;
            continue;
        }
        last &= one->watch != entry->watch;
        link = &one->watch_chain;
    }
    entry->watch = WEFT_FILE_UNWATCHED;
    return last;
}

static uint32_t drop_all_watched(struct weft_file_table *table)
{
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < table->fresh; i++) {
        struct weft_file_entry *entry = &table->entries[i];
        if (!entry->listed || entry->watch == WEFT_FILE_UNWATCHED)
            continue;
        weft_file_table_drop(table, entry);
        dropped++;
    }
    return dropped;
}

uint32_t weft_file_table_drop_watched(struct weft_file_table *table, int watch)
{
    uint32_t dropped = 0;
    if (watch == WEFT_FILE_UNWATCHED)
        return drop_all_watched(table);
    for (uint32_t next, i = *watch_bucket(table, watch); i != WEFT_FILE_NONE; i = next) {
        struct weft_file_entry *entry = &table->entries[i];
        next = entry->watch_chain; /* it may be gone afterwards */
        if (!entry->listed || entry->watch != watch)
            continue;
        weft_file_table_drop(table, entry);
        dropped++;
    }
    return dropped;
}

/* ---- copies ---- */

/* A run of free pages in [from, to); WEFT_FILE_NONE: there is none. */
static uint32_t run_in(const struct weft_file_table *table, uint32_t from, uint32_t to,
                       uint32_t pages)
{
    uint32_t run = 0;
    for (uint32_t i = from; i < to; i++) {
        if (i % WORD_BITS == 0 && table->taken[i / WORD_BITS] == UINT64_MAX) {
            run = 0;
            i += WORD_BITS - 1;
            continue;
        }
        run = bit(table->taken, i) ? 0 : run + 1;
        if (run == pages)
            return i + 1 - pages;
    }
    return WEFT_FILE_NONE;
}

static uint32_t find_run(const struct weft_file_table *table, uint32_t pages)
{
    if (pages > table->page_count - table->pages_used)
        return WEFT_FILE_NONE;
    uint32_t found = run_in(table, table->page_at, table->page_count, pages);
    uint32_t end = WEFT_MIN(table->page_at + pages, table->page_count);
    return found != WEFT_FILE_NONE ? found : run_in(table, 0, end, pages);
}

static void take_run(struct weft_file_table *table, uint32_t page, uint32_t pages)
{
    size_t fresh = 0;
    for (uint32_t i = page; i < page + pages; i++) {
        bit_set(table->taken, i, true);
        fresh += !bit(table->touched, i);
        bit_set(table->touched, i, true);
    }
    table->pages_used += pages;
    table->page_at = page + pages;
    table->booked += fresh * WEFT_PAGE_BYTES;
    weft_account_commit(table->account, (ptrdiff_t)(fresh * WEFT_PAGE_BYTES));
    weft_account_use(table->account, pages * WEFT_PAGE_BYTES);
}

char *weft_file_table_room(struct weft_file_table *table, struct weft_file_entry *entry)
{
    weft_assert(entry->pages == 0);
    size_t bytes = WEFT_ALIGN_UP((size_t)entry->file.size, WEFT_PAGE_BYTES);
    uint32_t pages = (uint32_t)(bytes / WEFT_PAGE_BYTES);
    if (pages == 0 || pages > table->page_count)
        return NULL;
    uint32_t page = find_run(table, pages);
    for (int i = 0; page == WEFT_FILE_NONE && i < ROOM_EVICT_MAX; i++) {
        struct weft_file_entry *oldest = victim(table, true);
        if (oldest == NULL)
            break;
        weft_file_table_drop(table, oldest);
        page = find_run(table, pages);
    }
    if (page == WEFT_FILE_NONE || weft_fail_point("copy")) {
        weft_account_refuse(table->account);
        return NULL;
    }
    take_run(table, page, pages);
    entry->page = page;
    entry->pages = pages;
    return table->pages + page * WEFT_PAGE_BYTES;
}

void weft_file_table_copied(struct weft_file_table *table, struct weft_file_entry *entry)
{
    weft_assert(entry->pages > 0);
    entry->file.body =
        weft_str_make(table->pages + entry->page * WEFT_PAGE_BYTES, (size_t)entry->file.size);
}

void weft_file_table_unroom(struct weft_file_table *table, struct weft_file_entry *entry)
{
    if (entry->pages == 0)
        return;
    for (uint32_t i = entry->page; i < entry->page + entry->pages; i++)
        bit_set(table->taken, i, false);
    table->pages_used -= entry->pages;
    weft_account_unuse(table->account, entry->pages * WEFT_PAGE_BYTES);
    entry->pages = 0;
    entry->file.body = (weft_str){0};
}

/* Pages that were touched and hold nothing go back to the system, run by run. */
static void trim(struct weft_file_table *table)
{
    size_t trimmed = 0;
    uint32_t i = 0;
    while (i < table->page_count) {
        uint32_t from = i;
        while (i < table->page_count && bit(table->touched, i) && !bit(table->taken, i))
            bit_set(table->touched, i++, false);
        if (i > from)
            (void)madvise(table->pages + from * WEFT_PAGE_BYTES, (i - from) * WEFT_PAGE_BYTES,
                          MADV_DONTNEED); /* else they stay in memory: no harm */
        trimmed += i - from;
        i += i == from;
    }
    table->booked -= trimmed * WEFT_PAGE_BYTES;
    weft_account_commit(table->account, -(ptrdiff_t)(trimmed * WEFT_PAGE_BYTES));
}

bool weft_file_table_age(struct weft_file_table *table, uint64_t before_ms)
{
    uint32_t index = table->oldest;
    while (index != WEFT_FILE_NONE && table->entries[index].used_ms < before_ms) {
        struct weft_file_entry *entry = &table->entries[index];
        index = entry->newer;
        if (entry->refs == 0)
            weft_file_table_drop(table, entry);
    }
    if (table->booked > table->pages_used * WEFT_PAGE_BYTES)
        trim(table);
    return table->used > 0 || table->booked > 0;
}
