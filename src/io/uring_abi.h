/* uring_abi.h - io_uring's numbers that are newer than liburing 2.3, each with the kernel it came
 * in. What is used of them is probed at start (uring.c), never assumed.
 *
 * Lifetime: none.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_IO_URING_ABI_H
#define WEFT_IO_URING_ABI_H

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY                                                                    \
    (1U << 16) /* Linux 6.6: no index array between us and the entries */
#endif

#endif
