/* bare_file.c - what the kernel allows for files: receive, send a head, sendfile, nothing else.
 *
 * One thread, edge-triggered epoll. Every request is answered with the same file; nothing is parsed
 * but for "close" in it. A file of CORK_BYTES_MIN and more is corked, as weft and nginx do.
 *
 * usage: bare_file PORT FILE CPU
 */
#include "bench.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define EVENTS_MAX     512
#define FILES_MAX      65536
#define CORK_BYTES_MIN (96 << 10)

static struct client {
    off_t at;
    bool busy, closes;
} clients[FILES_MAX];
static int file;
static off_t file_bytes;
static char head[256];
static size_t head_bytes;

static void cork(int fd, int on)
{
    if (file_bytes >= CORK_BYTES_MIN)
        setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

/* What the socket takes now. */
static void go_on(int fd)
{
    struct client *c = &clients[fd];
    while (c->at < file_bytes) {
        ssize_t n = sendfile(fd, file, &c->at, (size_t)(file_bytes - c->at));
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(fd);
            return;
        }
    }
    cork(fd, 0);
    c->busy = false;
    if (c->closes)
        close(fd);
}

static void on_readable(int fd)
{
    char buf[4096];
    ssize_t got = recv(fd, buf, sizeof buf - 1, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        close(fd);
        return;
    }
    buf[got] = 0;
    clients[fd] = (struct client){.busy = true, .closes = strstr(buf, "close") != NULL};
    cork(fd, 1);
    if (send(fd, head, head_bytes, MSG_NOSIGNAL | MSG_MORE) == (ssize_t)head_bytes)
        go_on(fd);
    else
        close(fd);
}

static void accept_all(int ep, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.fd = fd};
        if (fd >= FILES_MAX || epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("a connection");
        clients[fd] = (struct client){0};
    }
}

static void loop(int ep, int listener)
{
    static struct epoll_event events[EVENTS_MAX];
    for (;;) {
        int n = epoll_wait(ep, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(ep, listener);
            else if (clients[fd].busy)
                go_on(fd);
            else
                on_readable(fd);
        }
    }
}

int main(int argc, char **argv)
{
    struct stat info;
    if (argc != 4)
        usage("bare_file PORT FILE CPU");
    signal(SIGPIPE, SIG_IGN);
    file = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &info) != 0)
        die(argv[2]);
    file_bytes = info.st_size;
    head_bytes =
        (size_t)snprintf(head, sizeof head,
                         "HTTP/1.1 200 OK\r\nServer: bare\r\nDate: Sat, 21 Nov 2026 12:00:00 "
                         "GMT\r\nContent-Length: %lld\r\n\r\n",
                         (long long)file_bytes);
    pin_to((int)number(argv[3], -1, 4096));
    raise_files();
    int listener = listen_on((int)number(argv[1], 1, 65535));
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
        die("epoll");
    loop(ep, listener);
}
