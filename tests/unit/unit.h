/* unit.h - cmocka with what it needs before it. */
#ifndef WEFT_TESTS_UNIT_H
#define WEFT_TESTS_UNIT_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <setjmp.h>
#include <cmocka.h>
#include "base/base.h"
#endif
