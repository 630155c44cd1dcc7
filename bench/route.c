/* route.c - nanoseconds per look-up in the router; bench/route.py runs it and a peer in turns.
 *
 * route match ROUTES LOOKUPS PASSES   files of lines "METHOD /path"; medians of the passes
 * route loop ROUTES LOOKUPS PASSES    no clock, no "/" alone: for cachegrind and callgrind
 * route table ROUTE_COUNT             made-up routes: how long they take to build, and their bytes
 *
 * Prints one JSON object. `sum` depends on every route and every parameter that was found: it is
 * the same for whoever finds the same.
 */
#include "bench.h"
#include "http/router.h"

#define PASSES_MAX    1000
#define ROOT_LOOKUPS  100000
#define TABLE_LOOKUPS 200000

/* A value that the compiler cannot see through. */
#define HIDE(value) __asm__ volatile("" : "+r"(value) : : "memory")

struct line {
    enum weft_method method;
    weft_str path;
};

struct lines {
    struct line *at; /* owned by the process */
    size_t count;
};

struct table {
    struct weft_router *router;
    struct weft_router_scratch *scratch;
};

static void must(weft_rc rc, const char *what)
{
    if (rc == 0)
        return;
    fprintf(stderr, "%s: %d\n", what, (int)rc);
    exit(1);
}

static struct lines read_lines(const char *file)
{
    size_t bytes;
    const char *text = read_file(file, &bytes), *end = text + bytes;
    struct lines lines = {.at = calloc(bytes, sizeof(*lines.at))};
    if (!lines.at)
        die("calloc");
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        const char *space = memchr(text, ' ', (size_t)(stop - text));
        if (!space)
            usage("lines of METHOD PATH");
        struct line *line = &lines.at[lines.count++];
        line->method = weft_method_from(weft_str_make(text, (size_t)(space - text)));
        line->path = weft_str_make(space + 1, (size_t)(stop - space - 1));
        text = stop + 1;
    }
    return lines;
}

/* What a route hands back is its line's address. */
static struct table table_of(const struct lines *routes)
{
    char error[256] = "";
    struct table table = {0};
    must(weft_router_create(&table.router), "create");
    for (size_t i = 0; i < routes->count; i++)
        must(weft_router_add(table.router, routes->at[i].method, WEFT_S(""), routes->at[i].path,
                             &routes->at[i], error, sizeof(error)),
             error);
    must(weft_router_compile(table.router), "compile");
    must(weft_router_scratch_create(table.router, &table.scratch), "scratch");
    return table;
}

__attribute__((noinline)) static uint64_t
pass(const struct table *table, const struct lines *routes, const struct lines *lookups, bool all)
{
    uint64_t sum = 0;
    struct weft_match match;
    for (size_t i = 0; i < lookups->count; i++) {
        const struct line *line = &lookups->at[i];
        if (weft_router_match(table->router, table->scratch, line->method, WEFT_S(""), line->path,
                              &match) != WEFT_MATCH_OK) {
            fprintf(stderr, "no route: %.*s\n", (int)line->path.len, line->path.ptr);
            exit(1);
        }
        sum += (uint64_t)((const struct line *)match.route - routes->at) + 1 + match.param_count;
        for (uint32_t p = 0; all && p < match.param_count; p++)
            sum += match.params[p].len;
    }
    return sum;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[count / 2];
}

static double ns_each(uint64_t start_ns, size_t count)
{
    return (double)(now_ns() - start_ns) / (double)count;
}

/* ns for "/", each look-up after the one before has ended. */
static double root_ns(const struct table *table)
{
    struct weft_match match;
    uint64_t start_ns = now_ns();
    for (size_t i = 0; i < ROOT_LOOKUPS; i++) {
        weft_str path = WEFT_S("/");
        HIDE(path.ptr);
        HIDE(path.len);
        enum weft_match_rc rc =
            weft_router_match(table->router, table->scratch, WEFT_GET, WEFT_S(""), path, &match);
        HIDE(rc);
        if (rc != WEFT_MATCH_OK)
            exit(1);
    }
    return ns_each(start_ns, ROOT_LOOKUPS);
}

static int run_match(const struct lines *routes, const struct lines *lookups, size_t passes,
                     bool timed)
{
    static double random_each[PASSES_MAX], root_each[PASSES_MAX];
    struct table table = table_of(routes);
    uint64_t sum = pass(&table, routes, lookups, true), fast = pass(&table, routes, lookups, false);
    for (size_t i = 0; i < passes; i++) {
        uint64_t start_ns = now_ns();
        if (pass(&table, routes, lookups, false) != fast)
            return 1;
        random_each[i] = ns_each(start_ns, lookups->count);
    }
    for (size_t i = 0; timed && i < passes; i++)
        root_each[i] = root_ns(&table);
    printf("{\"random_ns\": %.2f, \"root_ns\": %.2f, \"sum\": %llu, \"bytes\": %zu}\n",
           median(random_each, passes), median(root_each, passes), (unsigned long long)sum,
           weft_router_bytes(table.router));
    return 0;
}

/* ---- a large table ---- */

/* /area12/kind3/{a}/item7/{b}/act42 and the like: shared beginnings, parameters, many children. */
static struct lines made_up(size_t count, const char *a, const char *b)
{
    struct lines lines = {.at = calloc(count, sizeof(*lines.at)), .count = count};
    if (!lines.at)
        die("calloc");
    for (size_t i = 0; i < count; i++) {
        char *path;
        int len = asprintf(&path, "/area%zu/kind%zu/%s/item%zu/%s/act%zu", i % 100, i / 100 % 10, a,
                           i / 1000 % 10, b, i);
        if (len < 0)
            die("asprintf");
        lines.at[i] = (struct line){WEFT_GET, weft_str_make(path, (size_t)len)};
    }
    return lines;
}

/* A permutation that no prefetcher follows: xorshift, fixed seed. */
static void shuffle(struct lines *lines)
{
    uint64_t state = 88172645463325252u;
    for (size_t i = lines->count - 1; i > 0; i--) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        size_t j = (size_t)(state % (i + 1));
        struct line swap = lines->at[i];
        lines->at[i] = lines->at[j];
        lines->at[j] = swap;
    }
}

static int run_table(size_t count)
{
    static struct lines routes, lookups; /* static: they stay until the process ends */
    routes = made_up(count, "{a}", "{b}");
    lookups = made_up(count, "ocean", "4711");
    shuffle(&lookups);
    uint64_t start_ns = now_ns();
    struct table table = table_of(&routes);
    double build_ms = (double)(now_ns() - start_ns) / 1e6;

    size_t passes = TABLE_LOOKUPS / count + 1;
    uint64_t sum = pass(&table, &routes, &lookups, false);
    start_ns = now_ns();
    for (size_t i = 0; i < passes; i++)
        if (pass(&table, &routes, &lookups, false) != sum)
            return 1;
    printf("{\"routes\": %zu, \"build_ms\": %.2f, \"bytes\": %zu, \"random_ns\": %.2f}\n", count,
           build_ms, weft_router_bytes(table.router), ns_each(start_ns, passes * count));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "table") == 0)
        return run_table((size_t)number(argv[2], 1, WEFT_ROUTES_MAX));
    bool timed = argc > 1 && strcmp(argv[1], "match") == 0;
    if (argc != 5 || (!timed && strcmp(argv[1], "loop") != 0))
        usage("route match|loop ROUTES LOOKUPS PASSES | route table ROUTE_COUNT");
    static struct lines routes, lookups;
    routes = read_lines(argv[2]);
    lookups = read_lines(argv[3]);
    return run_match(&routes, &lookups, (size_t)number(argv[4], 1, PASSES_MAX), timed);
}
