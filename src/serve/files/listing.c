/* listing.c - see listing.h. */
#include "serve/files/listing.h"
#include <weft/stream.h>
#include "base/clock.h"
#include "base/str.h"
#include "serve/files/file.h"
#include "serve/files/quote.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_BYTES 4096
#define READS_MAX  1024 /* a directory of millions of hidden names ends somewhere too */

struct entry {
    uint64_t size;
    int64_t mtime_s;
    uint16_t name; /* offset in names */
    uint8_t name_len;
    bool directory;
    bool plain; /* size and time are known */
};
_Static_assert(WEFT_LISTING_NAMES_BYTES <= UINT16_MAX, "offsets of names");

struct listing {
    int root_fd;
    const char *path_z;
    bool hidden;
    bool cut; /* there was more */
    int rc;   /* 0, or -errno */
    uint32_t count;
    uint32_t names_len;
    struct entry entries[WEFT_LISTING_ENTRIES_MAX];
    char names[WEFT_LISTING_NAMES_BYTES];
    _Alignas(struct dirent64) char read[READ_BYTES];
};

/* ---- reading, on a thread of the offload pool ---- */

static weft_str name_of(const struct listing *listing, const struct entry *entry)
{
    return weft_str_make(listing->names + entry->name, entry->name_len);
}

/* Its kind, size and time; false: nothing that could be asked for. */
static bool look(int dir, const char *name_z, struct entry *out)
{
    struct stat info;
    if (fstatat(dir, name_z, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    out->directory = S_ISDIR(info.st_mode);
    out->plain = S_ISREG(info.st_mode);
    out->size = (uint64_t)info.st_size;
    out->mtime_s = info.st_mtim.tv_sec;
    return out->directory || out->plain || S_ISLNK(info.st_mode);
}

static void add(struct listing *listing, int dir, const char *name_z)
{
    struct entry entry = {0};
    size_t len = strlen(name_z);
    if (name_z[0] == '.' && (!listing->hidden || len == 1 || (len == 2 && name_z[1] == '.')))
        return;
    if (len > UINT8_MAX || !look(dir, name_z, &entry))
        return;
    if (listing->count == WEFT_LISTING_ENTRIES_MAX ||
        len > sizeof(listing->names) - listing->names_len) {
        listing->cut = true;
        return;
    }
    entry.name = (uint16_t)listing->names_len;
    entry.name_len = (uint8_t)len;
    memcpy(listing->names + listing->names_len, name_z, len);
    listing->names_len += (uint32_t)len;
    listing->entries[listing->count++] = entry;
}

static int read_entries(struct listing *listing, int dir)
{
    for (int reads = 0; reads < READS_MAX && !listing->cut; reads++) {
        long bytes = syscall(SYS_getdents64, dir, listing->read, (size_t)READ_BYTES);
        if (bytes <= 0)
            return bytes == 0 ? 0 : -errno;
        for (long at = 0; at < bytes;) {
            const struct dirent64 *found = (const void *)(listing->read + at);
            add(listing, dir, found->d_name);
            at += found->d_reclen;
        }
    }
    listing->cut = true;
    return 0;
}

static bool stands_before(const struct listing *listing, const struct entry *a,
                          const struct entry *b)
{
    if (a->directory != b->directory)
        return a->directory;
    weft_str x = name_of(listing, a), y = name_of(listing, b);
    int order = memcmp(x.ptr, y.ptr, WEFT_MIN(x.len, y.len));
    return order != 0 ? order < 0 : x.len < y.len;
}

/* Shell's sort: qsort() takes memory from the heap. */
static void sort(struct listing *listing)
{
    for (uint32_t gap = listing->count / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < listing->count; i++) {
            struct entry entry = listing->entries[i];
            uint32_t at = i;
            for (; at >= gap && stands_before(listing, &entry, &listing->entries[at - gap]);
                 at -= gap)
                listing->entries[at] = listing->entries[at - gap];
            listing->entries[at] = entry;
        }
    }
}

static void read_directory(void *arg)
{
    struct listing *listing = arg;
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, listing->root_fd, listing->path_z, &how, sizeof(how));
    if (fd < 0) {
        listing->rc = -errno;
        return;
    }
    listing->rc = read_entries(listing, (int)fd);
    close((int)fd);
    sort(listing);
}

/* ---- the page ---- */

static weft_rc write_top(weft_req *rq)
{
    WEFT_TRY(weft_write(rq, WEFT_S("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
                                   "<meta name=\"viewport\" content=\"width=device-width\">\n"
                                   "<style>body{font:16px sans-serif;margin:2em}"
                                   "td,th{text-align:left;padding:.1em 2em .1em 0}"
                                   "td:nth-child(2){text-align:right}</style>\n<title>")));
    WEFT_TRY(weft_quote_html_write(rq, weft_path(rq)));
    WEFT_TRY(weft_write(rq, WEFT_S("</title>\n<h1>")));
    WEFT_TRY(weft_quote_html_write(rq, weft_path(rq)));
    return weft_write(rq, WEFT_S("</h1>\n<table>\n<tr><th>Name<th>Bytes<th>Changed\n"));
}

static weft_rc write_entry(weft_req *rq, weft_str name, const struct entry *entry)
{
    weft_str slash = entry->directory ? WEFT_S("/") : WEFT_S("");
    WEFT_TRY(weft_write(rq, WEFT_S("<tr><td><a href=\"")));
    WEFT_TRY(weft_quote_path_write(rq, name));
    WEFT_TRY(weft_write(rq, slash));
    WEFT_TRY(weft_write(rq, WEFT_S("\">")));
    WEFT_TRY(weft_quote_html_write(rq, name));
    WEFT_TRY(weft_write(rq, slash));
    if (!entry->plain)
        return weft_write(rq, WEFT_S("</a><td><td>\n"));
    struct weft_civil day;
    weft_civil_from_s(entry->mtime_s < 0 ? 0 : (uint64_t)entry->mtime_s, &day);
    return weft_printf(rq, "</a><td>%llu<td>%04u-%02u-%02u %02u:%02u\n",
                       (unsigned long long)entry->size, day.year, day.month, day.day, day.hour,
                       day.minute);
}

static weft_rc write_page(weft_req *rq, const struct listing *listing)
{
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/html; charset=utf-8")));
    WEFT_TRY(write_top(rq));
    WEFT_TRY(weft_write(rq, WEFT_S("<tr><td><a href=\"../\">../</a><td><td>\n")));
    for (uint32_t i = 0; i < listing->count; i++)
        WEFT_TRY(write_entry(rq, name_of(listing, &listing->entries[i]), &listing->entries[i]));
    WEFT_TRY(weft_write(rq, WEFT_S("</table>\n")));
    if (listing->cut)
        WEFT_TRY(weft_write(rq, WEFT_S("<p>There is more, which is not listed.\n")));
    return weft_end(rq);
}

weft_rc weft_listing_send(weft_req *rq, int root_fd, weft_str path, bool hidden)
{
    weft_str path_z = weft_format(rq, "%.*s%c", (int)path.len, path.ptr, 0);
    struct listing *listing = weft_alloc(rq, sizeof(*listing));
    if (path_z.ptr == NULL || listing == NULL)
        return WEFT_ENOMEM;
    listing->root_fd = root_fd;
    listing->path_z = path.len == 0 ? "." : path_z.ptr;
    listing->hidden = hidden;
    listing->cut = false;
    listing->rc = 0;
    listing->count = listing->names_len = 0;
    WEFT_TRY(weft_offload(rq, read_directory, listing));
    weft_rc rc = listing->rc < 0 ? weft_open_failed(rq, listing->rc) : 0;
    if (rc == (weft_rc)-EACCES)
        return weft_text(rq, 403, WEFT_S("Forbidden"));
    if (rc == (weft_rc)-ENOENT)
        return weft_file_missing(rq);
    if (rc != 0)
        return rc;
    WEFT_TRY(weft_set_header(rq, WEFT_S("Cache-Control"), WEFT_S("no-cache")));
    return write_page(rq, listing);
}
