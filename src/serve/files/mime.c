/* mime.c - see mime.h. The built-in types are a mime.types too, so that one reader does for both.
 * The table is made in two walks: one counts, one fills; it never grows. */
#include "serve/files/mime.h"
#include "base/str.h"
#include <stdlib.h>

/* What the web is made of. */
static const char builtin[] = "text/html html htm\n"
                              "text/css css\n"
                              "text/javascript js mjs\n"
                              "text/plain txt text log conf\n"
                              "text/markdown md\n"
                              "text/csv csv\n"
                              "text/calendar ics\n"
                              "text/vtt vtt\n"
                              "application/json json map\n"
                              "application/ld+json jsonld\n"
                              "application/manifest+json webmanifest\n"
                              "application/xml xml\n"
                              "application/rss+xml rss\n"
                              "application/atom+xml atom\n"
                              "application/xhtml+xml xhtml\n"
                              "application/yaml yaml yml\n"
                              "application/wasm wasm\n"
                              "application/pdf pdf\n"
                              "application/zip zip\n"
                              "application/gzip gz tgz\n"
                              "application/zstd zst\n"
                              "application/x-tar tar\n"
                              "application/x-7z-compressed 7z\n"
                              "application/x-bzip bz2\n"
                              "application/x-xz xz\n"
                              "application/epub+zip epub\n"
                              "application/java-archive jar\n"
                              "image/svg+xml svg svgz\n"
                              "image/png png\n"
                              "image/jpeg jpg jpeg\n"
                              "image/gif gif\n"
                              "image/webp webp\n"
                              "image/avif avif\n"
                              "image/bmp bmp\n"
                              "image/tiff tif tiff\n"
                              "image/x-icon ico\n"
                              "font/woff woff\n"
                              "font/woff2 woff2\n"
                              "font/ttf ttf\n"
                              "font/otf otf\n"
                              "audio/mpeg mp3\n"
                              "audio/ogg oga ogg opus\n"
                              "audio/wav wav\n"
                              "audio/flac flac\n"
                              "audio/mp4 m4a\n"
                              "video/mp4 mp4 m4v\n"
                              "video/webm webm\n"
                              "video/ogg ogv\n"
                              "video/quicktime mov\n";

#define BUILTIN weft_str_make(builtin, sizeof(builtin) - 1)
#define UNKNOWN WEFT_S("application/octet-stream")

struct ending {
    char text[WEFT_MIME_ENDING_MAX]; /* lower case */
    uint8_t len;                     /* 0: the slot is free */
    uint32_t type;                   /* where it begins in texts */
    uint32_t type_len;
};

struct weft_mime {
    size_t bytes;          /* of everything */
    uint32_t slot_mask;    /* slots are a power of two, at most half of them taken */
    uint32_t used;         /* slots */
    char *texts;           /* owned: behind the slots */
    struct ending slots[]; /* slot_mask + 1 */
};

/* ---- mime.types, taken apart ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static weft_str next_word(weft_str *line)
{
    size_t at = 0, end = 0;
    while (at < line->len && is_space(line->ptr[at]))
        at++;
    for (end = at; end < line->len && !is_space(line->ptr[end]); end++)
        ;
    weft_str word = weft_str_make(line->ptr + at, end - at);
    *line = weft_str_make(line->ptr + end, line->len - end);
    return word;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$&-^_.+", c) != NULL);
}

/* restricted-name "/" restricted-name (RFC 6838 4.2). */
static bool is_type(weft_str word)
{
    size_t slashes = 0;
    for (size_t i = 0; i < word.len; i++) {
        bool slash = word.ptr[i] == '/' && i > 0 && i + 1 < word.len;
        slashes += slash;
        if (!slash && !is_name_byte(word.ptr[i]))
            return false;
    }
    return slashes == 1 && word.len <= WEFT_MIME_TYPE_MAX;
}

static bool is_ending(weft_str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!is_name_byte(word.ptr[i]) || word.ptr[i] == '.')
            return false; /* of "tar.gz" only "gz" is ever looked for */
    return word.len > 0 && word.len <= WEFT_MIME_ENDING_MAX;
}

static bool read_line(weft_str line, bool (*take)(void *arg, weft_str ending, weft_str type),
                      void *arg)
{
    const char *comment = memchr(line.ptr, '#', line.len);
    if (comment != NULL)
        line.len = (size_t)(comment - line.ptr);
    weft_str type = next_word(&line);
    if (!is_type(type))
        return true;
    for (weft_str ending = next_word(&line); ending.len > 0; ending = next_word(&line))
        if (is_ending(ending) && !take(arg, ending, type))
            return false;
    return true;
}

void weft_mime_read(weft_str text, bool (*take)(void *arg, weft_str ending, weft_str type),
                    void *arg)
{
    text.len = WEFT_MIN(text.len, WEFT_MIME_FILE_BYTES_MAX);
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end == NULL ? text.len : (size_t)(end - text.ptr);
        if (!read_line(weft_str_make(text.ptr, len), take, arg))
            return;
        size_t used = len + (end != NULL);
        text = weft_str_make(text.ptr + used, text.len - used);
    }
}

/* ---- a table ---- */

static size_t lower(weft_str ending, char *to)
{
    for (size_t i = 0; i < ending.len; i++) {
        char c = ending.ptr[i];
        to[i] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    return ending.len;
}

/* FNV-1a. The slot of that ending, or the free one where it belongs. */
static const struct ending *find(const struct weft_mime *mime, const char *text, size_t len)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    for (;; hash++) {
        const struct ending *slot = &mime->slots[hash & mime->slot_mask];
        if (slot->len == 0 || (slot->len == len && memcmp(slot->text, text, len) == 0))
            return slot;
    }
}

/* What a table needs at most: counted over the same pairs in the same order. */
struct sum {
    size_t endings;
    size_t text_bytes;
    size_t charset_bytes;
    const char *last; /* borrowed: the type of the pair before */
};

static bool is_text(weft_str type)
{
    return weft_str_starts(type, WEFT_S("text/"));
}

static bool count(void *arg, weft_str ending, weft_str type)
{
    struct sum *sum = arg;
    (void)ending;
    sum->endings++;
    if (sum->last != type.ptr)
        sum->text_bytes += type.len + (is_text(type) ? sum->charset_bytes : 0);
    sum->last = type.ptr;
    return sum->endings < WEFT_MIME_ENDINGS_MAX;
}

/* A table while it is made. */
struct maker {
    struct weft_mime *mime;
    weft_str charset;
    size_t left; /* pairs that were counted: a long file leaves room for the built-in ones */
    size_t text_len, text_room;
    const char *last; /* borrowed: the type that was put last, where it was read */
    size_t at;        /* and where it lies now */
};

static void put(struct maker *maker, weft_str text)
{
    if (text.len > 0)
        memcpy(maker->mime->texts + maker->text_len, text.ptr, text.len);
    maker->text_len += text.len;
}

/* A type is kept once for the endings that stand in its line. False: no room, the file is too long.
 */
static bool put_type(struct maker *maker, weft_str type)
{
    if (maker->last == type.ptr)
        return true;
    weft_str name = WEFT_S("; charset=");
    bool says = is_text(type) && maker->charset.len > 0;
    size_t bytes = type.len + (says ? name.len + maker->charset.len : 0);
    if (bytes > maker->text_room - maker->text_len)
        return false;
    maker->last = type.ptr;
    maker->at = maker->text_len;
    put(maker, type);
    if (says) {
        put(maker, name);
        put(maker, maker->charset);
    }
    return true;
}

/* What was there first stays. */
static bool add(void *arg, weft_str ending, weft_str type)
{
    struct maker *maker = arg;
    char text[WEFT_MIME_ENDING_MAX];
    size_t len = lower(ending, text);
    if (maker->left-- == 0)
        return false;
    struct ending *slot = &maker->mime->slots[find(maker->mime, text, len) - maker->mime->slots];
    if (slot->len > 0)
        return true;
    if (maker->mime->used == maker->mime->slot_mask / 2 + 1 || !put_type(maker, type))
        return false;
    memcpy(slot->text, text, len);
    slot->len = (uint8_t)len;
    slot->type = (uint32_t)maker->at;
    slot->type_len = (uint32_t)(maker->text_len - maker->at);
    maker->mime->used++;
    return true;
}

weft_rc weft_mime_create(weft_str text, weft_str charset, struct weft_mime **out)
{
    weft_assert(charset.len <= WEFT_MIME_CHARSET_MAX);
    struct sum sum = {.charset_bytes = sizeof("; charset=") + charset.len};
    weft_mime_read(BUILTIN, count, &sum); /* first: they have room, however long the file is */
    size_t ours = sum.endings;
    weft_mime_read(text, count, &sum);
    size_t slots = 64;
    while (slots < 2 * sum.endings)
        slots *= 2;
    size_t bytes = sizeof(struct weft_mime) + slots * sizeof(struct ending) + sum.text_bytes;
    struct weft_mime *mime = calloc(1, bytes);
    if (mime == NULL)
        return WEFT_ENOMEM;
    *mime = (struct weft_mime){
        .bytes = bytes, .slot_mask = (uint32_t)slots - 1, .texts = (char *)&mime->slots[slots]};
    struct maker maker = {.mime = mime, .charset = charset, .text_room = sum.text_bytes};
    maker.left = sum.endings - ours;
    weft_mime_read(text, add, &maker);
    maker.left = ours;
    weft_mime_read(BUILTIN, add, &maker);
    *out = mime;
    return 0;
}

void weft_mime_destroy(struct weft_mime *mime)
{
    free(mime);
}

size_t weft_mime_bytes(const struct weft_mime *mime)
{
    return mime->bytes;
}

/* ---- asking it ---- */

/* What follows the last dot of the last segment; empty: no ending. */
static weft_str ending_of(weft_str path)
{
    size_t at = path.len;
    while (at > 0 && path.ptr[at - 1] != '.' && path.ptr[at - 1] != '/')
        at--;
    bool named = at >= 2 && path.ptr[at - 1] == '.' && path.ptr[at - 2] != '/';
    return named ? weft_str_make(path.ptr + at, path.len - at) : (weft_str){0};
}

struct search {
    weft_str ending;
    weft_str found;
};

static bool look(void *arg, weft_str ending, weft_str type)
{
    struct search *search = arg;
    bool same = weft_str_eq(ending, search->ending);
    if (same)
        search->found = type;
    return !same;
}

weft_str weft_mime_type(const struct weft_mime *mime, weft_str path)
{
    char text[WEFT_MIME_ENDING_MAX];
    weft_str ending = ending_of(path);
    if (ending.len == 0 || ending.len > sizeof(text))
        return UNKNOWN;
    size_t len = lower(ending, text);
    if (mime == NULL) {
        struct search search = {weft_str_make(text, len), UNKNOWN};
        weft_mime_read(BUILTIN, look, &search);
        return search.found;
    }
    const struct ending *slot = find(mime, text, len);
    return slot->len == 0 ? UNKNOWN : weft_str_make(mime->texts + slot->type, slot->type_len);
}

static bool is_any_of(weft_str type, const weft_str *types, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (weft_str_ieq(type, types[i]))
            return true;
    return false;
}

bool weft_mime_is_compressed(weft_str type)
{
    static const weft_str packed[] = {WEFT_S("application/zip"),
                                      WEFT_S("application/gzip"),
                                      WEFT_S("application/zstd"),
                                      WEFT_S("application/x-7z-compressed"),
                                      WEFT_S("application/x-bzip"),
                                      WEFT_S("application/x-bzip2"),
                                      WEFT_S("application/x-xz"),
                                      WEFT_S("application/x-gzip"),
                                      WEFT_S("application/pdf"),
                                      WEFT_S("application/epub+zip"),
                                      WEFT_S("application/vnd.rar"),
                                      WEFT_S("application/java-archive"),
                                      WEFT_S("application/font-woff"),
                                      WEFT_S("font/woff"),
                                      WEFT_S("font/woff2")};
    static const weft_str plain[] = {WEFT_S("image/svg+xml"), WEFT_S("image/bmp"),
                                     WEFT_S("image/x-icon"), WEFT_S("audio/wav")};
    static const weft_str kinds[] = {WEFT_S("image/"), WEFT_S("audio/"), WEFT_S("video/")};
    const char *end = memchr(type.ptr, ';', type.len);
    type = weft_str_trim(end == NULL ? type : weft_str_make(type.ptr, (size_t)(end - type.ptr)));
    if (is_any_of(type, packed, WEFT_COUNT_OF(packed)))
        return true;
    if (is_any_of(type, plain, WEFT_COUNT_OF(plain)))
        return false;
    for (size_t i = 0; i < WEFT_COUNT_OF(kinds); i++)
        if (type.len > kinds[i].len &&
            weft_str_ieq(weft_str_make(type.ptr, kinds[i].len), kinds[i]))
            return true;
    return false;
}
