/* beneath.c - see beneath.h. */
#include "serve/files/beneath.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_it(const struct weft_beneath *name, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (name->cached ? RESOLVE_CACHED : 0),
    };
    long fd = syscall(SYS_openat2, name->root_fd, name->path_z, &how, sizeof(how));
    return fd >= 0 ? (int)fd : -errno;
}

static int kind_of(int fd, struct stat *info)
{
    if (fstat(fd, info) != 0)
        return -errno;
    return S_ISREG(info->st_mode) ? 0 : S_ISDIR(info->st_mode) ? -EISDIR : -ENOENT;
}

int weft_beneath_look(struct weft_beneath *name)
{
    int fd = open_it(name, O_PATH);
    if (fd < 0)
        return fd;
    int rc = kind_of(fd, &name->info);
    close(fd);
    return rc;
}

void weft_beneath_open(struct weft_beneath *name)
{
    name->fd = weft_beneath_look(name);
    if (name->fd < 0)
        return;
    name->fd = open_it(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (name->fd < 0)
        return;
    int rc = kind_of(name->fd, &name->info);
    if (rc == 0)
        return;
    close(name->fd); /* the name has changed hands since the look */
    name->fd = rc;
}

weft_rc weft_beneath_meaning(int error)
{
    switch (-error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: /* openat2(2): names changed while it looked whether ".." stays inside */
        return WEFT_EFULL;
    case EACCES:
    case EPERM:
    case EXDEV:
    case ELOOP:
        return (weft_rc)-EACCES;
    case EISDIR:
        return (weft_rc)-EISDIR;
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ENXIO: /* a socket, or a FIFO that nobody writes to */
    case ENODEV:
    case EINVAL: /* some file systems have names that cannot be: "a*b", invalid UTF-8 */
    case EILSEQ:
        return (weft_rc)-ENOENT;
    default:
        return (weft_rc)error;
    }
}
