/* demo_users.c - a hundred thousand users: a page of them with the fields that are asked for, all
 * of them as one array in constant memory, and one read from JSON. */
#include "demo.h"

#define USERS     100000
#define ROOM      (12 << 10) /* of the stream: what is sent at once; a chunk of 16 KiB holds it */
#define PAGE_SIZE 20
#define PAGE_MAX  1000

struct user {
    uint64_t id;
    weft_str name;
    weft_str email;
    int32_t age;
};
WEFT_JSON(user_json, struct user, WEFT_F_OPT(WEFT_F_UINT(id, 0, USERS)), WEFT_F_STR(name, 1, 64),
          WEFT_F_OPT(WEFT_F_STR(email, 3, 254)), WEFT_F_INT(age, 0, 150));

/* Where a database would be: users 1 to 100,000, made as they are asked for. */
static struct user user_at(weft_req *rq, uint64_t index)
{
    unsigned long long id = index + 1;
    return (struct user){.id = id,
                         .name = weft_format(rq, "User %llu", id),
                         .email = weft_format(rq, "user%llu@example.com", id),
                         .age = 18 + (int32_t)(index % 60)};
}

/* Users first to end - 1 as items of the array that is open. What each of them takes of the arena
 * is forgotten behind it. */
static weft_rc put_users(weft_req *rq, weft_json *json, uint64_t first, uint64_t end,
                         weft_json_fields fields)
{
    weft_mark_point mark = weft_mark(rq);
    for (uint64_t i = first; i < end && weft_json_error_of(json) == 0; i++) {
        struct user user = user_at(rq, i);
        weft_json_put_fields(json, &user_json, &user, fields);
        weft_rewind(rq, mark);
    }
    return weft_json_error_of(json); /* the client has gone, perhaps */
}

static weft_rc all_users(weft_req *rq, weft_json_fields fields)
{
    weft_json json;
    WEFT_TRY(weft_json_stream(rq, &json, 200, ROOM));
    weft_json_array(&json);
    WEFT_TRY(put_users(rq, &json, 0, USERS, fields));
    weft_json_end_array(&json);
    return weft_json_end(&json);
}

static weft_rc page_of_users(weft_req *rq, weft_json_fields fields)
{
    weft_page page;
    weft_json json;
    WEFT_TRY(weft_query_page(rq, PAGE_SIZE, PAGE_MAX, &page));
    uint64_t first = page.first < USERS ? page.first : USERS;
    uint64_t end = USERS - first < page.size ? USERS : first + page.size;
    WEFT_TRY(weft_json_stream(rq, &json, 200, ROOM));
    weft_json_object(&json);
    weft_json_key(&json, WEFT_S("page"));
    weft_json_u64(&json, page.number);
    weft_json_key(&json, WEFT_S("size"));
    weft_json_u64(&json, page.size);
    weft_json_key(&json, WEFT_S("total"));
    weft_json_u64(&json, USERS);
    weft_json_key(&json, WEFT_S("users"));
    weft_json_array(&json);
    WEFT_TRY(put_users(rq, &json, first, end, fields));
    weft_json_end_array(&json);
    weft_json_end_object(&json);
    return weft_json_end(&json);
}

/* GET /users?all  GET /users?page=2&size=50&fields=name,age */
static weft_rc users(weft_req *rq)
{
    weft_json_fields fields;
    WEFT_TRY(weft_query_fields(rq, &user_json, &fields));
    bool all = weft_query_param(rq, WEFT_S("all")).ptr != NULL;
    return all ? all_users(rq, fields) : page_of_users(rq, fields);
}

/* POST /users {"name":"Ada","age":36}: what does not fit is 400 with the field's path. */
static weft_rc new_user(weft_req *rq)
{
    struct user user;
    WEFT_TRY(weft_json_read(rq, &user_json, &user));
    user.id = USERS + 1;
    return weft_json_reply(rq, 201, &user_json, &user);
}

struct census {
    uint64_t users, years;
};
WEFT_JSON(census_json, struct census, WEFT_F_UINT(users, 0, UINT64_MAX),
          WEFT_F_UINT(years, 0, UINT64_MAX));

static weft_rc count_user(weft_req *rq, uint64_t index, void *item, void *arg)
{
    const struct user *user = item;
    struct census *census = arg;
    (void)rq;
    census->users = index + 1;
    census->years += (uint64_t)user->age;
    return WEFT_OK;
}

/* POST /users/census [{"name":"Ada","age":36}, ...]: as many as there are, one at a time in memory.
 */
static weft_rc take_census(weft_req *rq)
{
    struct user user;
    struct census census = {0};
    WEFT_TRY(weft_json_each(rq, &user_json, &user, 1024, count_user, &census));
    return weft_json_reply(rq, 200, &census_json, &census);
}

void weft_demo_users(weft_app *app)
{
    weft_route(app, "GET", "/users", users, WEFT_ROUTE_OPTS(.memory = 32 << 10));
    weft_route(app, "POST", "/users", new_user, WEFT_ROUTE_OPTS(.memory = 16 << 10));
    weft_route(app, "POST", "/users/census", take_census,
               WEFT_ROUTE_OPTS(.memory = 16 << 10, .body_unlimited = true));
}
