/* pmem_open.c - the file around the records of pmem.c: its header, making it, opening it, and the
 * words for what may be wrong with it.
 *
 * The header is written once, before the file has its name. Where a file is not what is expected,
 * nothing is repaired and nothing begun anew: what to do with it is for a person to say.
 */
#include "mem/pmem_priv.h"
#include "base/fmt.h"
#include <errno.h>

#define RECORDS_PER_SEGMENT 8 /* a record takes at most this part of one */

struct header {
    uint64_t magic;
    uint32_t version;
    uint32_t segment_count;
    uint64_t file_bytes;
    uint64_t sum; /* of the above */
};

static uint64_t sum_header(const struct header *header)
{
    return weft_pmem_sum_bytes(WEFT_PMEM_MAGIC, (const char *)header, offsetof(struct header, sum));
}

static bool size_is_good(size_t file_bytes)
{
    return file_bytes >= WEFT_PMEM_FILE_BYTES_MIN && file_bytes <= WEFT_PMEM_FILE_BYTES_MAX &&
           file_bytes % WEFT_PAGE_BYTES == 0;
}

static size_t segment_size(size_t file_bytes)
{
    return (file_bytes - WEFT_PAGE_BYTES) / WEFT_PMEM_SEGMENTS & ~(WEFT_CACHE_LINE - 1);
}

static size_t largest_record(size_t file_bytes)
{
    return segment_size(file_bytes) / RECORDS_PER_SEGMENT & ~(size_t)7;
}

size_t weft_pmem_record_bytes_max(size_t file_bytes)
{
    return size_is_good(file_bytes) ? largest_record(file_bytes) - WEFT_PMEM_RECORD_HEAD_BYTES : 0;
}

static uint32_t slots_for(uint32_t record_count_max)
{
    uint32_t count = 512; /* a page */
    while (count < 2 * record_count_max)
        count *= 2;
    return count;
}

size_t weft_pmem_bytes(uint32_t record_count_max)
{
    if (record_count_max == 0 || record_count_max > WEFT_PMEM_RECORDS_MAX)
        return 0;
    return slots_for(record_count_max) * sizeof(struct weft_pmem_slot);
}

static weft_rc trouble(struct weft_pmem_problem *out, enum weft_pmem_trouble what, weft_rc rc,
                       uint64_t found, uint64_t wanted)
{
    out->trouble = what;
    out->rc = rc;
    out->found = found;
    out->wanted = wanted;
    return rc;
}

static weft_rc check_header(const struct header *header, size_t bytes,
                            struct weft_pmem_problem *out)
{
    if (header->magic == 0 && header->sum == 0)
        return trouble(out, WEFT_PMEM_UNFINISHED, WEFT_ECONFIG, 0, 0);
    if (header->magic != WEFT_PMEM_MAGIC)
        return trouble(out, WEFT_PMEM_NO_STORE, WEFT_ECONFIG, header->magic, WEFT_PMEM_MAGIC);
    if (header->version != WEFT_PMEM_VERSION)
        return trouble(out, WEFT_PMEM_VERSION_IS, WEFT_ECONFIG, header->version, WEFT_PMEM_VERSION);
    if (header->sum != sum_header(header) || header->segment_count != WEFT_PMEM_SEGMENTS)
        return trouble(out, WEFT_PMEM_HEADER, WEFT_ECONFIG, header->sum, sum_header(header));
    if (header->file_bytes != bytes || !size_is_good(bytes))
        return trouble(out, WEFT_PMEM_CUT, WEFT_ECONFIG, bytes, header->file_bytes);
    return 0;
}

void weft_pmem_format(void *base, size_t bytes)
{
    weft_assert(size_is_good(bytes));
    struct header header = {.magic = WEFT_PMEM_MAGIC,
                            .version = WEFT_PMEM_VERSION,
                            .segment_count = WEFT_PMEM_SEGMENTS,
                            .file_bytes = bytes};
    header.sum = sum_header(&header);
    memcpy(base, &header, sizeof(header));
}

static weft_rc flush_nothing(void *context, const void *at, size_t bytes)
{
    (void)context;
    (void)at;
    (void)bytes;
    return 0;
}

static weft_rc fence_nothing(void *context)
{
    (void)context;
    return 0;
}

static void store_plain(void *context, void *to, const void *from, size_t bytes)
{
    (void)context;
    memcpy(to, from, bytes);
}

static void store_word_plain(void *context, uint64_t *to, uint64_t value)
{
    (void)context;
    *to = value;
}

static const struct weft_pmem_ops plain_ops = {store_plain, store_word_plain, flush_nothing,
                                               fence_nothing};

static void set_sizes(struct weft_pmem *store, size_t bytes)
{
    store->segment_bytes = segment_size(bytes);
    store->record_bytes_max = largest_record(bytes);
    store->live_max = (WEFT_PMEM_SEGMENTS - 2) * (store->segment_bytes - store->record_bytes_max);
}

static weft_rc map_index(struct weft_pmem *store)
{
    size_t bytes = weft_pmem_bytes(store->record_count_max);
    void *slots = NULL;
    WEFT_TRY(weft_account_map(store->account, bytes, &slots));
    weft_account_commit(store->account, (ptrdiff_t)bytes); /* hashing touches all of it soon */
    store->slots = slots;
    store->slot_count = slots_for(store->record_count_max);
    return 0;
}

weft_rc weft_pmem_attach(struct weft_pmem *store, struct weft_account *account, void *base,
                         size_t bytes, uint32_t record_count_max, const struct weft_pmem_ops *ops,
                         void *ops_context, struct weft_pmem_problem *out_problem)
{
    weft_assert(record_count_max > 0);
    weft_assert(record_count_max <= WEFT_PMEM_RECORDS_MAX);
    WEFT_TRY(check_header(base, bytes, out_problem));
    struct weft_pmem made = {.base = base,
                             .ops = ops != NULL ? ops : &plain_ops,
                             .ops_context = ops_context,
                             .record_count_max = record_count_max,
                             .account = account};
    weft_hash_key_make(&made.hash_key);
    set_sizes(&made, bytes);
    weft_rc rc = map_index(&made);
    if (rc == 0)
        rc = weft_pmem_recover(&made);
    if (rc == 0) {
        *store = made;
        out_problem->trouble = WEFT_PMEM_GOOD;
        return 0;
    }
    weft_pmem_close(&made);
    if (rc == WEFT_EFULL)
        return trouble(out_problem, WEFT_PMEM_TOO_MANY, WEFT_ECONFIG, record_count_max, 0);
    return trouble(out_problem, WEFT_PMEM_SYSTEM, rc, 0, 0);
}

void weft_pmem_close(struct weft_pmem *store)
{
    if (store->slots != NULL) {
        size_t bytes = weft_pmem_bytes(store->record_count_max);
        weft_account_unuse(store->account, store->record_count * sizeof(struct weft_pmem_slot));
        weft_account_commit(store->account, -(ptrdiff_t)bytes);
        weft_account_unmap(store->account, store->slots, bytes);
    }
    if (store->map.base != NULL)
        weft_account_untell(store->account, store->map.base);
    weft_pmem_map_close(&store->map);
    *store = (struct weft_pmem){0};
}

/* A new file has its header before it has its name. */
static weft_rc make(struct weft_pmem_map *map, const struct weft_pmem_options *options)
{
    WEFT_TRY(weft_pmem_map_create(map, options->path_z, options->file_bytes, options->way));
    weft_pmem_format(map->base, map->bytes);
    weft_rc rc = map->ops->flush(map, map->base, WEFT_PAGE_BYTES);
    if (rc == 0)
        rc = map->ops->fence(map);
    if (rc == 0)
        rc = weft_pmem_map_publish(map, options->path_z);
    if (rc != 0)
        weft_pmem_map_close(map);
    return rc;
}

static weft_rc open_or_make(struct weft_pmem_map *map, const struct weft_pmem_options *options,
                            struct weft_pmem_problem *out)
{
    weft_rc rc = weft_pmem_map_open(map, options->path_z, options->way);
    if (rc == (weft_rc)-ENOENT)
        rc = make(map, options);
    if (rc == 0)
        return 0;
    enum weft_pmem_trouble what = WEFT_PMEM_SYSTEM;
    if (rc == (weft_rc)-EBUSY)
        what = WEFT_PMEM_BUSY;
    else if (rc == WEFT_ENOTSUP)
        what = WEFT_PMEM_NO_FILE;
    return trouble(out, what, rc == WEFT_ENOTSUP ? WEFT_ECONFIG : rc, 0, 0);
}

static weft_rc open_map(struct weft_pmem *store, struct weft_account *account,
                        struct weft_pmem_map *map, const struct weft_pmem_options *options,
                        struct weft_pmem_problem *out)
{
    if (map->bytes < WEFT_PAGE_BYTES) /* a header is there, and what explains it */
        return trouble(out, WEFT_PMEM_CUT, WEFT_ECONFIG, map->bytes, options->file_bytes);
    WEFT_TRY(check_header((const struct header *)(const void *)map->base, map->bytes, out));
    if (map->bytes != options->file_bytes)
        return trouble(out, WEFT_PMEM_SIZE_IS, WEFT_ECONFIG, map->bytes, options->file_bytes);
    return weft_pmem_attach(store, account, map->base, map->bytes, options->record_count_max,
                            map->ops, map, out);
}

weft_rc weft_pmem_open(struct weft_pmem *store, struct weft_account *account,
                       const struct weft_pmem_options *options,
                       struct weft_pmem_problem *out_problem)
{
    *out_problem = (struct weft_pmem_problem){.path_z = options->path_z};
    if (!size_is_good(options->file_bytes))
        return trouble(out_problem, WEFT_PMEM_SIZE_BAD, WEFT_ECONFIG, options->file_bytes, 0);
    struct weft_pmem_map map = {0};
    WEFT_TRY(open_or_make(&map, options, out_problem));
    weft_rc rc = open_map(store, account, &map, options, out_problem);
    if (rc != 0) {
        weft_pmem_map_close(&map);
        return rc;
    }
    weft_account_tell(account, map.base, map.bytes);
    store->map = map;
    store->ops_context = &store->map; /* the map has moved */
    return 0;
}

/* ---- words ---- */

size_t weft_pmem_explain(const struct weft_pmem_problem *problem, char *to, size_t room)
{
    static const char *const words[] = {
        [WEFT_PMEM_GOOD] = "is open",
        [WEFT_PMEM_SYSTEM] = "cannot be opened: ",
        [WEFT_PMEM_BUSY] = "another process has it open: stop that one, or name another file",
        [WEFT_PMEM_NO_FILE] = "not a regular file with something in it: name another one",
        [WEFT_PMEM_UNFINISHED] = "begins with zeros: a start that was killed may have left it so. "
                                 "If nothing else uses it, remove it, and it is made anew",
        [WEFT_PMEM_NO_STORE] = "not a record store: it begins with other bytes (0x%llx, expected "
                               "0x%llx). Name another file, or remove this one if it is not needed",
        [WEFT_PMEM_VERSION_IS] = "format version %llu found, version %llu expected: start the "
                                 "program that wrote it, or remove it to begin with an empty one",
        [WEFT_PMEM_HEADER] = "its header is damaged: checksum 0x%llx found, 0x%llx expected. "
                             "Restore it from a copy, or remove it to begin with an empty one",
        [WEFT_PMEM_CUT] = "the file has %llu bytes, its header says %llu: it was cut or extended. "
                          "Restore it from a copy, or remove it to begin with an empty one",
        [WEFT_PMEM_SIZE_IS] = "made with %llu bytes, %llu are asked for: ask for the size it has, "
                              "or remove it to begin with an empty one",
        [WEFT_PMEM_SIZE_BAD] = "a size of %llu bytes is asked for: it must be a multiple of 4096 "
                               "from 131072 to 34359738368",
        [WEFT_PMEM_TOO_MANY] = "holds more records than %llu, the most that is asked for: ask for "
                               "more",
    };
    const char *path_z = problem->path_z != NULL ? problem->path_z : "(memory)";
    size_t len = WEFT_MIN(weft_fmt(to, room, "%s: ", path_z), room);
    len += weft_fmt(to + len, room - len, words[problem->trouble],
                    (unsigned long long)problem->found, (unsigned long long)problem->wanted);
    len = WEFT_MIN(len, room);
    const char *more_z = "";
    if (problem->trouble == WEFT_PMEM_SYSTEM)
        more_z = weft_rc_text(problem->rc);
    else if (problem->rc == WEFT_ECONFIG && problem->trouble != WEFT_PMEM_SIZE_BAD)
        more_z = " (nothing in it was changed)";
    return WEFT_MIN(len + weft_fmt(to + len, room - len, "%s", more_z), room);
}
