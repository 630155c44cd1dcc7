/* route_nodes.c - see route_nodes.h. Level by level, so that children lie side by side and the
 * nodes near the root, which every match comes by, on neighbouring lines.
 */
#include "http/route_nodes.h"
#include <endian.h>
#include <stdlib.h>

/* A node of the array that is numbered but not filled yet, and what is known of it. */
struct job {
    uint32_t from;   /* node of the tree */
    weft_str text;   /* of it, what is not spent yet */
    uint32_t fail;   /* as in weft_node */
    uint32_t params; /* parameters before its text */
    uint32_t offset; /* bytes from the last of them to its text */
    bool is_param;   /* the first node of a parameter: it takes before it compares */
};

struct maker {
    struct weft_nodes *nodes;
    const struct weft_tree *tree;
    struct job *jobs; /* jobs[i] is for nodes->at[i] */
};

/* Room for more nodes and their jobs: by doubling, for there may be very many, and the nodes with a
 * copy, because realloc keeps no alignment. */
static weft_rc grow(struct maker *m)
{
    struct weft_nodes *nodes = m->nodes;
    uint32_t room = WEFT_MAX(nodes->room * 2, 64u);
    struct job *jobs = realloc(m->jobs, room * sizeof(*jobs));
    if (!jobs)
        return WEFT_ENOMEM;
    m->jobs = jobs;
    struct weft_node *at = aligned_alloc(WEFT_CACHE_LINE, room * sizeof(*at));
    if (!at)
        return WEFT_ENOMEM;
    memset(at, 0, room * sizeof(*at));
    if (nodes->count > 0)
        memcpy(at, nodes->at, nodes->count * sizeof(*at));
    free(nodes->at);
    nodes->at = at;
    nodes->room = room;
    return 0;
}

/* Numbers one more node. */
static weft_rc add_job(struct maker *m, struct job job, uint32_t *out)
{
    if (m->nodes->count == m->nodes->room)
        WEFT_TRY(grow(m));
    *out = m->nodes->count++;
    m->jobs[*out] = job;
    return 0;
}

static void put_bytes(uint64_t *words, const char *bytes, size_t len)
{
    if (len > 0) /* an empty slice may have no address */
        memcpy(words, bytes, len);
    words[0] = le64toh(words[0]);
    words[1] = le64toh(words[1]);
}

/* A parameter, or the root, that leads to one text only takes that text into its own node. */
static void absorb(const struct maker *m, struct job *job)
{
    const struct weft_tree_node *from = &m->tree->nodes[job->from];
    if (job->text.len > 0 || from->routes != WEFT_TREE_NONE || from->params != WEFT_TREE_NONE ||
        from->children == WEFT_TREE_NONE || m->tree->nodes[from->children].next != WEFT_TREE_NONE)
        return;
    job->from = from->children;
    job->text = m->tree->nodes[job->from].text;
}

/* What is left of a text that is too long for its node goes to an only child. */
static weft_rc fill_long(struct maker *m, uint32_t index, const struct job *job)
{
    struct job rest = *job;
    rest.text =
        weft_str_make(job->text.ptr + WEFT_NODE_TEXT + 1, job->text.len - WEFT_NODE_TEXT - 1);
    rest.offset += WEFT_NODE_TEXT + 1;
    rest.is_param = false;
    uint32_t child;
    WEFT_TRY(add_job(m, rest, &child));
    struct weft_node *node = &m->nodes->at[index];
    node->then = node->fail;
    node->child = child;
    node->label_count = 1;
    put_bytes(node->labels, job->text.ptr + WEFT_NODE_TEXT, 1);
    return 0;
}

static weft_rc add_wide(struct weft_nodes *nodes, const char *labels, uint32_t count, uint32_t *out)
{
    if (nodes->wide_count == nodes->wide_room) {
        uint32_t room = WEFT_MAX(nodes->wide_room * 2, 4u);
        struct weft_node_wide *wides = realloc(nodes->wides, room * sizeof(*wides));
        if (!wides)
            return WEFT_ENOMEM;
        nodes->wides = wides;
        nodes->wide_room = room;
    }
    *out = nodes->wide_count++;
    nodes->wides[*out] = (struct weft_node_wide){0};
    for (uint32_t i = 0; i < count; i++)
        nodes->wides[*out].child[(unsigned char)labels[i]] = (uint8_t)(i + 1);
    return 0;
}

static weft_rc add_children(struct maker *m, uint32_t index, const struct job *job, uint32_t offset)
{
    char labels[256];
    uint32_t count = 0, first = WEFT_NODE_NONE;
    for (uint32_t at = m->tree->nodes[job->from].children; at != WEFT_TREE_NONE;
         at = m->tree->nodes[at].next) {
        weft_str text = m->tree->nodes[at].text;
        labels[count] = text.ptr[0];
        struct job child = {.from = at,
                            .text = weft_str_make(text.ptr + 1, text.len - 1),
                            .fail = m->nodes->at[index].then,
                            .params = job->params,
                            .offset = offset + 1};
        uint32_t added;
        WEFT_TRY(add_job(m, child, &added));
        first = count++ == 0 ? added : first;
    }
    struct weft_node *node = &m->nodes->at[index];
    node->child = first;
    node->label_count = (uint8_t)count;
    if (count <= WEFT_NODE_LABELS) {
        put_bytes(node->labels, labels, count);
        return 0;
    }
    node->label_count = WEFT_NODE_WIDE;
    return add_wide(m->nodes, labels, count, &node->wide);
}

/* The parameters below, each of which fails to the next one; the last to where this node fails. */
static weft_rc add_params(struct maker *m, uint32_t index, const struct job *job, uint32_t offset)
{
    uint32_t last = WEFT_NODE_NONE;
    m->nodes->at[index].then = m->nodes->at[index].fail;
    for (uint32_t at = m->tree->nodes[job->from].params; at != WEFT_TREE_NONE;
         at = m->tree->nodes[at].next) {
        struct job param = {.from = at,
                            .fail = m->nodes->at[index].fail,
                            .params = job->params + 1,
                            .is_param = true};
        uint32_t added;
        WEFT_TRY(add_job(m, param, &added));
        m->nodes->at[added].offset = (uint16_t)offset; /* <= WEFT_PATTERN_BYTES_MAX */
        if (last == WEFT_NODE_NONE)
            m->nodes->at[index].then = added;
        else
            m->jobs[last].fail = added;
        last = added;
    }
    return 0;
}

static void add_routes(struct maker *m, struct weft_node *node, uint32_t from)
{
    node->route = m->nodes->route_count;
    for (uint32_t at = m->tree->nodes[from].routes; at != WEFT_TREE_NONE;
         at = m->tree->routes[at].next) {
        const struct weft_tree_route *route = &m->tree->routes[at];
        node->allow |= 1u << route->method;
        m->nodes->routes[m->nodes->route_count++] =
            (struct weft_node_route){route->route, route->pattern};
    }
}

static weft_rc fill(struct maker *m, uint32_t index)
{
    struct job job = m->jobs[index];
    struct weft_node *node = &m->nodes->at[index];
    node->kind = WEFT_PART_TEXT;
    node->fail = job.fail;
    if (job.is_param) {
        node->kind = (uint8_t)m->tree->nodes[job.from].kind;
        node->regex = (uint16_t)m->tree->nodes[job.from].regex;
        node->param_index = (uint8_t)(job.params - 1);
    }
    if (job.is_param || index == WEFT_NODE_ROOT)
        absorb(m, &job);
    node->text_len = (uint8_t)WEFT_MIN(job.text.len, WEFT_NODE_TEXT);
    put_bytes(node->text, job.text.ptr, node->text_len);
    if (job.text.len > WEFT_NODE_TEXT)
        return fill_long(m, index, &job);

    add_routes(m, node, job.from);
    uint32_t offset = job.offset + (uint32_t)job.text.len;
    WEFT_TRY(add_params(m, index, &job, offset));
    return add_children(m, index, &job, offset);
}

weft_rc weft_nodes_init(struct weft_nodes *out, const struct weft_tree *tree)
{
    *out = (struct weft_nodes){0};
    struct maker m = {.nodes = out, .tree = tree};
    const struct job root = {.text = tree->nodes[0].text};
    uint32_t index;
    weft_rc rc = grow(&m);
    if (rc == 0)
        rc = add_job(&m, root, &index); /* at[0] */
    if (rc == 0)
        rc = add_job(&m, root, &index);
    out->routes = calloc(WEFT_MAX(tree->route_count, 1u), sizeof(*out->routes));
    if (rc == 0 && !out->routes)
        rc = WEFT_ENOMEM;
    for (uint32_t i = WEFT_NODE_ROOT; rc == 0 && i < out->count; i++)
        rc = fill(&m, i);
    free(m.jobs);
    return rc;
}

void weft_nodes_fini(struct weft_nodes *nodes)
{
    free(nodes->at);
    free(nodes->routes);
    free(nodes->wides);
    *nodes = (struct weft_nodes){0};
}

size_t weft_nodes_bytes(const struct weft_nodes *nodes)
{
    return nodes->room * sizeof(*nodes->at) + nodes->route_count * sizeof(*nodes->routes) +
           nodes->wide_room * sizeof(*nodes->wides);
}
