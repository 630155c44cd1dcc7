/* demo_shop.c - a small shop: pools of products and carts, held across requests by handle.
 *
 *   GET    /shop/products                    all of them
 *   POST   /shop/products?name=N&cents=C     a new one: 201, or 503 when there are 50
 *   DELETE /shop/products/{product}
 *   GET    /shop/cart                        how many carts are out
 *   POST   /shop/cart                        a new one: 201, or 503 when all are out
 *   GET    /shop/cart/{cart}                 its lines and totals
 *   POST   /shop/cart/{cart}/{product}?count=N   add; 409 when the cart is full
 *   DELETE /shop/cart/{cart}/{product}       take out
 *   DELETE /shop/cart/{cart}                 leave it
 *
 * A product that goes while it lies in a cart leaves a stale handle there: the line says so and
 * costs nothing, and a new product in the old one's place is not mistaken for it.
 */
#include "demo.h"
#include <string.h>

#define PRODUCTS    50
#define CARTS       500
#define EXTENSIONS  50 /* carts of more than LINES lines */
#define LINES       20
#define NAME_BYTES  24
#define CENTS_MAX   10000000
#define COUNT_MAX   1000
#define LINE_ROOM   (6 * NAME_BYTES + 160) /* in JSON, where an escaped byte takes six */
#define DISCOUNT_AT 10000                  /* cents, from which a tenth is taken off */

struct product {
    uint32_t name_len;
    uint32_t cents;
    char name[NAME_BYTES];
};

struct line {
    weft_handle product;
    uint64_t count;
};

/* The 21st line takes an extension: one more piece of another pool, not a larger cart for all. */
struct extension {
    struct line lines[LINES];
};

struct cart {
    uint32_t line_count;
    weft_handle extension;
    struct line lines[LINES];
};

WEFT_OBJECTS(products, struct product, PRODUCTS);
WEFT_OBJECTS(carts, struct cart, CARTS);
WEFT_OBJECTS(cart_extensions, struct extension, EXTENSIONS);

/* ---- products ---- */

static weft_rc add_product(weft_str name, uint32_t cents, weft_handle *out)
{
    weft_object_lock(products);
    struct product *product = weft_object_take(products, out);
    if (product != NULL) {
        *product = (struct product){.name_len = (uint32_t)name.len, .cents = cents};
        memcpy(product->name, name.ptr, name.len);
    }
    weft_object_unlock(products);
    return product == NULL ? WEFT_EFULL : WEFT_OK;
}

/* Pools open with the application, so the shop is stocked when somebody first looks. */
static weft_rc stock(weft_req *rq)
{
    static bool done;
    static const struct {
        weft_str name;
        uint32_t cents;
    } wares[] = {{WEFT_S("Shuttle"), 1250},
                 {WEFT_S("Bobbin"), 180},
                 {WEFT_S("Heddle"), 95},
                 {WEFT_S("Loom"), 48900}};
    (void)rq;
    weft_rc rc = WEFT_OK;
    weft_object_lock(products);
    for (size_t i = 0; !done && rc == WEFT_OK && i < sizeof(wares) / sizeof(wares[0]); i++) {
        weft_handle handle;
        rc = add_product(wares[i].name, wares[i].cents, &handle);
    }
    done = true;
    weft_object_unlock(products);
    return rc == WEFT_OK ? WEFT_NEXT : rc;
}

static void put_number(weft_json *out, weft_str key, uint64_t value)
{
    weft_json_key(out, key);
    weft_json_u64(out, value);
}

static void put_product(weft_json *out, weft_handle handle, const struct product *product)
{
    put_number(out, WEFT_S("product"), handle);
    weft_json_key(out, WEFT_S("name"));
    weft_json_str(out, (weft_str){product->name, product->name_len});
    put_number(out, WEFT_S("cents"), product->cents);
}

static weft_rc list_products(weft_req *rq)
{
    weft_json out;
    struct product *product;
    WEFT_TRY(weft_json_begin(rq, &out, 64 + PRODUCTS * LINE_ROOM));
    weft_json_object(&out);
    weft_json_key(&out, WEFT_S("products"));
    weft_json_array(&out);
    weft_object_lock(products);
    for (weft_handle at = 0; (product = weft_object_next(products, &at)) != NULL;) {
        weft_json_object(&out);
        put_product(&out, at, product);
        weft_json_end_object(&out);
    }
    weft_object_unlock(products);
    weft_json_end_array(&out);
    put_number(&out, WEFT_S("capacity"), PRODUCTS);
    weft_json_end_object(&out);
    return weft_json_send(rq, 200, &out);
}

/* {"key":handle} */
static weft_rc created(weft_req *rq, weft_str key, weft_handle handle)
{
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, 64));
    weft_json_object(&out);
    put_number(&out, key, handle);
    weft_json_end_object(&out);
    return weft_json_send(rq, 201, &out);
}

static weft_rc new_product(weft_req *rq)
{
    weft_str name = weft_query_param(rq, WEFT_S("name"));
    uint64_t cents = weft_query_u64(rq, WEFT_S("cents"), 0);
    weft_handle handle;
    if (name.len == 0 || name.len > NAME_BYTES)
        return weft_fail(rq, 400, WEFT_S("name: not 1 to 24 bytes\n"));
    if (cents == 0 || cents > CENTS_MAX)
        return weft_fail(rq, 400, WEFT_S("cents: not a number from 1 to 10000000\n"));
    WEFT_TRY(add_product(name, (uint32_t)cents, &handle));
    return created(rq, WEFT_S("product"), handle);
}

static weft_rc drop_product(weft_req *rq)
{
    weft_handle handle = weft_param_u64(rq, "product");
    weft_object_lock(products);
    bool there = weft_object_get(products, handle) != NULL;
    weft_rc rc = there ? weft_object_put(products, handle) : WEFT_ENOTFOUND;
    weft_object_unlock(products);
    return rc == WEFT_OK ? weft_status(rq, 204) : rc;
}

/* ---- carts: what follows is called with the pool of carts locked ---- */

static struct line *line_at(struct cart *cart, uint32_t i)
{
    if (i < LINES)
        return &cart->lines[i];
    return &weft_object_get(cart_extensions, cart->extension)->lines[i - LINES];
}

static struct line *find_line(struct cart *cart, weft_handle product)
{
    for (uint32_t i = 0; i < cart->line_count; i++)
        if (line_at(cart, i)->product == product)
            return line_at(cart, i);
    return NULL;
}

static weft_rc add_line(struct cart *cart, weft_handle product, uint64_t count)
{
    struct line *line = find_line(cart, product);
    if (line != NULL) {
        line->count += count;
        return WEFT_OK;
    }
    if (cart->line_count == 2 * LINES)
        return WEFT_ELIMIT;
    if (cart->line_count == LINES && cart->extension == 0 &&
        weft_object_take(cart_extensions, &cart->extension) == NULL)
        return WEFT_EFULL;
    *line_at(cart, cart->line_count++) = (struct line){product, count};
    return WEFT_OK;
}

/* The last line takes its place. */
static bool remove_line(struct cart *cart, weft_handle product)
{
    struct line *line = find_line(cart, product);
    if (line != NULL)
        *line = *line_at(cart, --cart->line_count);
    return line != NULL;
}

static uint64_t put_line(weft_json *out, const struct line *line)
{
    uint64_t cents = 0;
    weft_json_object(out);
    weft_object_lock(products);
    const struct product *product = weft_object_get(products, line->product);
    if (product != NULL) {
        cents = product->cents * line->count;
        put_product(out, line->product, product);
    } else {
        put_number(out, WEFT_S("product"), line->product);
        weft_json_key(out, WEFT_S("gone"));
        weft_json_bool(out, true);
    }
    weft_object_unlock(products);
    put_number(out, WEFT_S("count"), line->count);
    weft_json_end_object(out);
    return cents;
}

static void put_cart(weft_json *out, struct cart *cart)
{
    uint64_t cents = 0;
    weft_json_object(out);
    weft_json_key(out, WEFT_S("lines"));
    weft_json_array(out);
    for (uint32_t i = 0; i < cart->line_count; i++)
        cents += put_line(out, line_at(cart, i));
    weft_json_end_array(out);
    uint64_t discount = cents >= DISCOUNT_AT ? cents / 10 : 0;
    put_number(out, WEFT_S("cents"), cents);
    put_number(out, WEFT_S("discount"), discount);
    put_number(out, WEFT_S("total"), cents - discount);
    put_number(out, WEFT_S("slots"), cart->extension == 0 ? LINES : 2 * LINES);
    weft_json_end_object(out);
}

/* ---- and their routes ---- */

/* What a request does to its cart, while the pool is locked. */
typedef weft_rc (*cart_fn)(weft_req *rq, struct cart *cart);

static weft_rc with_cart(weft_req *rq, cart_fn change)
{
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, 256 + 2 * LINES * LINE_ROOM));
    weft_object_lock(carts);
    struct cart *cart = weft_object_get(carts, weft_param_u64(rq, "cart"));
    weft_rc rc = cart == NULL ? WEFT_ENOTFOUND : change == NULL ? WEFT_OK : change(rq, cart);
    if (rc == WEFT_OK)
        put_cart(&out, cart);
    weft_object_unlock(carts);
    if (rc == WEFT_ELIMIT)
        return weft_fail(rq, 409, WEFT_S("the cart is full\n"));
    return rc == WEFT_OK ? weft_json_send(rq, 200, &out) : rc;
}

static weft_rc show_cart(weft_req *rq)
{
    return with_cart(rq, NULL);
}

static weft_rc change_add(weft_req *rq, struct cart *cart)
{
    weft_handle product = weft_param_u64(rq, "product");
    uint64_t count = weft_query_u64(rq, WEFT_S("count"), 1);
    if (weft_object_get(products, product) == NULL)
        return WEFT_ENOTFOUND;
    return add_line(cart, product, count);
}

static weft_rc add_to_cart(weft_req *rq)
{
    uint64_t count = weft_query_u64(rq, WEFT_S("count"), 0);
    if (weft_query_param(rq, WEFT_S("count")).ptr != NULL && (count == 0 || count > COUNT_MAX))
        return weft_fail(rq, 400, WEFT_S("count: not a number from 1 to 1000\n"));
    return with_cart(rq, change_add);
}

static weft_rc change_remove(weft_req *rq, struct cart *cart)
{
    return remove_line(cart, weft_param_u64(rq, "product")) ? WEFT_OK : WEFT_ENOTFOUND;
}

static weft_rc remove_from_cart(weft_req *rq)
{
    return with_cart(rq, change_remove);
}

static weft_rc new_cart(weft_req *rq)
{
    weft_handle handle;
    if (weft_object_take(carts, &handle) == NULL)
        return WEFT_EFULL;
    return created(rq, WEFT_S("cart"), handle);
}

static weft_rc leave_cart(weft_req *rq)
{
    weft_handle handle = weft_param_u64(rq, "cart");
    weft_object_lock(carts);
    struct cart *cart = weft_object_get(carts, handle);
    weft_rc rc = WEFT_ENOTFOUND;
    if (cart != NULL) {
        if (cart->extension != 0)
            weft_ignore(weft_object_put(cart_extensions, cart->extension)); /* the cart's own */
        rc = weft_object_put(carts, handle);
    }
    weft_object_unlock(carts);
    return rc == WEFT_OK ? weft_status(rq, 204) : rc;
}

static weft_rc count_carts(weft_req *rq)
{
    weft_objects_stats now = weft_objects_stats_of(&carts);
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, 256));
    weft_json_object(&out);
    put_number(&out, WEFT_S("carts"), now.used);
    put_number(&out, WEFT_S("capacity"), now.capacity);
    put_number(&out, WEFT_S("refused"), now.refused);
    put_number(&out, WEFT_S("extended"), weft_objects_stats_of(&cart_extensions).used);
    weft_json_end_object(&out);
    return weft_json_send(rq, 200, &out);
}

void weft_demo_shop(weft_app *app)
{
    weft_app_objects(app, products);
    weft_app_objects(app, carts);
    weft_app_objects(app, cart_extensions);
    weft_group *shop = weft_app_group(app, "/shop");
    weft_group_use(shop, stock, NULL);
    weft_group_route(shop, "GET", "/products", list_products, NULL);
    weft_group_route(shop, "POST", "/products", new_product, NULL);
    weft_group_route(shop, "DELETE", "/products/{product:u64}", drop_product, NULL);
    weft_group_route(shop, "GET", "/cart", count_carts, NULL);
    weft_group_route(shop, "POST", "/cart", new_cart, NULL);
    weft_group_route(shop, "GET", "/cart/{cart:u64}", show_cart, NULL);
    weft_group_route(shop, "DELETE", "/cart/{cart:u64}", leave_cart, NULL);
    weft_group_route(shop, "POST", "/cart/{cart:u64}/{product:u64}", add_to_cart, NULL);
    weft_group_route(shop, "DELETE", "/cart/{cart:u64}/{product:u64}", remove_from_cart, NULL);
}
