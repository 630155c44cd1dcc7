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

/* Opcode, Linux 6.8: an ordinary descriptor (fd) for an entry of the ring's table. */
#define WEFT_URING_OP_FIXED_FD_INSTALL 54

/* IORING_OP_URING_CMD on a socket, Linux 6.7: getsockopt(2); cmd_op says so, level and name lie in
 * `addr`, the length where file_index is, and the address of the answer in addr3. */
#define WEFT_URING_SOCKET_GETSOCKOPT 2

#endif
