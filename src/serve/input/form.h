/* form.h - the syntax of urlencoded forms.
 *
 * Lifetime: slices of what was given.
 * Threads:  any: pure functions.
 * Memory:   the caller's.
 */
#ifndef WEFT_SERVE_INPUT_FORM_H
#define WEFT_SERVE_INPUT_FORM_H

#include <weft/form.h>
#include "base/base.h"

/** Fields that a body has at most: one more than it has '&'. */
size_t weft_form_fields_at_most(weft_str body);

/** Decode all fields in place.
 *  text     len bytes, overwritten; the fields are slices of it
 *  fields   room for weft_form_fields_at_most() of them
 *  returns  0; WEFT_ESYNTAX: a bad escape, `text` holds anything */
WEFT_CHECK weft_rc weft_form_decode(char *text, size_t len, weft_form_field *fields,
                                    size_t *out_count);

#endif
