/* trees.c - the same with libraries that build a tree: json-c, cJSON, jansson, as one of them is
 * defined: -DWITH_JSON_C, -DWITH_CJSON, -DWITH_JANSSON. */
#include "bodies.h"
#include <stdbool.h>

#if defined(WITH_JSON_C)
#include <json-c/json.h>

typedef struct json_object node;
static struct json_tokener *tokener; /* reused, as its manual advises */

static node *parse(const char *body, size_t len)
{
    if (tokener == NULL)
        tokener = json_tokener_new();
    json_tokener_reset(tokener);
    return json_tokener_parse_ex(tokener, body, (int)len);
}

static void drop(node *root)
{
    json_object_put(root);
}

static node *member(const node *object, const char *name)
{
    node *found = NULL;
    return json_object_object_get_ex(object, name, &found) ? found : NULL;
}

static bool text(const node *value, uint64_t *sum)
{
    *sum += (uint64_t)json_object_get_string_len(value);
    return json_object_is_type(value, json_type_string);
}

static bool whole(const node *value, uint64_t *sum)
{
    *sum += json_object_get_uint64(value);
    return json_object_is_type(value, json_type_int);
}

static bool real(const node *value, uint64_t *sum)
{
    *sum += cents(json_object_get_double(value));
    return json_object_is_type(value, json_type_double);
}

static bool truth(const node *value, uint64_t *sum)
{
    *sum += (uint64_t)json_object_get_boolean(value);
    return json_object_is_type(value, json_type_boolean);
}

static size_t count(const node *list)
{
    return json_object_array_length(list);
}

static node *item(const node *list, size_t i)
{
    return json_object_array_get_idx(list, i);
}

#elif defined(WITH_CJSON)
#include <cjson/cJSON.h>

typedef cJSON node;

static node *parse(const char *body, size_t len)
{
    return cJSON_ParseWithLength(body, len);
}

static void drop(node *root)
{
    cJSON_Delete(root);
}

static node *member(const node *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static bool text(const node *value, uint64_t *sum)
{
    if (!cJSON_IsString(value))
        return false;
    *sum += strlen(value->valuestring);
    return true;
}

static bool whole(const node *value, uint64_t *sum)
{
    *sum += cJSON_IsNumber(value) ? (uint64_t)value->valuedouble : 0;
    return cJSON_IsNumber(value);
}

static bool real(const node *value, uint64_t *sum)
{
    *sum += cJSON_IsNumber(value) ? cents(value->valuedouble) : 0;
    return cJSON_IsNumber(value);
}

static bool truth(const node *value, uint64_t *sum)
{
    *sum += cJSON_IsTrue(value) ? 1 : 0;
    return cJSON_IsBool(value);
}

static size_t count(const node *list)
{
    return (size_t)cJSON_GetArraySize(list);
}

static node *item(const node *list, size_t i)
{
    return cJSON_GetArrayItem(list, (int)i);
}

#elif defined(WITH_JANSSON)
#include <jansson.h>

typedef json_t node;

static node *parse(const char *body, size_t len)
{
    return json_loadb(body, len, 0, NULL);
}

static void drop(node *root)
{
    json_decref(root);
}

static node *member(const node *object, const char *name)
{
    return json_object_get(object, name);
}

static bool text(const node *value, uint64_t *sum)
{
    *sum += json_string_length(value);
    return json_is_string(value);
}

static bool whole(const node *value, uint64_t *sum)
{
    *sum += (uint64_t)json_integer_value(value);
    return json_is_integer(value);
}

static bool real(const node *value, uint64_t *sum)
{
    *sum += cents(json_real_value(value));
    return json_is_real(value);
}

static bool truth(const node *value, uint64_t *sum)
{
    *sum += json_is_true(value) ? 1 : 0;
    return json_is_boolean(value);
}

static size_t count(const node *list)
{
    return json_array_size(list);
}

static node *item(const node *list, size_t i)
{
    return json_array_get(list, i);
}
#endif

static uint64_t read_user(const char *body, size_t len)
{
    uint64_t sum = 0;
    node *root = parse(body, len);
    bool good = text(member(root, "name"), &sum) && whole(member(root, "age"), &sum);
    drop(root);
    return good ? sum : 0;
}

static bool add_item(const node *one, uint64_t *sum)
{
    return text(member(one, "sku"), sum) && text(member(one, "title"), sum) &&
           whole(member(one, "count"), sum) && real(member(one, "price"), sum);
}

static uint64_t read_order(const char *body, size_t len)
{
    uint64_t sum = 0;
    node *root = parse(body, len);
    const node *customer = member(root, "customer"), *items = member(root, "items");
    bool good = whole(member(root, "id"), &sum) && text(member(customer, "name"), &sum) &&
                text(member(customer, "email"), &sum) && text(member(customer, "city"), &sum) &&
                text(member(root, "note"), &sum) && truth(member(root, "paid"), &sum) &&
                real(member(root, "total"), &sum);
    for (size_t i = 0; good && i < count(items); i++)
        good = add_item(item(items, i), &sum);
    drop(root);
    return good ? sum : 0;
}

int main(int argc, char **argv)
{
    const struct parser parser = {read_user, read_order};
    return argc == 2 ? bodies_main(&parser, argv[1]) : 2;
}
