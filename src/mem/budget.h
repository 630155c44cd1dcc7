/* budget.h - who owns how many bytes: a ledger of accounts under one limit.
 *
 * An account is one owner (a pool, the stacks, the arenas of one worker). What it may ever take is
 * reserved at start, against the ledger's limit; what it uses is booked while it runs.
 *
 * Lifetime: process. Accounts are opened at start and stay.
 * Threads:  opening and reserving happen at start, on one thread; `used` and its peak are written
 * by the account's worker only; every figure may be read from anywhere. Memory:   sizeof(struct
 * weft_ledger), static size: WEFT_ACCOUNTS_MAX accounts.
 */
#ifndef WEFT_MEM_BUDGET_H
#define WEFT_MEM_BUDGET_H

#include "base/base.h"

/* One worker opens about 12 accounts; 256 workers fit. */
#define WEFT_ACCOUNTS_MAX 4096

#define WEFT_ACCOUNT_RANGES 2

/* A mapping whose pages are an account's. Written at start and end, read by whoever counts pages.
 */
struct weft_account_range {
    _Atomic uintptr_t base;
    _Atomic size_t bytes; /* 0: none */
};

struct weft_account {
    const char *name_z; /* borrowed: static */
    uint32_t worker;    /* index; WEFT_ACCOUNT_PROCESS when shared by all */
    size_t unit_bytes;  /* size of one slot, for owners of equal ones; 0 else. Set at start */
    _Atomic size_t reserved;
    _Atomic size_t committed; /* touched so far, not yet given back to the system */
    _Atomic size_t used;      /* booked here, beyond what `free` says: weft_account_used() */
    _Atomic size_t peak;      /* highest of both together */
    _Atomic size_t promised;  /* of `reserved`, to those who run now (arenas; 0 elsewhere) */
    _Atomic uint64_t refused;
    _Atomic uint64_t takes; /* times that something was taken, and given back: likewise */
    _Atomic uint64_t puts;
    /* Borrowed: of a pool, or of stacks, that books nothing itself: what is out of `free`, each of
     * unit_bytes, is in use, and was taken so many times. NULL: there is none. */
    const struct weft_lifo *free;
    const _Atomic uint64_t *taken;
    struct weft_ledger *ledger; /* borrowed: outlives the account */
    struct weft_account_range ranges[WEFT_ACCOUNT_RANGES];
    _Atomic uint32_t more_ranges; /* that found no place: what is booked stands for its pages */
};

#define WEFT_ACCOUNT_PROCESS UINT32_MAX

struct weft_lifo; /* mem/lifo.h */
struct weft_numa; /* mem/numa.h */

struct weft_ledger {
    struct weft_numa *numa; /* borrowed: places what workers map; NULL: nobody does */
    size_t limit;           /* bytes that all reservations together may reach; 0 = no limit */
    _Atomic size_t reserved;
    uint32_t account_count;
    struct weft_account *accounts; /* owned: WEFT_ACCOUNTS_MAX, mapped, touched as opened */
};

/** Map the table of accounts.
 *  returns  0 or WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_ledger_init(struct weft_ledger *ledger, size_t limit);
void weft_ledger_fini(struct weft_ledger *ledger);

/** Open an account under a static name.
 *  returns  0; WEFT_EFULL (WEFT_ACCOUNTS_MAX are open) */
WEFT_CHECK
weft_rc weft_account_open(struct weft_ledger *ledger, const char *name_z, uint32_t worker,
                          struct weft_account **out);

/** Reserve address space that may all be touched one day.
 *  returns  0; WEFT_EBUDGET (past the ledger's limit; counted in `refused`): nothing is reserved */
WEFT_CHECK
weft_rc weft_account_reserve(struct weft_account *account, size_t bytes);
void weft_account_release(struct weft_account *account, size_t bytes);

/** Zeroed memory that costs nothing until touched; NULL when the kernel says no. munmap() undoes.
 */
void *weft_map(size_t bytes);

/** Where an account's pages lie, until weft_account_untell(): /memory counts them there.
 *  weft_account_map() and pools do so by themselves. */
void weft_account_tell(struct weft_account *account, const void *base, size_t bytes);
void weft_account_untell(struct weft_account *account, const void *base);

/** For who maps memory himself on an account's behalf, before it is touched: it is bound to the
 * node of the account's worker, where there is more than one. */
void weft_account_place(const struct weft_account *account, void *memory, size_t bytes);

/** Have every page of a mapping in memory now, contents kept.
 *  returns  0; WEFT_ENOMEM: there are not so many */
WEFT_CHECK weft_rc weft_map_touch(void *memory, size_t bytes);

/** Reserve and map zeroed, untouched memory, placed.
 *  returns  0, WEFT_EBUDGET or WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_account_map(struct weft_account *account, size_t bytes, void **out);
void weft_account_unmap(struct weft_account *account, void *memory, size_t bytes);

/** Bytes in use now, and how often some were taken and given back. From anywhere; what another
 *  thread is doing meanwhile may be a little off. */
size_t weft_account_used(const struct weft_account *account);
uint64_t weft_account_takes(const struct weft_account *account);
uint64_t weft_account_puts(const struct weft_account *account);

/* A count with one writer: a relaxed load and store. */
static inline void weft_account_tick(_Atomic uint64_t *count)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/** From now on it is read off a free list and its count of takes; until then none was. */
void weft_account_read_off(struct weft_account *account, const struct weft_lifo *free,
                           const _Atomic uint64_t *taken);
/** Not any more: the account keeps what was counted. For any but who does so, nothing. */
void weft_account_leave(struct weft_account *account, const struct weft_lifo *free);

static inline void weft_account_reach(struct weft_account *account, size_t used)
{
    if (used > atomic_load_explicit(&account->peak, memory_order_relaxed))
        atomic_store_explicit(&account->peak, used, memory_order_relaxed);
}

/** Book bytes in use. Owner only; not for the account of a pool, which books by itself. */
static inline void weft_account_use(struct weft_account *account, size_t bytes)
{
    weft_account_tick(&account->takes);
    size_t now = atomic_load_explicit(&account->used, memory_order_relaxed) + bytes;
    atomic_store_explicit(&account->used, now, memory_order_relaxed);
    weft_account_reach(account, now);
}

static inline void weft_account_unuse(struct weft_account *account, size_t bytes)
{
    weft_account_tick(&account->puts);
    size_t now = atomic_load_explicit(&account->used, memory_order_relaxed);
    weft_debug_assert(now >= bytes);
    atomic_store_explicit(&account->used, now - bytes, memory_order_relaxed);
}

/** Book the sum of what is promised now. Owner only. */
static inline void weft_account_promise(struct weft_account *account, size_t bytes)
{
    atomic_store_explicit(&account->promised, bytes, memory_order_relaxed);
}

static inline void weft_account_refuse(struct weft_account *account)
{
    weft_account_tick(&account->refused);
}

/** Book pages touched (bytes > 0) or given back to the system (< 0). Owner only. */
static inline void weft_account_commit(struct weft_account *account, ptrdiff_t bytes)
{
    size_t now = atomic_load_explicit(&account->committed, memory_order_relaxed);
    atomic_store_explicit(&account->committed, now + (size_t)bytes, memory_order_relaxed);
}

#endif
