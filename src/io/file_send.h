/* file_send.h - bytes of a file to a socket, in one of four ways.
 *
 *   sendfile  from the page cache to the socket: nothing of it in user memory
 *   splice    the same through a pipe of the worker's
 *   mmap      a window of it mapped, and sent from there; never looked at, so that a truncation is
 * an error of the send and not a SIGBUS read      into a buffer of the worker's, and sent from
 * there: the only one that copies
 *
 * What a socket did not take is not kept: each step begins where the last byte that left says.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   weft_file_sender_bytes(): 8 KiB where the way is read. mmap: address space, pages of
 * the file while a step lasts. splice: a pipe, in the kernel.
 */
#ifndef WEFT_IO_FILE_SEND_H
#define WEFT_IO_FILE_SEND_H

#include <sys/types.h>
#include "mem/budget.h"

enum weft_file_way {
    WEFT_FILE_SENDFILE,
    WEFT_FILE_READ,
    WEFT_FILE_MMAP,
    WEFT_FILE_SPLICE,
};

#define WEFT_FILE_STEP_BYTES   ((size_t)2 << 20) /* most that one step sends */
#define WEFT_FILE_BUFFER_BYTES ((size_t)8192)

struct weft_file_sender {
    enum weft_file_way way;
    struct weft_account *account; /* borrowed; of the buffer */
    char *buffer;                 /* owned: read */
    int pipe[2];                  /* owned: splice; -1 else */
    int null;                     /* owned: splice: where what the socket did not take goes */
};

size_t weft_file_sender_bytes(enum weft_file_way way);

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM or -errno */
WEFT_CHECK weft_rc weft_file_sender_init(struct weft_file_sender *sender, enum weft_file_way way,
                                         struct weft_account *account);
/** One that was never made is good. */
void weft_file_sender_fini(struct weft_file_sender *sender);

/** Send up to bytes (> 0) of file from offset on. One step: its length is the way's.
 *  socket   non-blocking
 *  more     something follows: a packet need not leave yet
 *  copied   grows by the bytes that went through user memory
 *  returns  bytes that left (> 0); -EAGAIN: the socket takes none now; -EIO: the file ends before
 *           offset + bytes does; another -errno */
ssize_t weft_file_send_step(struct weft_file_sender *sender, int socket, int file, uint64_t offset,
                            uint64_t bytes, uint64_t *copied);

#endif
