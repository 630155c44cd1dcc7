/* compress.h - answers in the content coding that their client likes best: gzip, br or zstd.
 *
 * A filter behind the handlers: whole bodies, files and streams alike. What is coded: answers with
 * a body of a type that shrinks, not too small, not coded already, no range, and nobody said no to
 * it. They vary by Accept-Encoding and say so, coded or not; their validator becomes a weak one,
 * since the same file may be coded differently another time (RFC 9110 8.8.1). A client that takes
 * nothing that there is gets a 406.
 *
 * A coder is held from the first byte to the last. When all are in use the answer leaves as it is,
 * and is counted: memory has its bound, bandwidth pays.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   weft_compress_bytes() per worker; of a request: what a small body became, in its arena.
 */
#ifndef WEFT_SERVE_CODING_COMPRESS_H
#define WEFT_SERVE_CODING_COMPRESS_H

#include "http/filter.h"
#include "serve/coding/coder_pool.h"

struct weft_compress_options {
    uint32_t codings; /* bits of what is offered; 0: off */
    enum weft_effort effort;
    uint32_t coders;         /* at once, 1..WEFT_CODERS_MAX */
    size_t body_bytes_min;   /* smaller bodies of known size are not worth it */
    uint64_t file_bytes_max; /* larger files are not: they should lie there compressed */
    uint32_t window_ms;      /* after it an unused coder's pages go back; 0: they stay */
};

struct weft_compress {
    struct weft_filter filter;
    struct weft_compress_options options;
    struct weft_coder_pool pool;
};

/** The codings of a list such as "zstd, br, gzip"; empty: none.
 *  returns  0; WEFT_ESYNTAX: an unknown one */
WEFT_CHECK weft_rc weft_compress_codings(weft_str list, uint32_t *out_bits);

/** What one worker may take. */
size_t weft_compress_bytes(const struct weft_compress_options *options);

/** Libraries are loaded (weft_coders_load). Then service->filter may be &compress->filter.
 *  returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_compress_init(struct weft_compress *compress, struct weft_loop *loop,
                                      struct weft_account *account,
                                      const struct weft_compress_options *options);
void weft_compress_fini(struct weft_compress *compress);

/** Does a body of that type shrink? An unknown one is taken not to; event streams stay as they are,
 *  because each would hold a coder for hours. Parameters behind it do not matter. */
bool weft_compress_type(weft_str type);

#endif
