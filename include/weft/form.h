/* form.h - what HTML forms send: urlencoded fields, multipart bodies as streams, files saved as
 * they come.
 *
 * A multipart body of any size passes through in constant memory: its parts are read one after
 * the other, in pieces that lie where they were received, and a file goes piece by piece to a
 * descriptor. Nothing is spilled to temporary files; an upload has no name until it is kept, so one
 * that breaks off leaves nothing behind, whatever ended it. Examples: docs/forms.md.
 *
 * Lifetime: as each says; readers and uploads end with the request.
 * Threads:  the request's worker.
 * Memory:   the request's arena (rule 4): a urlencoded body and 32 bytes per field; 2.5 KiB for a
 *           multipart reader.
 */
#ifndef WEFT_FORM_H
#define WEFT_FORM_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- application/x-www-form-urlencoded ---- */

#define WEFT_FORM_FIELDS_MAX 256

typedef struct weft_form_field {
    weft_str name, value; /* decoded; any bytes, UTF-8 is not checked */
} weft_form_field;

typedef struct weft_form {
    const weft_form_field *fields; /* in the order sent */
    size_t count;
} weft_form;

/** Read a urlencoded body whole; decoded in the arena, until the request ends (rule 2). Waits (rule
 *  7).
 *  returns  0; WEFT_EMEDIA (415): no such form; WEFT_ESYNTAX (400, counted): a bad escape;
 *           WEFT_ELIMIT (413): more than 256 fields (counted), or as weft_body(), whose others it
 *           returns too */
WEFT_CHECK weft_rc weft_form_read(weft_req *rq, weft_form *out);

/** A field's value, the first of several; ptr is NULL when it is absent, and only then (rule 2).
 *  name     case matters */
weft_str weft_form_value(const weft_form *form, weft_str name);

/* ---- multipart/form-data (RFC 7578) ---- */

#define WEFT_MULTIPART_PARTS_MAX      1000
#define WEFT_MULTIPART_HEAD_BYTES_MAX 2048 /* header lines of one part */

typedef struct weft_multipart weft_multipart; /* opaque; in the arena */

/** A part. Slices live until the next weft_part_next(). */
typedef struct weft_form_part {
    weft_str name;     /* decoded; ptr NULL: there are no more parts */
    weft_str filename; /* what the client calls the file, without folders; may be empty. ptr NULL:
                          no file. Nothing to open files by: bytes of a stranger */
    weft_str type;     /* as sent, parameters included; "text/plain" where there was none */
} weft_form_part;

/** Begin to read a multipart body.
 *  out      until the request ends
 *  returns  0; WEFT_EMEDIA (415): no multipart/form-data; WEFT_ESYNTAX (400, counted): without a
 *           good boundary; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_multipart_begin(weft_req *rq, weft_multipart **out);

/** The next part; what is left of the last one is read and dropped. Waits (rule 7).
 *  returns  0, with a name or, at the end, without; WEFT_ESYNTAX (400): malformed; WEFT_EEOF (400):
 *           ended before its last boundary; WEFT_ELIMIT (413): more than 1,000 parts, or a part's
 *           head above 2 KiB; each counted; and as weft_read_body() */
WEFT_CHECK weft_rc weft_part_next(weft_multipart *form, weft_form_part *out);

/** The next piece of the part, where it lies: borrowed until the next call (rule 2). Waits.
 *  out      1 or more bytes; empty at the part's end
 *  returns  as weft_part_next(); WEFT_ESTATE: before the first part */
WEFT_CHECK weft_rc weft_part_read(weft_multipart *form, weft_str *out);

/** What is left of a part in one piece, in the arena, until the request ends. Waits.
 *  bytes_max  beyond: WEFT_ELIMIT (413)
 *  returns    as weft_part_read(); WEFT_ENOMEM past the route's cap */
WEFT_CHECK weft_rc weft_part_text(weft_multipart *form, size_t bytes_max, weft_str *out);

/** Write what is left of a part to a descriptor, piece by piece from where it was received. Where
 *  the file system cannot say whether it would wait (ext4), up to 60 KiB are gathered in the arena,
 *  as the route's cap allows, and a thread of the offload pool writes them. Waits (rule 7).
 *  fd         a regular file, written at its offset; stays yours
 *  bytes_max  beyond: WEFT_ELIMIT (413); what was written stays written
 *  out_bytes  written on success
 *  returns    as weft_part_read(); -errno of write(2); WEFT_EFULL (the pool's queue) */
WEFT_CHECK weft_rc weft_part_write(weft_multipart *form, int fd, uint64_t bytes_max,
                                   uint64_t *out_bytes);

/* ---- files that are kept ---- */

#define WEFT_UPLOADS_MAX 16 /* of one request under way at once: each has a descriptor */

/** A file under way: below the setting upload.root, without a name. */
typedef struct weft_upload {
    int fd; /* to write to; closed and -1 once it is kept or dropped, else when the request ends */
    bool kept;
    weft_req *rq;
} weft_upload;

/** Open a new one. Waits: the offload pool does it.
 *  out      in the arena, until the request ends; one that was not kept by then is gone, also when
 *           the process was killed (counted: uploads_dropped_total)
 *  returns  0; WEFT_ECONFIG (500): upload.root is not set; WEFT_ELIMIT (413, counted): 16 are
 *           neither kept nor dropped; WEFT_EFULL (descriptors; the pool's queue), WEFT_ENOMEM,
 * WEFT_ECANCELED, WEFT_EDEADLINE; -errno of open(2) */
WEFT_CHECK weft_rc weft_upload_open(weft_req *rq, weft_upload **out);

/** Give it its name: all of it is there at once, or nothing. Waits.
 *  name     below upload.root, one component: without '/', control bytes or a dot in front, 255
 *           bytes at most
 *  sync     first have the disk write it (fdatasync): for what must outlast a power failure
 *  returns  0; WEFT_EEXIST: somebody has that name: answer 409, or take another; WEFT_EPATH (400):
 *           no such name may be; WEFT_ESTATE: kept or dropped already; -errno of linkat(2),
 *           fdatasync(2) */
WEFT_CHECK weft_rc weft_upload_keep(weft_upload *upload, weft_str name, bool sync);

/** Give it up now, not when the request ends: for what turns out to be none of what was wanted.
 *  Counted as one that was not kept; of one that was kept, or dropped, nothing changes. */
void weft_upload_drop(weft_upload *upload);

/** Write a whole body that is no form to a descriptor, as weft_part_write() does. */
WEFT_CHECK weft_rc weft_body_write(weft_req *rq, int fd, uint64_t bytes_max, uint64_t *out_bytes);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
