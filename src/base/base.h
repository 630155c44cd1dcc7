/* base.h - what every source file of Weft may use: results, slices, checks, alignment.
 *
 * Lifetime: none.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_BASE_BASE_H
#define WEFT_BASE_BASE_H

#include <weft/base.h>
#include <stdatomic.h>
#include <string.h>

#define WEFT_CACHE_LINE ((size_t)64)
#define WEFT_PAGE_BYTES ((size_t)4096)

/** n rounded up to a multiple of a power of two. */
#define WEFT_ALIGN_UP(n, power) (((n) + ((power)-1)) & ~((power)-1))
#define WEFT_COUNT_OF(array)    (sizeof(array) / sizeof((array)[0]))
#define WEFT_MIN(a, b)          ((a) < (b) ? (a) : (b))
#define WEFT_MAX(a, b)          ((a) > (b) ? (a) : (b))
#define WEFT_LIKELY(x)          __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x)        __builtin_expect(!!(x), 0)
#define WEFT_COLD               __attribute__((cold, noinline))
#define WEFT_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/** The struct that a member sits in. */
#define WEFT_CONTAINER_OF(ptr, type, member)                                                       \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/** Prints the condition and its place to stderr and aborts. For our own mistakes, not for input. */
_Noreturn void weft_assert_failed(const char *condition, const char *file, int line);

/** Cheap checks of our own logic, in release builds too. One condition each. */
#define weft_assert(condition)                                                                     \
    (WEFT_LIKELY(condition) ? (void)0 : weft_assert_failed(#condition, __FILE__, __LINE__))

/** Costly checks: in the checked build (-Dchecked=true) only. */
#ifdef WEFT_CHECKED
#define weft_debug_assert(condition) weft_assert(condition)
#else
#define weft_debug_assert(condition) ((void)0)
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif

#endif
