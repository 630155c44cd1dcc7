/* load.c - the client side: keeps C connections busy with D requests each and counts the answers.
 *
 * One pinned thread that never sleeps: epoll is asked without waiting, so that the server pays no
 * wake-up of another CPU and the client is lighter than anything it measures. The length of a
 * response is learned from its first one (status line, Content-Length); from then on bytes are
 * counted, and each receive that begins at a response's start is compared with the first line. A
 * --sweep goes round the connections instead of asking epoll, which spares the server the call-back
 * into the client's epoll.
 *
 * With --per-conn each connection is closed after so many requests and opened again.
 * Bounded: by --ms or --requests, and it gives up when nothing moves for 5 s.
 */
#include "bench.h"
#include <getopt.h>
#include <sys/epoll.h>

#define CONNS_MAX    16384
#define DEPTH_MAX    256
#define BUF_BYTES    (256u << 10)
#define LINE_BYTES   12 /* "HTTP/1.1 200" */
#define STUCK_NS     (5 * NS_PER_S)
#define BUCKETS      1024 /* latency: 16 steps per power of two */
#define BUCKET_STEPS 16

struct conn {
    int fd;
    uint32_t wait_bytes; /* of answers that are still under way */
    uint32_t asked;      /* requests since it was opened */
    uint64_t since;      /* when they were sent, ns */
};

struct options {
    const char *host;
    const char *path;
    const char *request_file;
    char headers[2048];
    int port;
    int cpu;
    long conns;
    long depth;
    long per_conn; /* 0: never closed */
    double seconds;
    uint64_t requests; /* 0: by time */
    bool sweep;
    bool block; /* epoll may sleep */
};

static struct options opt = {
    .host = "127.0.0.1", .path = "/", .cpu = -1, .conns = 64, .depth = 1, .seconds = 3};
static struct conn conns[CONNS_MAX];
static char buf[BUF_BYTES];
static char *pipeline; /* owned: depth requests */
static size_t pipeline_bytes;
static size_t answer_bytes; /* of one response */
static char first_line[LINE_BYTES];
static int ep;
static uint64_t done;
static uint64_t errors;
static uint64_t opened;
static uint64_t started_ns;
static uint64_t now;
static uint64_t histogram[BUCKETS];

static void build_pipeline(void)
{
    char one[4096];
    size_t len;
    char *bytes = one;
    if (opt.request_file != NULL) {
        bytes = read_file(opt.request_file, &len);
    } else {
        int n = snprintf(one, sizeof one, "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", opt.path,
                         opt.headers);
        if (n <= 0 || (size_t)n >= sizeof one)
            usage("the request is too long");
        len = (size_t)n;
    }
    pipeline = malloc(len * (size_t)opt.depth);
    if (pipeline == NULL)
        die("malloc");
    for (long i = 0; i < opt.depth; i++)
        memcpy(pipeline + (size_t)i * len, bytes, len);
    pipeline_bytes = len * (size_t)opt.depth;
}

static int connect_one(void)
{
    struct sockaddr_in addr = loopback(opt.host, opt.port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
        die("connect");
    opened++;
    return fd;
}

/* The head's end and Content-Length say how long one response is; it has to fit in one buffer. */
static size_t measure(const char *bytes, size_t len)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (end == NULL || len < LINE_BYTES)
        return 0;
    size_t head = (size_t)(end - bytes) + 4;
    for (const char *at = bytes; at < end; at++) {
        if (strncasecmp(at, "\ncontent-length:", 16) == 0)
            return head + (size_t)strtoul(at + 16, NULL, 10);
    }
    usage("the response has no Content-Length");
}

/* One request on a connection of its own, before anything is timed. */
static void learn(void)
{
    int fd = connect_one();
    struct timeval limit = {.tv_sec = 5};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    size_t one = pipeline_bytes / (size_t)opt.depth;
    if (send(fd, pipeline, one, MSG_NOSIGNAL) != (ssize_t)one)
        die("send");
    size_t have = 0;
    while (have < sizeof buf && (answer_bytes == 0 || have < answer_bytes)) {
        ssize_t got = recv(fd, buf + have, sizeof buf - have, 0);
        if (got <= 0)
            die("the first answer");
        have += (size_t)got;
        answer_bytes = measure(buf, have);
    }
    if (have != answer_bytes)
        usage("the first answer is not one response of at most 256 KiB");
    memcpy(first_line, buf, LINE_BYTES);
    close(fd);
}

static void ask(struct conn *c)
{
    c->since = now;
    c->wait_bytes = (uint32_t)(answer_bytes * (size_t)opt.depth);
    c->asked += (uint32_t)opt.depth;
    if (send(c->fd, pipeline, pipeline_bytes, MSG_NOSIGNAL) != (ssize_t)pipeline_bytes)
        errors++;
}

static void open_conn(struct conn *c, uint32_t index)
{
    c->fd = connect_one();
    c->asked = 0;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = index};
    if (!opt.sweep && epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll_ctl");
    ask(c);
}

static void reopen(struct conn *c)
{
    close(c->fd);
    open_conn(c, (uint32_t)(c - conns));
}

static void note_latency(uint64_t ns)
{
    unsigned log = 63 - (unsigned)__builtin_clzll(ns | BUCKET_STEPS);
    uint64_t bucket = (log - 4) * BUCKET_STEPS + ((ns >> (log - 4)) & (BUCKET_STEPS - 1));
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

/* The middle of a bucket, in ns. */
static double bucket_ns(unsigned bucket)
{
    unsigned log = bucket / BUCKET_STEPS + 4;
    return (double)(BUCKET_STEPS + bucket % BUCKET_STEPS) * (double)(1ull << (log - 4));
}

static double quantile_us(double q)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        total += histogram[i];
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > 0 && (double)seen >= q * (double)total)
            return bucket_ns(i) / 1000;
    }
    return 0;
}

static void on_readable(struct conn *c)
{
    ssize_t got = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0 || (size_t)got > c->wait_bytes) {
        errors++;
        reopen(c);
        return;
    }
    if (c->wait_bytes % answer_bytes == 0 && memcmp(buf, first_line, LINE_BYTES) != 0)
        errors++;
    c->wait_bytes -= (uint32_t)got;
    if (c->wait_bytes > 0)
        return;
    done += (uint64_t)opt.depth;
    note_latency(now - c->since);
    if (opt.per_conn > 0 && c->asked >= (uint32_t)opt.per_conn)
        reopen(c);
    else
        ask(c);
}

static void turn(void)
{
    static struct epoll_event events[256];
    if (opt.sweep) {
        for (long i = 0; i < opt.conns; i++)
            on_readable(&conns[i]);
        return;
    }
    int n = epoll_wait(ep, events, 256, opt.block ? 100 : 0);
    for (int i = 0; i < n; i++)
        on_readable(&conns[events[i].data.u32]);
}

/* Returns the ns that it ran. */
static uint64_t run(void)
{
    started_ns = now = now_ns();
    for (long i = 0; i < opt.conns; i++)
        open_conn(&conns[i], (uint32_t)i);
    uint64_t end = started_ns + (uint64_t)(opt.seconds * (double)NS_PER_S);
    uint64_t moved = now;
    for (uint64_t before = 0; opt.requests > 0 ? done < opt.requests : now < end;) {
        turn();
        now = now_ns();
        if (done != before)
            moved = now;
        before = done;
        if (now - moved > STUCK_NS) {
            errors += (uint64_t)opt.conns;
            break;
        }
    }
    return now - started_ns;
}

static void usage_exit(void)
{
    usage("load --port N [--host IP] [--path /] [--header 'Name: value']... [--request FILE]\n"
          "            [--conns 64] [--depth 1] [--ms 3000 | --requests N] [--per-conn N]\n"
          "            [--cpu N] [--sweep] [--block]");
}

static void add_header(const char *text)
{
    size_t have = strlen(opt.headers);
    int n = snprintf(opt.headers + have, sizeof opt.headers - have, "%s\r\n", text);
    if (n < 0 || (size_t)n >= sizeof opt.headers - have)
        usage("too many headers");
}

static void set_option(int letter, const char *text)
{
    switch (letter) {
    case 'p':
        opt.port = (int)number(text, 1, 65535);
        break;
    case 'h':
        opt.host = text;
        break;
    case 'u':
        opt.path = text;
        break;
    case 'H':
        add_header(text);
        break;
    case 'f':
        opt.request_file = text;
        break;
    case 'c':
        opt.conns = number(text, 1, CONNS_MAX);
        break;
    case 'd':
        opt.depth = number(text, 1, DEPTH_MAX);
        break;
    case 's':
        opt.seconds = (double)number(text, 1, 600000) / 1000;
        break;
    case 'n':
        opt.requests = (uint64_t)number(text, 1, 1000000000);
        break;
    case 'k':
        opt.per_conn = number(text, 1, 1000000000);
        break;
    case 'C':
        opt.cpu = (int)number(text, -1, 4096);
        break;
    case 'S':
        opt.sweep = true;
        break;
    case 'B':
        opt.block = true;
        break;
    default:
        usage_exit();
    }
}

static void parse(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", required_argument, NULL, 'p'},     {"host", required_argument, NULL, 'h'},
        {"path", required_argument, NULL, 'u'},     {"header", required_argument, NULL, 'H'},
        {"request", required_argument, NULL, 'f'},  {"conns", required_argument, NULL, 'c'},
        {"depth", required_argument, NULL, 'd'},    {"ms", required_argument, NULL, 's'},
        {"requests", required_argument, NULL, 'n'}, {"per-conn", required_argument, NULL, 'k'},
        {"cpu", required_argument, NULL, 'C'},      {"sweep", no_argument, NULL, 'S'},
        {"block", no_argument, NULL, 'B'},          {NULL, 0, NULL, 0}};
    for (int letter; (letter = getopt_long(argc, argv, "", names, NULL)) != -1;)
        set_option(letter, optarg);
    if (opt.port == 0 || optind != argc)
        usage_exit();
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    pin_to(opt.cpu);
    raise_files();
    build_pipeline();
    ep = epoll_create1(EPOLL_CLOEXEC);
    if (ep < 0)
        die("epoll_create1");
    learn();
    uint64_t ns = run();
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"errors\": %llu, \"connections\": %llu, "
           "\"response_bytes\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)done, (double)ns / (double)NS_PER_S, (unsigned long long)errors,
           (unsigned long long)opened, answer_bytes, quantile_us(0.50), quantile_us(0.99));
    return 0;
}
