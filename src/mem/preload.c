/* preload.c - see preload.h. */
#include "mem/preload.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Set for the process that is to come. Not WEFT_...: those are settings. */
#define STARTED     "_WEFT_PRELOADED" /* name of the variable that was set beside LD_PRELOAD */
#define OLD_PRELOAD "_WEFT_OLD_LD_PRELOAD"
#define OLD_VALUE   "_WEFT_OLD_VALUE"

#define CMDLINE_BYTES_MAX ((size_t)4 << 20) /* the kernel takes no more than a quarter of 8 MiB */

/* ---- the environment ---- */

/* name <- the value kept under another name; without one, name goes. */
static void put_back(const char *name_z, const char *kept_z)
{
    const char *value_z = getenv(kept_z);
    if (value_z == NULL)
        (void)unsetenv(name_z); /* only a bad name is refused */
    else
        (void)setenv(name_z, value_z, 1); /* no memory: the child sees ours, which does no harm */
    (void)unsetenv(kept_z);
}

static void put_all_back(const char *name_z)
{
    put_back("LD_PRELOAD", OLD_PRELOAD);
    put_back(name_z, OLD_VALUE);
    (void)unsetenv(STARTED);
}

bool weft_preload_settle(void)
{
    static bool started;
    char name[64];
    const char *name_z = getenv(STARTED);
    if (name_z == NULL)
        return started;
    started = true;
    (void)snprintf(name, sizeof(name), "%s", name_z);
    put_all_back(name);
    /* exec of /proc/self/exe has made it "exe" */
    (void)prctl(PR_SET_NAME, program_invocation_short_name, 0, 0, 0);
    return true;
}

static bool keep(const char *name_z, const char *kept_z)
{
    const char *value_z = getenv(name_z);
    return value_z == NULL ? unsetenv(kept_z) == 0 : setenv(kept_z, value_z, 1) == 0;
}

static bool set_preload(const char *soname_z)
{
    const char *old_z = getenv("LD_PRELOAD");
    char *list_z = NULL;
    if (soname_z == NULL)
        return true;
    if (asprintf(&list_z, "%s%s%s", soname_z, old_z != NULL && *old_z ? ":" : "",
                 old_z != NULL ? old_z : "") < 0)
        return false;
    bool set = setenv("LD_PRELOAD", list_z, 1) == 0;
    free(list_z);
    return set;
}

/* ---- may it be done? ---- */

#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
#define WHY_NOT "a sanitizer brings its own malloc"
#elif !defined(__GLIBC__)
#define WHY_NOT "this C library does not let malloc be replaced so"
#else
#define WHY_NOT NULL
#endif

static const char *not_here(void)
{
    const char *why_z = WHY_NOT;
    if (why_z == NULL && getauxval(AT_BASE) == 0) /* where the dynamic linker lies */
        why_z = "the program is linked statically";
    return why_z;
}

weft_rc weft_preload_probe(const char *soname_z, char *out_why, size_t why_bytes)
{
    const char *why_z = not_here();
    if (why_z != NULL) {
        (void)snprintf(out_why, why_bytes, "%s", why_z);
        return WEFT_ENOTSUP;
    }
    if (getauxval(AT_SECURE) != 0) {
        (void)snprintf(out_why, why_bytes, "the program has set-user-id or file capabilities");
        return (weft_rc)-EPERM;
    }
    void *library = dlopen(soname_z, RTLD_LAZY | RTLD_LOCAL);
    if (library != NULL) {
        (void)dlclose(library); /* it was there: that is all we wanted */
        return 0;
    }
    const char *error_z = dlerror();
    if (error_z != NULL && strstr(error_z, "static TLS") != NULL)
        return 0; /* found and read; that it cannot come late is why we are here */
    (void)snprintf(out_why, why_bytes, "%s", error_z != NULL ? error_z : soname_z);
    return WEFT_ENOTFOUND;
}

/* ---- the exec ---- */

/* The arguments as the kernel was given them: weft_main() may have been handed others. Heap, given
 * up: an exec follows. */
static char **arguments(void)
{
    char *text = malloc(CMDLINE_BYTES_MAX + 1);
    int fd = text != NULL ? open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC) : -1;
    size_t len = 0, count = 0;
    ssize_t n = 0;
    while (fd >= 0 && (n = read(fd, text + len, CMDLINE_BYTES_MAX - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        (void)close(fd);
    for (size_t i = 0; i < len; i++)
        count += text[i] == 0;
    bool whole = len > 0 && len < CMDLINE_BYTES_MAX && n == 0;
    char **argv = whole ? calloc(count + 1, sizeof(*argv)) : NULL;
    if (argv == NULL) {
        free(text);
        return NULL;
    }
    char *at = text;
    for (size_t i = 0; i < count; i++) {
        argv[i] = at;
        at += strlen(at) + 1;
    }
    return argv;
}

weft_rc weft_preload_exec(const char *soname_z, const char *name_z, const char *value_z)
{
    char **argv = arguments();
    int error = ENOMEM;
    if (argv != NULL && keep("LD_PRELOAD", OLD_PRELOAD) && keep(name_z, OLD_VALUE) &&
        set_preload(soname_z) && setenv(name_z, value_z, 1) == 0 &&
        setenv(STARTED, name_z, 1) == 0) {
        (void)execv("/proc/self/exe", argv); /* comes back only when it failed */
        error = errno;
    }
    put_all_back(name_z);
    if (argv != NULL)
        free(argv[0]);
    free(argv);
    return (weft_rc)-error;
}
