/* listen_clients.c - many connections that listen to server-sent events.
 *
 * Obeys lines on standard input and answers each with one line on standard output:
 *   open N     open connections, each answered and said the first words, until there are N: "open
 * N" expect K   wait until every connection has got K events more (10 s at most): "got EVENTS
 * LAST_NS", how many there were and CLOCK_MONOTONIC when the last one was read quit       (or end
 * of input) ends the process, and with it every connection Events are counted by the lines that
 * begin with "id:", each of which has to come in one piece: they are short. Ports and bounds as in
 * idle_clients.c.
 */
#include "bench.h"
#include <sys/epoll.h>

#define CONNS_MAX   100000
#define BUF_BYTES   65536
#define SPARE_FILES 16
#define PORTS_EACH  14000
#define EXPECT_S    10
#define BATCH       256

static int fds[CONNS_MAX];
static long conn_count;
static struct sockaddr_in from;
static struct sockaddr_in to;
static char request[256];
static size_t request_bytes;
static char buf[BUF_BYTES];
static int ready;

static long count_of(size_t have, const char *text)
{
    long count = 0;
    const char *at = buf, *end = buf + have;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
        count++;
        at += strlen(text);
    }
    return count;
}

/* Reads the head and the first words, which end like every event: with an empty line. */
static void greet(int fd)
{
    size_t have = 0;
    do {
        ssize_t got = recv(fd, buf + have, sizeof buf - have, 0);
        if (got == 0)
            errno = ECONNRESET;
        if (got <= 0)
            die("recv");
        have += (size_t)got;
    } while (count_of(have, "\n\n") == 0 && have < sizeof buf);
    if (memcmp(buf, "HTTP/1.1 200", 12) != 0)
        usage("the answer is not 200");
}

static int open_one(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        die("socket");
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    struct sockaddr_in source = from;
    source.sin_addr.s_addr =
        htonl(ntohl(from.sin_addr.s_addr) + (uint32_t)(conn_count / PORTS_EACH));
    if (bind(fd, (struct sockaddr *)&source, sizeof source) < 0)
        die("bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        die("connect");
    if (send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        die("send");
    greet(fd);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(ready, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll_ctl");
    return fd;
}

static long read_one(int fd)
{
    ssize_t got = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    if (got == 0)
        usage("the server closed a connection");
    if (got < 0 && errno != EAGAIN)
        die("recv");
    return got > 0 ? count_of((size_t)got, "id: ") : 0;
}

static void expect(long each)
{
    struct epoll_event events[BATCH];
    uint64_t end = now_ns() + EXPECT_S * NS_PER_S, last = 0;
    long total = 0;
    while (total < each * conn_count && now_ns() < end) {
        int n = epoll_wait(ready, events, BATCH, 1000);
        for (int i = 0; i < n; i++)
            total += read_one(events[i].data.fd);
        last = n > 0 ? now_ns() : last;
    }
    printf("got %ld %llu\n", total, (unsigned long long)last);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        usage("listen_clients PORT SOURCE_IP PATH");
    to = loopback("127.0.0.1", (int)number(argv[1], 1, 65535));
    from = loopback(argv[2], 0);
    int n =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[3]);
    if (n <= 0 || (size_t)n >= sizeof request)
        usage("the path is too long");
    request_bytes = (size_t)n;
    long conns_max = (long)raise_files() - SPARE_FILES;
    if (conns_max > CONNS_MAX)
        conns_max = CONNS_MAX;
    ready = epoll_create1(EPOLL_CLOEXEC);
    if (ready < 0)
        die("epoll_create1");
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "quit", 4) != 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "open ", 5) == 0) {
            for (long want = number(line + 5, 0, conns_max); conn_count < want;)
                fds[conn_count++] = open_one();
            printf("open %ld\n", conn_count);
        } else if (strncmp(line, "expect ", 7) == 0) {
            expect(number(line + 7, 1, 1000));
        }
        fflush(stdout);
    }
    return 0;
}
