/* mix.c - many clients of many kinds at once: idle ones, slow ones, large bodies, bursts, aborts.
 *
 * For floods, soaks and stresses: what counts is what the server holds and answers, not how fast
 * the client is. One thread, epoll, and a look at every client each 5 ms for what is due. Each
 * group is KIND:COUNT:MS:WHAT[:LABEL]: req    GET the path WHAT, read the answer, again after MS on
 * the same connection (-1: never) post   POST /echo with WHAT bytes, read the echo, again after MS
 *   hog    POST /echo with WHAT bytes of which it reads nothing back
 *   jam    GET the path WHAT and read nothing; MS 0: with a head of 8,000 bytes and half another
 * one, else with a head of 3,000 in two pieces, MS apart slow   a head of WHAT bytes, one more byte
 * every MS abort  GET the path WHAT, reset after MS, again bad    what is no request; WHAT is not
 * used A client that is refused or cut comes back after a second. Ends after SECONDS or at the end
 * of standard input, and prints one JSON object: by label what was answered, and how fast. `level`
 * is how many had their last answer and an open connection, at most and when the time was over.
 * Bounded: by SECONDS, RLIMIT_NOFILE, and 400 new connections per 5 ms.
 */
#include "bench.h"
#include <poll.h>
#include <sys/epoll.h>

#define CLIENTS_MAX  65536
#define GROUPS_MAX   32
#define HEAD_BYTES   1024
#define TICK_NS      (5 * 1000 * (uint64_t)1000)
#define OPENS_TICK   400
#define AGAIN_MS     1000 /* after a refusal or a cut */
#define BUSY_MS      50   /* after a 503 on a connection that stays */
#define PIECES_BYTES 2900
#define WHOLE_BYTES  7900
#define BUCKETS      1024 /* latency: 16 steps per power of two */
#define BUCKET_STEPS 16
#define NEVER        UINT64_MAX

enum kind { REQ, POST, HOG, JAM, SLOW, ABORT, BAD, KINDS };
static const char *const kind_names[KINDS] = {"req", "post", "hog", "jam", "slow", "abort", "bad"};

struct group {
    enum kind kind;
    const char *label;
    long count, ms;
    char request[16384];
    size_t request_bytes;
    uint64_t body_bytes;
    uint64_t opened, failed, ok, busy, other, cut;
    uint64_t worst_us, sum_us; /* of 2xx */
    long level, level_max;
    uint64_t histogram[BUCKETS];
};

enum state { SHUT, CONNECTING, ASKING, THINKING };

struct client {
    struct group *group;
    int fd;
    enum state state;
    bool good; /* counted in its group's level */
    bool chunked;
    uint64_t due;   /* ns; NEVER: when something comes */
    uint64_t since; /* when it asked */
    uint64_t sent;
    uint64_t body_left; /* of the answer, once its head is there */
    uint32_t head_have;
    bool head_done;
    char tail[5]; /* last bytes of a chunked body */
    char head[HEAD_BYTES];
};

static struct client *clients; /* owned: CLIENTS_MAX, touched as used */
static size_t client_count;
static struct group groups[GROUPS_MAX];
static size_t group_count;
static struct sockaddr_in to;
static int ep;
static char noise[65536];
static char sink[262144];
static uint64_t now;

/* ---- what happened ---- */

static size_t bucket_of(uint64_t us)
{
    if (us < BUCKET_STEPS)
        return (size_t)us;
    unsigned shift = 63u - (unsigned)__builtin_clzll(us) - 4;
    size_t bucket = (size_t)(shift + 1) * BUCKET_STEPS + (size_t)((us >> shift) - BUCKET_STEPS);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static uint64_t bucket_us(size_t bucket)
{
    if (bucket < BUCKET_STEPS)
        return bucket;
    return (uint64_t)(bucket % BUCKET_STEPS + BUCKET_STEPS + 1) << (bucket / BUCKET_STEPS - 1);
}

static uint64_t quantile_us(const struct group *group, double share)
{
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < BUCKETS; i++)
        total += group->histogram[i];
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += group->histogram[i];
        if (total > 0 && (double)seen >= share * (double)total)
            return bucket_us(i);
    }
    return 0;
}

static void set_good(struct client *client, bool good)
{
    struct group *group = client->group;
    group->level += (long)good - (long)client->good;
    if (group->level > group->level_max)
        group->level_max = group->level;
    client->good = good;
}

static void later(struct client *client, long ms)
{
    client->due = ms < 0 ? NEVER : now + (uint64_t)ms * 1000000;
}

static void shut(struct client *client, long again_ms)
{
    close(client->fd);
    client->state = SHUT;
    set_good(client, false);
    later(client, again_ms);
}

static void cut(struct client *client)
{
    if (client->state == CONNECTING)
        client->group->failed++;
    else
        client->group->cut++;
    shut(client, AGAIN_MS);
}

/* ---- asking ---- */

static void watch(struct client *client, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = client};
    if (epoll_ctl(ep, EPOLL_CTL_MOD, client->fd, &ev) < 0)
        die("epoll_ctl");
}

static bool reads_nothing(const struct client *client)
{
    return client->group->kind == HOG || client->group->kind == JAM;
}

/* So little is under way to it that the server soon waits: short segments, a small window. */
static void take_little(int fd)
{
    int segment = 536, window = 4096;
    setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof window);
}

static void open_one(struct client *client)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(client - clients) % 8);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (client->group->kind == JAM)
        take_little(fd);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind");
    client->fd = fd;
    client->state = CONNECTING;
    client->due = NEVER;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        cut(client);
        return;
    }
    struct epoll_event ev = {.events = EPOLLOUT, .data.ptr = client};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl");
}

static uint64_t whole_bytes(const struct group *group)
{
    return group->request_bytes + group->body_bytes;
}

/* Sends what fits; false: the connection is gone. */
static bool send_some(struct client *client)
{
    const struct group *group = client->group;
    uint64_t whole = whole_bytes(group);
    if (group->kind == SLOW && client->sent > 0)
        whole = client->sent + 1 < whole ? client->sent + 1 : whole;
    else if (group->kind == SLOW || (group->kind == JAM && group->ms > 0 && client->sent == 0))
        whole = group->request_bytes / 2;
    while (client->sent < whole) {
        bool head = client->sent < group->request_bytes;
        const char *from = head ? group->request + client->sent : noise;
        uint64_t left =
            (head && group->request_bytes < whole ? group->request_bytes : whole) - client->sent;
        size_t most = left < sizeof noise ? (size_t)left : sizeof noise;
        ssize_t put = send(client->fd, from, most, MSG_NOSIGNAL);
        if (put < 0)
            return errno == EAGAIN;
        client->sent += (uint64_t)put;
    }
    return true;
}

static void ask(struct client *client)
{
    client->state = ASKING;
    client->since = now;
    client->sent = 0;
    client->head_have = 0;
    client->head_done = client->chunked = false;
    client->due = NEVER;
    enum kind kind = client->group->kind;
    if (kind == ABORT || kind == SLOW || (kind == JAM && client->group->ms > 0))
        later(client, client->group->ms);
    if (!send_some(client)) {
        cut(client);
        return;
    }
    bool more = client->sent < whole_bytes(client->group) && client->due == NEVER;
    uint32_t in = reads_nothing(client) ? EPOLLRDHUP : EPOLLIN;
    watch(client, in | (more ? (uint32_t)EPOLLOUT : 0));
}

/* ---- reading ---- */

static void answered(struct client *client)
{
    struct group *group = client->group;
    int status = atoi(client->head + 9);
    uint64_t us = (now_ns() - client->since) / 1000;
    bool ok = status >= 200 && status < 300;
    *(ok ? &group->ok : status == 503 ? &group->busy : &group->other) += 1;
    if (ok) {
        group->histogram[bucket_of(us)]++;
        group->sum_us += us;
        group->worst_us = us > group->worst_us ? us : group->worst_us;
    }
    if (group->kind == BAD || strcasestr(client->head, "\nconnection: close") != NULL) {
        shut(client, group->kind == BAD ? group->ms : AGAIN_MS);
        return;
    }
    set_good(client, ok);
    client->state = THINKING;
    later(client, ok ? group->ms : BUSY_MS);
    watch(client, EPOLLIN);
}

/* Bytes of a body; true: it is whole. */
static bool take_body(struct client *client, const char *bytes, size_t count)
{
    if (!client->chunked) {
        client->body_left -= count < client->body_left ? count : client->body_left;
        return client->body_left == 0;
    }
    for (size_t i = count > 5 ? count - 5 : 0; i < count; i++) {
        memmove(client->tail, client->tail + 1, 4);
        client->tail[4] = bytes[i];
    }
    return memcmp(client->tail, "0\r\n\r\n", 5) == 0;
}

/* Bytes of an answer; returns true when it is whole, or no answer at all. */
static bool take(struct client *client, const char *bytes, size_t count)
{
    if (client->head_done)
        return take_body(client, bytes, count);
    size_t room = HEAD_BYTES - 1 - client->head_have;
    size_t had = client->head_have, part = count < room ? count : room;
    memcpy(client->head + had, bytes, part);
    client->head_have += (uint32_t)part;
    client->head[client->head_have] = '\0';
    char *end = strstr(client->head, "\r\n\r\n");
    if (end == NULL)
        return client->head_have == HEAD_BYTES - 1;
    end[2] = '\0'; /* the body may not look like a header */
    client->head_done = true;
    const char *length = strcasestr(client->head, "\ncontent-length:");
    client->body_left = length != NULL ? strtoull(length + 16, NULL, 10) : 0;
    client->chunked = strcasestr(client->head, "\ntransfer-encoding:") != NULL;
    memset(client->tail, 0, sizeof client->tail);
    size_t head_bytes = (size_t)(end - client->head) + 4 - had;
    return take_body(client, bytes + head_bytes, count - head_bytes);
}

static void receive(struct client *client)
{
    for (int i = 0; i < 4; i++) {
        ssize_t got = recv(client->fd, sink, sizeof sink, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            cut(client);
            return;
        }
        if (client->state != ASKING) /* told that it is no longer welcome */
            continue;
        if (take(client, sink, (size_t)got)) {
            answered(client);
            return;
        }
    }
}

static void happened(struct client *client, uint32_t events)
{
    if (client->state == SHUT)
        return;
    if (client->state == CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error != 0) {
            cut(client);
            return;
        }
        client->group->opened++;
        ask(client);
        return;
    }
    if (reads_nothing(client) && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        cut(client);
        return;
    }
    if (events & EPOLLOUT) {
        if (!send_some(client)) {
            cut(client);
            return;
        }
        if (client->sent >= whole_bytes(client->group))
            watch(client, reads_nothing(client) ? EPOLLRDHUP : EPOLLIN);
    }
    if (!reads_nothing(client) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(client);
}

/* ---- what is due ---- */

static void reset(struct client *client)
{
    struct linger hard = {.l_onoff = 1};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    client->group->ok++;
    shut(client, 0);
}

static void tick(void)
{
    int opens = 0;
    for (size_t i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        if (client->due > now)
            continue;
        if (client->state == SHUT) {
            if (opens++ < OPENS_TICK)
                open_one(client);
        } else if (client->state == THINKING) {
            ask(client);
        } else if (client->group->kind == ABORT) {
            reset(client);
        } else {
            later(client, client->group->kind == SLOW ? client->group->ms : -1);
            if (!send_some(client))
                cut(client);
        }
    }
}

static bool told_to_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&in, 1, 0) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void run(double seconds)
{
    struct epoll_event events[512];
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9), next = 0;
    for (now = now_ns(); now < end; now = now_ns()) {
        if (now >= next) {
            tick();
            next = now + TICK_NS;
            if (told_to_end())
                return;
        }
        int count = epoll_wait(ep, events, 512, 2);
        now = now_ns();
        for (int i = 0; i < count; i++)
            happened(events[i].data.ptr, events[i].events);
    }
}

/* ---- words in, JSON out ---- */

static char *word(char **rest)
{
    char *at = strsep(rest, ":");
    if (at == NULL || *at == '\0')
        usage("mix PORT SECONDS KIND:COUNT:MS:WHAT[:LABEL]...");
    return at;
}

static void write_request(struct group *group, const char *what)
{
    int n;
    if (group->kind == POST || group->kind == HOG) {
        group->body_bytes = (uint64_t)number(what, 1, 1L << 40);
        n = snprintf(group->request, sizeof group->request,
                     "POST /echo HTTP/1.1\r\nHost: mix\r\nContent-Length: %s\r\n\r\n", what);
    } else if (group->kind == JAM) {
        n = snprintf(group->request, sizeof group->request,
                     "GET %s HTTP/1.1\r\nHost: mix\r\nX: %0*d\r\n\r\n", what,
                     group->ms > 0 ? PIECES_BYTES : WHOLE_BYTES, 0);
    } else if (group->kind == BAD) {
        n = snprintf(group->request, sizeof group->request, "GET / HTTP/1.1\r\nHo st: x\r\n\r\n");
    } else if (group->kind == SLOW) {
        size_t bytes = (size_t)number(what, 64, (long)sizeof group->request - 1);
        n = snprintf(group->request, sizeof group->request,
                     "GET / HTTP/1.1\r\nHost: mix\r\nX: %0*d", (int)bytes - 30, 0);
    } else {
        n = snprintf(group->request, sizeof group->request, "GET %s HTTP/1.1\r\nHost: mix\r\n\r\n",
                     what);
    }
    if (n <= 0 || (size_t)n >= sizeof group->request)
        usage("the request is too long");
    group->request_bytes = (size_t)n;
}

static void add_group(char *text)
{
    if (group_count == GROUPS_MAX)
        usage("32 groups at most");
    struct group *group = &groups[group_count++];
    const char *name = word(&text);
    while (group->kind < KINDS && strcmp(name, kind_names[group->kind]) != 0)
        group->kind++;
    if (group->kind == KINDS)
        usage("a kind is req, post, hog, jam, slow, abort or bad");
    group->count = number(word(&text), 1, CLIENTS_MAX);
    group->ms = number(word(&text), -1, 3600000);
    write_request(group, word(&text));
    group->label = text != NULL ? text : name;
    for (long i = 0; i < group->count; i++) {
        if (client_count == CLIENTS_MAX)
            usage("too many clients");
        clients[client_count++] = (struct client){.group = group};
    }
}

static void print_json(void)
{
    printf("{");
    for (size_t i = 0; i < group_count; i++) {
        const struct group *g = &groups[i];
        const struct figure {
            const char *name;
            uint64_t value;
        } figures[] = {{"clients", (uint64_t)g->count},
                       {"opened", g->opened},
                       {"failed", g->failed},
                       {"ok", g->ok},
                       {"busy", g->busy},
                       {"other", g->other},
                       {"cut", g->cut},
                       {"level", (uint64_t)g->level},
                       {"level_max", (uint64_t)g->level_max},
                       {"p50_us", quantile_us(g, 0.5)},
                       {"p99_us", quantile_us(g, 0.99)},
                       {"worst_us", g->worst_us},
                       {"sum_us", g->sum_us}};
        printf("%s\"%s\": {", i == 0 ? "" : ", ", g->label);
        for (size_t k = 0; k < sizeof figures / sizeof *figures; k++)
            printf("%s\"%s\": %llu", k == 0 ? "" : ", ", figures[k].name,
                   (unsigned long long)figures[k].value);
        printf("}");
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    if (argc < 4)
        usage("mix PORT SECONDS KIND:COUNT:MS:WHAT[:LABEL]...");
    to = loopback("127.0.0.1", (int)number(argv[1], 1, 65535));
    double seconds = (double)number(argv[2], 1, 86400);
    size_t files = raise_files();
    clients = calloc(CLIENTS_MAX, sizeof *clients);
    if (clients == NULL)
        die("calloc");
    for (int i = 3; i < argc; i++)
        add_group(argv[i]);
    if (client_count + 16 > files)
        usage("more clients than RLIMIT_NOFILE allows");
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        die("epoll_create1");
    run(seconds);
    print_json();
    return 0;
}
