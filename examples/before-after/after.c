/* after.c - the same answers in constant memory: write while you read, never hold a whole body. */
#include "shop.h"

/* Rows go out as they are read: weft_printf() waits for a slow client. */
weft_rc after_users(weft_req *rq)
{
    uint64_t from = 0, to = 0;
    users_asked(rq, &from, &to);
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("application/json")));
    WEFT_TRY(weft_write(rq, WEFT_S("[")));
    for (uint64_t i = from; i < to; i++) {
        struct user user;
        user_at(i, &user);
        WEFT_TRY(weft_printf(rq, "%s{\"id\":%llu,\"name\":\"%s\",\"email\":\"%s\"}",
                             i > from ? "," : "", (unsigned long long)user.id, user.name,
                             user.email));
    }
    WEFT_TRY(weft_write(rq, WEFT_S("]")));
    return weft_end(rq);
}

/* From the page cache to the socket: no byte of it passes through this process. */
weft_rc after_file(weft_req *rq)
{
    return weft_file(rq, WEFT_S("file.bin"));
}

/* Each piece is answered before the next one is asked for. */
weft_rc after_upper(weft_req *rq)
{
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (;;) {
        weft_str piece;
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            return weft_end(rq);
        while (piece.len > 0) {
            char upper[1024];
            size_t len = piece.len < sizeof(upper) ? piece.len : sizeof(upper);
            for (size_t i = 0; i < len; i++)
                upper[i] = (char)(piece.ptr[i] >= 'a' && piece.ptr[i] <= 'z' ? piece.ptr[i] - 32
                                                                             : piece.ptr[i]);
            WEFT_TRY(weft_write(rq, (weft_str){upper, len}));
            piece.ptr += len;
            piece.len -= len;
        }
    }
}
