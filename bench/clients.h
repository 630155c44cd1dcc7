/* clients.h - a process full of connections, which obeys lines on standard input.
 *
 *   open N      open connections until there are N: "open N"
 *   quit        (or end of input) ends the process, and with it every connection
 * Other lines are the program's. Connections leave from their own loopback address, so that several
 * processes together pass the ports of one; behind PORTS_EACH of them the next address is taken,
 * because the kernel tries all even ports before the first odd one, which takes milliseconds when
 * they are used up. Blocking and one at a time: the server's memory is measured, not its speed.
 * Bounded: a descriptor per connection up to RLIMIT_NOFILE, 5 s per answer.
 *
 * Lifetime, Threads, Memory: as bench.h; static tables for CONNS_MAX connections.
 */
#ifndef WEFT_BENCH_CLIENTS_H
#define WEFT_BENCH_CLIENTS_H

#include "bench.h"

#define CONNS_MAX   100000
#define BUF_BYTES   65536
#define SPARE_FILES 16
#define PORTS_EACH  14000 /* half of the ephemeral ports that are usual */

static int fds[CONNS_MAX];
static long conn_count;
static struct sockaddr_in from, to;
static char request[1024];
static size_t request_bytes;
static char buf[BUF_BYTES];

static int connect_one(void)
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
    return fd;
}

static void send_request(int fd)
{
    if (send(fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes)
        die("send");
}

/* Receives into buf behind what it has; returns how much it has then. */
static size_t receive_more(int fd, size_t have)
{
    ssize_t got = recv(fd, buf + have, sizeof buf - have, 0);
    if (got == 0)
        errno = ECONNRESET;
    if (got <= 0)
        die("recv");
    return have + (size_t)got;
}

static void check_status(void)
{
    if (memcmp(buf, "HTTP/1.1 200", 12) != 0)
        usage("the answer is not 200");
}

/* PORT SOURCE_IP PATH; returns how many connections there can be. */
static long take_arguments(int argc, char **argv, const char *how)
{
    if (argc != 4)
        usage(how);
    to = loopback("127.0.0.1", (int)number(argv[1], 1, 65535));
    from = loopback(argv[2], 0);
    int n =
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[3]);
    if (n <= 0 || (size_t)n >= sizeof request)
        usage("the path is too long");
    request_bytes = (size_t)n;
    long conns_max = (long)raise_files() - SPARE_FILES;
    return conns_max > CONNS_MAX ? CONNS_MAX : conns_max;
}

/* Obeys until "quit". open_one  a new connection; other  does what another line says. */
static void obey(long conns_max, int (*open_one)(void), void (*other)(const char *line))
{
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "quit", 4) != 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "open ", 5) == 0) {
            for (long want = number(line + 5, 0, conns_max); conn_count < want;)
                fds[conn_count++] = open_one();
            printf("open %ld\n", conn_count);
        } else {
            other(line);
        }
        fflush(stdout);
    }
}

#endif
