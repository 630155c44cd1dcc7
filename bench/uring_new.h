/* uring_new.h - io_uring names that Debian 12's liburing 2.3 does not know, by number.
 *
 * From the kernel's include/uapi/linux/io_uring.h. Kept apart from src/: the bench stands alone.
 */
#ifndef WEFT_BENCH_URING_NEW_H
#define WEFT_BENCH_URING_NEW_H

#include <liburing.h>

#ifndef IORING_SETUP_NO_SQARRAY /* Linux 6.6 */
#define IORING_SETUP_NO_SQARRAY (1U << 16)
#endif
#ifndef IORING_RECVSEND_BUNDLE /* Linux 6.10 */
#define IORING_RECVSEND_BUNDLE (1U << 4)
#endif

#endif
