/* cookie_keys.c - see cookie_keys.h. */
#include "http/cookie_keys.h"
#include "base/str.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define BLOCK_BYTES    64
#define HASH_BYTES     32
#define FILE_BYTES_MAX 1536 /* four keys of the longest, and room */

/* As in sha(3); the library is not needed to build. */
static struct {
    int (*init)(struct weft_sha256_state *state);
    int (*update)(struct weft_sha256_state *state, const void *data, size_t len);
    int (*final)(unsigned char *to, struct weft_sha256_state *state);
    int (*same)(const void *a, const void *b, size_t len);
} crypto;

/* Loaded once and kept, by the one thread that starts the server. */
static weft_rc load_crypto(void)
{
    if (crypto.init != NULL)
        return 0;
    void *handle = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return WEFT_ENOTSUP;
    *(void **)&crypto.update = dlsym(handle, "SHA256_Update");
    *(void **)&crypto.final = dlsym(handle, "SHA256_Final");
    *(void **)&crypto.same = dlsym(handle, "CRYPTO_memcmp");
    void *init = dlsym(handle, "SHA256_Init");
    if (init == NULL || crypto.update == NULL || crypto.final == NULL || crypto.same == NULL) {
        dlclose(handle);
        return WEFT_ENOTSUP;
    }
    *(void **)&crypto.init = init;
    return 0;
}

/* ---- HMAC ---- */

/* These cannot fail on states that were begun; what they return is for other hashes' sake. */
static void add(struct weft_sha256_state *state, const void *bytes, size_t len)
{
    weft_assert(crypto.update(state, bytes, len) == 1);
}

static void finish(struct weft_sha256_state *state, unsigned char to[HASH_BYTES])
{
    weft_assert(crypto.final(to, state) == 1);
}

static void begin(struct weft_sha256_state *state)
{
    weft_assert(crypto.init(state) == 1);
}

bool weft_cookie_key_make(struct weft_cookie_key *key, weft_str bytes)
{
    unsigned char padded[BLOCK_BYTES] = {0};
    if (crypto.init == NULL)
        return false;
    memset(key, 0, sizeof(*key)); /* the library's state is smaller than its room */
    if (bytes.len > sizeof(padded)) {
        begin(&key->inner);
        add(&key->inner, bytes.ptr, bytes.len);
        finish(&key->inner, padded);
    } else if (bytes.len > 0) {
        memcpy(padded, bytes.ptr, bytes.len);
    }
    for (size_t i = 0; i < sizeof(padded); i++)
        padded[i] ^= 0x36;
    begin(&key->inner);
    add(&key->inner, padded, sizeof(padded));
    for (size_t i = 0; i < sizeof(padded); i++)
        padded[i] ^= 0x36 ^ 0x5c;
    begin(&key->outer);
    add(&key->outer, padded, sizeof(padded));
    explicit_bzero(padded, sizeof(padded));
    return true;
}

void weft_cookie_keys_mac(const struct weft_cookie_key *key, const weft_str *parts, size_t count,
                          unsigned char to[32])
{
    struct weft_sha256_state inner = key->inner, outer = key->outer;
    unsigned char hash[HASH_BYTES];
    for (size_t i = 0; i < count; i++)
        add(&inner, parts[i].ptr, parts[i].len);
    finish(&inner, hash);
    add(&outer, hash, sizeof(hash));
    finish(&outer, to);
}

/* ---- signatures ---- */

/* RFC 4648 5, without padding. */
static void base64url(char to[WEFT_COOKIE_MAC_BYTES], const unsigned char from[HASH_BYTES])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0, have = 0;
    size_t at = 0;
    for (size_t i = 0; i < HASH_BYTES; i++) {
        bits = bits << 8 | from[i];
        for (have += 8; have >= 6; have -= 6)
            to[at++] = digits[bits >> (have - 6) & 63];
    }
    to[at++] = digits[bits << (6 - have) & 63];
    weft_assert(at == WEFT_COOKIE_MAC_BYTES);
}

static void sign(const struct weft_cookie_key *key, weft_str name, weft_str value, weft_str until,
                 char to[WEFT_COOKIE_MAC_BYTES])
{
    const weft_str parts[] = {name, WEFT_S("="), value, WEFT_S("."), until};
    unsigned char hash[HASH_BYTES];
    weft_cookie_keys_mac(key, parts, WEFT_COUNT_OF(parts), hash);
    base64url(to, hash);
}

void weft_cookie_keys_sign(const struct weft_cookie_keys *keys, weft_str name, weft_str value,
                           weft_str until, char to[WEFT_COOKIE_MAC_BYTES])
{
    weft_assert(keys->count > 0);
    sign(&keys->keys[0], name, value, until, to);
}

/* Cuts what follows the last dot off. */
static bool cut_last(weft_str *text, weft_str *out)
{
    const char *dot = text->len > 0 ? memrchr(text->ptr, '.', text->len) : NULL;
    if (dot == NULL)
        return false;
    size_t len = (size_t)(dot - text->ptr);
    *out = weft_str_make(dot + 1, text->len - len - 1);
    text->len = len;
    return true;
}

/* All keys are tried, whichever is good: how long it takes tells nothing. */
static bool is_signed(const struct weft_cookie_keys *keys, weft_str name, weft_str value,
                      weft_str until, weft_str mac)
{
    bool good = false;
    if (mac.len != WEFT_COOKIE_MAC_BYTES)
        return false;
    for (uint32_t i = 0; i < keys->count; i++) {
        char wanted[WEFT_COOKIE_MAC_BYTES];
        sign(&keys->keys[i], name, value, until, wanted);
        good |= crypto.same(wanted, mac.ptr, mac.len) == 0;
    }
    return good;
}

weft_rc weft_cookie_keys_open(const struct weft_cookie_keys *keys, weft_str name,
                              weft_str signed_value, uint64_t now_s, weft_str *out_value)
{
    weft_str value = signed_value, until = {0}, mac = {0};
    uint64_t until_s = 0;
    if (!cut_last(&value, &mac) || !cut_last(&value, &until))
        return WEFT_ESYNTAX;
    if (!is_signed(keys, name, value, until, mac) || weft_str_to_u64(until, &until_s) != 0)
        return WEFT_ESYNTAX;
    if (until_s != 0 && until_s <= now_s)
        return WEFT_ESYNTAX;
    *out_value = value;
    return 0;
}

/* ---- the file ---- */

static weft_rc bad(char *why, size_t room, const char *format_z, size_t line)
{
    (void)snprintf(why, room, format_z, line);
    return WEFT_ECONFIG;
}

weft_rc weft_cookie_keys_parse(struct weft_cookie_keys *keys, weft_str text, char *why, size_t room)
{
    weft_rc rc = load_crypto();
    if (rc != 0) {
        (void)snprintf(why, room, "%s", "there is no libcrypto.so.3 (package libssl3)");
        return rc;
    }
    keys->count = 0;
    for (size_t line = 1; text.len > 0; line++) {
        const char *end = memchr(text.ptr, '\n', text.len);
        weft_str key = weft_str_make(text.ptr, end != NULL ? (size_t)(end - text.ptr) : text.len);
        size_t step = key.len + (end != NULL);
        text = weft_str_make(text.ptr + step, text.len - step);
        if (key.len > 0 && key.ptr[key.len - 1] == '\r')
            key.len--;
        if (key.len == 0)
            continue;
        if (key.len < WEFT_COOKIE_KEY_BYTES_MIN || key.len > WEFT_COOKIE_KEY_BYTES_MAX)
            return bad(why, room, "line %zu: a key has 32 to 256 bytes", line);
        if (keys->count == WEFT_COOKIE_KEYS_MAX)
            return bad(why, room, "line %zu: more than 4 keys", line);
        if (!weft_cookie_key_make(&keys->keys[keys->count++], key))
            return WEFT_ENOTSUP;
    }
    return keys->count > 0 ? 0 : bad(why, room, "no key in %zu lines", 1);
}

/* Reads to the end of the file or of the room. */
static ssize_t read_all(int fd, char *to, size_t room)
{
    size_t len = 0;
    while (len < room) {
        ssize_t got = read(fd, to + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

weft_rc weft_cookie_keys_load(struct weft_cookie_keys *keys, const char *path_z, char *why,
                              size_t room)
{
    char text[FILE_BYTES_MAX];
    int fd = open(path_z, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t len = fd >= 0 ? read_all(fd, text, sizeof(text)) : -1;
    weft_rc rc = (weft_rc)-errno;
    if (fd >= 0)
        close(fd);
    if (len < 0) {
        (void)snprintf(why, room, "%s", weft_rc_text(rc));
        rc = WEFT_ECONFIG;
    } else if ((size_t)len == sizeof(text)) {
        rc = bad(why, room, "longer than %zu bytes", sizeof(text) - 1);
    } else {
        rc = weft_cookie_keys_parse(keys, weft_str_make(text, (size_t)len), why, room);
    }
    explicit_bzero(text, sizeof(text));
    return rc;
}
