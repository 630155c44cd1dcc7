/* open_files.c - see open_files.h.
 *
 * Asked for once, a file is opened, and its entry made: who asks for everything once costs no more
 * than that. Asked for again, it is watched and, if it is small, copied. A watch is on the file
 * itself, by its descriptor: names can be made to lead elsewhere, which is what the look every
 * `valid_ms` is for. The copy counts if nothing has changed the file when it is made, and a change
 * after that is heard of.
 */
#include "serve/files/open_files.h"
#include "base/fmt.h"
#include "base/str.h"
#include "http/service.h"
#include "serve/files/beneath.h"
#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/uio.h>
#include <unistd.h>

#define CHANGES (IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)

/* ---- changes ---- */

static void count(const struct weft_files *files, enum weft_counter id)
{
    weft_loop_count(files->loop, id);
}

static void drop(struct weft_files *files, struct weft_file_entry *entry)
{
    count(files, WEFT_COUNTER_FILES_CHANGED);
    weft_file_table_drop(&files->table, entry);
}

static void on_dropped(struct weft_file_table *table, struct weft_file_entry *entry)
{
    struct weft_files *files = WEFT_CONTAINER_OF(table, struct weft_files, table);
    if (entry->file.fd >= 0)
        close(entry->file.fd);
    entry->file.fd = -1;
    int watch = entry->watch;
    if (watch != WEFT_FILE_UNWATCHED && weft_file_table_unwatch(table, entry))
        (void)inotify_rm_watch(files->inotify, watch); /* gone already: as good */
}

static void heard(struct weft_files *files, const struct inotify_event *event)
{
    bool lost = (event->mask & IN_Q_OVERFLOW) != 0; /* something was not told: any may be it */
    uint32_t dropped =
        weft_file_table_drop_watched(&files->table, lost ? WEFT_FILE_UNWATCHED : event->wd);
    weft_count_add(files->loop->counters, WEFT_COUNTER_FILES_CHANGED, dropped);
}

static void hear(struct weft_files *files)
{
    if (files->inotify < 0)
        return;
    if (weft_loop_watch_class(files->loop, &files->ready, files->inotify, POLLIN,
                              WEFT_CLASS_MANAGEMENT) == 0)
        return;
    close(files->inotify);
    files->inotify = -1; /* it looks at each file instead */
}

static void changed(struct weft_watch *watch, uint32_t revents)
{
    (void)revents;
    struct weft_files *files = WEFT_CONTAINER_OF(watch, struct weft_files, ready);
    _Alignas(struct inotify_event) char events[4096];
    ssize_t n;
    while ((n = read(files->inotify, events, sizeof(events))) > 0) {
        const char *at = events;
        while (at < events + n) {
            const struct inotify_event *event = (const void *)at;
            heard(files, event);
            at += sizeof(*event) + event->len;
        }
    }
    hear(files);
}

/* Opened when the first file is asked for again: a server without such needs none. */
static void start_listening(struct weft_files *files)
{
    if (files->inotify >= 0 || files->ready.ready != NULL)
        return;
    files->ready.ready = changed;
    files->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    hear(files);
}

static void watch_entry(struct weft_files *files, struct weft_file_entry *entry)
{
    start_listening(files);
    if (entry->watch != WEFT_FILE_UNWATCHED || entry->file.fd < 0 || files->inotify < 0)
        return;
    char name[40];
    name[weft_fmt(name, sizeof(name) - 1, "/proc/self/fd/%d", entry->file.fd)] = 0;
    int watch = inotify_add_watch(files->inotify, name, CHANGES);
    if (watch >= 0)
        weft_file_table_watch(&files->table, entry, watch);
    else
        count(files, WEFT_COUNTER_FILES_UNWATCHED);
}

/* ---- the worker's part ---- */

static void tick(struct weft_timer *timer)
{
    struct weft_files *files = WEFT_CONTAINER_OF(timer, struct weft_files, tick);
    uint64_t now = files->loop->now_ms, idle = files->table.options.idle_ms;
    if (weft_file_table_age(&files->table, now > idle ? now - idle : 0))
        weft_timer_arm(&files->loop->wheel, timer, now + WEFT_MAX(idle / 2, (uint64_t)1));
}

weft_rc weft_files_init(struct weft_files *files, const struct weft_file_options *options,
                        struct weft_account *account, struct weft_loop *loop)
{
    *files = (struct weft_files){.loop = loop, .inotify = -1, .tick = {.fire = tick}};
    return weft_file_table_init(&files->table, options, account, on_dropped);
}

void weft_files_fini(struct weft_files *files)
{
    if (files->loop == NULL)
        return;
    weft_timer_disarm(&files->loop->wheel, &files->tick);
    weft_file_table_fini(&files->table);
    if (files->inotify >= 0) {
        weft_loop_forget(files->loop, &files->ready);
        close(files->inotify);
    }
    *files = (struct weft_files){.inotify = -1};
}

void weft_files_shrink(struct weft_files *files)
{
    if (files->loop != NULL)
        (void)weft_file_table_age(&files->table, UINT64_MAX); /* what stays is in use */
}

/* ---- opening ---- */

static void open_cold(void *arg)
{
    weft_beneath_open(arg);
}

weft_rc weft_open_failed(const weft_req *rq, int error)
{
    weft_rc rc = weft_beneath_meaning(error);
    bool asked_for_it = rc == (weft_rc)-ENOENT || rc == (weft_rc)-EISDIR || rc == (weft_rc)-EACCES;
    if (!asked_for_it && rc != WEFT_EFULL)
        weft_loop_count(rq->loop, WEFT_COUNTER_FILES_FAILED);
    return rc;
}

static weft_rc open_name(weft_req *rq, struct weft_beneath *name)
{
    name->cached = true;
    weft_beneath_open(name);
    if (name->fd == -EAGAIN) {
        name->cached = false;
        weft_rc rc = weft_offload(rq, open_cold, name);
        if (rc != 0) {
            if (name->fd >= 0)
                close(name->fd);
            return rc;
        }
    }
    return name->fd >= 0 ? 0 : weft_open_failed(rq, name->fd);
}

struct look {
    struct weft_beneath name;
    int rc;
};

static void look_cold(void *arg)
{
    struct look *look = arg;
    look->rc = weft_beneath_look(&look->name);
}

/* 0: looked, look->rc says what was seen. */
static weft_rc look_at(weft_req *rq, struct look *look)
{
    look->name.cached = true;
    look->rc = weft_beneath_look(&look->name);
    if (look->rc != -EAGAIN)
        return 0;
    look->name.cached = false;
    return weft_offload(rq, look_cold, look);
}

static void describe(struct weft_open_file *file, const struct weft_beneath *name, char *etag)
{
    const struct stat *info = &name->info;
    *file = (struct weft_open_file){
        .fd = name->fd,
        .size = (uint64_t)info->st_size,
        .mtime_s = info->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)info->st_mtim.tv_nsec,
        .device = info->st_dev,
        .inode = info->st_ino,
    };
    size_t len =
        weft_fmt(etag, WEFT_FILE_ETAG_BYTES, "\"%llx-%x-%llx\"", (unsigned long long)file->mtime_s,
                 (unsigned)file->mtime_ns, (unsigned long long)file->size);
    file->etag = weft_str_make(etag, len);
}

static bool same(const struct weft_file_entry *entry, const struct stat *info)
{
    const struct weft_open_file *file = &entry->file;
    return file->inode == info->st_ino && file->device == info->st_dev &&
           file->size == (uint64_t)info->st_size && file->mtime_s == info->st_mtim.tv_sec &&
           file->mtime_ns == (uint32_t)info->st_mtim.tv_nsec &&
           entry->ctime_s == info->st_ctim.tv_sec &&
           entry->ctime_ns == (uint32_t)info->st_ctim.tv_nsec;
}

/* ---- a file of one request alone ---- */

struct own_file {
    struct weft_open_file file;
    char etag[WEFT_FILE_ETAG_BYTES];
};

static void close_own(void *arg)
{
    struct own_file *own = arg;
    if (own->file.fd >= 0)
        close(own->file.fd);
}

static weft_rc keep_own(weft_req *rq, const struct weft_beneath *name,
                        const struct weft_open_file **out)
{
    struct own_file *own = weft_alloc(rq, sizeof(*own));
    weft_rc rc = own == NULL ? WEFT_ENOMEM : weft_defer(rq, close_own, own);
    if (rc != 0) {
        close(name->fd);
        return rc;
    }
    describe(&own->file, name, own->etag);
    *out = &own->file;
    return 0;
}

/* ---- copies ---- */

struct copying {
    struct weft_file_entry *entry;
    char *to;
    int flags; /* of preadv2() */
    int rc;
};

/* The whole file. -EAGAIN: not all of it is in memory. */
static void copy_file(void *arg)
{
    struct copying *copying = arg;
    size_t at = 0, size = (size_t)copying->entry->file.size;
    copying->rc = 0;
    while (at < size && copying->rc == 0) {
        struct iovec to = {copying->to + at, size - at};
        ssize_t n = preadv2(copying->entry->file.fd, &to, 1, (off_t)at, copying->flags);
        if (n > 0)
            at += (size_t)n;
        else if (n == 0)
            copying->rc = -EIO; /* shorter than it was */
        else if (errno != EINTR)
            copying->rc = -errno;
    }
}

static bool wants_copy(const struct weft_files *files, const struct weft_file_entry *entry)
{
    const struct weft_file_options *options = &files->table.options;
    return entry->hits > 0 && entry->watch != WEFT_FILE_UNWATCHED && entry->pages == 0 &&
           entry->file.size > 0 && entry->file.size <= options->hot_file_bytes;
}

/* From memory or not at all; but where the file system cannot tell, a thread that may wait reads.
 */
static void copy(weft_req *rq, struct weft_files *files, struct weft_file_entry *entry)
{
    struct copying copying = {.entry = entry, .flags = RWF_NOWAIT, .rc = -EIO};
    copying.to = weft_file_table_room(&files->table, entry);
    if (copying.to == NULL)
        return;
    copy_file(&copying);
    if (copying.rc == -EOPNOTSUPP) {
        copying.flags = 0;
        copying.rc = -EIO;
        weft_ignore(weft_offload(rq, copy_file, &copying)); /* rc says whether it was done */
    }
    struct stat info;
    if (copying.rc != 0 || fstat(entry->file.fd, &info) != 0 || !same(entry, &info) ||
        !entry->listed) {
        weft_file_table_unroom(&files->table, entry);
        return;
    }
    weft_file_table_copied(&files->table, entry);
    if (entry->refs > 1)
        return; /* others are sending from it */
    close(entry->file.fd);
    entry->file.fd = -1;
}

/* ---- files that stay ---- */

static void let_go(void *arg)
{
    struct weft_file_entry *entry = arg;
    weft_file_table_unref(entry->table, entry);
}

static weft_rc hold(weft_req *rq, struct weft_file_entry *entry, const struct weft_open_file **out)
{
    weft_rc rc = weft_defer(rq, let_go, entry);
    if (rc != 0)
        let_go(entry);
    else
        *out = &entry->file;
    return rc;
}

/* Opened: it takes the place of what was known by this name. */
static weft_rc keep(weft_req *rq, struct weft_files *files, weft_str path,
                    const struct weft_beneath *name, const struct weft_open_file **out)
{
    uint64_t now = files->loop->now_ms;
    struct weft_file_entry *entry = weft_file_table_find(&files->table, name->root_fd, path, now);
    if (entry != NULL) /* made while we waited for the name */
        weft_file_table_drop(&files->table, entry);
    entry = weft_file_table_add(&files->table, name->root_fd, path, now);
    if (entry == NULL) {
        count(files, WEFT_COUNTER_FILES_FULL);
        return keep_own(rq, name, out);
    }
    describe(&entry->file, name, entry->etag);
    entry->ctime_s = name->info.st_ctim.tv_sec;
    entry->ctime_ns = (uint32_t)name->info.st_ctim.tv_nsec;
    if (files->table.options.idle_ms > 0 && !weft_timer_armed(&files->tick))
        weft_timer_arm(&files->loop->wheel, &files->tick, now + files->table.options.idle_ms / 2);
    weft_file_table_ref(entry);
    return hold(rq, entry, out);
}

static bool trusted(const struct weft_files *files, const struct weft_file_entry *entry)
{
    return entry->watch != WEFT_FILE_UNWATCHED &&
           files->loop->now_ms - entry->checked_ms < files->table.options.valid_ms;
}

/* Is it still what the entry says? It is held by the caller. */
static weft_rc check(weft_req *rq, struct weft_files *files, struct weft_file_entry *entry,
                     bool *out_good)
{
    struct look look = {.name = {.root_fd = entry->root_fd, .path_z = entry->key}};
    watch_entry(files, entry); /* before the look: what changes behind it is heard of */
    WEFT_TRY(look_at(rq, &look));
    *out_good = look.rc == 0 && entry->listed && same(entry, &look.name.info);
    if (!*out_good) {
        drop(files, entry);
        return 0;
    }
    entry->checked_ms = files->loop->now_ms;
    if (wants_copy(files, entry))
        copy(rq, files, entry);
    return 0;
}

/* What is known of the name, if it is still true; *out NULL: nothing. */
static weft_rc find(weft_req *rq, struct weft_files *files, int root_fd, weft_str path,
                    const struct weft_open_file **out)
{
    struct weft_file_entry *entry =
        weft_file_table_find(&files->table, root_fd, path, files->loop->now_ms);
    *out = NULL;
    if (entry == NULL)
        return 0;
    weft_file_table_ref(entry);
    bool good = true;
    weft_rc rc = trusted(files, entry) ? 0 : check(rq, files, entry, &good);
    if (rc == 0 && good)
        return hold(rq, entry, out);
    let_go(entry);
    return rc;
}

static weft_rc open_kept(weft_req *rq, struct weft_files *files, struct weft_beneath *name,
                         weft_str path, const struct weft_open_file **out)
{
    WEFT_TRY(find(rq, files, name->root_fd, path, out));
    if (*out != NULL) {
        count(files, WEFT_COUNTER_FILES_HITS);
        return 0;
    }
    count(files, WEFT_COUNTER_FILES_MISSES);
    char key[WEFT_FILE_KEY_BYTES];
    memcpy(key, path.ptr, path.len);
    key[path.len] = 0;
    name->path_z = key;
    WEFT_TRY(open_name(rq, name));
    return keep(rq, files, path, name, out);
}

static weft_rc open_once(weft_req *rq, struct weft_beneath *name, weft_str path,
                         const struct weft_open_file **out)
{
    char *path_z = weft_alloc(rq, path.len + 1);
    if (path_z == NULL)
        return WEFT_ENOMEM;
    memcpy(path_z, path.ptr, path.len);
    path_z[path.len] = 0;
    name->path_z = path_z;
    WEFT_TRY(open_name(rq, name));
    return keep_own(rq, name, out);
}

weft_rc weft_open_file(weft_req *rq, int root_fd, weft_str path, const struct weft_open_file **out)
{
    while (path.len > 0 && path.ptr[0] == '/') {
        path.ptr++;
        path.len--;
    }
    if (path.len == 0)
        path = WEFT_S(".");
    if (path.len >= WEFT_FILE_PATH_BYTES_MAX || memchr(path.ptr, 0, path.len) != NULL)
        return (weft_rc)-ENOENT;
    struct weft_beneath name = {.root_fd = root_fd, .fd = -1};
    struct weft_files *files = rq->service->files;
    if (files == NULL || path.len >= WEFT_FILE_KEY_BYTES)
        return open_once(rq, &name, path, out);
    return open_kept(rq, files, &name, path, out);
}

/* NULL: a file of the request's own, of which nothing is remembered. */
static struct weft_file_entry *entry_of(const weft_req *rq, const struct weft_open_file *file)
{
    const struct weft_files *files = rq->service->files;
    if (files == NULL)
        return NULL;
    uintptr_t first = (uintptr_t)files->table.entries, at = (uintptr_t)file;
    size_t bytes = files->table.options.entries * sizeof(struct weft_file_entry);
    if (at < first || at >= first + bytes)
        return NULL;
    return &files->table.entries[(at - first) / sizeof(struct weft_file_entry)];
}

void weft_open_file_lacks(weft_req *rq, const struct weft_open_file *file, uint32_t which)
{
    struct weft_file_entry *entry = entry_of(rq, file);
    weft_assert(which < 8);
    if (entry == NULL)
        return;
    uint64_t now = rq->loop->now_ms;
    if (entry->lacks_until_ms <= now) {
        entry->lacks = 0;
        entry->lacks_until_ms = now + rq->service->files->table.options.valid_ms;
    }
    entry->lacks |= (uint8_t)(1u << which);
}

bool weft_open_file_known_to_lack(const weft_req *rq, const struct weft_open_file *file,
                                  uint32_t which)
{
    const struct weft_file_entry *entry = entry_of(rq, file);
    return entry != NULL && entry->lacks_until_ms > rq->loop->now_ms &&
           (entry->lacks >> which & 1) != 0;
}

weft_rc weft_open_file_reply(weft_req *rq, int status, weft_str type,
                             const struct weft_open_file *file, uint64_t offset, uint64_t len)
{
    weft_assert(offset <= file->size);
    weft_assert(len <= file->size - offset);
    weft_str body = {file->body.ptr != NULL ? file->body.ptr + offset : "", (size_t)len};
    WEFT_TRY(weft_reply(rq, status, type, body));
    rq->in_place = len > 0; /* it is held anyway: one piece more costs a send nothing to speak of */
    if (file->body.ptr != NULL || len == 0)
        return 0;
    rq->body_kind = WEFT_BODY_FILE;
    rq->file = file->fd;
    rq->file_offset = offset;
    rq->body.ptr = NULL;
    return 0;
}
