/* pmem_map.h - a file of fixed size as memory, and what makes a store to it last.
 *
 * Through libpmem, loaded when the first file is mapped: on persistent memory (DAX) a cache line is
 * flushed by an instruction, elsewhere pages are written back by msync(2). Without the library the
 * file is mapped as it comes and msync(2) does it all. A killed process loses nothing either way:
 * its stores are in the kernel's pages; what flush and fence are for is a machine that stops.
 *
 * Lifetime: from open or create to close. The file is locked for as long: one process at a time.
 * Threads:  one at a time.
 * Memory:   no heap of ours. The file's pages are the page cache's: they count in RSS (RssFile, or
 *           RssShmem on tmpfs) while mapped, and the kernel takes them back when it needs to.
 */
#ifndef WEFT_MEM_PMEM_MAP_H
#define WEFT_MEM_PMEM_MAP_H

#include "base/base.h"

/** How bytes get into a mapping and become durable. A table, so that a test can write down what
 *  happens and play a crash after any of it. */
struct weft_pmem_ops {
    /** memcpy() into the mapping: durable in any order and in part, until flushed and fenced. */
    void (*store)(void *context, void *to, const void *from, size_t bytes);
    /** One aligned word, all of it or nothing. */
    void (*store_word)(void *context, uint64_t *to, uint64_t value);
    /** Begin to make what was stored to these bytes durable.
     *  returns  0; a negated errno: whether it is durable is not known */
    weft_rc (*flush)(void *context, const void *at, size_t bytes);
    /** Wait until all that was flushed is durable. returns  as flush() */
    weft_rc (*fence)(void *context);
};

enum weft_pmem_way {
    WEFT_PMEM_BEST,  /* libpmem where it is there */
    WEFT_PMEM_MSYNC, /* without libpmem */
};

struct weft_pmem_library; /* libpmem's functions; pmem_map.c */

struct weft_pmem_map {
    char *base; /* owned: `bytes` of it, MAP_SHARED; NULL when closed */
    size_t bytes;
    int fd;                                  /* owned: holds the lock */
    const struct weft_pmem_library *library; /* NULL: by msync(2) alone */
    bool persistent;                         /* the mapping is persistent memory itself */
    const struct weft_pmem_ops *ops;         /* static; their context is the map */
};

/** Map a file that exists, whole, and lock it.
 *  path_z   zero-terminated
 *  returns  0; -EBUSY: another process has it; a negated errno (-ENOENT, -EACCES ...);
 *           WEFT_ENOTSUP: not a regular file, or an empty one */
WEFT_CHECK
weft_rc weft_pmem_map_open(struct weft_pmem_map *map, const char *path_z, enum weft_pmem_way way);

/** Make a file of that size, its blocks allocated (a hole would be a SIGBUS on a full disk), all
 *  zero, map and lock it. It has no name before weft_pmem_map_publish(), where the filesystem can
 *  do that (O_TMPFILE); elsewhere it has its name at once.
 *  returns  0; -EEXIST: a file of that name is there, untouched; -ENAMETOOLONG: its folder has
 *           1,024 bytes or more; a negated errno */
WEFT_CHECK
weft_rc weft_pmem_map_create(struct weft_pmem_map *map, const char *path_z, size_t bytes,
                             enum weft_pmem_way way);

/** Give a created file its name, durably. returns  0; -EEXIST; a negated errno */
WEFT_CHECK
weft_rc weft_pmem_map_publish(const struct weft_pmem_map *map, const char *path_z);

/** Unmap and unlock; a zeroed map is accepted. What was flushed and fenced stays in the file. */
void weft_pmem_map_close(struct weft_pmem_map *map);

#endif
