/* file_table.h - which files a worker has open, by root and path, and memory for small ones.
 *
 * Entries in a hash table, least recently used first to go; pages of one reservation for copies of
 * small files. What is in use by a request stays until that ends, also when its name is found no
 * more. Nothing here makes a system call on a file: open_files.h does.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   weft_file_table_bytes(): entries, and pages for copies; touched as they are used,
 * handed back when nobody asked for a file for `idle_ms`.
 */
#ifndef WEFT_SERVE_FILES_FILE_TABLE_H
#define WEFT_SERVE_FILES_FILE_TABLE_H

#include "mem/budget.h"

#define WEFT_FILE_ETAG_BYTES 64
#define WEFT_FILE_KEY_BYTES  160 /* with the zero: files of longer paths are not kept */
#define WEFT_FILE_NONE       UINT32_MAX
#define WEFT_FILE_UNWATCHED  (-1)

/* What who answers with a file is told of it. */
struct weft_open_file {
    int fd; /* to send from; -1: all of it is in `body` */
    uint64_t size;
    int64_t mtime_s; /* since 1970 */
    uint32_t mtime_ns;
    uint64_t device, inode;
    weft_str etag; /* strong, quotes included: size and time of change (RFC 9110 8.8.3) */
    weft_str body; /* the whole file in memory; ptr NULL: it is not */
};

struct weft_file_options {
    uint32_t entries;      /* files kept open at most; 0: none are */
    size_t hot_bytes;      /* for copies of small files, all together */
    size_t hot_file_bytes; /* files up to this size are copied; 0: none is */
    uint32_t valid_ms;     /* so long a file is taken for what it was without a look at it */
    uint32_t idle_ms;      /* not asked for so long: closed; 0: kept until others need the room */
};

struct weft_file_table;

struct weft_file_entry {
    struct weft_file_table *table; /* borrowed: the one that it is in */
    struct weft_open_file file;
    int64_t ctime_s; /* when anything about it changed: more than mtime tells */
    uint32_t ctime_ns;
    uint32_t refs; /* requests that use it */
    uint32_t hits; /* times that it was found */
    int watch;     /* inotify's name for it; WEFT_FILE_UNWATCHED */
    bool listed;   /* can be found */
    uint8_t lacks; /* files beside it that are not there, as whoever asks numbers them: bits */
    uint64_t lacks_until_ms;
    bool copying;        /* its copy is being made */
    uint64_t checked_ms; /* when it was last seen to be what the entry says */
    uint64_t used_ms;
    uint32_t chain;        /* next of its bucket */
    uint32_t watch_chain;  /* the same, of those that are watched */
    uint32_t newer, older; /* by use; `newer` links what is free */
    uint32_t page, pages;  /* of its copy */
    uint32_t hash;
    int root_fd;
    uint16_t key_len;
    char key[WEFT_FILE_KEY_BYTES]; /* path below the root, zero-terminated */
    char etag[WEFT_FILE_ETAG_BYTES];
};

struct weft_file_table {
    struct weft_file_options options;
    struct weft_account *account; /* borrowed */
    void (*dropped)(struct weft_file_table *table, struct weft_file_entry *entry);
    uint32_t bucket_mask;
    uint32_t newest, oldest, free;
    uint32_t fresh; /* entries [fresh, options.entries) were never used */
    uint32_t used;
    uint32_t page_count, pages_used, page_at; /* page_at: where the next search begins */
    size_t booked;                            /* bytes of pages touched and not handed back */
    struct weft_file_entry *entries;          /* owned: one mapping with all that follows */
    uint32_t *buckets, *watch_buckets;
    uint64_t *taken, *touched; /* bit per page */
    char *pages;
};

/** Bytes at worst. */
size_t weft_file_table_bytes(const struct weft_file_options *options);

/** dropped  called for an entry that goes, before its memory does: its descriptor, its watch
 *  returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_file_table_init(struct weft_file_table *table,
                                        const struct weft_file_options *options,
                                        struct weft_account *account,
                                        void (*dropped)(struct weft_file_table *table,
                                                        struct weft_file_entry *entry));
/** Have every page in memory from now on.
 *  returns  0; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_file_table_prefault(struct weft_file_table *table);
/** Nobody uses an entry any more. */
void weft_file_table_fini(struct weft_file_table *table);

/** The entry of a file, and the one most recently used from now on; NULL: there is none. */
struct weft_file_entry *weft_file_table_find(struct weft_file_table *table, int root_fd,
                                             weft_str path, uint64_t now_ms);

/** A new entry that is found under root and path, its file yet to be filled in (no descriptor, no
 *  copy), at the cost of the one least recently used; path below WEFT_FILE_KEY_BYTES.
 *  returns  NULL: all are in use by requests */
struct weft_file_entry *weft_file_table_add(struct weft_file_table *table, int root_fd,
                                            weft_str path, uint64_t now_ms);

/** It is not what it was: not found from now on, and gone when nobody uses it. */
void weft_file_table_drop(struct weft_file_table *table, struct weft_file_entry *entry);

static inline void weft_file_table_ref(struct weft_file_entry *entry)
{
    entry->refs++;
}
void weft_file_table_unref(struct weft_file_table *table, struct weft_file_entry *entry);

/** Pages for a copy of the entry's file, at the cost of the copies least recently used.
 *  returns  where to; NULL: no room */
char *weft_file_table_room(struct weft_file_table *table, struct weft_file_entry *entry);
/** They hold what the file does: it is sent from there. */
void weft_file_table_copied(struct weft_file_table *table, struct weft_file_entry *entry);
void weft_file_table_unroom(struct weft_file_table *table, struct weft_file_entry *entry);

/** Drop what nobody uses and nobody asked for since before_ms; hand back pages. Returns whether
 *  anything is left. */
bool weft_file_table_age(struct weft_file_table *table, uint64_t before_ms);

/** Drop all that are watched under this name, or under any (WEFT_FILE_UNWATCHED). Returns how
 *  many. */
uint32_t weft_file_table_drop_watched(struct weft_file_table *table, int watch);

/** Its file is watched under this name from now on; it was not before. */
void weft_file_table_watch(struct weft_file_table *table, struct weft_file_entry *entry, int watch);

/** It is watched no longer; it was. Returns whether the name is no other entry's (hard links, two
 *  roots have the same). */
WEFT_CHECK bool weft_file_table_unwatch(struct weft_file_table *table,
                                        struct weft_file_entry *entry);

#endif
