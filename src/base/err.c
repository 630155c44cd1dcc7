/* err.c - codes to text and to statuses, from the one table in errors.def. */
#include "base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *weft_rc_text(weft_rc rc)
{
    switch ((int)rc) {
    case WEFT_OK:
        return "good";
    case WEFT_NEXT:
        return "go on with the next handler";
#define WEFT_ERROR(name, code, status, text)                                                       \
    case code:                                                                                     \
        return text;
#include <weft/errors.def>
#undef WEFT_ERROR
    default:
        break;
    }
    if (rc > -4096 && rc < 0) {
        const char *text = strerrordesc_np(-rc);
        if (text != NULL)
            return text;
    }
    return "unknown code";
}

int weft_rc_status(weft_rc rc)
{
    switch ((int)rc) {
    case WEFT_OK:
    case WEFT_NEXT:
        return 200;
#define WEFT_ERROR(name, code, status, text)                                                       \
    case code:                                                                                     \
        return status;
#include <weft/errors.def>
#undef WEFT_ERROR
    default:
        return 500;
    }
}

void weft_assert_failed(const char *condition, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "weft: bug: %s does not hold at %s:%d\n", condition,
                       file, line);
    if (len > 0)
        /* dying anyway: nobody is left to be told that this failed */
        (void)!write(STDERR_FILENO, text, WEFT_MIN((size_t)len, sizeof(text) - 1));
    abort();
}
