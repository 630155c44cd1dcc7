/* mux_client.h - the other end of mux.h: requests in frames, and what came back by stream. */
#ifndef WEFT_TESTS_MUX_CLIENT_H
#define WEFT_TESTS_MUX_CLIENT_H
#include "mux.h"
#include <stdlib.h>

static inline void send_frame(uint8_t id, char kind, const char *text)
{
    char frame[4096];
    size_t len = strlen(text);
    frame[0] = (char)id;
    frame[1] = kind;
    frame[2] = (char)(len & 0xff);
    frame[3] = (char)(len >> 8);
    memcpy(frame + 4, text, len);
    feed(frame, 4 + len);
}

static inline void get(uint8_t id, const char *path)
{
    char head[256];
    (void)snprintf(head, sizeof(head), "GET %s\nx-id: %d\n", path, id);
    send_frame(id, 'H', head);
    send_frame(id, 'E', "");
}

struct answer {
    int status;
    size_t pieces;
    bool ended, broken;
    char head[1024];
    char trailers[256];
    size_t len;
    char body[64 << 10];
};

static struct answer answers[MUX_STREAMS + 1];
static size_t turns; /* times that the next frame was another stream's */

static void take_frame(struct answer *a, char kind, const char *payload, size_t len)
{
    assert_false(a->ended || a->broken); /* nothing follows the end */
    if (kind == 'h') {
        assert_int_equal(a->status, 0);
        a->status = atoi(payload);
        memcpy(a->head, payload, len);
    } else if (kind == 'd') {
        assert_int_not_equal(a->status, 0);
        memcpy(a->body + a->len, payload, len);
        a->len += len;
        a->pieces++;
    } else if (kind == 'e') {
        a->ended = true;
        memcpy(a->trailers, payload, len);
    } else {
        assert_int_equal(kind, 'r');
        a->broken = true;
    }
}

static inline void collect(void)
{
    memset(answers, 0, sizeof(answers));
    turns = 0;
    uint8_t last = 0;
    for (size_t at = 0; at < seam.wire.out_len;) {
        const unsigned char *frame = (const unsigned char *)seam.wire.out + at;
        size_t len = frame[2] | (size_t)frame[3] << 8;
        assert_in_range(frame[0], 1, MUX_STREAMS);
        take_frame(&answers[frame[0]], (char)frame[1], seam.wire.out + at + 4, len);
        turns += frame[0] != last;
        last = frame[0];
        at += 4 + len;
    }
}

static inline bool body_is(uint8_t id, const char *text)
{
    return answers[id].ended && answers[id].len == strlen(text) &&
           memcmp(answers[id].body, text, answers[id].len) == 0;
}

#endif
