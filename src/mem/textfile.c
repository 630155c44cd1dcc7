/* textfile.c - see textfile.h. */
#include "mem/textfile.h"
#include <fcntl.h>
#include <unistd.h>

weft_str weft_textfile_read(const char *path_z, char *to, size_t room)
{
    size_t len = 0;
    int fd = open(path_z, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return weft_str_make(to, 0);
    while (len < room) {
        ssize_t n = read(fd, to + len, room - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    return weft_str_make(to, len);
}

weft_str weft_str_cut(weft_str *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    weft_str part = weft_str_make(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    size_t used = part.len + (at ? 1 : 0);
    rest->ptr += used;
    rest->len -= used;
    return part;
}

bool weft_textfile_number(weft_str text, weft_str key, uint64_t *out)
{
    while (text.len > 0) {
        weft_str line = weft_str_cut(&text, '\n');
        if (!weft_str_starts(line, key))
            continue;
        line = weft_str_trim(weft_str_make(line.ptr + key.len, line.len - key.len));
        return weft_str_to_u64(weft_str_cut(&line, ' '), out) == 0;
    }
    return false;
}

/* The second value is the program's name in brackets, which may hold anything. */
uint64_t weft_textfile_stat(int field)
{
    char text[2048];
    weft_str rest = weft_textfile_read("/proc/self/stat", text, sizeof(text));
    uint64_t value = 0;
    while (rest.len > 0 && memchr(rest.ptr, ')', rest.len) != NULL)
        (void)weft_str_cut(&rest, ')');
    rest = weft_str_trim(rest);
    for (int i = 3; i < field; i++)
        (void)weft_str_cut(&rest, ' ');
    rest = weft_str_cut(&rest, ' ');
    return weft_str_to_u64(weft_str_trim(rest), &value) == 0 ? value : 0;
}
