/* demo_upload.c - forms: POST /form is a urlencoded one, POST /upload a multipart one of any size,
 * whose files are saved below --upload-root under the names they come with. GET /upload is a page
 * to try both from a browser. */
#include "demo.h"

#define REPORT_BYTES    ((size_t)12 << 10) /* an arena chunk is 16 KiB */
#define FIELD_BYTES_MAX ((size_t)4 << 10)

static weft_rc page(weft_req *rq)
{
    return weft_reply(
        rq, 200, WEFT_S("text/html; charset=utf-8"),
        WEFT_S("<!doctype html>\n<title>Weft: forms</title>\n"
               "<form method=post action=/form>\n<input name=name> <input name=city> "
               "<button>Send</button>\n</form>\n"
               "<form method=post action=/upload enctype=multipart/form-data>\n<input name=note> "
               "<input type=file name=file multiple> <button>Upload</button>\n</form>\n"));
}

static weft_rc form(weft_req *rq)
{
    weft_form form;
    weft_json json;
    WEFT_TRY(weft_form_read(rq, &form));
    WEFT_TRY(weft_json_begin(rq, &json, REPORT_BYTES));
    weft_json_array(&json);
    for (size_t i = 0; i < form.count; i++) {
        weft_json_object(&json);
        weft_json_key(&json, WEFT_S("name"));
        weft_json_str(&json, form.fields[i].name);
        weft_json_key(&json, WEFT_S("value"));
        weft_json_str(&json, form.fields[i].value);
        weft_json_end_object(&json);
    }
    weft_json_end_array(&json);
    return weft_json_send(rq, 200, &json);
}

/* ---- multipart ---- */

/* Where nothing is kept, a file passes through and is counted. */
static weft_rc pass_by(weft_multipart *form, uint64_t *out_bytes)
{
    weft_str piece;
    *out_bytes = 0;
    do {
        WEFT_TRY(weft_part_read(form, &piece));
        *out_bytes += piece.len;
    } while (piece.len > 0);
    return WEFT_OK;
}

static weft_rc save(weft_req *rq, weft_multipart *form, weft_str name, uint64_t *out_bytes)
{
    weft_upload *upload = NULL;
    if (weft_setting(rq, "upload.root").len == 0 || name.len == 0)
        return pass_by(form, out_bytes);
    WEFT_TRY(weft_upload_open(rq, &upload));
    WEFT_TRY(weft_part_write(form, upload->fd, UINT64_MAX, out_bytes));
    weft_rc rc = weft_upload_keep(upload, name, false);
    if (rc == WEFT_EEXIST)
        WEFT_TRY(weft_fail(rq, 409, WEFT_S("a file of that name is there\n")));
    return rc;
}

static weft_rc report_file(weft_req *rq, weft_multipart *form, const weft_form_part *part,
                           weft_json *json)
{
    uint64_t bytes = 0;
    weft_json_key(json, WEFT_S("filename"));
    weft_json_str(json, part->filename);
    weft_json_key(json, WEFT_S("type"));
    weft_json_str(json, part->type);
    WEFT_TRY(save(rq, form, part->filename, &bytes));
    weft_json_key(json, WEFT_S("bytes"));
    weft_json_u64(json, bytes);
    return WEFT_OK;
}

static weft_rc report_field(weft_multipart *form, weft_json *json)
{
    weft_str text;
    WEFT_TRY(weft_part_text(form, FIELD_BYTES_MAX, &text));
    weft_json_key(json, WEFT_S("value"));
    weft_json_str(json, text);
    return WEFT_OK;
}

static weft_rc upload(weft_req *rq)
{
    weft_multipart *form = NULL;
    weft_form_part part;
    weft_json json;
    WEFT_TRY(weft_multipart_begin(rq, &form));
    WEFT_TRY(weft_json_begin(rq, &json, REPORT_BYTES));
    weft_json_array(&json);
    for (;;) {
        WEFT_TRY(weft_part_next(form, &part));
        if (part.name.ptr == NULL)
            break;
        weft_json_object(&json);
        weft_json_key(&json, WEFT_S("name"));
        weft_json_str(&json, part.name);
        if (part.filename.ptr != NULL)
            WEFT_TRY(report_file(rq, form, &part, &json));
        else
            WEFT_TRY(report_field(form, &json));
        weft_json_end_object(&json);
    }
    weft_json_end_array(&json);
    return weft_json_send(rq, 200, &json);
}

void weft_demo_upload(weft_app *app)
{
    weft_get(app, "/upload", page);
    weft_route(app, "POST", "/form", form,
               WEFT_ROUTE_OPTS(.body = 16 << 10, .body_length = true, .memory = 128 << 10));
    weft_route(app, "POST", "/upload", upload,
               WEFT_ROUTE_OPTS(.body_unlimited = true, .memory = 96 << 10));
}
