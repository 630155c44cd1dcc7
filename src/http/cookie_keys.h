/* cookie_keys.h - keys that cookies are signed with: HMAC-SHA256 (RFC 2104), the hash by libcrypto.
 *
 * libcrypto is loaded when the first keys are: a server without them does not have it. Of it only
 * the bare hash is used, on the stack: its own HMAC allocates each time.
 *
 * Lifetime: process.
 * Threads:  loaded by one while the server starts; then read-only: any.
 * Memory:   sizeof(struct weft_cookie_keys), and WEFT_LIBCRYPTO_BYTES once it is loaded.
 */
#ifndef WEFT_HTTP_COOKIE_KEYS_H
#define WEFT_HTTP_COOKIE_KEYS_H

#include "base/base.h"

#define WEFT_COOKIE_KEYS_MAX      4
#define WEFT_COOKIE_KEY_BYTES_MIN ((size_t)32)
#define WEFT_COOKIE_KEY_BYTES_MAX ((size_t)256)
#define WEFT_COOKIE_MAC_BYTES     ((size_t)43)      /* 32 bytes in base64url */
#define WEFT_LIBCRYPTO_BYTES      ((size_t)2 << 20) /* resident of the library; 1.7 MB were seen */

/* libcrypto's SHA256_CTX has 112 bytes, in all versions that have a soname of 3. */
struct weft_sha256_state {
    _Alignas(16) unsigned char bytes[128];
};

struct weft_cookie_key {
    struct weft_sha256_state inner, outer; /* after the padded key: where each HMAC goes on */
};

struct weft_cookie_keys {
    uint32_t count; /* the first one signs, all of them are good */
    struct weft_cookie_key keys[WEFT_COOKIE_KEYS_MAX];
};

/** Read the keys: a line each, the newest first.
 *  why      why not: one line, zero-terminated; room for why_room bytes
 *  returns  0; WEFT_ECONFIG: the file cannot be read, has a key that is too short or too long, none
 *           or too many; WEFT_ENOTSUP: there is no libcrypto */
WEFT_CHECK weft_rc weft_cookie_keys_load(struct weft_cookie_keys *keys, const char *path_z,
                                         char *why, size_t why_room);

/** The same from memory.
 *  returns  as above */
WEFT_CHECK weft_rc weft_cookie_keys_parse(struct weft_cookie_keys *keys, weft_str text, char *why,
                                          size_t why_room);

/** The signature by the first key of name '=' value '.' until, at `to`. */
void weft_cookie_keys_sign(const struct weft_cookie_keys *keys, weft_str name, weft_str value,
                           weft_str until, char to[WEFT_COOKIE_MAC_BYTES]);

/** Take a signed cookie apart: value '.' until '.' signature.
 *  now_s    seconds since 1970
 *  returns  0: out_value is a slice of `signed_value`; WEFT_ESYNTAX: not of this form, the
 *           signature of none of the keys, or too old */
WEFT_CHECK weft_rc weft_cookie_keys_open(const struct weft_cookie_keys *keys, weft_str name,
                                         weft_str signed_value, uint64_t now_s,
                                         weft_str *out_value);

/** HMAC-SHA256 of some bytes, for tests against known answers. */
void weft_cookie_keys_mac(const struct weft_cookie_key *key, const weft_str *parts, size_t count,
                          unsigned char to[32]);

/** A key of any length. libcrypto must have been loaded by one of the above.
 *  returns  false: it was not */
bool weft_cookie_key_make(struct weft_cookie_key *key, weft_str bytes);

#endif
