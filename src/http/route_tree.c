/* route_tree.c - see route_tree.h. Runs while the server starts: plain before fast. */
#include "http/route_tree.h"
#include <stdlib.h>

/* Room for one more element: doubles. */
static weft_rc grow(void **array, uint32_t count, uint32_t *room, size_t element_bytes)
{
    if (count < *room)
        return 0;
    uint32_t more = WEFT_MAX(*room * 2, 64u);
    void *bigger = more > *room ? realloc(*array, (size_t)more * element_bytes) : NULL;
    if (!bigger)
        return WEFT_ENOMEM;
    *array = bigger;
    *room = more;
    return 0;
}

static weft_rc new_node(struct weft_tree *tree, enum weft_part_kind kind, weft_str text,
                        uint32_t *out)
{
    void *nodes = tree->nodes;
    WEFT_TRY(grow(&nodes, tree->node_count, &tree->node_room, sizeof(*tree->nodes)));
    tree->nodes = (struct weft_tree_node *)nodes;
    *out = tree->node_count++;
    tree->nodes[*out] = (struct weft_tree_node){
        .kind = kind,
        .text = text,
        .children = WEFT_TREE_NONE,
        .params = WEFT_TREE_NONE,
        .next = WEFT_TREE_NONE,
        .routes = WEFT_TREE_NONE,
    };
    return 0;
}

weft_rc weft_tree_init(struct weft_tree *tree)
{
    *tree = (struct weft_tree){0};
    uint32_t root;
    return new_node(tree, WEFT_PART_TEXT, WEFT_S(""), &root);
}

void weft_tree_fini(struct weft_tree *tree)
{
    free(tree->nodes);
    free(tree->routes);
    *tree = (struct weft_tree){0};
}

/* Cut a static node in two: it keeps the first `at` bytes and its place, a new child the rest. */
static weft_rc split(struct weft_tree *tree, uint32_t index, size_t at)
{
    uint32_t tail;
    weft_str text = tree->nodes[index].text;
    WEFT_TRY(new_node(tree, WEFT_PART_TEXT, weft_str_make(text.ptr + at, text.len - at), &tail));
    struct weft_tree_node *node = &tree->nodes[index];
    struct weft_tree_node *rest = &tree->nodes[tail];
    rest->children = node->children;
    rest->params = node->params;
    rest->routes = node->routes;
    node->text.len = at;
    node->children = tail;
    node->params = WEFT_TREE_NONE;
    node->routes = WEFT_TREE_NONE;
    return 0;
}

static size_t common_bytes(weft_str a, weft_str b)
{
    size_t n = 0;
    while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
        n++;
    return n;
}

/* The last child before `text` in the order of first bytes, WEFT_TREE_NONE for "first of all"; and
 * the child that begins with the same byte. */
static uint32_t find_child(const struct weft_tree *tree, uint32_t parent, weft_str text,
                           uint32_t *out_before)
{
    *out_before = WEFT_TREE_NONE;
    uint32_t at = tree->nodes[parent].children;
    for (; at != WEFT_TREE_NONE; at = tree->nodes[at].next) {
        unsigned char first = (unsigned char)tree->nodes[at].text.ptr[0];
        if (first == (unsigned char)text.ptr[0])
            return at;
        if (first > (unsigned char)text.ptr[0])
            break;
        *out_before = at;
    }
    return WEFT_TREE_NONE;
}

static weft_rc walk_text(struct weft_tree *tree, uint32_t *node, weft_str text)
{
    while (text.len > 0) {
        uint32_t before;
        uint32_t child = find_child(tree, *node, text, &before);
        if (child == WEFT_TREE_NONE) {
            WEFT_TRY(new_node(tree, WEFT_PART_TEXT, text, &child));
            uint32_t *link =
                before == WEFT_TREE_NONE ? &tree->nodes[*node].children : &tree->nodes[before].next;
            tree->nodes[child].next = *link;
            *link = child;
        }
        size_t common = common_bytes(tree->nodes[child].text, text);
        if (common < tree->nodes[child].text.len)
            WEFT_TRY(split(tree, child, common));
        text = weft_str_make(text.ptr + common, text.len - common);
        *node = child;
    }
    return 0;
}

static weft_rc walk_param(struct weft_tree *tree, uint32_t *node, const struct weft_part *part)
{
    uint32_t before = WEFT_TREE_NONE;
    uint32_t at = tree->nodes[*node].params;
    for (; at != WEFT_TREE_NONE; at = tree->nodes[at].next) {
        const struct weft_tree_node *param = &tree->nodes[at];
        if (param->kind > part->kind)
            break;
        if (param->kind == part->kind && param->regex == part->regex) {
            *node = at;
            return 0;
        }
        before = at;
    }
    uint32_t added;
    WEFT_TRY(new_node(tree, part->kind, WEFT_S(""), &added));
    uint32_t *link =
        before == WEFT_TREE_NONE ? &tree->nodes[*node].params : &tree->nodes[before].next;
    tree->nodes[added].regex = part->regex;
    tree->nodes[added].next = *link;
    *link = added;
    *node = added;
    return 0;
}

static weft_rc add_route(struct weft_tree *tree, uint32_t node, const struct weft_tree_route *route,
                         const struct weft_pattern **out_old)
{
    uint32_t before = WEFT_TREE_NONE;
    uint32_t at = tree->nodes[node].routes;
    for (; at != WEFT_TREE_NONE && tree->routes[at].method <= route->method;
         at = tree->routes[at].next) {
        if (tree->routes[at].method == route->method) {
            *out_old = tree->routes[at].pattern;
            return WEFT_EEXIST;
        }
        before = at;
    }
    void *routes = tree->routes;
    WEFT_TRY(grow(&routes, tree->route_count, &tree->route_room, sizeof(*tree->routes)));
    tree->routes = (struct weft_tree_route *)routes;
    uint32_t added = tree->route_count++;
    uint32_t *link =
        before == WEFT_TREE_NONE ? &tree->nodes[node].routes : &tree->routes[before].next;
    tree->routes[added] = *route;
    tree->routes[added].next = *link;
    *link = added;
    return 0;
}

weft_rc weft_tree_add(struct weft_tree *tree, const struct weft_parts *parts, uint32_t method,
                      const struct weft_pattern *pattern, void *route,
                      const struct weft_pattern **out_old)
{
    uint32_t node = 0;
    for (uint32_t i = 0; i < parts->count; i++) {
        const struct weft_part *part = &parts->at[i];
        WEFT_TRY(part->kind == WEFT_PART_TEXT ? walk_text(tree, &node, part->text)
                                              : walk_param(tree, &node, part));
    }
    const struct weft_tree_route added = {.method = method, .route = route, .pattern = pattern};
    return add_route(tree, node, &added, out_old);
}
