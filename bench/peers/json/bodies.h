/* bodies.h - two small bodies, what every program makes of them, and the clock around it.
 *
 * Apart from src/ on purpose, as bench.h. A program parses the body, takes every field out of it,
 * checks its type and sums up what it found: the sums have to be the same for all.
 *
 * Lifetime: process.
 * Threads:  one.
 * Memory:   some static bytes.
 */
#ifndef WEFT_BENCH_BODIES_H
#define WEFT_BENCH_BODIES_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND  1000 /* parses per look at the clock */
#define PADDED 4096 /* room of a body: simdjson reads 64 bytes behind it */

static const char user_body[] = "{\"name\":\"Ada Lovelace\",\"age\":36}";

static const char order_body[] =
    "{\"id\":1048577,\"customer\":{\"name\":\"Ada Lovelace\",\"email\":\"ada@example.com\","
    "\"city\":\"Z\xc3\xbcrich\"},\"items\":[{\"sku\":\"A-1001\",\"title\":\"Notebook, ruled\","
    "\"count\":3,\"price\":4.25},{\"sku\":\"B-2040\",\"title\":\"Pencil \\\"HB\\\"\",\"count\":12,"
    "\"price\":0.8},{\"sku\":\"C-7\",\"title\":\"Analytical engine, brass and steel, with manual\","
    "\"count\":1,\"price\":125000.5}],\"note\":\"Ring twice,\\nplease\",\"paid\":true,"
    "\"total\":125022.85}";

/* What a program parses with; 0 where it fails. */
struct parser {
    uint64_t (*user)(const char *body, size_t len);
    uint64_t (*order)(const char *body, size_t len);
};

static inline uint64_t cents(double price)
{
    return (uint64_t)(price * 100 + 0.5);
}

static inline uint64_t bodies_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Calls of malloc, calloc, realloc and the aligned ones so far, where heapcount.c counts them. */
static inline uint64_t heap_calls(void)
{
    const char *path = getenv("HEAPCOUNT_FILE");
    uint64_t counts[5] = {0};
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, counts, sizeof counts) != (ssize_t)sizeof counts)
        exit(1);
    if (fd >= 0)
        close(fd);
    return counts[0] + counts[1] + counts[2] + counts[4];
}

static inline void run(const char *name, uint64_t (*parse)(const char *, size_t), const char *body,
                       size_t len, size_t rounds, const char *behind)
{
    static char padded[PADDED];
    static uint64_t ns[100000];
    memcpy(padded, body, len);
    uint64_t sum = parse(padded, len), heap = heap_calls();
    for (size_t i = 0; i < rounds; i++) {
        uint64_t start = bodies_now_ns();
        for (int k = 0; k < ROUND; k++)
            if (parse(padded, len) != sum)
                exit(1);
        ns[i] = bodies_now_ns() - start;
    }
    heap = heap_calls() - heap;
    qsort(ns, rounds, sizeof ns[0], compare_u64);
    printf("\"%s\":{\"bytes\":%zu,\"sum\":%llu,\"ns\":%.2f,\"best_ns\":%.2f,\"heap_calls\":%.3f}%s",
           name, len, (unsigned long long)sum, (double)ns[rounds / 2] / ROUND,
           (double)ns[0] / ROUND, (double)heap / ((double)rounds * ROUND), behind);
}

static inline int bodies_main(const struct parser *parser, const char *rounds_text)
{
    long rounds = strtol(rounds_text, NULL, 10);
    if (rounds < 1 || rounds > 100000)
        return 2;
    printf("{");
    run("user", parser->user, user_body, sizeof user_body - 1, (size_t)rounds, ",");
    run("order", parser->order, order_body, sizeof order_body - 1, (size_t)rounds, "}\n");
    return 0;
}

#endif
