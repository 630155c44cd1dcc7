/* multipart_req.c - the parts of a request's multipart body: the parser over the pieces as they
 * come. */
#include "http/message.h"
#include "serve/input/multipart.h"
#include "serve/input/save.h"

struct weft_multipart {
    weft_req *rq;
    weft_str rest;  /* of the body's present piece, not yet looked at */
    weft_rc failed; /* said again to whoever goes on */
    bool in_part;
    bool begun; /* weft_part_next() was called */
    bool done;
    struct weft_saver saver;
    struct weft_multipart_parser parser;
};

static weft_rc count_failure(weft_req *rq, weft_rc rc)
{
    if (rc == WEFT_ESYNTAX || rc == WEFT_EEOF)
        weft_loop_count(rq->loop, WEFT_COUNTER_MULTIPART_BAD);
    if (rc == WEFT_ELIMIT)
        weft_loop_count(rq->loop, WEFT_COUNTER_MULTIPART_LIMIT);
    return rc;
}

weft_rc weft_multipart_begin(weft_req *rq, weft_multipart **out)
{
    WEFT_TRY(weft_expect_media(rq, WEFT_S("multipart/form-data")));
    weft_multipart *form = weft_alloc(rq, sizeof(*form));
    if (form == NULL)
        return WEFT_ENOMEM;
    memset(form, 0, offsetof(weft_multipart, parser));
    form->rq = rq;
    weft_rc rc = weft_multipart_init(&form->parser, weft_header(rq, "content-type"));
    if (rc != 0)
        return count_failure(rq, rc);
    *out = form;
    return 0;
}

/* The next event; pieces of the body are read as they are needed. */
static weft_rc next_event(weft_multipart *form, int *out_event, weft_str *out_data)
{
    for (;;) {
        size_t used = 0;
        int event =
            weft_multipart_next(&form->parser, form->rest.ptr, form->rest.len, &used, out_data);
        form->rest.ptr += used;
        form->rest.len -= used;
        if (event < 0)
            return count_failure(form->rq, (weft_rc)event);
        *out_event = event;
        if (event != WEFT_MULTIPART_MORE)
            return 0;
        WEFT_TRY(weft_read_body(form->rq, &form->rest)); /* counts its own failures */
        if (form->rest.len == 0)
            return count_failure(form->rq, WEFT_EEOF);
    }
}

static weft_rc next(weft_multipart *form, int *out_event, weft_str *out_data)
{
    if (form->failed == 0)
        form->failed = next_event(form, out_event, out_data);
    return form->failed;
}

weft_rc weft_part_next(weft_multipart *form, weft_form_part *out)
{
    weft_str data;
    int event = WEFT_MULTIPART_DONE;
    form->begun = true;
    do {
        if (form->done)
            break;
        WEFT_TRY(next(form, &event, &data));
    } while (event != WEFT_MULTIPART_PART && event != WEFT_MULTIPART_DONE);
    form->in_part = event == WEFT_MULTIPART_PART;
    form->done = !form->in_part;
    *out = form->in_part ? form->parser.part : (weft_form_part){0};
    return 0;
}

weft_rc weft_part_read(weft_multipart *form, weft_str *out)
{
    int event = WEFT_MULTIPART_END;
    weft_str data = {0};
    if (!form->begun)
        return WEFT_ESTATE;
    if (form->in_part)
        WEFT_TRY(next(form, &event, &data));
    form->in_part = event == WEFT_MULTIPART_DATA;
    *out = form->in_part ? data : (weft_str){0};
    return 0;
}

/* Doubled where it was too small; the first guess is what is left of the piece that is here. */
weft_rc weft_part_text(weft_multipart *form, size_t bytes_max, weft_str *out)
{
    size_t room = 0, len = 0;
    char *all = NULL;
    for (;;) {
        weft_str piece = {0};
        WEFT_TRY(weft_part_read(form, &piece));
        if (piece.len == 0)
            break;
        if (piece.len > bytes_max - len)
            return WEFT_ELIMIT;
        if (piece.len > room - len) {
            room = WEFT_MAX(2 * room, len + piece.len);
            char *larger = weft_alloc(form->rq, room);
            if (larger == NULL)
                return WEFT_ENOMEM;
            if (len > 0)
                memcpy(larger, all, len);
            all = larger;
        }
        memcpy(all + len, piece.ptr, piece.len);
        form->rq->copied += piece.len;
        len += piece.len;
    }
    *out = weft_str_make(all != NULL ? all : "", len);
    return 0;
}

weft_rc weft_part_write(weft_multipart *form, int fd, uint64_t bytes_max, uint64_t *out_bytes)
{
    uint64_t written = 0;
    weft_saver_begin(&form->saver, form->rq, fd);
    for (;;) {
        weft_str piece = {0};
        WEFT_TRY(weft_part_read(form, &piece));
        if (piece.len == 0)
            break;
        if (piece.len > bytes_max - written)
            return WEFT_ELIMIT;
        WEFT_TRY(weft_saver_add(&form->saver, piece));
        written += piece.len;
    }
    WEFT_TRY(weft_saver_end(&form->saver));
    *out_bytes = written;
    return 0;
}
