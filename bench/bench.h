/* bench.h - the few lines that every bench program needs: pinning, clocks, files, sockets.
 *
 * Header only and apart from src/ on purpose: what weft is measured against shares no code with it.
 *
 * Lifetime: process. A bench program exits on the first surprise; nothing is undone.
 * Threads:  any.
 * Memory:   none of its own.
 */
#ifndef WEFT_BENCH_BENCH_H
#define WEFT_BENCH_BENCH_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S ((uint64_t)1000000000)

/** Says what failed and why, and exits 1. */
_Noreturn static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/** Says what is wrong with the way the program was called, and exits 2. */
_Noreturn static inline void usage(const char *text)
{
    fprintf(stderr, "usage: %s\n", text);
    exit(2);
}

/** Monotonic time in ns. */
static inline uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/** Binds the calling thread to one CPU; a negative number leaves it where it is. */
static inline void pin_to(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0)
        die("sched_setaffinity");
}

/** Raises RLIMIT_NOFILE to its hard limit.
 *  returns  that limit */
static inline size_t raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("setrlimit");
    return (size_t)limit.rlim_cur;
}

/** A number argument between min and max; anything else exits 2. */
static inline long number(const char *text, long min, long max)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max) {
        fprintf(stderr, "not a number from %ld to %ld: %s\n", min, max, text);
        exit(2);
    }
    return value;
}

/** Reads a whole file (1 byte to 64 MiB).
 *  returns  owned by the caller, never freed here */
static inline char *read_file(const char *path, size_t *out_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(path);
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0 || size > (64 << 20))
        die(path);
    char *bytes = malloc((size_t)size);
    if (bytes == NULL)
        die("malloc");
    if (pread(fd, bytes, (size_t)size, 0) != size)
        die(path);
    close(fd);
    *out_bytes = (size_t)size;
    return bytes;
}

static inline struct sockaddr_in loopback(const char *host, int port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &addr.sin_addr) != 1)
        usage("the host is an IPv4 address");
    return addr;
}

/** A listener on 127.0.0.1 whose accepted sockets inherit TCP_NODELAY: no call per connection. */
static inline int listen_on(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in addr = loopback("127.0.0.1", port);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("bind");
    if (listen(fd, 4096) < 0)
        die("listen");
    return fd;
}

/** What a bare loop answers: the same response, repeated so that a pipeline leaves in one send. */
struct answer {
    char *bytes;        /* owned: repeat copies, one after the other */
    size_t unit_bytes;  /* of one response */
    size_t repeat;      /* copies in bytes */
    size_t request_len; /* of one request, bytes */
};

static inline struct answer answer_load(const char *path, long request_len)
{
    struct answer a = {.repeat = 64, .request_len = (size_t)request_len};
    char *one = read_file(path, &a.unit_bytes);
    a.bytes = malloc(a.unit_bytes * a.repeat);
    if (a.bytes == NULL)
        die("malloc");
    for (size_t i = 0; i < a.repeat; i++)
        memcpy(a.bytes + i * a.unit_bytes, one, a.unit_bytes);
    free(one);
    return a;
}

/** Whole requests in the bytes seen so far; the rest of a cut one stays in *pending. */
static inline size_t answer_count(const struct answer *a, uint32_t *pending, size_t got)
{
    size_t have = *pending + got;
    if (have == a->request_len) { /* the common case, without a division */
        *pending = 0;
        return 1;
    }
    *pending = (uint32_t)(have % a->request_len);
    size_t count = have / a->request_len;
    return count < a->repeat ? count : a->repeat;
}

#endif
