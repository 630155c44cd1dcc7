/* power.c - see power.h. The powers whose exponent is a power of two, multiplied as the bits of k
 * say: no table of hundreds. */
#include "base/power.h"

typedef unsigned __int128 u128;

/* 10^1, 10^2, 10^4 ... 10^256, and then the same to the minus. */
static const struct weft_power powers[2][9] = {
    {
        {0xa000000000000000u, 0x0000000000000000u, -124},
        {0xc800000000000000u, 0x0000000000000000u, -121},
        {0x9c40000000000000u, 0x0000000000000000u, -114},
        {0xbebc200000000000u, 0x0000000000000000u, -101},
        {0x8e1bc9bf04000000u, 0x0000000000000000u, -74},
        {0x9dc5ada82b70b59du, 0xf020000000000000u, -21},
        {0xc2781f49ffcfa6d5u, 0x3cbf6b71c76b25fbu, 85},
        {0x93ba47c980e98cdfu, 0xc66f336c36b10137u, 298},
        {0xaa7eebfb9df9de8du, 0xddbb901b98feeab7u, 723},
    },
    {
        {0xccccccccccccccccu, 0xccccccccccccccccu, -131},
        {0xa3d70a3d70a3d70au, 0x3d70a3d70a3d70a3u, -134},
        {0xd1b71758e219652bu, 0xd3c36113404ea4a8u, -141},
        {0xabcc77118461cefcu, 0xfdc20d2b36ba7c3du, -154},
        {0xe69594bec44de15bu, 0x4c2ebe687989a9b3u, -181},
        {0xcfb11ead453994bau, 0x67de18eda5814af2u, -234},
        {0xa87fea27a539e9a5u, 0x3f2398d747b36224u, -340},
        {0xddd0467c64bce4a0u, 0xac7cb3f6d05ddbdeu, -553},
        {0xc0314325637a1939u, 0xfa911155fefb5308u, -978},
    },
};

/* The upper 128 bits of the product. */
struct weft_power weft_power_times(struct weft_power a, struct weft_power b)
{
    u128 cross = (u128)a.hi * b.lo + (((u128)a.lo * b.lo) >> 64);
    u128 other = (u128)a.lo * b.hi;
    u128 top = (u128)a.hi * b.hi + (cross >> 64) + (other >> 64) +
               (((u128)(uint64_t)cross + (uint64_t)other) >> 64);
    struct weft_power product = {.e = a.e + b.e + 128};
    if (!(top >> 127)) {
        top <<= 1;
        product.e--;
    }
    product.hi = (uint64_t)(top >> 64);
    product.lo = (uint64_t)top;
    return product;
}

struct weft_power weft_power_of_ten(int k)
{
    const struct weft_power *table = powers[k < 0];
    unsigned bits = (unsigned)(k < 0 ? -k : k);
    struct weft_power product = {.hi = (uint64_t)1 << 63, .e = -127}; /* 1 */
    for (unsigned i = 0; bits != 0; i++, bits >>= 1)
        if (bits & 1)
            product = weft_power_times(product, table[i]);
    return product;
}
