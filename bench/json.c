/* json.c - ns per body, read into a struct; bench/json_read.py runs it and the peers in turns.
 *
 * json ROUNDS      prints one JSON object
 *
 * The reader changes a body that has escapes, so that each parse is given a fresh copy: the copying
 * is in its time, and in that of nobody else.
 */
#include "peers/json/bodies.h"
#include "serve/json/json_read.h"

struct user {
    weft_str name;
    int32_t age;
};
WEFT_JSON(user_json, struct user, WEFT_F_STR(name, 1, 64), WEFT_F_INT(age, 0, 150));

struct customer {
    weft_str name, email, city;
};
WEFT_JSON(customer_json, struct customer, WEFT_F_STR(name, 1, 64), WEFT_F_STR(email, 3, 254),
          WEFT_F_STR(city, 1, 64));

struct item {
    weft_str sku, title;
    uint32_t count;
    double price;
};
WEFT_JSON(item_json, struct item, WEFT_F_STR(sku, 1, 16), WEFT_F_STR(title, 1, 100),
          WEFT_F_UINT(count, 1, 1000), WEFT_F_REAL(price, 0, 1e6));

struct order {
    uint64_t id;
    struct customer customer;
    WEFT_LIST(struct item) items;
    weft_str note;
    bool paid;
    double total;
};
WEFT_JSON(order_json, struct order, WEFT_F_UINT(id, 1, UINT64_MAX),
          WEFT_F_OBJECT(customer, customer_json),
          WEFT_F_LIST(items, WEFT_E_OBJECT(item_json), 1, 100),
          WEFT_F_OPT(WEFT_F_STR(note, 0, 200)), WEFT_F_BOOL(paid), WEFT_F_REAL(total, 0, 1e9));

static _Alignas(64) char work[PADDED];

/* Where the arena would be. */
static void *take(void *arg, size_t bytes)
{
    static _Alignas(64) char memory[PADDED];
    (void)arg;
    return bytes <= sizeof memory ? memory : NULL;
}
static const struct weft_json_memory memory = {take, NULL};

static uint64_t read_user(const char *body, size_t len)
{
    struct user user;
    weft_json_error error;
    memcpy(work, body, len);
    if (weft_json_parse(work, len, &user_json, &user, &memory, &error) != 0)
        return 0;
    return user.name.len + (uint64_t)user.age;
}

static uint64_t read_order(const char *body, size_t len)
{
    struct order order;
    weft_json_error error;
    memcpy(work, body, len);
    if (weft_json_parse(work, len, &order_json, &order, &memory, &error) != 0)
        return 0;
    uint64_t sum = order.id + order.customer.name.len + order.customer.email.len +
                   order.customer.city.len + order.note.len + order.paid + cents(order.total);
    for (size_t i = 0; i < order.items.count; i++) {
        const struct item *item = &order.items.at[i];
        sum += item->sku.len + item->title.len + item->count + cents(item->price);
    }
    return sum;
}

int main(int argc, char **argv)
{
    const struct parser parser = {read_user, read_order};
    return argc == 2 ? bodies_main(&parser, argv[1]) : 2;
}
