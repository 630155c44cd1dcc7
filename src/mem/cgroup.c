/* cgroup.c - see cgroup.h. */
#include "mem/cgroup.h"
#include <stdio.h>
#include <unistd.h>

#define V1 1
#define V2 2

/* Where a hierarchy is mounted, and what of it is. */
struct mount {
    char point[WEFT_CGROUP_PATH_BYTES]; /* "" while not found; begins with '/', not "/" */
    char top[WEFT_CGROUP_PATH_BYTES];   /* the group that lies at the mount point; "/" for all */
};

static bool has_word(weft_str list, weft_str word)
{
    while (list.len > 0)
        if (weft_str_eq(weft_str_cut(&list, ','), word))
            return true;
    return false;
}

/* Copies a path that fits, without its last '/'; false when it does not fit. */
static bool copy_path(weft_str path, char *out)
{
    if (path.len >= WEFT_CGROUP_PATH_BYTES)
        return false;
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    memcpy(out, path.ptr, path.len);
    out[path.len] = '\0';
    return true;
}

/* One line of /proc/self/mountinfo (proc(5)): id parent dev top point options... - type dev super
 */
static void mount_line(weft_str line, int version, struct mount *out)
{
    for (int i = 0; i < 3; i++)
        (void)weft_str_cut(&line, ' '); /* ids and device: not needed */
    weft_str top = weft_str_cut(&line, ' ');
    weft_str point = weft_str_cut(&line, ' ');
    while (line.len > 0 && !weft_str_eq(weft_str_cut(&line, ' '), WEFT_S("-")))
        ;
    weft_str type = weft_str_cut(&line, ' ');
    (void)weft_str_cut(&line, ' '); /* the device's name */
    bool v2 = weft_str_eq(type, WEFT_S("cgroup2"));
    bool v1 = weft_str_eq(type, WEFT_S("cgroup")) && has_word(line, WEFT_S("memory"));
    if (!(version == V2 ? v2 : v1) || point.len < 2)
        return;
    if (!copy_path(top, out->top) || !copy_path(point, out->point))
        out->point[0] = '\0';
}

/* mountinfo's word, else the places where everyone mounts it. */
static struct mount find_mount(const char *root_z, int version)
{
    struct mount mount = {.top = "/"};
    char path[2 * WEFT_CGROUP_PATH_BYTES];
    char
        line[4096]; /* a longer one (overlays with many layers) comes in parts that match nothing */
    (void)snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root_z);
    FILE *file = fopen(path, "re");
    while (file && !mount.point[0] && fgets(line, sizeof(line), file))
        mount_line(weft_str_make(line, strcspn(line, "\n")), version, &mount);
    if (file)
        (void)fclose(file);
    if (mount.point[0])
        return mount;
    (void)snprintf(path, sizeof(path), "%s/sys/fs/cgroup/unified", root_z);
    const char *usual_z = version == V1             ? "/sys/fs/cgroup/memory"
                          : access(path, F_OK) == 0 ? "/sys/fs/cgroup/unified"
                                                    : "/sys/fs/cgroup";
    (void)copy_path(weft_str_z(usual_z), mount.point); /* it fits */
    return mount;
}

/* The process's group in a hierarchy: the line `0::/path` of /proc/self/cgroup for version 2, the
 * line with "memory" among its controllers for version 1. Empty when there is none. */
static weft_str find_group(weft_str cgroup_file, int version)
{
    while (cgroup_file.len > 0) {
        weft_str line = weft_str_cut(&cgroup_file, '\n');
        weft_str number = weft_str_cut(&line, ':');
        weft_str controllers = weft_str_cut(&line, ':');
        bool v2 = weft_str_eq(number, WEFT_S("0")) && controllers.len == 0;
        if (version == V2 ? v2 : has_word(controllers, WEFT_S("memory")))
            return line;
    }
    return (weft_str){0};
}

static bool leaves(weft_str path)
{
    while (path.len > 0)
        if (weft_str_eq(weft_str_cut(&path, '/'), WEFT_S("..")))
            return true;
    return false;
}

/* The group's path below the mount point; empty when the mount does not show it, and then the mount
 * point is the nearest parent that can be seen. */
static weft_str below_mount(weft_str group, const struct mount *mount)
{
    weft_str top = weft_str_z(mount->top);
    if (weft_str_eq(top, WEFT_S("/")))
        top.len = 0;
    if (!weft_str_starts(group, top) || leaves(group))
        return (weft_str){0};
    weft_str rest = weft_str_make(group.ptr + top.len, group.len - top.len);
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    return rest.len > 0 && rest.ptr[0] == '/' ? rest : (weft_str){0};
}

bool weft_cgroup_find(struct weft_cgroup *group, const char *root_z, int version)
{
    char path[2 * WEFT_CGROUP_PATH_BYTES];
    char text[4096];
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root_z);
    weft_str name = find_group(weft_textfile_read(path, text, sizeof(text)), version);
    if (name.len == 0)
        return false;
    struct mount mount = find_mount(root_z, version);
    weft_str below = below_mount(name, &mount);
    group->version = version;
    group->top_len = strlen(root_z) + strlen(mount.point);
    if (group->top_len + below.len >= sizeof(group->dir))
        below.len = 0; /* a group that cannot be named: what is above it still counts */
    (void)snprintf(group->dir, sizeof(group->dir), "%s%s%.*s", root_z, mount.point, (int)below.len,
                   below.ptr);
    return true;
}

bool weft_cgroup_parent(struct weft_cgroup *group)
{
    size_t len = strlen(group->dir);
    if (len <= group->top_len)
        return false;
    while (len > group->top_len && group->dir[--len] != '/')
        ;
    group->dir[len] = '\0';
    return true;
}

weft_str weft_cgroup_read(const struct weft_cgroup *group, const char *name_z, char *to,
                          size_t room)
{
    char path[sizeof(group->dir) + 64];
    (void)snprintf(path, sizeof(path), "%s/%s", group->dir, name_z);
    return weft_textfile_read(path, to, room);
}

/* ---- its limit ---- */

/* Version 1 says "no limit" as the largest page count (kernel: PAGE_COUNTER_MAX), 8 EiB and less.
 */
#define V1_HUGE_BYTES ((uint64_t)1 << 60)

struct lowest {
    size_t bytes;
    char *source_z;
    size_t room;
};

static void lower(struct lowest *to, weft_str value, const struct weft_cgroup *group,
                  const char *file_z)
{
    uint64_t limit = 0;
    if (weft_str_to_u64(weft_str_trim(value), &limit) != 0) /* "max", or nothing we know */
        return;
    if (limit >= V1_HUGE_BYTES || limit >= to->bytes)
        return;
    to->bytes = (size_t)limit;
    if (to->source_z != NULL)
        (void)snprintf(to->source_z, to->room, "%s/%s", group->dir, file_z);
}

static void limit_file(struct lowest *to, const struct weft_cgroup *group, const char *file_z)
{
    char text[64];
    weft_str rest = weft_cgroup_read(group, file_z, text, sizeof(text));
    lower(to, weft_str_cut(&rest, '\n'), group, file_z);
}

/* Version 1 also tells the lowest limit of all parents, those above the mount included. */
static void hierarchical_limit(struct lowest *to, const struct weft_cgroup *group)
{
    char text[4096];
    weft_str rest = weft_cgroup_read(group, "memory.stat", text, sizeof(text));
    while (rest.len > 0) {
        weft_str line = weft_str_cut(&rest, '\n');
        if (weft_str_eq(weft_str_cut(&line, ' '), WEFT_S("hierarchical_memory_limit")))
            lower(to, line, group, "memory.stat");
    }
}

static void one_group(struct lowest *to, const struct weft_cgroup *group)
{
    if (group->version == V2) {
        limit_file(to, group, "memory.max");
        limit_file(to, group, "memory.high");
    } else {
        limit_file(to, group, "memory.limit_in_bytes");
        hierarchical_limit(to, group);
    }
}

size_t weft_cgroup_limit(const struct weft_cgroup *group, char *out_source_z, size_t room)
{
    struct weft_cgroup at = *group;
    struct lowest to = {.bytes = SIZE_MAX, .source_z = out_source_z, .room = room};
    if (out_source_z != NULL)
        out_source_z[0] = 0;
    do
        one_group(&to, &at);
    while (weft_cgroup_parent(&at));
    return to.bytes;
}

/* ---- its charge ---- */

bool weft_cgroup_usage_of(const struct weft_cgroup *group, struct weft_cgroup_usage *out)
{
    bool v2 = group->version == V2;
    char text[8192];
    uint64_t current = 0, inactive = 0;
    weft_str file = weft_cgroup_read(group, v2 ? "memory.current" : "memory.usage_in_bytes", text,
                                     sizeof(text));
    if (weft_str_to_u64(weft_str_cut(&file, '\n'), &current) != 0)
        return false;
    file = weft_cgroup_read(group, "memory.stat", text, sizeof(text));
    (void)weft_textfile_number(file, v2 ? WEFT_S("inactive_file") : WEFT_S("total_inactive_file"),
                               &inactive); /* without it nothing is taken off */
    *out =
        (struct weft_cgroup_usage){.current = (size_t)current,
                                   .inactive_file = (size_t)inactive,
                                   .working_set = (size_t)(current - WEFT_MIN(current, inactive)),
                                   .version = group->version};
    return true;
}

bool weft_cgroup_usage(const char *root_z, struct weft_cgroup_usage *out)
{
    *out = (struct weft_cgroup_usage){0};
    for (int version = V2; version >= V1; version--) {
        struct weft_cgroup group;
        if (weft_cgroup_find(&group, root_z, version) && weft_cgroup_usage_of(&group, out))
            return true;
    }
    return false;
}
