/* leash.h - libraries on a leash: what they allocate is counted, and refused beyond a budget.
 *
 * A library that lets its user give it an allocator is given one of the hooks below. Behind all of
 * them stand take, put and resize: malloc's memory with a small header that says how much it is and
 * whose, so that a free needs no more than the pointer. A leash belongs to a library, or to one
 * object of it (an expression, a stream) below the library's own; a charge goes to both. While it
 * is attached, a leash is a row of the ledger: the row is exact after each call.
 *
 * The bytes are malloc's: they lie in the heap that profile.h reports. So a row has `used`, `peak`
 * and `refused`, and `committed` stays 0, or pages would be told twice.
 *
 * Lifetime: as long as blocks of it are out. Blocks may outlive the ledger: detach before that.
 * Threads:  take, put, resize, hooks: any, at any time, from the library's callbacks too: no lock
 *           is held, figures are atomic. init, attach, detach, fini: while nobody else uses it.
 * Memory:   WEFT_LEASH_HEAD_BYTES a block, charged like the rest; what malloc itself adds to a
 *           block is not.
 */
#ifndef WEFT_MEM_LEASH_H
#define WEFT_MEM_LEASH_H

#include "mem/budget.h"

/** In front of each block; also the alignment of what a library is given. */
#define WEFT_LEASH_HEAD_BYTES ((size_t)16)

struct weft_leash {
    struct weft_leash *parent;    /* borrowed; NULL: none */
    struct weft_account *account; /* the figures: `own`, or a row of a ledger. Never NULL */
    struct weft_account own;      /* while it is not attached */
    size_t budget;                /* bytes at once, headers included; 0: no limit of its own */
    _Atomic uint64_t calls;       /* blocks given out or resized, since init */
};

/** name_z   static: the row's name
 *  parent   borrowed; charged too, and asked too; NULL: none
 *  budget   bytes at once; 0: no limit but the parent's */
void weft_leash_init(struct weft_leash *leash, const char *name_z, struct weft_leash *parent,
                     size_t budget);

/** All blocks are back: one still out is a bug, and asserts. A leash of zeros is left alone. */
void weft_leash_fini(struct weft_leash *leash);

/** Become a row of a ledger (worker: WEFT_ACCOUNT_PROCESS); what is out already is in it from the
 *  start. The ledger reserves the budget, or what is out now where there is none.
 *  budget   from now on
 *  returns  0; WEFT_EFULL, WEFT_EBUDGET: nothing has changed; WEFT_ESTATE: attached already */
WEFT_CHECK weft_rc weft_leash_attach(struct weft_leash *leash, struct weft_ledger *ledger,
                                     size_t budget);

/** Take the figures back before the ledger goes; its row is 0 then. Not attached: nothing. */
void weft_leash_detach(struct weft_leash *leash);

/** As malloc(), free() and realloc(). 16-byte aligned.
 *  returns  NULL (counted in `refused` of the leash and of those above): beyond a budget, or malloc
 *           says no. After a refused resize the old block is as it was. Resize to 0 frees: NULL */
void *weft_leash_take(struct weft_leash *leash, size_t bytes);
void weft_leash_put(struct weft_leash *leash, void *ptr);
void *weft_leash_resize(struct weft_leash *leash, void *ptr, size_t bytes);

/** Bytes out now, headers included. */
static inline size_t weft_leash_used(const struct weft_leash *leash)
{
    return atomic_load_explicit(&leash->account->used, memory_order_relaxed);
}

/** The same without a header, for calls of a library that come by another way than a hook of its
 * own (imports.h): a block is as large as malloc says (malloc_usable_size), may have been made by
 *  somebody else, and may be freed by him. Nothing is refused: there is no budget here.
 *  clear    as calloc() */
void *weft_leash_bare_take(struct weft_leash *leash, size_t bytes, bool clear);
void weft_leash_bare_put(struct weft_leash *leash, void *ptr);
void *weft_leash_bare_resize(struct weft_leash *leash, void *ptr, size_t bytes);

/* ---- hooks: `leash` is the struct weft_leash * that the library hands back ---- */

/** PCRE2 (pcre2_general_context_create): the opaque pointer comes last. */
void *weft_leash_hook_malloc_last(size_t bytes, void *leash);
void weft_leash_hook_free_last(void *ptr, void *leash);

/** zstd (ZSTD_customMem), brotli (BrotliEncoderCreateInstance): it comes first. */
void *weft_leash_hook_malloc(void *leash, size_t bytes);
void weft_leash_hook_free(void *leash, void *ptr);

/** zlib (z_stream.zalloc): items of a size; NULL when the product is beyond a size_t too. Its zfree
 *  is weft_leash_hook_free. Not zeroed, as zlib allows. */
void *weft_leash_hook_zalloc(void *leash, unsigned items, unsigned item_bytes);

/** OpenSSL (CRYPTO_set_mem_functions): no opaque pointer, and the place of the call instead. One
 *  leash per process, then: OpenSSL's, which frees at exit what it likes. Starts without a budget.
 */
struct weft_leash *weft_leash_plain(void);
void *weft_leash_hook_plain_malloc(size_t bytes, const char *file_z, int line);
void *weft_leash_hook_plain_realloc(void *ptr, size_t bytes, const char *file_z, int line);
void weft_leash_hook_plain_free(void *ptr, const char *file_z, int line);

#endif
