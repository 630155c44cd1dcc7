/* shop.h - a small service, written twice: before.c as it is often done, after.c with Weft's
 * idioms. Both give the same bytes. run.c serves either, loads it, and prints what each took at its
 * peak. */
#ifndef SHOP_H
#define SHOP_H

#include <weft/weft.h>

#define USERS          20000
#define CONTEXT_BYTES  (32 << 10) /* what each naive middleware keeps for a request */
#define MIDDLEWARE_MAX 3

/* The user that row i of the "database" holds. */
struct user {
    uint64_t id;
    char name[24];
    char email[40];
};
void user_at(uint64_t i, struct user *out);

/* The part of all users that a request asks for: ?page=&size=, everything without. */
void users_asked(weft_req *rq, uint64_t *out_from, uint64_t *out_to);

/* before.c */
weft_rc before_users(weft_req *rq); /* GET /users */
weft_rc before_file(weft_req *rq);  /* GET /file */
weft_rc before_upper(weft_req *rq); /* POST /upper */
weft_rc before_middleware(weft_req *rq);

/* after.c */
weft_rc after_users(weft_req *rq);
weft_rc after_file(weft_req *rq);
weft_rc after_upper(weft_req *rq);

#endif
