/* answer.h - one answer of a worker over the seam: its status and its body. */
#ifndef WEFT_TESTS_ANSWER_H
#define WEFT_TESTS_ANSWER_H
#include "../http/seam.h"
#include <stdio.h>

static int close_worker(void **state)
{
    (void)state;
    hang_up(0);
    assert_nothing_is_held();
    seam_close();
    return 0;
}

static void expect(const char *status_z, const char *body_z)
{
    char first[64];
    snprintf(first, sizeof(first), "HTTP/1.1 %s ", status_z);
    if (!output_begins(first))
        fail_msg("%s, not %s", seam.wire.out, status_z);
    const char *body = strstr(seam.wire.out, "\r\n\r\n");
    assert_non_null(body);
    assert_string_equal(body + 4, body_z);
}

#endif
