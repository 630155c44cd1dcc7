/* before.c - as it is often done: all of it in memory, then all of it out.
 *
 * The list becomes a tree of values, the tree one long text; a file is read, then sent; an upload
 * is gathered, then worked on. Each is fine for one small request. What a server holds is that
 * times the requests on their way. */
#include "shop.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- JSON: a tree of values first ---- */

struct value {
    struct value *next, *child; /* of the same array or object; of this one */
    char *key, *text;           /* owned; NULL: none */
    double number;
};

static struct value *value_of(struct value *parent, struct value *last, const char *key,
                              const char *text, double number)
{
    struct value *value = calloc(1, sizeof(*value));
    if (value == NULL)
        return NULL;
    value->key = key ? strdup(key) : NULL;
    value->text = text ? strdup(text) : NULL;
    value->number = number;
    if (last)
        last->next = value;
    else if (parent)
        parent->child = value;
    return value;
}

static struct value *tree_of_users(uint64_t from, uint64_t to)
{
    struct value *all = value_of(NULL, NULL, NULL, NULL, 0), *last = NULL;
    for (uint64_t i = from; i < to && all; i++) {
        struct user user;
        user_at(i, &user);
        last = value_of(all, last, NULL, NULL, 0);
        struct value *id = value_of(last, NULL, "id", NULL, (double)user.id);
        struct value *name = value_of(last, id, "name", user.name, 0);
        (void)value_of(last, name, "email", user.email, 0);
    }
    return all;
}

static void free_users(struct value *all)
{
    while (all->child) {
        struct value *user = all->child;
        all->child = user->next;
        while (user->child) {
            struct value *field = user->child;
            user->child = field->next;
            free(field->key);
            free(field->text);
            free(field);
        }
        free(user);
    }
    free(all);
}

struct text {
    char *bytes;
    size_t len, room;
};

static void append(struct text *text, const char *more)
{
    size_t len = strlen(more);
    if (text->len + len > text->room) {
        text->room = (text->len + len) * 2;
        text->bytes = realloc(text->bytes, text->room);
    }
    memcpy(text->bytes + text->len, more, len);
    text->len += len;
}

static void append_user(struct text *text, const struct value *user)
{
    char number[32];
    append(text, "{");
    for (const struct value *field = user->child; field; field = field->next) {
        append(text, "\"");
        append(text, field->key);
        append(text, "\":");
        (void)snprintf(number, sizeof(number), "%.0f", field->number);
        append(text, field->text ? "\"" : number);
        append(text, field->text ? field->text : "");
        append(text, field->text ? "\"" : "");
        append(text, field->next ? "," : "}");
    }
    append(text, user->next ? "," : "");
}

struct held {
    struct value *tree;
    char *bytes;
};

static void let_go(void *arg)
{
    struct held *held = arg;
    if (held->tree)
        free_users(held->tree);
    free(held->bytes);
    free(held);
}

/* The tree lives as long as the request: nobody thought of letting it go earlier. */
weft_rc before_users(weft_req *rq)
{
    uint64_t from = 0, to = 0;
    struct text text = {0};
    struct held *held = calloc(1, sizeof(*held));
    users_asked(rq, &from, &to);
    held->tree = tree_of_users(from, to);
    append(&text, "[");
    for (const struct value *user = held->tree->child; user; user = user->next)
        append_user(&text, user);
    append(&text, "]");
    held->bytes = text.bytes;
    weft_str body = {text.bytes, text.len};
    return weft_reply_give(rq, 200, WEFT_S("application/json"), body, let_go, held);
}

/* ---- a file: read, then sent ---- */

weft_rc before_file(weft_req *rq)
{
    weft_str root = weft_setting(rq, "root");
    char path[1100];
    (void)snprintf(path, sizeof(path), "%.*s/file.bin", (int)root.len, root.ptr);
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0)
        return WEFT_EPATH;
    struct held *held = calloc(1, sizeof(*held));
    size_t size = (size_t)info.st_size, got = 0;
    held->bytes = malloc(size);
    while (got < size) {
        ssize_t n = read(fd, held->bytes + got, size - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    close(fd);
    weft_str body = {held->bytes, got};
    return weft_reply_give(rq, 200, WEFT_S("application/octet-stream"), body, let_go, held);
}

/* ---- an upload: gathered, copied, sent ---- */

weft_rc before_upper(weft_req *rq)
{
    struct text all = {0};
    weft_str piece;
    do {
        weft_rc rc = weft_read_body(rq, &piece);
        if (rc < 0) {
            free(all.bytes);
            return rc;
        }
        if (all.len + piece.len > all.room) {
            all.room = (all.len + piece.len) * 2;
            all.bytes = realloc(all.bytes, all.room);
        }
        if (piece.len > 0)
            memcpy(all.bytes + all.len, piece.ptr, piece.len);
        all.len += piece.len;
    } while (piece.len > 0);
    struct held *held = calloc(1, sizeof(*held));
    held->bytes = malloc(all.len + 1);
    for (size_t i = 0; i < all.len; i++)
        held->bytes[i] =
            (char)(all.bytes[i] >= 'a' && all.bytes[i] <= 'z' ? all.bytes[i] - 32 : all.bytes[i]);
    free(all.bytes);
    weft_str body = {held->bytes, all.len};
    return weft_reply_give(rq, 200, WEFT_S("text/plain"), body, let_go, held);
}

/* A context, a session, an audit record: each keeps its own for as long as the request lives. */
weft_rc before_middleware(weft_req *rq)
{
    char *context = malloc(CONTEXT_BYTES);
    if (context == NULL)
        return WEFT_ENOMEM;
    memset(context, 1, CONTEXT_BYTES);
    weft_rc rc = weft_defer(rq, free, context);
    if (rc < 0) {
        free(context);
        return rc;
    }
    return WEFT_NEXT;
}
