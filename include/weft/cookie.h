/* cookie.h - cookies, read and set (RFC 6265bis), signed where asked.
 *
 * What is set is as careful as it can be by default: for this host, all of its paths, not for
 * scripts, not sent along from other sites (Lax). Signed ones carry a time and an HMAC-SHA256 by
 * the keys of the setting cookies.key_path: who has the cookie may read it, and can change nothing
 * unseen. Rules: docs/api.md, examples: docs/forms.md.
 *
 * Lifetime: slices live until the request ends (rule 2).
 * Threads:  the request's worker.
 * Memory:   what is set is put together in the arena (rule 4); reading takes none.
 */
#ifndef WEFT_COOKIE_H
#define WEFT_COOKIE_H

#include <weft/response.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** A cookie's value, as it was sent, quotes included; the first of several (browsers send the one
 *  with the longer path first); ptr is NULL when it is absent (rule 2).
 *  name     case matters */
weft_str weft_cookie(const weft_req *rq, weft_str name);

/** The value of a cookie that was set with .sign, without time and signature: the first of that
 *  name that is good. Constant time where it compares.
 *  returns  ptr NULL: absent; no keys; or forged, changed, of another name or too old (counted:
 *           http_bad_cookie_total)
 *  cost     about 1 us; 8 of one name are tried at most */
weft_str weft_signed_cookie(weft_req *rq, weft_str name);

typedef enum weft_same_site {
    WEFT_SAME_SITE_LAX,    /* from other sites with top-level navigation only */
    WEFT_SAME_SITE_STRICT, /* never from other sites */
    WEFT_SAME_SITE_NONE,   /* always; needs .secure */
} weft_same_site;

typedef struct weft_cookie_opts {
    size_t size;        /* filled by the macro */
    uint32_t max_age_s; /* 0: until the browser ends. Browsers keep none longer than 400 days */
    weft_str path;      /* empty: "/" */
    weft_str domain;    /* and what is below it; empty: this host alone */
    bool secure;        /* https only */
    bool for_scripts;   /* scripts may read it: no HttpOnly */
    bool partitioned;   /* a jar of its own per top-level site (CHIPS); needs .secure */
    bool sign;          /* needs cookies.key_path */
    weft_same_site same_site;
} weft_cookie_opts;
#define WEFT_COOKIE_OPTS(...)                                                                      \
    (&(const weft_cookie_opts){.size = sizeof(weft_cookie_opts), __VA_ARGS__})

/** Set a cookie: a Set-Cookie header of its own. All slices are borrowed for the call.
 *  name     a token; __Host- and __Secure- are held to their promise
 *  value    no space, quote, comma, semicolon, backslash or control byte: encode what may have some
 *  opts     WEFT_COOKIE_OPTS(...), or NULL
 *  returns  0; WEFT_EINVAL (name, value or an attribute of other bytes; needs .secure; a prefix's
 *           promise broken; options of another version), WEFT_ELIMIT (name and value above 4,096
 *           bytes, an attribute above 1,024: browsers drop those), WEFT_ECONFIG (.sign without
 *           keys), and what weft_set_header() returns */
WEFT_CHECK weft_rc weft_set_cookie(weft_req *rq, weft_str name, weft_str value,
                                   const weft_cookie_opts *opts);

/** Have the browser forget a cookie. opts: path, domain, secure and partitioned as it was set.
 *  returns  as weft_set_cookie() */
WEFT_CHECK weft_rc weft_drop_cookie(weft_req *rq, weft_str name, const weft_cookie_opts *opts);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
