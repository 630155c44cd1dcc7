/* pmem.h - records (key, bytes, expiry) in a file that is mapped, which survive the process.
 *
 * What weft_pmem_put() or _delete() acknowledged is there after kill -9, and after the machine
 * stops; what was under way is there whole or not at all. The format, and why it is sound, stands
 * in pmem.c.
 *
 * Lifetime: from open to close; its file outlives it. One process has a file at a time.
 * Threads:  the owner's only.
 * Memory:   the index: weft_pmem_bytes(record_count_max), mapped at open and booked to the account.
 *           The file's pages are the page cache's (pmem_map.h).
 */
#ifndef WEFT_MEM_PMEM_H
#define WEFT_MEM_PMEM_H

#include "base/hash.h"
#include "mem/budget.h"
#include "mem/pmem_map.h"

#define WEFT_PMEM_VERSION        1
#define WEFT_PMEM_SEGMENTS       16
#define WEFT_PMEM_FILE_BYTES_MIN ((size_t)128 << 10)
#define WEFT_PMEM_FILE_BYTES_MAX ((size_t)32 << 30)
#define WEFT_PMEM_RECORDS_MAX    ((uint32_t)1 << 27)

/* What a file was opened with, or why it was not. */
enum weft_pmem_trouble {
    WEFT_PMEM_GOOD,
    WEFT_PMEM_SYSTEM,     /* the system refused: rc says what */
    WEFT_PMEM_BUSY,       /* another process has it open */
    WEFT_PMEM_NO_FILE,    /* a folder or a device, or a file without a byte */
    WEFT_PMEM_UNFINISHED, /* begins with zeros: a start was killed while it made the file */
    WEFT_PMEM_NO_STORE,   /* begins with something else */
    WEFT_PMEM_VERSION_IS, /* another version's; found, wanted */
    WEFT_PMEM_HEADER,     /* the header's checksum is wrong */
    WEFT_PMEM_CUT,        /* the file has another size (found) than its header says (wanted) */
    WEFT_PMEM_SIZE_IS,    /* made with another size (found) than is asked for (wanted) */
    WEFT_PMEM_SIZE_BAD,   /* the size asked for (found) is outside the range */
    WEFT_PMEM_TOO_MANY,   /* holds more records than the index may have (found) */
};

struct weft_pmem_problem {
    enum weft_pmem_trouble trouble;
    weft_rc rc;
    const char *path_z; /* borrowed: as the options' */
    uint64_t found, wanted;
};

/** One line for whoever started it, not zero-terminated: the file, what was found, what was
 *  expected, what to do. Cut at `room`; returns bytes written. */
size_t weft_pmem_explain(const struct weft_pmem_problem *problem, char *to, size_t room);

struct weft_pmem_options {
    const char *path_z;        /* borrowed: until open returns, and while its problem is read */
    size_t file_bytes;         /* of the whole file, given when it is made: a multiple of 4,096 */
    uint32_t record_count_max; /* 1..WEFT_PMEM_RECORDS_MAX; may change from one open to the next */
    enum weft_pmem_way way;
};

struct weft_pmem_segment {
    size_t used;      /* bytes of records, dead ones too; 0: free */
    size_t live;      /* bytes of those that are looked up */
    uint32_t records; /* that are looked up */
    bool damaged;     /* its row ends at a damaged record: nothing is appended */
};

struct weft_pmem_slot;

struct weft_pmem {
    struct weft_pmem_map map;
    char *base;                      /* borrowed: the map's, or a test's bytes */
    const struct weft_pmem_ops *ops; /* borrowed */
    void *ops_context;
    size_t segment_bytes;
    size_t record_bytes_max; /* of a record with its header */
    size_t live_max;         /* bytes of records that may be looked up, headers included */
    uint32_t active;         /* segment that is appended to; WEFT_PMEM_SEGMENTS: none yet */
    struct weft_pmem_segment segments[WEFT_PMEM_SEGMENTS];
    size_t live; /* bytes: of them live */
    uint64_t sequence_next;
    struct weft_hash_key hash_key; /* of the index: keys come from clients */
    struct weft_pmem_slot *slots;  /* owned: the index, a power of two */
    uint32_t slot_count;
    uint32_t record_count, record_count_max;
    uint32_t sweep_at;             /* slot at which the next sweep begins */
    weft_rc failed;                /* of a flush: from then on nothing is written any more */
    uint64_t cleaned, moved_bytes; /* segments emptied; bytes that this copied */
    uint64_t damaged;              /* records found damaged at open: what followed them is lost */
    struct weft_account *account;  /* borrowed: outlives the store */
};

struct weft_pmem_record {
    weft_str key, value; /* borrowed: until the next put, delete, sweep or close */
    uint64_t expiry;     /* as given to put */
    uint64_t sequence;   /* order of puts: grows */
};

/** Bytes of memory beside the file, at worst; 0: record_count_max is out of range. */
size_t weft_pmem_bytes(uint32_t record_count_max);

/** Longest key and value together, in bytes; 0: no such file size. About a 128th of the file. */
size_t weft_pmem_record_bytes_max(size_t file_bytes);

/** Open the file or, where there is none, make it; find the records. Reads the whole file.
 *  store        stays where it is until it is closed
 *  account      books the index; WEFT_ACCOUNT_PROCESS or a worker's
 *  out_problem  why not, for weft_pmem_explain(); written on every error and on 0
 *  returns      0; WEFT_ECONFIG: the file is not what the options say, or another's: nothing in it
 *               was changed; WEFT_EBUDGET, WEFT_ENOMEM; a negated errno */
WEFT_CHECK
weft_rc weft_pmem_open(struct weft_pmem *store, struct weft_account *account,
                       const struct weft_pmem_options *options,
                       struct weft_pmem_problem *out_problem);

/** Nothing is written: all that was acknowledged is in the file. A zeroed store is accepted. */
void weft_pmem_close(struct weft_pmem *store);

/** Set a key to a value, durably, once it returns 0.
 *  key, value  not in this store's own file; key.len > 0
 *  expiry      from when on it is not found any more, in the caller's unit; 0 = never
 *  now         the present in that unit; what has expired may be dropped where space is needed
 *  returns     0; WEFT_ELIMIT: longer than weft_pmem_record_bytes_max(); WEFT_EFULL: as many bytes
 *              or records as may be (delete or sweep some; counted in the account); a negated
 *              errno: the system could not write, and the store takes nothing any more. On an error
 *              the old value stands, after the last one maybe the new
 *  cost        the bytes, two flushes (three where a value is replaced); when a segment is full, up
 *              to a 16th of the file is copied to make room */
WEFT_CHECK
weft_rc weft_pmem_put(struct weft_pmem *store, weft_str key, weft_str value, uint64_t expiry,
                      uint64_t now);

/** returns  whether the key is there and has not expired; *out only then */
bool weft_pmem_get(const struct weft_pmem *store, weft_str key, uint64_t now,
                   struct weft_pmem_record *out);

/** Remove a key, durably, once it returns 0. One flush.
 *  returns  0; WEFT_ENOTFOUND; a negated errno as weft_pmem_put() */
WEFT_CHECK
weft_rc weft_pmem_delete(struct weft_pmem *store, weft_str key);

/** Remove records that have expired, looking at `look` places of the index; the next call goes on
 *  from there.
 *  out_removed  number of them
 *  returns      0; a negated errno as weft_pmem_put() */
WEFT_CHECK
weft_rc weft_pmem_sweep(struct weft_pmem *store, uint64_t now, uint32_t look,
                        uint32_t *out_removed);

/** Make room in a full store: remove `count` records, those that were put first as near as
 *  segments tell it (what moved to make room counts as its segment's first).
 *  returns  0; a negated errno as weft_pmem_put(); *out_removed is 0 when it is empty */
WEFT_CHECK
weft_rc weft_pmem_drop_oldest(struct weft_pmem *store, uint32_t count, uint32_t *out_removed);

/** Call fn for each record, in no order; those that have expired too. It may not change the store.
 */
void weft_pmem_each(const struct weft_pmem *store,
                    void (*fn)(void *context, const struct weft_pmem_record *record),
                    void *context);

/** A new store's header, for weft_pmem_attach(): into zeroed bytes.
 *  bytes  what weft_pmem_record_bytes_max() takes */
void weft_pmem_format(void *base, size_t bytes);

/** As weft_pmem_open() on bytes that the caller has, through the caller's ops (NULL: plain stores
 *  that are never flushed). Borrowed until weft_pmem_close(). 8-byte aligned. */
WEFT_CHECK
weft_rc weft_pmem_attach(struct weft_pmem *store, struct weft_account *account, void *base,
                         size_t bytes, uint32_t record_count_max, const struct weft_pmem_ops *ops,
                         void *ops_context, struct weft_pmem_problem *out_problem);

#endif
