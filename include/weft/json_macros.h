/* json_macros.h - what WEFT_JSON and WEFT_F_* of json.h are made of; no business of its users.
 *
 * Lifetime: none: constants are made of it.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_JSON_MACROS_H
#define WEFT_JSON_MACROS_H

/* A field travels as a list in brackets: its name, whether that was given, whether it is optional,
 * how and where it says that it is there, its member, then what it is and its limits. */
#define WEFT_J_MEMBER_(member, kind, a, b)                                                         \
    (#member, false, false, WEFT_J_HAS_NOT_, 0, member, kind, a, b)
#define WEFT_J_ARGS_(...)                         __VA_ARGS__
#define WEFT_J_APPLY_(macro, ...)                 macro(__VA_ARGS__)
#define WEFT_J_OPT_(name, named, optional, ...)   (name, named, true, __VA_ARGS__)
#define WEFT_J_NAMED_(new_name, name, named, ...) (new_name, true, __VA_ARGS__)
#define WEFT_J_MAYBE_(has, name, named, optional, has_kind, has_not, ...)                          \
    (name, named, true, WEFT_J_HAS_, has, __VA_ARGS__)
#define WEFT_J_HAS_NOT_(type, has) 0
#define WEFT_J_HAS_(type, has)                                                                     \
    1 + (uint32_t)offsetof(type, has) + WEFT_J_IS_(WEFT_J_TYPE_(type, has), bool)

#define WEFT_JSON_DESC_(desc, type, refuse, ...)                                                   \
    static const weft_json_field desc##_fields[] = {WEFT_J_EACH_(type, __VA_ARGS__)};              \
    static const weft_json_desc desc = {                                                           \
        .size = sizeof(weft_json_desc),                                                            \
        .object_bytes = sizeof(type),                                                              \
        .fields = desc##_fields,                                                                   \
        .field_count = sizeof(desc##_fields) / sizeof(desc##_fields[0]) +                          \
                       WEFT_J_TRUE_(sizeof(desc##_fields) / sizeof(desc##_fields[0]) <= 64),       \
        .closed = refuse,                                                                          \
    }

#define WEFT_J_FIELD_(type, ...) WEFT_J_FIELD2_(type, __VA_ARGS__)
#define WEFT_J_FIELD2_(type, name, given, maybe, has_kind, has_member, member, kind_of, a, b)      \
    {                                                                                              \
        .name_z = name, .offset = (uint32_t)offsetof(type, member),                                \
        .has = has_kind(type, has_member), .name_len = sizeof(name) - 1, .optional = maybe,        \
        .named = given, kind_of(WEFT_J_TYPE_(type, member), a, b)                                  \
    }

#define WEFT_J_TYPE_(type, member) __typeof__(((type *)0)->member)
#define WEFT_J_STR_(type, least, most)                                                             \
    .kind = WEFT_JSON_STR, .bytes = WEFT_J_IS_(type, weft_str), .min = {.u64 = (least)},           \
    .max = {.u64 = (most)}
#define WEFT_J_INT_(type, least, most)                                                             \
    .kind = WEFT_JSON_I64,                                                                         \
    .bytes = sizeof(type) + WEFT_J_FITS_((type)-1 < (type)1, type, least, most),                   \
    .min = {.i64 = (least)}, .max = {.i64 = (most)}
#define WEFT_J_UINT_(type, least, most)                                                            \
    .kind = WEFT_JSON_U64,                                                                         \
    .bytes = sizeof(type) + WEFT_J_FITS_((type)-1 > (type)1, type, least, most),                   \
    .min = {.u64 = (least)}, .max = {.u64 = (most)}
#define WEFT_J_REAL_(type, least, most)                                                            \
    .kind = WEFT_JSON_F64, .bytes = WEFT_J_IS_(type, double), .min = {.f64 = (least)},             \
    .max = {.f64 = (most)}
#define WEFT_J_BOOL_(type, least, most) .kind = WEFT_JSON_BOOL, .bytes = WEFT_J_IS_(type, bool)
#define WEFT_J_RAW_(type, least, most)                                                             \
    .kind = WEFT_JSON_RAW, .bytes = WEFT_J_IS_(type, weft_str), .max = {.u64 = (most)}
#define WEFT_J_OBJECT_(type, desc, none)                                                           \
    .kind = WEFT_JSON_OBJECT, .item_bytes = sizeof(type), .object = &(desc)
#define WEFT_J_LIST_(type, a, bounds)                                                              \
    WEFT_J_LIST_HEAD_(type, bounds), .item = &(const weft_json_field)                              \
    {                                                                                              \
        WEFT_J_ITEM_(__typeof__(*((type *)0)->at), WEFT_J_ARGS_ a)                                 \
    }
#define WEFT_J_LIST2_(type, a, bounds)                                                             \
    WEFT_J_LIST_HEAD_(type, bounds), .item = &(const weft_json_field)                              \
    {                                                                                              \
        WEFT_J_ITEM2_(__typeof__(*((type *)0)->at), WEFT_J_ARGS_ a)                                \
    }
#define WEFT_J_ITEM_(type, ...)               WEFT_J_ITEM_OF_(type, __VA_ARGS__)
#define WEFT_J_ITEM_OF_(type, kind_of, a, b)  kind_of(type, a, b)
#define WEFT_J_ITEM2_(type, ...)              WEFT_J_ITEM2_OF_(type, __VA_ARGS__)
#define WEFT_J_ITEM2_OF_(type, kind_of, a, b) kind_of(type, a, b)
#define WEFT_J_LIST_HEAD_(type, bounds)                                                            \
    .kind = WEFT_JSON_LIST,                                                                        \
    .item_bytes =                                                                                  \
        sizeof(*((type *)0)->at) +                                                                 \
        WEFT_J_TRUE_(offsetof(type, at) == 0 && offsetof(type, count) == sizeof(void *)),          \
    .min = {.u64 = WEFT_J_APPLY_(WEFT_J_FIRST_, WEFT_J_ARGS_ bounds)},                             \
    .max = {.u64 = WEFT_J_APPLY_(WEFT_J_SECOND_, WEFT_J_ARGS_ bounds)}
#define WEFT_J_FIRST_(a, b)  (a)
#define WEFT_J_SECOND_(a, b) (b)

/* 0, or an error of the compiler. */
#ifdef __cplusplus
#define WEFT_J_TRUE_(condition)               0
#define WEFT_J_IS_(type, wanted)              0
#define WEFT_J_FITS_(sign, type, least, most) 0
#else
#define WEFT_J_MUST_(condition, text_z)                                                            \
    (0 * sizeof(struct {                                                                           \
         _Static_assert(condition, text_z);                                                        \
         char c;                                                                                   \
     }))
#define WEFT_J_TRUE_(condition)                                                                    \
    WEFT_J_MUST_(condition, "at most 64 fields; a list is WEFT_LIST(type)")
#define WEFT_J_IS_(type, wanted)                                                                   \
    WEFT_J_MUST_(__builtin_types_compatible_p(type, wanted), "the member must be a " #wanted)
#define WEFT_J_FITS_(sign, type, least, most)                                                      \
    (WEFT_J_MUST_(!__builtin_types_compatible_p(type, double) && (sign),                           \
                  "WEFT_F_INT is for signed integers, WEFT_F_UINT for unsigned ones") +            \
     WEFT_J_MUST_((int64_t)(type)(least) == (int64_t)(least) &&                                    \
                      (int64_t)(type)(most) == (int64_t)(most),                                    \
                  "a limit does not fit the member"))
#endif

/* One field after the other. By number, because a macro cannot call itself, and ways around that
 * make a page of every message of the compiler. */
#define WEFT_J_EACH_(type, ...)                                                                    \
    WEFT_J_APPLY2_(WEFT_J_PASTE_(WEFT_J_EACH_, WEFT_J_COUNT_(__VA_ARGS__)), type, __VA_ARGS__)
#define WEFT_J_APPLY2_(macro, ...) macro(__VA_ARGS__)
#define WEFT_J_PASTE_(a, b)        WEFT_J_PASTE2_(a, b)
#define WEFT_J_PASTE2_(a, b)       a##b
#define WEFT_J_COUNT_(...)                                                                         \
    WEFT_J_PICK_(__VA_ARGS__, 64, 63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48,  \
                 47, 46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28,   \
                 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7,  \
                 6, 5, 4, 3, 2, 1, 0)
#define WEFT_J_PICK_(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17,   \
                     a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32,    \
                     a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47,    \
                     a48, a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62,    \
                     a63, a64, n, ...)                                                             \
    n
#define WEFT_J_EACH_1(t, f)       WEFT_J_FIELD_(t, WEFT_J_ARGS_ f)
#define WEFT_J_EACH_2(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_1(t, __VA_ARGS__)
#define WEFT_J_EACH_3(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_2(t, __VA_ARGS__)
#define WEFT_J_EACH_4(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_3(t, __VA_ARGS__)
#define WEFT_J_EACH_5(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_4(t, __VA_ARGS__)
#define WEFT_J_EACH_6(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_5(t, __VA_ARGS__)
#define WEFT_J_EACH_7(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_6(t, __VA_ARGS__)
#define WEFT_J_EACH_8(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_7(t, __VA_ARGS__)
#define WEFT_J_EACH_9(t, f, ...)  WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_8(t, __VA_ARGS__)
#define WEFT_J_EACH_10(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_9(t, __VA_ARGS__)
#define WEFT_J_EACH_11(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_10(t, __VA_ARGS__)
#define WEFT_J_EACH_12(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_11(t, __VA_ARGS__)
#define WEFT_J_EACH_13(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_12(t, __VA_ARGS__)
#define WEFT_J_EACH_14(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_13(t, __VA_ARGS__)
#define WEFT_J_EACH_15(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_14(t, __VA_ARGS__)
#define WEFT_J_EACH_16(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_15(t, __VA_ARGS__)
#define WEFT_J_EACH_17(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_16(t, __VA_ARGS__)
#define WEFT_J_EACH_18(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_17(t, __VA_ARGS__)
#define WEFT_J_EACH_19(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_18(t, __VA_ARGS__)
#define WEFT_J_EACH_20(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_19(t, __VA_ARGS__)
#define WEFT_J_EACH_21(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_20(t, __VA_ARGS__)
#define WEFT_J_EACH_22(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_21(t, __VA_ARGS__)
#define WEFT_J_EACH_23(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_22(t, __VA_ARGS__)
#define WEFT_J_EACH_24(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_23(t, __VA_ARGS__)
#define WEFT_J_EACH_25(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_24(t, __VA_ARGS__)
#define WEFT_J_EACH_26(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_25(t, __VA_ARGS__)
#define WEFT_J_EACH_27(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_26(t, __VA_ARGS__)
#define WEFT_J_EACH_28(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_27(t, __VA_ARGS__)
#define WEFT_J_EACH_29(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_28(t, __VA_ARGS__)
#define WEFT_J_EACH_30(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_29(t, __VA_ARGS__)
#define WEFT_J_EACH_31(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_30(t, __VA_ARGS__)
#define WEFT_J_EACH_32(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_31(t, __VA_ARGS__)
#define WEFT_J_EACH_33(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_32(t, __VA_ARGS__)
#define WEFT_J_EACH_34(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_33(t, __VA_ARGS__)
#define WEFT_J_EACH_35(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_34(t, __VA_ARGS__)
#define WEFT_J_EACH_36(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_35(t, __VA_ARGS__)
#define WEFT_J_EACH_37(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_36(t, __VA_ARGS__)
#define WEFT_J_EACH_38(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_37(t, __VA_ARGS__)
#define WEFT_J_EACH_39(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_38(t, __VA_ARGS__)
#define WEFT_J_EACH_40(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_39(t, __VA_ARGS__)
#define WEFT_J_EACH_41(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_40(t, __VA_ARGS__)
#define WEFT_J_EACH_42(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_41(t, __VA_ARGS__)
#define WEFT_J_EACH_43(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_42(t, __VA_ARGS__)
#define WEFT_J_EACH_44(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_43(t, __VA_ARGS__)
#define WEFT_J_EACH_45(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_44(t, __VA_ARGS__)
#define WEFT_J_EACH_46(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_45(t, __VA_ARGS__)
#define WEFT_J_EACH_47(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_46(t, __VA_ARGS__)
#define WEFT_J_EACH_48(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_47(t, __VA_ARGS__)
#define WEFT_J_EACH_49(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_48(t, __VA_ARGS__)
#define WEFT_J_EACH_50(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_49(t, __VA_ARGS__)
#define WEFT_J_EACH_51(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_50(t, __VA_ARGS__)
#define WEFT_J_EACH_52(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_51(t, __VA_ARGS__)
#define WEFT_J_EACH_53(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_52(t, __VA_ARGS__)
#define WEFT_J_EACH_54(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_53(t, __VA_ARGS__)
#define WEFT_J_EACH_55(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_54(t, __VA_ARGS__)
#define WEFT_J_EACH_56(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_55(t, __VA_ARGS__)
#define WEFT_J_EACH_57(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_56(t, __VA_ARGS__)
#define WEFT_J_EACH_58(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_57(t, __VA_ARGS__)
#define WEFT_J_EACH_59(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_58(t, __VA_ARGS__)
#define WEFT_J_EACH_60(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_59(t, __VA_ARGS__)
#define WEFT_J_EACH_61(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_60(t, __VA_ARGS__)
#define WEFT_J_EACH_62(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_61(t, __VA_ARGS__)
#define WEFT_J_EACH_63(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_62(t, __VA_ARGS__)
#define WEFT_J_EACH_64(t, f, ...) WEFT_J_FIELD_(t, WEFT_J_ARGS_ f), WEFT_J_EACH_63(t, __VA_ARGS__)

#endif
