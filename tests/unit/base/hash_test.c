/* hash_test.c - SipHash-1-3 by its published vectors; another key, another hash. */
#include "unit.h"
#include "base/hash.h"

static weft_str bytes_0_to(size_t len)
{
    static char bytes[64];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    return (weft_str){bytes, len};
}

/* Published ones: the first with key 00 01 .. 0f, the others with a key of zeros. */
static void published_vectors(void **state)
{
    (void)state;
    const struct weft_hash_key counted = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u}, zeros = {0, 0};
    assert_true(weft_hash(&counted, (weft_str){0}) == 0xabac0158050fc4dcu);
    assert_true(weft_hash(&zeros, (weft_str){0}) == 0xd1fba762150c532cu);
    assert_true(weft_hash(&zeros, WEFT_S("siphash")) == 0x8264ceeccb16bcbeu);
}

static void keys_and_lengths_tell(void **state)
{
    (void)state;
    const struct weft_hash_key one = {1, 2}, two = {1, 3};
    for (size_t len = 0; len < 40; len++) {
        assert_true(weft_hash(&one, bytes_0_to(len)) != weft_hash(&two, bytes_0_to(len)));
        assert_true(weft_hash(&one, bytes_0_to(len)) != weft_hash(&one, bytes_0_to(len + 1)));
        assert_true(weft_hash(&one, bytes_0_to(len)) == weft_hash(&one, bytes_0_to(len)));
    }
    struct weft_hash_key made[2];
    weft_hash_key_make(&made[0]);
    weft_hash_key_make(&made[1]);
    assert_true(made[0].a != made[1].a || made[0].b != made[1].b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(keys_and_lengths_tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
