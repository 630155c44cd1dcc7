/* bench/parse.c - nanoseconds per request head, vector against scalar, as a table.
 *
 * parse            every shape, both variants: the best of ROUNDS rounds, interleaved
 * parse N          one shape (0..2), vector only, ITERATIONS times and no clock: for callgrind
 *
 * Heads are parsed from 64 copies at different alignments, so that the branch predictor sees what
 * it would see of one client and the loads cross cache lines as they would in a receive buffer.
 */
#include "http/parse.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS      40
#define ITERATIONS  20000
#define COPIES      64
#define FIELD_ROOM  64
#define SHAPE_COUNT 3

typedef int (*parse_fn)(const char *, size_t, const struct weft_parse_limits *, struct weft_head *,
                        struct weft_field *, uint16_t);

static const struct {
    const char *name_z;
    const char *head_z;
} shapes[SHAPE_COUNT] = {
    {"smallest", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"browser",
     "GET /static/css/site.css?v=20 HTTP/1.1\r\n"
     "Host: www.example.com\r\n"
     "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
     "Accept: text/css,*/*;q=0.1\r\n"
     "Accept-Language: en-US,en;q=0.5\r\n"
     "Accept-Encoding: gzip, deflate, br, zstd\r\n"
     "Referer: https://www.example.com/articles/today\r\n"
     "Connection: keep-alive\r\n"
     "Cookie: session=0123456789abcdef0123456789abcdef\r\n"
     "Sec-Fetch-Dest: style\r\n"
     "Sec-Fetch-Mode: no-cors\r\n"
     "Sec-Fetch-Site: same-origin\r\n"
     "\r\n"},
    {"cookies",
     "POST /api/v1/orders/8812/items HTTP/1.1\r\n"
     "Host: shop.example.com:8443\r\n"
     "Content-Type: application/json\r\n"
     "Content-Length: 318\r\n"
     "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwi"
     "bmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_"
     "adQssw5c\r\n"
     "Cookie: a=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef; "
     "b=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef; "
     "c=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef; "
     "d=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n"
     "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
     "Gecko) Chrome/126.0.0.0 Safari/537.36\r\n"
     "X-Request-ID: 7b9d2a44-0f0c-4a0e-9d8e-4f1f6a4f7d11\r\n"
     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
     "X_Custom_Header: underscores leave the vector path\r\n"
     "Connection: keep-alive\r\n"
     "\r\n"},
};

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static char *copies[SHAPE_COUNT][COPIES];

/** ITERATIONS heads of one shape; returns the sum of what was found, so that nothing is left out.
 */
static uint64_t run(parse_fn parse, size_t shape)
{
    const struct weft_parse_limits limits = {16384, 8192, 100};
    size_t len = strlen(shapes[shape].head_z);
    struct weft_head head;
    struct weft_field fields[FIELD_ROOM];
    uint64_t sum = 0;
    for (size_t i = 0; i < ITERATIONS; i++) {
        if (parse(copies[shape][i % COPIES], len, &limits, &head, fields, FIELD_ROOM) != 0)
            abort();
        sum += head.field_count;
    }
    return sum;
}

static double best_ns(parse_fn parse, size_t shape, double best)
{
    uint64_t start = now_ns();
    volatile uint64_t sum = run(parse, shape);
    (void)sum;
    double ns = (double)(now_ns() - start) / ITERATIONS;
    return ns < best ? ns : best;
}

int main(int argc, char **argv)
{
    for (size_t shape = 0; shape < SHAPE_COUNT; shape++)
        for (size_t i = 0; i < COPIES; i++) {
            size_t len = strlen(shapes[shape].head_z);
            char *bytes = malloc(len + COPIES);
            if (!bytes)
                return 1;
            copies[shape][i] = bytes + i;
            memcpy(bytes + i, shapes[shape].head_z, len);
        }
    if (argc == 2) {
        size_t shape =
            (size_t)(unsigned char)argv[1][0] % SHAPE_COUNT; /* '0' is 48: a multiple of 3 */
        return run(weft_parse_head, shape) == 0;
    }
    printf("%-10s %6s %10s %10s %7s\n", "head", "bytes", "vector ns", "scalar ns", "ratio");
    for (size_t shape = 0; shape < SHAPE_COUNT; shape++) {
        double vector = 1e9, scalar = 1e9;
        for (int round = 0; round < ROUNDS; round++) {
            vector = best_ns(weft_parse_head, shape, vector);
            scalar = best_ns(weft_parse_head_scalar, shape, scalar);
        }
        printf("%-10s %6zu %10.1f %10.1f %7.2f\n", shapes[shape].name_z,
               strlen(shapes[shape].head_z), vector, scalar, scalar / vector);
    }
    return 0;
}
