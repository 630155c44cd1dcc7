/* idle_clients.c - many connections that did one request each and then keep quiet.
 *
 * Obeys lines on standard input and answers each with one line on standard output:
 *   open N      open connections, each with one request answered, until there are N: "open N"
 *   ask K       one more request on K connections picked at random: "answered K WORST_US"
 *   quit        (or end of input) ends the process, and with it every connection
 * Connections leave from their own loopback address, so that several processes together pass the
 * ports of one; behind PORTS_EACH of them the next address is taken, because the kernel tries all
 * even ports before the first odd one, which takes milliseconds when they are used up. Blocking and
 * one at a time: the server's memory is measured, not its speed. Bounded: a descriptor per
 * connection up to RLIMIT_NOFILE, 5 s per answer.
 */
#include "bench.h"

#define CONNS_MAX   100000
#define BUF_BYTES   65536
#define SPARE_FILES 16
#define PORTS_EACH  14000 /* half of the ephemeral ports that are usual */

static int fds[CONNS_MAX];
static long conn_count;
static struct sockaddr_in from;
static struct sockaddr_in to;
static char request[1024];
static size_t request_bytes;
static char buf[BUF_BYTES];

static bool answer_is_whole(size_t have)
{
    const char *end = memmem(buf, have, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    for (const char *at = buf; at < end; at++) {
        if (strncasecmp(at, "\ncontent-length:", 16) == 0)
            return have >= (size_t)(end - buf) + 4 + strtoul(at + 16, NULL, 10);
    }
    usage("the answer has no Content-Length");
}

static void ask(int fd)
{
    if (send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        die("send");
    size_t have = 0;
    do {
        ssize_t got = recv(fd, buf + have, sizeof buf - have, 0);
        if (got == 0)
            errno = ECONNRESET;
        if (got <= 0)
            die("recv");
        have += (size_t)got;
    } while (!answer_is_whole(have) && have < sizeof buf);
    if (memcmp(buf, "HTTP/1.1 200", 12) != 0)
        usage("the answer is not 200");
}

static int open_one(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    int one = 1;
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
    ask(fd);
    return fd;
}

static void ask_some(long count)
{
    uint64_t worst = 0;
    for (long i = 0; i < count && conn_count > 0; i++) {
        uint64_t start = now_ns();
        ask(fds[random() % conn_count]);
        uint64_t took = now_ns() - start;
        worst = took > worst ? took : worst;
    }
    printf("answered %ld %llu\n", count, (unsigned long long)(worst / 1000));
}

int main(int argc, char **argv)
{
    if (argc != 4)
        usage("idle_clients PORT SOURCE_IP PATH");
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
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "quit", 4) != 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "open ", 5) == 0) {
            for (long want = number(line + 5, 0, conns_max); conn_count < want;)
                fds[conn_count++] = open_one();
            printf("open %ld\n", conn_count);
        } else if (strncmp(line, "ask ", 4) == 0) {
            ask_some(number(line + 4, 1, 1000000));
        }
        fflush(stdout);
    }
    return 0;
}
