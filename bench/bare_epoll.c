/* bare_epoll.c - what the kernel allows on epoll: receive, send, nothing else.
 *
 * One thread, edge-triggered, two system calls per request and one epoll_wait per batch. A receive
 * that did not fill the buffer has emptied the socket, so no second one asks for EAGAIN: the next
 * edge brings what comes later. Nothing is parsed; requests are counted by their length.
 *
 * --send picks the call, to see what an iovec costs: send (default), writev, sendmsg (two pieces).
 */
#include "bench.h"
#include <sys/epoll.h>
#include <sys/uio.h>

#define EVENTS_MAX 512
#define FILES_MAX  65536
#define BUF_BYTES  16384

enum send_kind { SEND_PLAIN, SEND_WRITEV, SEND_SENDMSG, SEND_SENDMSG1, SEND_WRITE, SEND_READWRITE };

static struct answer answer;
static uint32_t pending[FILES_MAX]; /* bytes of a request that has not arrived whole */
static char buf[BUF_BYTES];
static enum send_kind send_kind;

static void usage_exit(void)
{
    usage("bare_epoll PORT RESPONSE_FILE REQUEST_BYTES [CPU] "
          "[send|writev|sendmsg|sendmsg1|write|readwrite]");
}

static ssize_t send_some(int fd, const char *bytes, size_t len)
{
    if (send_kind == SEND_PLAIN)
        return send(fd, bytes, len, MSG_NOSIGNAL);
    if (send_kind == SEND_WRITE || send_kind == SEND_READWRITE)
        return write(fd, bytes, len);
    size_t head = len / 2;
    struct iovec iov[2] = {{(void *)(uintptr_t)bytes, head},
                           {(void *)(uintptr_t)(bytes + head), len - head}};
    if (send_kind == SEND_WRITEV)
        return writev(fd, iov, 2);
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
    if (send_kind == SEND_SENDMSG1) {
        iov[0].iov_len = len;
        msg.msg_iovlen = 1;
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static void accept_all(int ep, int listener)
{
    for (int i = 0; i < FILES_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (fd >= FILES_MAX) {
            close(fd);
            continue;
        }
        pending[fd] = 0;
        struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl");
    }
}

static void on_readable(int fd)
{
    ssize_t got;
    do {
        got =
            send_kind == SEND_READWRITE ? read(fd, buf, sizeof buf) : recv(fd, buf, sizeof buf, 0);
        if (got <= 0) {
            if (got == 0 || errno != EAGAIN)
                close(fd);
            return;
        }
        size_t count = answer_count(&answer, &pending[fd], (size_t)got);
        if (count == 0)
            continue;
        size_t bytes = count * answer.unit_bytes;
        if (send_some(fd, answer.bytes, bytes) != (ssize_t)bytes) {
            close(fd); /* a client that does not read is no part of this measurement */
            return;
        }
    } while (got == (ssize_t)sizeof buf);
}

static void loop(int ep, int listener)
{
    static struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS_MAX, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(ep, listener);
            else
                on_readable(events[i].data.fd);
        }
    }
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = {"send",     "writev", "sendmsg",
                                        "sendmsg1", "write",  "readwrite"};
    if (argc < 4 || argc > 6)
        usage_exit();
    answer = answer_load(argv[2], number(argv[3], 1, BUF_BYTES));
    pin_to(argc > 4 ? (int)number(argv[4], -1, 4096) : -1);
    for (size_t i = 0; argc > 5 && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(argv[5], kinds[i]) == 0)
            send_kind = (enum send_kind)i;
    raise_files();
    int listener = listen_on((int)number(argv[1], 1, 65535));
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        die("epoll_create1");
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
        die("epoll_ctl");
    loop(ep, listener);
}
