/* run.c - serves the shop before and after in processes of their own, loads both alike, compares
 * their answers and prints the peak of each (VmHWM).
 *
 *   before-after          both, and what each technique saves by itself
 *   before-after N        with N clients (default 16, 3 to 200)
 *
 * Clients ask, wait until all have asked, and only then read: as slow clients do. */
#include "shop.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_BYTES   (16 << 20)
#define UPLOAD_BYTES (4 << 20)
#define CLIENTS_MAX  200
#define SETTLE_MS    400 /* from the first request to the first read */
#define TIMEOUT_MS   20000
#define SEGMENT      1400 /* bytes, as on a network: loopback's 64 KiB would hide 2 MB in the kernel */
#define HASH_START   14695981039346656037ull /* FNV-1a */
#define HASH_STEP    1099511628211ull

struct ways {
    bool users, file, upper; /* Weft's way */
    int middleware;          /* naive ones before each handler */
};

static char folder[] = "/tmp/before-after.XXXXXX";

void user_at(uint64_t i, struct user *out)
{
    out->id = i;
    (void)snprintf(out->name, sizeof(out->name), "User %llu", (unsigned long long)i);
    (void)snprintf(out->email, sizeof(out->email), "user%llu@example.org", (unsigned long long)i);
}

void users_asked(weft_req *rq, uint64_t *out_from, uint64_t *out_to)
{
    uint64_t page = weft_query_u64(rq, WEFT_S("page"), 0);
    uint64_t size = weft_query_u64(rq, WEFT_S("size"), USERS);
    size = size < USERS ? size : USERS;
    page = page < USERS ? page : USERS;
    *out_from = page * size < USERS ? page * size : USERS;
    *out_to = *out_from + size < USERS ? *out_from + size : USERS;
}

/* ---- the server, in a child ---- */

static int serve(const struct ways *ways)
{
    weft_app *app = weft_app_new();
    if (app == NULL)
        return 1;
    weft_app_port(app, 0);
    weft_app_set(app, "admin.enabled", "off");
    weft_app_set(app, "workers", "1");
    weft_app_set(app, "root", folder);
    for (int i = 0; i < ways->middleware; i++)
        weft_use(app, before_middleware, NULL);
    weft_get(app, "/users", ways->users ? after_users : before_users);
    weft_get(app, "/file", ways->file ? after_file : before_file);
    weft_route(app, "POST", "/upper", ways->upper ? after_upper : before_upper,
               WEFT_ROUTE_OPTS(.body = 2 * UPLOAD_BYTES));
    int code = weft_run(app);
    weft_app_free(app);
    return code;
}

/* Waits for the line that names the port; 0: there is none. */
static unsigned short port_said(int fd)
{
    char text[4096] = "";
    size_t len = 0;
    unsigned short port = 0;
    while (len + 1 < sizeof(text)) {
        ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = 0;
        const char *at = strstr(text, "listening on http://");
        if (at != NULL && sscanf(at, "listening on http://127.0.0.1:%hu ", &port) == 1)
            break;
    }
    if (port == 0)
        (void)fputs(text, stderr); /* why not */
    return port;
}

static pid_t start(const struct ways *ways, unsigned short *out_port)
{
    int said[2];
    if (pipe(said) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(said[1], STDERR_FILENO);
        close(said[0]);
        close(said[1]);
        _exit(serve(ways));
    }
    close(said[1]);
    *out_port = port_said(said[0]);
    close(said[0]);
    return pid;
}

/* Its highest resident set in MiB; < 0: it did not end well. */
static double peak_of(pid_t pid)
{
    struct rusage usage;
    int status = 0;
    (void)kill(pid, SIGTERM);
    if (wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return -1;
    return (double)usage.ru_maxrss / 1024;
}

/* ---- the clients ---- */

struct client {
    pthread_t thread;
    unsigned short port;
    const char *target;
    size_t upload_bytes;  /* > 0: a POST */
    uint64_t hash, bytes; /* of the body */
    bool good;
};

/* Bytes of an answer; what is behind its head is hashed. */
static void take(struct client *client, unsigned *head_end, const char *bytes, size_t len)
{
    static const char end[] = "\r\n\r\n";
    for (size_t i = 0; i < len; i++) {
        if (*head_end < 4) {
            *head_end = bytes[i] == end[*head_end] ? *head_end + 1 : bytes[i] == '\r' ? 1 : 0;
            continue;
        }
        client->hash = (client->hash ^ (unsigned char)bytes[i]) * HASH_STEP;
        client->bytes++;
    }
}

static bool exchange(struct client *client, int fd)
{
    static char body[64 << 10]; /* of spaces and letters: all clients send the same */
    char head[300], got[16 << 10];
    size_t left = client->upload_bytes;
    unsigned head_end = 0;
    memset(body, 'a', sizeof(body));
    int n = snprintf(head, sizeof(head), "%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n",
                     left > 0 ? "POST" : "GET", client->target, left);
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    if (left == 0)
        usleep(SETTLE_MS * 1000);
    for (;;) {
        struct pollfd wait = {fd, (short)(POLLIN | (left > 0 ? POLLOUT : 0)), 0};
        if (poll(&wait, 1, TIMEOUT_MS) <= 0)
            return false;
        if (wait.revents & POLLOUT) {
            size_t most = left < sizeof(body) ? left : sizeof(body);
            ssize_t sent = send(fd, body, most, MSG_NOSIGNAL | MSG_DONTWAIT);
            left -= sent > 0 ? (size_t)sent : 0;
        }
        if (!(wait.revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        ssize_t came = recv(fd, got, sizeof(got), 0);
        if (came <= 0)
            return came == 0 && head_end == 4;
        take(client, &head_end, got, (size_t)came);
    }
}

static void *ask(void *arg)
{
    struct client *client = arg;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(client->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int segment = SEGMENT, room = 16 << 10;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
    client->hash = HASH_START;
    client->good =
        fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 && exchange(client, fd);
    close(fd);
    return NULL;
}

/* ---- a run ---- */

struct load {
    const char *targets[3];
    int target_count, clients;
};

struct result {
    double peak_mb;
    uint64_t hashes[3], bytes; /* by target; together */
};

static bool run(const struct ways *ways, const struct load *load, struct result *out)
{
    struct client clients[CLIENTS_MAX];
    unsigned short port = 0;
    pid_t pid = start(ways, &port);
    bool good = port != 0;
    int begun = 0;
    *out = (struct result){0};
    for (; good && begun < load->clients; begun++) {
        struct client *client = &clients[begun];
        const char *target = load->targets[begun % load->target_count];
        *client = (struct client){.port = port, .target = target};
        client->upload_bytes = strcmp(target, "/upper") == 0 ? UPLOAD_BYTES : 0;
        if (pthread_create(&client->thread, NULL, ask, client) != 0)
            break;
    }
    for (int i = 0; i < begun; i++) {
        int kind = i % load->target_count;
        pthread_join(clients[i].thread, NULL);
        good = good && clients[i].good &&
               (i < load->target_count || out->hashes[kind] == clients[i].hash);
        out->hashes[kind] = clients[i].hash;
        out->bytes += clients[i].bytes;
    }
    out->peak_mb = pid > 0 ? peak_of(pid) : -1;
    return good && begun == load->clients && out->peak_mb > 0;
}

static const struct ways naive = {.middleware = MIDDLEWARE_MAX};
static const struct ways ours = {.users = true, .file = true, .upper = true};

/* The whole service, before and after (MC-29 of the requirements asks for ten times). */
static bool compare(int clients)
{
    const struct load load = {{"/users", "/file", "/upper"}, 3, clients};
    struct result before, after;
    if (!run(&naive, &load, &before) || !run(&ours, &load, &after)) {
        (void)fprintf(stderr, "before-after: a server or a client failed\n");
        return false;
    }
    if (memcmp(before.hashes, after.hashes, sizeof(before.hashes)) != 0) {
        (void)fprintf(stderr, "before-after: their answers differ\n");
        return false;
    }
    printf(
        "%d clients: %d users as JSON, a file of %d MB, an upload of %d MB; %llu bytes answered, "
        "the same by both\n",
        clients, USERS, FILE_BYTES >> 20, UPLOAD_BYTES >> 20, (unsigned long long)after.bytes);
    printf("  before  %8.1f MB at its peak\n  after   %8.1f MB\n  ratio   %8.1f\n", before.peak_mb,
           after.peak_mb, before.peak_mb / after.peak_mb);
    return true;
}

/* The median of three peaks: how many answers are in memory at a time is chance. < 0: one failed.
 */
static double usual_peak(const struct ways *ways, const struct load *load)
{
    double peaks[3];
    for (int i = 0; i < 3; i++) {
        struct result one;
        if (!run(ways, load, &one))
            return -1;
        peaks[i] = one.peak_mb;
        for (int j = i; j > 0 && peaks[j] < peaks[j - 1]; j--) {
            double larger = peaks[j - 1];
            peaks[j - 1] = peaks[j];
            peaks[j] = larger;
        }
    }
    return peaks[1];
}

/* What one change saves by itself, in a service that changes nothing else. */
static bool techniques(int clients)
{
    static const struct ways fast = {.users = true, .middleware = MIDDLEWARE_MAX};
    static const struct ways bare = {.middleware = 0};
    static const struct {
        const char *name, *target, *elsewhere;
        const struct ways *ways;
    } changes[] = {
        {"nothing changed", "/users?size=1000", NULL, &naive},
        {"fast JSON", "/users?size=1000", "30 %", &fast},
        {"pages of 50", "/users?page=3&size=50", "50 %", &naive},
        {"no middleware", "/users?size=1000", "15 %", &bare},
    };
    double base_mb = 0;
    printf("one change at a time, %d clients, lists of 1000 users, medians of 3:\n", clients);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const struct load load = {{changes[i].target}, 1, clients};
        double mb = usual_peak(changes[i].ways, &load);
        if (mb < 0) {
            (void)fprintf(stderr, "before-after: %s: a server or a client failed\n",
                          changes[i].name);
            return false;
        }
        printf("  %-16s %8.1f MB", changes[i].name, mb);
        if (i == 0)
            base_mb = mb;
        else
            printf("  %3.0f %% less  (elsewhere: about %s)", 100 * (1 - mb / base_mb),
                   changes[i].elsewhere);
        printf("\n");
    }
    return true;
}

static bool make_file(void)
{
    char path[100];
    static char block[64 << 10];
    if (mkdtemp(folder) == NULL)
        return false;
    (void)snprintf(path, sizeof(path), "%s/file.bin", folder);
    FILE *file = fopen(path, "we");
    bool good = file != NULL;
    for (size_t i = 0; good && i < FILE_BYTES / sizeof(block); i++) {
        memset(block, (int)('a' + i % 26), sizeof(block));
        good = fwrite(block, sizeof(block), 1, file) == 1;
    }
    return file != NULL && fclose(file) == 0 && good;
}

static void drop_file(void)
{
    char path[100];
    (void)snprintf(path, sizeof(path), "%s/file.bin", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

int main(int argc, char **argv)
{
    int clients = argc > 1 ? atoi(argv[1]) : 16;
    if (argc > 2 || clients < 3 || clients > CLIENTS_MAX) {
        (void)fprintf(stderr, "usage: before-after [clients, 3 to %d]\n", CLIENTS_MAX);
        return 2;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    bool good = make_file() && compare(clients) &&
                techniques(4 * clients < CLIENTS_MAX ? 4 * clients : CLIENTS_MAX);
    drop_file();
    return good ? 0 : 1;
}
