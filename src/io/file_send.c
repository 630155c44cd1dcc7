/* file_send.c - see file_send.h. */
#include "io/file_send.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_BYTES   262144
#define WINDOW_BYTES ((size_t)512 << 10) /* mapped at once */

size_t weft_file_sender_bytes(enum weft_file_way way)
{
    return way == WEFT_FILE_READ ? WEFT_FILE_BUFFER_BYTES : 0;
}

static weft_rc open_pipe(struct weft_file_sender *sender)
{
    if (pipe2(sender->pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return (weft_rc)-errno;
    (void)fcntl(sender->pipe[1], F_SETPIPE_SZ, PIPE_BYTES); /* else steps are shorter */
    sender->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return sender->null < 0 ? (weft_rc)-errno : 0;
}

static weft_rc map_buffer(struct weft_file_sender *sender)
{
    void *memory = NULL;
    WEFT_TRY(weft_account_map(sender->account, WEFT_FILE_BUFFER_BYTES, &memory));
    weft_account_use(sender->account, WEFT_FILE_BUFFER_BYTES);
    weft_account_commit(sender->account, (ptrdiff_t)WEFT_FILE_BUFFER_BYTES);
    sender->buffer = memory;
    return 0;
}

weft_rc weft_file_sender_init(struct weft_file_sender *sender, enum weft_file_way way,
                              struct weft_account *account)
{
    *sender =
        (struct weft_file_sender){.way = way, .account = account, .pipe = {-1, -1}, .null = -1};
    weft_rc rc = way == WEFT_FILE_READ     ? map_buffer(sender)
                 : way == WEFT_FILE_SPLICE ? open_pipe(sender)
                                           : 0;
    if (rc != 0)
        weft_file_sender_fini(sender);
    return rc;
}

void weft_file_sender_fini(struct weft_file_sender *sender)
{
    if (sender->account == NULL)
        return;
    const int fds[] = {sender->pipe[0], sender->pipe[1], sender->null};
    for (size_t i = 0; i < WEFT_COUNT_OF(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (sender->buffer != NULL) {
        weft_account_unuse(sender->account, WEFT_FILE_BUFFER_BYTES);
        weft_account_commit(sender->account, -(ptrdiff_t)WEFT_FILE_BUFFER_BYTES);
        weft_account_unmap(sender->account, sender->buffer, WEFT_FILE_BUFFER_BYTES);
    }
    *sender = (struct weft_file_sender){.pipe = {-1, -1}, .null = -1};
}

static ssize_t by_sendfile(int socket, int file, uint64_t offset, size_t bytes)
{
    off_t at = (off_t)offset;
    ssize_t n = sendfile(socket, file, &at, bytes);
    return n > 0 ? n : n == 0 ? -EIO : -errno;
}

static ssize_t send_from(int socket, const char *from, size_t bytes, bool more)
{
    ssize_t n = send(socket, from, bytes, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    return n >= 0 ? n : -errno;
}

static ssize_t by_read(struct weft_file_sender *sender, int socket, int file, uint64_t offset,
                       uint64_t left, uint64_t *copied)
{
    size_t bytes = (size_t)WEFT_MIN(left, (uint64_t)WEFT_FILE_BUFFER_BYTES);
    ssize_t n = pread(file, sender->buffer, bytes, (off_t)offset);
    if (n <= 0)
        return n == 0 ? -EIO : -errno;
    ssize_t sent = send_from(socket, sender->buffer, (size_t)n, (uint64_t)n < left);
    *copied += sent > 0 ? (uint64_t)sent : 0;
    return sent;
}

/* Is the file still as long as that? Pages of a mapping that lie behind its end are an error of
 * send(), the rest of the page that it ends in is zeros. */
static bool reaches(int file, uint64_t end)
{
    struct stat info;
    return fstat(file, &info) == 0 && (uint64_t)info.st_size >= end;
}

static ssize_t by_mmap(int socket, int file, uint64_t offset, uint64_t left)
{
    size_t bytes = (size_t)WEFT_MIN(left, (uint64_t)WINDOW_BYTES);
    uint64_t from = offset & ~(uint64_t)(WEFT_PAGE_BYTES - 1);
    size_t skip = (size_t)(offset - from);
    void *window = mmap(NULL, skip + bytes, PROT_READ, MAP_SHARED, file, (off_t)from);
    if (window == MAP_FAILED)
        return -errno;
    ssize_t n = send_from(socket, (const char *)window + skip, bytes, bytes < left);
    munmap(window, skip + bytes);
    if (n == -EFAULT || (n > 0 && !reaches(file, offset + (uint64_t)n)))
        return -EIO;
    return n;
}

/* What stayed in the pipe is thrown away: it will be read again for whoever's turn it is then. */
static void drain(struct weft_file_sender *sender, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = splice(sender->pipe[0], NULL, sender->null, NULL, bytes, SPLICE_F_NONBLOCK);
        if (n <= 0)
            return; /* empty */
        bytes -= (size_t)n;
    }
}

static ssize_t by_splice(struct weft_file_sender *sender, int socket, int file, uint64_t offset,
                         size_t bytes)
{
    loff_t at = (loff_t)offset;
    ssize_t in = splice(file, &at, sender->pipe[1], NULL, bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (in <= 0)
        return in == 0 ? -EIO : -errno;
    size_t out = 0;
    ssize_t n = 0;
    while (out < (size_t)in) {
        n = splice(sender->pipe[0], NULL, socket, NULL, (size_t)in - out,
                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n <= 0)
            break;
        out += (size_t)n;
    }
    int error = errno;
    drain(sender, (size_t)in - out);
    return out > 0 ? (ssize_t)out : n == 0 ? -EIO : -error;
}

ssize_t weft_file_send_step(struct weft_file_sender *sender, int socket, int file, uint64_t offset,
                            uint64_t left, uint64_t *copied)
{
    size_t bytes = (size_t)WEFT_MIN(left, (uint64_t)WEFT_FILE_STEP_BYTES);
    ssize_t n;
    do {
        switch (sender->way) {
        case WEFT_FILE_READ:
            n = by_read(sender, socket, file, offset, left, copied);
            break;
        case WEFT_FILE_MMAP:
            n = by_mmap(socket, file, offset, left);
            break;
        case WEFT_FILE_SPLICE:
            n = by_splice(sender, socket, file, offset, bytes);
            break;
        default:
            n = by_sendfile(socket, file, offset, bytes);
            break;
        }
    } while (n == -EINTR);
    return n;
}
