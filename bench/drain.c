/* drain.c - clients that read one answer each, at full speed, and throw it away in the kernel.
 *
 * All of them in one thread; MSG_TRUNC drops what has arrived without copying it. The request asks
 * for Connection: close, so that the end of the stream is the end of the answer; a client that has
 * BYTES (when given) leaves without the rest. Prints how many
 * bytes came (heads and chunk lines included), the fewest and most of one client, and the time.
 * Bounded: it gives up when nothing comes for 20 s.
 */
#include "bench.h"
#include <sys/epoll.h>

#define CLIENTS_MAX 1024
#define TAKE_BYTES  (1u << 20)
#define LINE_BYTES  12 /* "HTTP/1.1 200" */
#define SILENT_MS   20000

static struct client {
    int fd;
    uint64_t bytes;
} clients[CLIENTS_MAX];
static char buf[TAKE_BYTES]; /* untouched but for the first line: MSG_TRUNC writes nothing */
static long failed;
static uint64_t enough = UINT64_MAX;

static void open_client(int ep, uint32_t index, int port, const char *path)
{
    struct sockaddr_in addr = loopback("127.0.0.1", port);
    char request[1024];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || n <= 0 || (size_t)n >= sizeof request)
        die("socket");
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("connect");
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        die("send");
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
    clients[index].fd = fd;
}

/* Returns whether the client is done. */
static bool take(struct client *c)
{
    ssize_t got;
    if (c->bytes == 0) {
        got = recv(c->fd, buf, LINE_BYTES, MSG_DONTWAIT);
        if (got == LINE_BYTES && memcmp(buf, "HTTP/1.1 200", LINE_BYTES) != 0)
            failed++;
    } else {
        got = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT | MSG_TRUNC);
    }
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got > 0) {
        c->bytes += (uint64_t)got;
        if (c->bytes < enough)
            return false;
    }
    failed += got < 0;
    close(c->fd);
    return true;
}

static void drain_all(int ep, long count)
{
    struct epoll_event events[64];
    for (long left = count; left > 0;) {
        int n = epoll_wait(ep, events, 64, SILENT_MS);
        if (n <= 0) {
            failed += left;
            return;
        }
        for (int i = 0; i < n; i++)
            left -= take(&clients[events[i].data.u32]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc > 6)
        usage("drain PORT PATH CLIENTS [CPU [BYTES]]");
    long count = number(argv[3], 1, CLIENTS_MAX);
    pin_to(argc > 4 ? (int)number(argv[4], -1, 4096) : -1);
    if (argc > 5)
        enough = (uint64_t)number(argv[5], 1, INT64_MAX);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        die("epoll_create1");
    uint64_t start = now_ns();
    for (long i = 0; i < count; i++)
        open_client(ep, (uint32_t)i, (int)number(argv[1], 1, 65535), argv[2]);
    drain_all(ep, count);
    uint64_t took = now_ns() - start;
    uint64_t total = 0;
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (long i = 0; i < count; i++) {
        total += clients[i].bytes;
        least = clients[i].bytes < least ? clients[i].bytes : least;
        most = clients[i].bytes > most ? clients[i].bytes : most;
    }
    printf("{\"clients\": %ld, \"failed\": %ld, \"bytes\": %llu, \"least\": %llu, \"most\": %llu, "
           "\"seconds\": %.3f}\n",
           count, failed, (unsigned long long)total, (unsigned long long)least,
           (unsigned long long)most, (double)took / (double)NS_PER_S);
    return 0;
}
