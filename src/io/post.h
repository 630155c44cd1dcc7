/* post.h - work for a loop from another thread: weft_loop_post().
 *
 * Lifetime: the caller's, until run.
 * Threads:  any posts; run is called on the loop's.
 * Memory:   none.
 */
#ifndef WEFT_IO_POST_H
#define WEFT_IO_POST_H

/* Intrusive. */
struct weft_post {
    struct weft_post *next;
    void (*run)(struct weft_post *post);
};

#endif
