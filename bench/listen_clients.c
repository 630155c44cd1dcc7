/* listen_clients.c - many connections that listen to server-sent events.
 *
 * Lines as in clients.h, where a connection is open when it was said the first words, and
 *   expect K    wait until every connection has got K events more (10 s at most): "got EVENTS
 *               LAST_NS", how many there were and CLOCK_MONOTONIC when the last one was read
 * Events are counted by the lines that begin with "id:", each of which has to come in one piece:
 * they are short.
 */
#include "clients.h"
#include <sys/epoll.h>

#define EXPECT_S 10
#define BATCH    256

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
static int open_one(void)
{
    int fd = connect_one();
    send_request(fd);
    size_t have = 0;
    do {
        have = receive_more(fd, have);
    } while (count_of(have, "\n\n") == 0 && have < sizeof buf);
    check_status();
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

static void expect(const char *line)
{
    if (strncmp(line, "expect ", 7) != 0)
        return;
    long each = number(line + 7, 1, 1000);
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
    long conns_max = take_arguments(argc, argv, "listen_clients PORT SOURCE_IP PATH");
    ready = epoll_create1(EPOLL_CLOEXEC);
    if (ready < 0)
        die("epoll_create1");
    obey(conns_max, open_one, expect);
    return 0;
}
