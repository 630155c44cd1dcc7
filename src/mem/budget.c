/* budget.c - see budget.h. */
#include "mem/budget.h"
#include "base/rehearsal.h"
#include "mem/lifo.h"
#include "mem/numa.h"
#include <errno.h>
#include <sys/mman.h>

/* No huge pages: where the system gives them to all (transparent_hugepage: always) the first byte
 * touched of a table would commit 2 MiB, and a trim of less than that would give nothing back. */
void *weft_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    (void)madvise(memory, bytes, MADV_NOHUGEPAGE); /* EINVAL: a kernel that has none */
    return memory;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

weft_rc weft_map_touch(void *memory, size_t bytes)
{
    char *from = (char *)((uintptr_t)memory & ~(uintptr_t)(WEFT_PAGE_BYTES - 1));
    size_t len = WEFT_ALIGN_UP((size_t)((char *)memory + bytes - from), WEFT_PAGE_BYTES);
    if (madvise(from, len, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return WEFT_ENOMEM;
    for (size_t at = 0; at < len; at += WEFT_PAGE_BYTES) { /* an older kernel */
        volatile char *page = from + at;
        *page = *page;
    }
    return 0;
}

weft_rc weft_ledger_init(struct weft_ledger *ledger, size_t limit)
{
    void *table = weft_map(WEFT_ACCOUNTS_MAX * sizeof(struct weft_account));
    if (table == NULL)
        return WEFT_ENOMEM;
    *ledger = (struct weft_ledger){.limit = limit, .accounts = table};
    return 0;
}

void weft_ledger_fini(struct weft_ledger *ledger)
{
    if (ledger->accounts != NULL)
        munmap(ledger->accounts, WEFT_ACCOUNTS_MAX * sizeof(struct weft_account));
    *ledger = (struct weft_ledger){0};
}

weft_rc weft_account_open(struct weft_ledger *ledger, const char *name_z, uint32_t worker,
                          struct weft_account **out)
{
    if (ledger->account_count == WEFT_ACCOUNTS_MAX || weft_fail_point("account"))
        return WEFT_EFULL;
    struct weft_account *account = &ledger->accounts[ledger->account_count++];
    account->name_z = name_z;
    account->worker = worker;
    account->ledger = ledger;
    *out = account;
    return 0;
}

weft_rc weft_account_reserve(struct weft_account *account, size_t bytes)
{
    struct weft_ledger *ledger = account->ledger;
    size_t before = atomic_fetch_add(&ledger->reserved, bytes);
    bool over = ledger->limit != 0 && (before > ledger->limit || bytes > ledger->limit - before);
    if (over || weft_fail_point("reserve")) {
        atomic_fetch_sub(&ledger->reserved, bytes);
        weft_account_refuse(account);
        return WEFT_EBUDGET;
    }
    atomic_fetch_add(&account->reserved, bytes);
    return 0;
}

void weft_account_release(struct weft_account *account, size_t bytes)
{
    atomic_fetch_sub(&account->ledger->reserved, bytes);
    atomic_fetch_sub(&account->reserved, bytes);
}

void weft_account_tell(struct weft_account *account, const void *base, size_t bytes)
{
    for (size_t i = 0; i < WEFT_ACCOUNT_RANGES; i++) {
        struct weft_account_range *range = &account->ranges[i];
        if (atomic_load_explicit(&range->bytes, memory_order_relaxed) == 0) {
            atomic_store_explicit(&range->base, (uintptr_t)base, memory_order_relaxed);
            atomic_store_explicit(&range->bytes, bytes, memory_order_release);
            return;
        }
    }
    atomic_fetch_add(&account->more_ranges, 1);
}

void weft_account_untell(struct weft_account *account, const void *base)
{
    for (size_t i = 0; i < WEFT_ACCOUNT_RANGES; i++) {
        struct weft_account_range *range = &account->ranges[i];
        if (atomic_load_explicit(&range->bytes, memory_order_relaxed) > 0 &&
            atomic_load_explicit(&range->base, memory_order_relaxed) == (uintptr_t)base) {
            atomic_store_explicit(&range->bytes, 0, memory_order_relaxed);
            return;
        }
    }
    atomic_fetch_sub(&account->more_ranges, 1);
}

void weft_account_place(const struct weft_account *account, void *memory, size_t bytes)
{
    if (account->ledger->numa != NULL)
        weft_numa_place(account->ledger->numa, account->worker, memory, bytes);
}

weft_rc weft_account_map(struct weft_account *account, size_t bytes, void **out)
{
    WEFT_TRY(weft_account_reserve(account, bytes));
    void *memory = weft_map(bytes);
    if (memory == NULL) {
        weft_account_release(account, bytes);
        return WEFT_ENOMEM;
    }
    weft_account_place(account, memory, bytes);
    weft_account_tell(account, memory, bytes);
    *out = memory;
    return 0;
}

void weft_account_unmap(struct weft_account *account, void *memory, size_t bytes)
{
    if (memory == NULL)
        return;
    weft_account_untell(account, memory);
    munmap(memory, bytes);
    weft_account_release(account, bytes);
}

/* ---- read off a free list ---- */

void weft_account_read_off(struct weft_account *account, const struct weft_lifo *free,
                           const _Atomic uint64_t *taken)
{
    weft_assert(account->free == NULL);
    account->free = free;
    account->taken = taken;
}

/* Read off instead of booked: take and put write three words, not nine. */
size_t weft_account_used(const struct weft_account *account)
{
    const struct weft_lifo *free = account->free;
    size_t used = atomic_load_explicit(&account->used, memory_order_relaxed);
    return free == NULL ? used : used + weft_lifo_out(free) * account->unit_bytes;
}

uint64_t weft_account_takes(const struct weft_account *account)
{
    uint64_t takes = atomic_load_explicit(&account->takes, memory_order_relaxed);
    if (account->free == NULL)
        return takes;
    return takes + atomic_load_explicit(account->taken, memory_order_relaxed);
}

uint64_t weft_account_puts(const struct weft_account *account)
{
    uint64_t puts = atomic_load_explicit(&account->puts, memory_order_relaxed);
    if (account->free == NULL)
        return puts;
    uint64_t out = weft_lifo_out(account->free);
    uint64_t takes = atomic_load_explicit(account->taken, memory_order_relaxed);
    return puts + takes - WEFT_MIN(out, takes);
}

void weft_account_leave(struct weft_account *account, const struct weft_lifo *free)
{
    if (account->free != free)
        return;
    uint64_t takes = weft_account_takes(account), puts = weft_account_puts(account);
    account->free = NULL;
    account->taken = NULL;
    atomic_store_explicit(&account->takes, takes, memory_order_relaxed);
    atomic_store_explicit(&account->puts, puts, memory_order_relaxed);
}
