/* params_test.c - the parameters of a header's value: what is one, and what is refused. */
#include "unit.h"
#include "base/str.h"
#include "http/params.h"
#include <stdio.h>

/* "name=value," of all parameters, with quotes where there were some; "!" where it was refused. */
static const char *read_all(const char *value_z)
{
    static char text[256];
    size_t at = 0;
    weft_str rest = weft_str_z(value_z);
    weft_str first = weft_params_first(&rest);
    at += (size_t)snprintf(text, sizeof(text), "%.*s|", (int)first.len, first.ptr);
    for (int i = 0; i < 20; i++) {
        struct weft_param_pair pair = {0};
        weft_rc rc = weft_params_next(&rest, &pair);
        if (rc == WEFT_ESYNTAX)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "!");
        if (rc != WEFT_NEXT)
            return text;
        const char *quote = pair.quoted ? "\"" : "";
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s=%s%.*s%s,", (int)pair.name.len,
                               pair.name.ptr, quote, (int)pair.value.len, pair.value.ptr, quote);
    }
    return text;
}

static void parameters(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"text/plain", "text/plain|"},
        {"", "|"},
        {";", "|"},
        {" text/plain\t; charset=utf-8 ", "text/plain|charset=utf-8,"},
        {"a/b;c=d;e=f", "a/b|c=d,e=f,"},
        {"a/b;;c=d; ;e=f;", "a/b|c=d,e=f,"},
        {"a/b; c=\"d;e=f\"", "a/b|c=\"d;e=f\","},
        {"a/b; c=\"\"", "a/b|c=\"\","},
        {"a/b; c=\"x\\\"y\\\\\"; d=e", "a/b|c=\"x\\\"y\\\\\",d=e,"},
        {"a/b; c=\"C:\\dir\\f.txt\"", "a/b|c=\"C:\\dir\\f.txt\","},
        {"a/b; c", "a/b|!"},
        {"a/b; c=", "a/b|!"},
        {"a/b; =d", "a/b|!"},
        {"a/b; c =d", "a/b|!"},
        {"a/b; c= d", "a/b|!"},
        {"a/b; c=d e", "a/b|!"},
        {"a/b; c=\"d", "a/b|!"},
        {"a/b; c=\"d\\\"", "a/b|!"},
        {"a/b; c=\"d\"e", "a/b|!"},
        {"a/b; c=d; e@=f", "a/b|c=d,!"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
        assert_string_equal(read_all(rows[i][0]), rows[i][1]);
}

static void quotes_are_taken_out(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"plain", "plain"}, {"", ""},     {"a\\\"b", "a\"b"},   {"a\\\\b", "a\\b"},
        {"C:\\d", "C:\\d"}, {"\\", "\\"}, {"\\\\\\\"", "\\\""},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        char text[32];
        memcpy(text, rows[i][0], strlen(rows[i][0]));
        size_t len = weft_params_unquote(text, weft_str_make(text, strlen(rows[i][0])));
        assert_int_equal(len, strlen(rows[i][1]));
        assert_memory_equal(text, rows[i][1], len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),
        cmocka_unit_test(quotes_are_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
