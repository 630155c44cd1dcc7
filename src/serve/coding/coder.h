/* coder.h - a stream of bytes through gzip, br or zstd, in a piece of memory of fixed size.
 *
 * The libraries are loaded when somebody asks for them: a plain server carries none. What they
 * allocate comes from the coder's own memory and nothing else, so that its size is the bound: zstd
 * takes a workspace, zlib and brotli are given an allocator on what is left. A coder goes on being
 * what it was: zstd and zlib are reset in place; brotli, which cannot be, begins again in memory
 * that is.
 *
 * Lifetime: the caller's memory, zeroed (as mapped): a coder whose pages were handed back to the
 *           system is a new one.
 * Threads:  one at a time. Loading: the main thread, at start.
 * Memory:   weft_coder_bytes(); touched as far as `high` says.
 */
#ifndef WEFT_SERVE_CODING_CODER_H
#define WEFT_SERVE_CODING_CODER_H

#include <setjmp.h>
#include "http/coding.h"

/** What is spent on a byte: time and memory both. */
enum weft_effort {
    WEFT_EFFORT_FAST,
    WEFT_EFFORT_BALANCED,
    WEFT_EFFORT_SMALL,
    WEFT_EFFORT_COUNT,
};

struct weft_coder_free; /* a piece that its library gave back */

/* At the beginning of its memory. */
struct weft_coder {
    uint8_t coding; /* enum weft_coding; IDENTITY: none so far */
    uint8_t effort; /* enum weft_effort */
    void *stream;   /* the library's object, in the heap below */
    size_t bytes;   /* of the memory, this included */
    size_t top;     /* first byte that is not given out */
    size_t high;    /* highest that `top` ever was: touched up to here */
    struct weft_coder_free *free;
    jmp_buf *back; /* borrowed: where an allocation that fails goes; NULL: it says so */
};

enum weft_coder_op {
    WEFT_CODER_MORE,   /* take input, keep what is not worth a block yet */
    WEFT_CODER_FLUSH,  /* all that came in can be decoded from what comes out */
    WEFT_CODER_FINISH, /* and nothing follows */
};

struct weft_coder_io {
    const char *in; /* moved on by what was taken */
    size_t in_len;
    char *out; /* moved on by what was written */
    size_t out_room;
};

/** Load the libraries for a set of codings (bits) and try each at that effort.
 *  why      room bytes for a line that says which library is missing, and its package
 *  returns  0; WEFT_ENOTSUP: one cannot be loaded, or wants more memory than weft_coder_bytes() */
WEFT_CHECK weft_rc weft_coders_load(uint32_t codings, enum weft_effort effort, char *why,
                                    size_t room);

/** Memory for a coder that can be any of these codings (bits): whole pages. */
size_t weft_coder_bytes(uint32_t codings, enum weft_effort effort);

/** Begin a stream. Its library is loaded.
 *  bytes    of the memory that `coder` is the beginning of
 *  size     bytes that will come in; UINT64_MAX: not known
 *  returns  0; WEFT_ENOMEM: the memory is too small */
WEFT_CHECK weft_rc weft_coder_start(struct weft_coder *coder, size_t bytes, enum weft_coding coding,
                                    enum weft_effort effort, uint64_t size);

/** Go on. Call again with more room until it says that it is done. Needs up to 20 KiB of stack.
 *  returns  0: done: all input taken, and for FLUSH and FINISH all output written; WEFT_NEXT: no
 *           room left; WEFT_ENOMEM, WEFT_ESTATE: the library failed, the stream is of no use */
WEFT_CHECK weft_rc weft_coder_run(struct weft_coder *coder, enum weft_coder_op op,
                                  struct weft_coder_io *io);

#endif
