/* machine.c - limits as the kernel tells them below /proc and /sys.
 *
 * A cgroup's limit holds for everything below it, so the one in force is the lowest between the
 * process's own group and the top of what is mounted. Version 1 and version 2 may be mounted side
 * by side (hybrid hosts): both are walked and the lower one counts. In a container the mount shows
 * a part of the tree only, and /proc/self/mountinfo says which part (cgroups(7), proc(5)).
 */
#include "app/machine.h"
#include "base/str.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define CPU_BITS   8192 /* the kernel refuses a mask smaller than its own */
#define FILE_BYTES ((size_t)64 << 10)
#define CGROUP_V2  2
#define CGROUP_V1  1
/* Version 1 says "no limit" as the largest page count (kernel: PAGE_COUNTER_MAX), 8 EiB and less.
 */
#define V1_HUGE_BYTES ((uint64_t)1 << 60)

/* Where a hierarchy is mounted, and what of it is. */
struct mount {
    char point[WEFT_MACHINE_PATH_BYTES]; /* "" while not found; begins with '/', not "/" */
    char top[WEFT_MACHINE_PATH_BYTES];   /* the group that lies at the mount point; "/" for all */
};

/* The first bytes of a file; an empty slice when there is none. `to` has room for size bytes. */
static weft_str read_head(const char *path_z, char *to, size_t size)
{
    size_t len = 0;
    int fd = open(path_z, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return weft_str_make(to, 0);
    while (len < size) {
        ssize_t n = read(fd, to + len, size - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    return weft_str_make(to, len);
}

/* The part before `mark`, which is cut off together with it; all of it when there is no mark. */
static weft_str cut(weft_str *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    weft_str part = weft_str_make(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    size_t used = part.len + (at ? 1 : 0);
    rest->ptr += used;
    rest->len -= used;
    return part;
}

static bool has_word(weft_str list, weft_str word)
{
    while (list.len > 0)
        if (weft_str_eq(cut(&list, ','), word))
            return true;
    return false;
}

/* Copies a path that fits, without its last '/'; false when it does not fit. */
static bool copy_path(weft_str path, char *out)
{
    if (path.len >= WEFT_MACHINE_PATH_BYTES)
        return false;
    while (path.len > 1 && path.ptr[path.len - 1] == '/')
        path.len--;
    memcpy(out, path.ptr, path.len);
    out[path.len] = '\0';
    return true;
}

static size_t read_cpus(struct weft_machine *machine)
{
    unsigned long mask[CPU_BITS / (8 * sizeof(unsigned long))] = {0};
    cpu_set_t *set = (cpu_set_t *)(void *)mask;
    if (sched_getaffinity(0, sizeof(mask), set) != 0)
        return 0;
    size_t count = 0;
    for (size_t cpu = 0; cpu < CPU_BITS && count < WEFT_MACHINE_CPUS_MAX; cpu++)
        if (CPU_ISSET_S(cpu, sizeof(mask), set))
            machine->cpus[count++] = (uint16_t)cpu;
    return count;
}

/* MemTotal of /proc/meminfo, which is in KiB; 0 when it is not there. */
static size_t read_memory(const char *root_z)
{
    char path[2 * WEFT_MACHINE_PATH_BYTES];
    char text[4096];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof(path), "%s/proc/meminfo", root_z);
    weft_str rest = read_head(path, text, sizeof(text));
    while (rest.len > 0) {
        weft_str line = cut(&rest, '\n');
        weft_str name = cut(&line, ':');
        weft_str value = weft_str_trim(line);
        if (weft_str_eq(name, WEFT_S("MemTotal")) && weft_str_to_u64(cut(&value, ' '), &kib) == 0 &&
            kib <= SIZE_MAX >> 10)
            return (size_t)kib << 10;
    }
    return 0;
}

/* One line of /proc/self/mountinfo (proc(5)): id parent dev top point options... - type dev super
 */
static void mount_line(weft_str line, int version, struct mount *out)
{
    for (int i = 0; i < 3; i++)
        (void)cut(&line, ' '); /* ids and device: not needed */
    weft_str top = cut(&line, ' ');
    weft_str point = cut(&line, ' ');
    while (line.len > 0 && !weft_str_eq(cut(&line, ' '), WEFT_S("-")))
        ;
    weft_str type = cut(&line, ' ');
    (void)cut(&line, ' '); /* the device's name */
    bool v2 = weft_str_eq(type, WEFT_S("cgroup2"));
    bool v1 = weft_str_eq(type, WEFT_S("cgroup")) && has_word(line, WEFT_S("memory"));
    if (!(version == CGROUP_V2 ? v2 : v1) || point.len < 2)
        return;
    if (!copy_path(top, out->top) || !copy_path(point, out->point))
        out->point[0] = '\0';
}

/* mountinfo's word, else the places where everyone mounts it. */
static struct mount find_mount(const char *root_z, int version)
{
    struct mount mount = {.top = "/"};
    char path[2 * WEFT_MACHINE_PATH_BYTES];
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
    const char *usual_z = version == CGROUP_V1      ? "/sys/fs/cgroup/memory"
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
        weft_str line = cut(&cgroup_file, '\n');
        weft_str number = cut(&line, ':');
        weft_str controllers = cut(&line, ':');
        bool v2 = weft_str_eq(number, WEFT_S("0")) && controllers.len == 0;
        if (version == CGROUP_V2 ? v2 : has_word(controllers, WEFT_S("memory")))
            return line;
    }
    return (weft_str){0};
}

static bool leaves(weft_str path)
{
    while (path.len > 0)
        if (weft_str_eq(cut(&path, '/'), WEFT_S("..")))
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

static void lower(struct weft_machine *machine, weft_str value, const char *path_z)
{
    uint64_t limit = 0;
    if (weft_str_to_u64(weft_str_trim(value), &limit) != 0) /* "max", or nothing we know */
        return;
    if (limit >= V1_HUGE_BYTES || limit >= machine->cgroup_limit_bytes)
        return;
    machine->cgroup_limit_bytes = (size_t)limit;
    (void)snprintf(machine->cgroup_source, sizeof(machine->cgroup_source), "%s", path_z);
}

static void limit_file(struct weft_machine *machine, const char *dir_z, const char *name_z)
{
    char path[2 * WEFT_MACHINE_PATH_BYTES];
    char text[64];
    (void)snprintf(path, sizeof(path), "%s/%s", dir_z, name_z);
    weft_str rest = read_head(path, text, sizeof(text));
    lower(machine, cut(&rest, '\n'), path);
}

/* Version 1 also tells the lowest limit of all parents, those above the mount included. */
static void hierarchical_limit(struct weft_machine *machine, const char *dir_z)
{
    char path[2 * WEFT_MACHINE_PATH_BYTES];
    char text[4096];
    (void)snprintf(path, sizeof(path), "%s/memory.stat", dir_z);
    weft_str rest = read_head(path, text, sizeof(text));
    while (rest.len > 0) {
        weft_str line = cut(&rest, '\n');
        if (weft_str_eq(cut(&line, ' '), WEFT_S("hierarchical_memory_limit")))
            lower(machine, line, path);
    }
}

static void one_group(struct weft_machine *machine, const char *dir_z, int version)
{
    if (version == CGROUP_V2) {
        limit_file(machine, dir_z, "memory.max");
        limit_file(machine, dir_z, "memory.high"); /* beyond it everything slows to a crawl */
    } else {
        limit_file(machine, dir_z, "memory.limit_in_bytes");
        hierarchical_limit(machine, dir_z);
    }
}

/* From the process's group up to the mount point. */
static void walk_up(struct weft_machine *machine, const char *root_z, int version, weft_str group)
{
    char dir[2 * WEFT_MACHINE_PATH_BYTES];
    struct mount mount = find_mount(root_z, version);
    weft_str below = below_mount(group, &mount);
    size_t top_len = strlen(root_z) + strlen(mount.point);
    if (top_len + below.len >= sizeof(dir))
        below.len = 0; /* a group that cannot be named: what is above it still counts */
    (void)snprintf(dir, sizeof(dir), "%s%s%.*s", root_z, mount.point, (int)below.len, below.ptr);
    for (size_t len = top_len + below.len; len > top_len;) {
        one_group(machine, dir, version);
        while (len > top_len && dir[--len] != '/')
            ;
        dir[len] = '\0';
    }
    one_group(machine, dir, version);
}

static void read_cgroups(struct weft_machine *machine, const char *root_z)
{
    char path[2 * WEFT_MACHINE_PATH_BYTES];
    char text[4096];
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root_z);
    weft_str groups = read_head(path, text, sizeof(text));
    for (int version = CGROUP_V1; version <= CGROUP_V2; version++) {
        weft_str group = find_group(groups, version);
        if (group.len > 0)
            walk_up(machine, root_z, version, group);
    }
}

void weft_machine_read(struct weft_machine *machine, const char *root_z)
{
    struct rlimit nofile = {0, 0};
    char root[WEFT_MACHINE_PATH_BYTES];
    *machine = (struct weft_machine){.cgroup_limit_bytes = WEFT_MACHINE_NO_LIMIT};
    machine->cpu_count = (uint32_t)read_cpus(machine);
    if (machine->cpu_count == 0)
        machine->cpu_count = 1; /* the mask cannot be read: CPU 0 */
    if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
        machine->nofile_soft = nofile.rlim_cur;
        machine->nofile_hard = nofile.rlim_max;
    }
    if (!copy_path(weft_str_z(root_z), root))
        return;
    if (strcmp(root, "/") == 0)
        root[0] = '\0'; /* so that "/proc" follows it */
    machine->memory_bytes = read_memory(root);
    read_cgroups(machine, root);
}

size_t weft_machine_memory_limit(const struct weft_machine *machine)
{
    size_t limit = machine->cgroup_limit_bytes;
    if (machine->memory_bytes > 0 && limit >= machine->memory_bytes)
        return machine->memory_bytes / 2;
    return limit;
}

uint64_t weft_machine_raise_nofile(void)
{
    struct rlimit nofile;
    if (getrlimit(RLIMIT_NOFILE, &nofile) != 0)
        return 0;
    struct rlimit raised = {.rlim_cur = nofile.rlim_max, .rlim_max = nofile.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) != 0)
        return nofile.rlim_cur;
    return raised.rlim_cur;
}
