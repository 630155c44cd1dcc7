/* learned.c - see learned.h. */
#include "app/learned.h"
#include "base/fmt.h"
#include "base/log.h"
#include "mem/textfile.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION_LINE "weft-history 1"
#define FEW_REQUESTS 1000u /* with fewer the P99.9 is the most that was seen */

/* ---- reading ---- */

struct reader {
    const weft_app *app;
    const char *path_z;
    char *why;
    size_t why_bytes;
    uint32_t line;
};

static weft_rc wrong(const struct reader *reader, const char *text_z)
{
    snprintf(reader->why, reader->why_bytes, "%s:%u: %s", reader->path_z, reader->line, text_z);
    return WEFT_ESYNTAX;
}

static const struct weft_route *find_route(const weft_app *app, weft_str method, weft_str pattern)
{
    for (const struct weft_app_route *at = app->routes; at != NULL; at = at->next)
        if (weft_str_eq(at->route.method, method) && weft_str_eq(at->route.pattern, pattern))
            return &at->route;
    return NULL;
}

/* "METHOD SEEN PEAK BUCKETS PATTERN": the pattern last, it may hold spaces. */
static weft_rc read_line(const struct reader *reader, weft_str line, weft_learned_fn *tell,
                         void *arg)
{
    struct weft_history_sum sum;
    const char *why_z = "";
    weft_str rest = line, method = weft_str_cut(&rest, ' ');
    const char *start = rest.ptr;
    for (int i = 0; i < 3; i++)
        (void)weft_str_cut(&rest, ' ');
    if (rest.len == 0)
        return wrong(reader, "a line has a method, two numbers, buckets and a pattern");
    weft_str figures = weft_str_make(start, (size_t)(rest.ptr - start) - 1);
    if (weft_history_parse(&sum, figures, &why_z) != 0)
        return wrong(reader, why_z);
    const struct weft_route *route = find_route(reader->app, method, rest);
    if (tell != NULL && route != NULL)
        tell(arg, route, &sum);
    return 0;
}

static weft_rc read_text(struct reader *reader, weft_str text, weft_learned_fn *tell, void *arg)
{
    reader->line = 1;
    if (!weft_str_eq(weft_str_cut(&text, '\n'), WEFT_S(VERSION_LINE)))
        return wrong(reader, "the first line is not \"" VERSION_LINE "\"");
    while (text.len > 0) {
        reader->line++;
        if (memchr(text.ptr, '\n', text.len) == NULL)
            return wrong(reader, "the last line is cut off");
        WEFT_TRY(read_line(reader, weft_str_cut(&text, '\n'), tell, arg));
    }
    return 0;
}

static weft_rc read_file(struct reader *reader, char *room, weft_str *out)
{
    struct stat info;
    int fd = open(reader->path_z, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    weft_rc rc = fd < 0 || fstat(fd, &info) != 0 ? (weft_rc)-errno : 0;
    if (fd >= 0)
        close(fd);
    if (rc != 0) {
        snprintf(reader->why, reader->why_bytes, "%s: %s", reader->path_z, weft_rc_text(rc));
        return rc;
    }
    if (!S_ISREG(info.st_mode))
        return wrong(reader, "not a file");
    *out = weft_textfile_read(reader->path_z, room, WEFT_LEARNED_BYTES);
    return out->len == WEFT_LEARNED_BYTES ? wrong(reader, "larger than a history can be") : 0;
}

/* Looked through once before anything is told: a file is good as a whole or not at all. */
weft_rc weft_learned_read(const weft_app *app, const char *path_z, weft_learned_fn *tell, void *arg,
                          char *out_why, size_t why_bytes)
{
    struct reader reader = {app, path_z, out_why, why_bytes, 1};
    char *room = weft_map(WEFT_LEARNED_BYTES);
    weft_str text = {0};
    if (room == NULL)
        return WEFT_ENOMEM;
    weft_rc rc = read_file(&reader, room, &text);
    if (rc == 0)
        rc = read_text(&reader, text, NULL, NULL);
    if (rc == 0)
        rc = read_text(&reader, text, tell, arg);
    munmap(room, WEFT_LEARNED_BYTES);
    return rc;
}

/* ---- a server's ---- */

struct seeding {
    struct weft_learned *learned;
    uint32_t routes;
};

static void seed(void *arg, const struct weft_route *route, const struct weft_history_sum *sum)
{
    struct seeding *seeding = arg;
    struct weft_learned *learned = seeding->learned;
    for (uint32_t i = 0; i < learned->worker_count; i++)
        weft_histories_seed(&learned->workers[i].service.histories, route->index, sum, i,
                            learned->worker_count);
    seeding->routes++;
}

static void due(struct weft_timer *timer)
{
    struct weft_learned *learned = WEFT_CONTAINER_OF(timer, struct weft_learned, timer);
    weft_learned_write(learned, false);
    weft_timer_arm(&learned->loop->wheel, timer,
                   learned->loop->now_ms + (uint64_t)WEFT_LEARNED_EVERY_S * 1000);
}

void weft_learned_init(struct weft_learned *learned, const weft_app *app,
                       struct weft_worker *workers, uint32_t worker_count)
{
    *learned = (struct weft_learned){.app = app,
                                     .workers = workers,
                                     .worker_count = worker_count,
                                     .path_z = app->config.memory_history_path,
                                     .timer = {.fire = due}};
    struct seeding seeding = {.learned = learned};
    char why[1400] = "";
    if (learned->path_z[0] == 0)
        return;
    weft_rc rc = weft_learned_read(app, learned->path_z, seed, &seeding, why, sizeof(why));
    if (rc == (weft_rc)-ENOENT)
        return;
    learned->refused = rc != 0;
    if (rc != 0)
        weft_log_error("memory.history_path: %s; starting without it, and leaving it as it is: "
                       "repair or remove it",
                       why[0] != 0 ? why : weft_rc_text(rc));
    else
        weft_log_info("memory.history_path: %u routes known from %s", seeding.routes,
                      learned->path_z);
}

void weft_learned_start(struct weft_learned *learned, struct weft_loop *loop)
{
    learned->loop = loop;
    if (learned->path_z[0] != 0 && !learned->refused)
        weft_timer_arm(&loop->wheel, &learned->timer,
                       loop->now_ms + (uint64_t)WEFT_LEARNED_EVERY_S * 1000);
}

void weft_learned_stop(struct weft_learned *learned)
{
    if (learned->loop != NULL)
        weft_timer_disarm(&learned->loop->wheel, &learned->timer);
}

void weft_learned_sum(const struct weft_learned *learned, const struct weft_route *route,
                      struct weft_history_sum *out)
{
    *out = (struct weft_history_sum){0};
    for (uint32_t i = 0; i < learned->worker_count; i++) {
        const struct weft_histories *histories = &learned->workers[i].service.histories;
        if (route->index < histories->count)
            weft_history_sum_add(out, &histories->of[route->index]);
    }
}

/* ---- writing ---- */

static size_t write_route(char *to, size_t room, const struct weft_route *route,
                          const struct weft_history_sum *sum)
{
    size_t len = weft_fmt(to, room, "%.*s ", (int)route->method.len, route->method.ptr);
    if (len >= room)
        return 0;
    size_t figures = weft_history_format(sum, to + len, room - len);
    if (figures == 0)
        return 0;
    len += figures;
    len += weft_fmt(to + len, room - len, " %.*s\n", (int)route->pattern.len, route->pattern.ptr);
    return len <= room ? len : 0;
}

/* Every route that was asked for; one that does not fit any more, or whose pattern would be two
 * lines, is left out. */
static size_t write_text(const struct weft_learned *learned, char *to, size_t room)
{
    size_t len = weft_fmt(to, room, VERSION_LINE "\n");
    for (const struct weft_app_route *at = learned->app->routes; at != NULL; at = at->next) {
        struct weft_history_sum sum;
        weft_learned_sum(learned, &at->route, &sum);
        if (sum.total > 0 && memchr(at->route.pattern.ptr, '\n', at->route.pattern.len) == NULL)
            len += write_route(to + len, room - len, &at->route, &sum);
    }
    return len;
}

static weft_rc write_all(int fd, const char *from, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, from, len);
        if (n < 0 && errno != EINTR)
            return (weft_rc)-errno;
        from += WEFT_MAX(n, 0);
        len -= (size_t)WEFT_MAX(n, 0);
    }
    return 0;
}

/* A new file beside the old one, which it then replaces: whoever reads sees one or the other. */
static weft_rc replace_file(const char *path_z, const char *text, size_t len, bool sync)
{
    char new_z[1100];
    snprintf(new_z, sizeof(new_z), "%s.new", path_z);
    int fd = open(new_z, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return (weft_rc)-errno;
    weft_rc rc = write_all(fd, text, len);
    if (rc == 0 && sync && fsync(fd) != 0)
        rc = (weft_rc)-errno;
    close(fd);
    if (rc == 0 && rename(new_z, path_z) != 0)
        rc = (weft_rc)-errno;
    if (rc != 0)
        (void)unlink(new_z); /* half a file helps nobody */
    return rc;
}

void weft_learned_write(struct weft_learned *learned, bool sync)
{
    if (learned->path_z == NULL || learned->path_z[0] == 0 || learned->refused)
        return;
    char *text = weft_map(WEFT_LEARNED_BYTES);
    weft_rc rc = WEFT_ENOMEM;
    if (text != NULL) {
        rc = replace_file(learned->path_z, text, write_text(learned, text, WEFT_LEARNED_BYTES - 1),
                          sync);
        munmap(text, WEFT_LEARNED_BYTES);
    }
    if (rc != 0)
        weft_log_warn("memory.history_path: cannot write %s: %s", learned->path_z,
                      weft_rc_text(rc));
}

/* ---- contracts ---- */

/* What a file knows, by the route's index. */
struct known {
    uint32_t count;
    const struct weft_route *routes[WEFT_HISTORY_ROUTES_MAX];
    struct weft_history_sum sums[WEFT_HISTORY_ROUTES_MAX];
};

static void keep(void *arg, const struct weft_route *route, const struct weft_history_sum *sum)
{
    struct known *known = arg;
    if (route->index >= WEFT_HISTORY_ROUTES_MAX)
        return;
    known->count += known->routes[route->index] == NULL;
    known->routes[route->index] = route;
    known->sums[route->index] = *sum;
}

static size_t proposed_cap(const struct weft_route *route, const struct weft_history_sum *sum)
{
    size_t proposed = weft_history_propose(sum);
    return proposed == 0 ? 0 : proposed + route->heap_bytes;
}

static void print_route(FILE *to, const struct weft_route *route,
                        const struct weft_history_sum *sum)
{
    struct weft_history_prediction prediction;
    size_t proposed = proposed_cap(route, sum);
    char text[32] = "-";
    weft_history_predict(sum, &prediction);
    if (proposed > 0)
        snprintf(text, sizeof(text), "%zu%s", proposed, sum->total < FEW_REQUESTS ? " *" : "");
    fprintf(to, "%-7.*s %-28.*s %10zu %10llu %9llu %9llu %9llu  %-8s %s\n", (int)route->method.len,
            route->method.ptr, (int)route->pattern.len, route->pattern.ptr, route->memory_bytes,
            (unsigned long long)sum->seen, (unsigned long long)prediction.p50,
            (unsigned long long)prediction.p99, (unsigned long long)prediction.p999,
            weft_history_strategy_name(prediction.strategy), text);
}

static void print_need(FILE *to, const char *what_z, const struct weft_plan *plan, size_t cap)
{
    size_t each = plan->worker.active * (cap + WEFT_PAGE_BYTES);
    size_t at_once = plan->worker.elastic_bytes / WEFT_MAX(cap, (size_t)1);
    fprintf(to,
            "%-14s %14zu  %u workers x %zu requests x (%zu + 4096), the largest cap; the arenas' "
            "%zu bytes hold %zu such requests per worker\n",
            what_z, plan->workers * each, plan->workers, plan->worker.active, cap,
            plan->worker.elastic_bytes, at_once);
}

static void print_known(FILE *to, const weft_app *app, const struct weft_plan *plan,
                        const struct known *known)
{
    size_t cap = 0, proposed = 0;
    fprintf(to, "\n%-7s %-28s %10s %10s %9s %9s %9s  %-8s %s\n", "method", "route", "cap",
            "requests", "P50", "P99", "P99.9", "strategy", "proposed .memory");
    for (uint32_t i = 0; i < WEFT_HISTORY_ROUTES_MAX; i++)
        if (known->routes[i] != NULL)
            print_route(to, known->routes[i], &known->sums[i]);
    for (const struct weft_app_route *at = app->routes; at != NULL; at = at->next) {
        const struct weft_route *route = &at->route;
        bool has = route->index < WEFT_HISTORY_ROUTES_MAX && known->routes[route->index] != NULL;
        size_t instead = has ? proposed_cap(route, &known->sums[route->index]) : 0;
        cap = WEFT_MAX(cap, route->memory_bytes);
        proposed = WEFT_MAX(proposed, instead > 0 ? instead : route->memory_bytes);
    }
    print_need(to, "arenas now", plan, cap);
    print_need(to, "as proposed", plan, proposed);
    fprintf(to, "%u of %u routes are known from %s; *: from fewer than %u requests\n", known->count,
            app->route_count, app->config.memory_history_path, FEW_REQUESTS);
}

weft_rc weft_learned_print(FILE *to, const weft_app *app, const struct weft_plan *plan)
{
    const char *path_z = app->config.memory_history_path;
    char why[1400] = "";
    if (path_z[0] == 0) {
        fprintf(stderr, "weft: plan --learned needs memory.history_path\n");
        return WEFT_ECONFIG;
    }
    struct known *known = weft_map(sizeof(*known));
    if (known == NULL)
        return WEFT_ENOMEM;
    weft_rc rc = weft_learned_read(app, path_z, keep, known, why, sizeof(why));
    if (rc == 0)
        print_known(to, app, plan, known);
    else
        fprintf(stderr, "weft: memory.history_path: %s\n", why[0] != 0 ? why : weft_rc_text(rc));
    munmap(known, sizeof(*known));
    return rc;
}
