/* leash.c - see leash.h. A charge is a compare-and-swap per level: a budget is never passed, not
 * even for a moment, and a large request that is refused does not make a small one of another
 * thread be refused too. */
#include "mem/leash.h"
#include "base/rehearsal.h"
#include <malloc.h>
#include <stdlib.h>

#define LEVELS_MAX 2 /* an object's, its library's */

struct head {
    size_t bytes;             /* of the block, this header included */
    struct weft_leash *leash; /* whose */
};

_Static_assert(sizeof(struct head) == WEFT_LEASH_HEAD_BYTES, "keeps malloc's alignment");

void weft_leash_init(struct weft_leash *leash, const char *name_z, struct weft_leash *parent,
                     size_t budget)
{
    weft_assert(parent == NULL || parent->parent == NULL); /* LEVELS_MAX */
    *leash = (struct weft_leash){.parent = parent, .budget = budget};
    leash->own.name_z = name_z;
    leash->own.worker = WEFT_ACCOUNT_PROCESS;
    leash->account = &leash->own;
}

void weft_leash_fini(struct weft_leash *leash)
{
    if (leash->account == NULL)
        return;
    weft_leash_detach(leash);
    weft_assert(weft_leash_used(leash) == 0); /* a block is still out */
    *leash = (struct weft_leash){0};
}

/* ---- rows of a ledger ---- */

static void move_figures(struct weft_account *from, struct weft_account *to)
{
    atomic_store(&to->used, atomic_exchange(&from->used, 0));
    atomic_store(&to->peak, atomic_load(&from->peak));
    atomic_store(&to->refused, atomic_load(&from->refused));
    atomic_store(&to->takes, atomic_load(&from->takes));
    atomic_store(&to->puts, atomic_load(&from->puts));
}

weft_rc weft_leash_attach(struct weft_leash *leash, struct weft_ledger *ledger, size_t budget)
{
    struct weft_account *account = NULL;
    if (leash->account != &leash->own)
        return WEFT_ESTATE;
    WEFT_TRY(weft_account_open(ledger, leash->own.name_z, leash->own.worker, &account));
    WEFT_TRY(weft_account_reserve(account, budget != 0 ? budget : weft_leash_used(leash)));
    move_figures(&leash->own, account);
    leash->account = account;
    leash->budget = budget;
    return 0;
}

void weft_leash_detach(struct weft_leash *leash)
{
    struct weft_account *row = leash->account;
    if (row == &leash->own)
        return;
    weft_account_release(row, atomic_load(&row->reserved));
    move_figures(row, &leash->own);
    leash->account = &leash->own;
}

/* ---- charging ---- */

/* What each level's `used` was once it was charged: its peak, if the block is given out. */
struct charge {
    size_t reached[LEVELS_MAX];
};

static bool charge_one(struct weft_leash *leash, size_t bytes, size_t *out_reached)
{
    _Atomic size_t *used = &leash->account->used;
    size_t now = atomic_load_explicit(used, memory_order_relaxed);
    do {
        if (leash->budget != 0 && (now > leash->budget || bytes > leash->budget - now))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(used, &now, now + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    *out_reached = now + bytes;
    return true;
}

static void refund(struct weft_leash *leash, const struct weft_leash *until, size_t bytes)
{
    for (; leash != until; leash = leash->parent)
        atomic_fetch_sub_explicit(&leash->account->used, bytes, memory_order_relaxed);
}

static void refuse(struct weft_leash *leash)
{
    for (; leash != NULL; leash = leash->parent)
        atomic_fetch_add_explicit(&leash->account->refused, 1, memory_order_relaxed);
}

static bool charge(struct weft_leash *leash, size_t bytes, struct charge *out)
{
    size_t level = 0;
    if (weft_fail_point("leash")) {
        refuse(leash);
        return false;
    }
    for (struct weft_leash *at = leash; at != NULL; at = at->parent) {
        if (!charge_one(at, bytes, &out->reached[level++])) {
            refund(leash, at, bytes);
            refuse(leash);
            return false;
        }
    }
    return true;
}

static void charge_back(struct weft_leash *leash, size_t bytes)
{
    refund(leash, NULL, bytes);
    refuse(leash);
}

static void raise(_Atomic size_t *peak, size_t to)
{
    size_t now = atomic_load_explicit(peak, memory_order_relaxed);
    while (to > now && !atomic_compare_exchange_weak_explicit(peak, &now, to, memory_order_relaxed,
                                                              memory_order_relaxed))
        ;
}

/* A block has been given out or resized: only now is what was charged a peak. */
static void note(struct weft_leash *leash, const struct charge *charge)
{
    for (size_t level = 0; leash != NULL; leash = leash->parent, level++) {
        raise(&leash->account->peak, charge->reached[level]);
        atomic_fetch_add_explicit(&leash->calls, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&leash->account->takes, 1, memory_order_relaxed);
    }
}

static void note_put(struct weft_leash *leash)
{
    for (; leash != NULL; leash = leash->parent)
        atomic_fetch_add_explicit(&leash->account->puts, 1, memory_order_relaxed);
}

/* ---- blocks ---- */

static struct head *head_of(const struct weft_leash *leash, void *ptr)
{
    struct head *head = (struct head *)ptr - 1;
    weft_assert(head->leash == leash); /* of another leash, or not ours */
    return head;
}

void *weft_leash_take(struct weft_leash *leash, size_t bytes)
{
    if (bytes > SIZE_MAX - WEFT_LEASH_HEAD_BYTES) {
        refuse(leash);
        return NULL;
    }
    bytes += WEFT_LEASH_HEAD_BYTES;
    struct charge charged = {{0}};
    if (!charge(leash, bytes, &charged))
        return NULL;
    struct head *head = malloc(bytes);
    if (head == NULL) {
        charge_back(leash, bytes);
        return NULL;
    }
    *head = (struct head){bytes, leash};
    note(leash, &charged);
    return head + 1;
}

void weft_leash_put(struct weft_leash *leash, void *ptr)
{
    if (ptr == NULL)
        return;
    struct head *head = head_of(leash, ptr);
    size_t bytes = head->bytes;
    free(head);
    refund(leash, NULL, bytes);
    note_put(leash);
}

static void *grow(struct weft_leash *leash, struct head *head, size_t bytes)
{
    size_t more = bytes - head->bytes;
    struct charge charged = {{0}};
    if (!charge(leash, more, &charged))
        return NULL;
    struct head *moved = realloc(head, bytes);
    if (moved == NULL) {
        charge_back(leash, more);
        return NULL;
    }
    moved->bytes = bytes;
    note(leash, &charged);
    return moved + 1;
}

static void *shrink(struct weft_leash *leash, struct head *head, size_t bytes)
{
    size_t less = head->bytes - bytes;
    struct head *moved = realloc(head, bytes);
    if (moved == NULL) { /* nothing was given back: the larger block stays */
        refuse(leash);
        return NULL;
    }
    moved->bytes = bytes;
    refund(leash, NULL, less);
    note(leash, &(struct charge){{0}});
    return moved + 1;
}

void *weft_leash_resize(struct weft_leash *leash, void *ptr, size_t bytes)
{
    if (ptr == NULL)
        return weft_leash_take(leash, bytes);
    struct head *head = head_of(leash, ptr);
    if (bytes == 0) {
        weft_leash_put(leash, ptr);
        return NULL;
    }
    if (bytes > SIZE_MAX - WEFT_LEASH_HEAD_BYTES) {
        refuse(leash);
        return NULL;
    }
    bytes += WEFT_LEASH_HEAD_BYTES;
    return bytes > head->bytes ? grow(leash, head, bytes) : shrink(leash, head, bytes);
}

/* ---- blocks without a header ---- */

static void *bare_given(struct weft_leash *leash, void *ptr)
{
    if (ptr == NULL) {
        refuse(leash);
        return NULL;
    }
    struct charge charged = {{0}};
    (void)charge(leash, malloc_usable_size(ptr), &charged); /* no budget: only a rehearsal's no */
    note(leash, &charged);
    return ptr;
}

/* Somebody else's block was not charged: what is out never falls below nothing. */
static void bare_back(struct weft_leash *leash, size_t bytes)
{
    for (; leash != NULL; leash = leash->parent) {
        _Atomic size_t *used = &leash->account->used;
        size_t now = atomic_load_explicit(used, memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(used, &now, now - WEFT_MIN(now, bytes),
                                                      memory_order_relaxed, memory_order_relaxed))
            ;
    }
}

void *weft_leash_bare_take(struct weft_leash *leash, size_t bytes, bool clear)
{
    return bare_given(leash, clear ? calloc(1, bytes) : malloc(bytes));
}

void weft_leash_bare_put(struct weft_leash *leash, void *ptr)
{
    if (ptr == NULL)
        return;
    bare_back(leash, malloc_usable_size(ptr));
    note_put(leash);
    free(ptr);
}

void *weft_leash_bare_resize(struct weft_leash *leash, void *ptr, size_t bytes)
{
    size_t before = ptr == NULL ? 0 : malloc_usable_size(ptr);
    void *moved = realloc(ptr, bytes);
    if (moved != NULL || bytes == 0)
        bare_back(leash, before);
    if (bytes == 0)
        note_put(leash);
    return bytes == 0 ? moved : bare_given(leash, moved);
}

/* ---- hooks ---- */

void *weft_leash_hook_malloc_last(size_t bytes, void *leash)
{
    return weft_leash_take(leash, bytes);
}

void weft_leash_hook_free_last(void *ptr, void *leash)
{
    weft_leash_put(leash, ptr);
}

void *weft_leash_hook_malloc(void *leash, size_t bytes)
{
    return weft_leash_take(leash, bytes);
}

void weft_leash_hook_free(void *leash, void *ptr)
{
    weft_leash_put(leash, ptr);
}

void *weft_leash_hook_zalloc(void *leash, unsigned items, unsigned item_bytes)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow((size_t)items, (size_t)item_bytes, &bytes)) {
        refuse(leash);
        return NULL;
    }
    return weft_leash_take(leash, bytes);
}

static struct weft_leash plain = {
    .account = &plain.own,
    .own = {.name_z = "openssl", .worker = WEFT_ACCOUNT_PROCESS},
};

struct weft_leash *weft_leash_plain(void)
{
    return &plain;
}

void *weft_leash_hook_plain_malloc(size_t bytes, const char *file_z, int line)
{
    (void)file_z;
    (void)line;
    return weft_leash_take(&plain, bytes);
}

void *weft_leash_hook_plain_realloc(void *ptr, size_t bytes, const char *file_z, int line)
{
    (void)file_z;
    (void)line;
    return weft_leash_resize(&plain, ptr, bytes);
}

void weft_leash_hook_plain_free(void *ptr, const char *file_z, int line)
{
    (void)file_z;
    (void)line;
    weft_leash_put(&plain, ptr);
}
