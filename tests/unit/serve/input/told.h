/* told.h - what a parser's callbacks have said, as one text: the same however the bytes came in. */
#ifndef WEFT_TESTS_TOLD_H
#define WEFT_TESTS_TOLD_H
#include "unit.h"
#include "base/str.h"

static char told[1 << 16];
static size_t told_len;

static void tell(weft_str text)
{
    assert_true(text.len < sizeof(told) - told_len);
    memcpy(told + told_len, text.ptr, text.len);
    told_len += text.len;
    told[told_len] = 0;
}

#endif
