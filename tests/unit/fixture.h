/* fixture.h - a directory of a test's own, with files in it as /proc and /sys show them. */
#ifndef WEFT_TESTS_FIXTURE_H
#define WEFT_TESTS_FIXTURE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static char root[64]; /* a fresh directory for each test */

/* Writes a file below the root, and the directories on the way to it. */
static inline void put(const char *path_z, const char *text_z)
{
    char path[512];
    snprintf(path, sizeof(path), "%s%s", root, path_z);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(path, 0700); /* it may be there already */
        *at = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text_z, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline int fixture_make(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/weft-fixture-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static inline int remove_one(const char *path_z, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path_z);
}

static inline int fixture_remove(void **state)
{
    (void)state;
    return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
