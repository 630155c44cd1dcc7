/* cgroup.h - the memory cgroup that this process lies in: where its files are, and what they say.
 *
 * Version 1 and version 2 may be mounted side by side (hybrid hosts). In a container the mount
 * shows a part of the tree only, and /proc/self/mountinfo says which part (cgroups(7), proc(5)).
 *
 * Lifetime: plain values.
 * Threads:  any; it reads files, so not on a request's path.
 * Memory:   sizeof(struct weft_cgroup), about 1 KB; less than 16 KiB of stack while it looks.
 */
#ifndef WEFT_MEM_CGROUP_H
#define WEFT_MEM_CGROUP_H

#include "mem/textfile.h"

#define WEFT_CGROUP_PATH_BYTES 512 /* room for a path below the root, its final 0 included */

struct weft_cgroup {
    int version;                          /* 1 or 2 */
    char dir[2 * WEFT_CGROUP_PATH_BYTES]; /* the group's files; zero-terminated, root included */
    size_t top_len;                       /* of it the mount point: no parent lies above it */
};

/** Find the process's group in the hierarchy of a version.
 *  root_z   directory that /proc and /sys lie in, without a '/' at its end: "" or a fixture tree
 *  returns  false: it has none there. A group that the mount does not show or that cannot be named
 *           is taken for the mount point, the nearest parent that can be seen */
bool weft_cgroup_find(struct weft_cgroup *group, const char *root_z, int version);

/** Go on with its parent; false at the mount point. */
bool weft_cgroup_parent(struct weft_cgroup *group);

/** A file of the group; empty when there is none. */
weft_str weft_cgroup_read(const struct weft_cgroup *group, const char *name_z, char *to,
                          size_t room);

#define WEFT_CGROUP_SOURCE_BYTES (2 * WEFT_CGROUP_PATH_BYTES + 64)

/** The limit in force: a limit holds for everything below it, so it is the lowest between the group
 *  and the top of what is mounted (memory.max and memory.high, beyond which everything slows to a
 *  crawl; memory.limit_in_bytes in version 1). A few small files.
 *  out_source_z  the file that says so; "" without a limit. NULL: nobody asks
 *  room          WEFT_CGROUP_SOURCE_BYTES are enough
 *  returns       SIZE_MAX: none */
size_t weft_cgroup_limit(const struct weft_cgroup *group, char *out_source_z, size_t room);

/* What counts when a cgroup's memory is judged (kubelet, docker stats): its charge without the file
 * pages that the kernel drops first. */
struct weft_cgroup_usage {
    size_t current;       /* memory.current; memory.usage_in_bytes in version 1 */
    size_t inactive_file; /* of memory.stat; total_inactive_file in version 1 */
    size_t working_set;   /* the difference, 0 at least */
    int version;
};

/** returns  false: the group has no such files; *out is left alone then */
bool weft_cgroup_usage_of(const struct weft_cgroup *group, struct weft_cgroup_usage *out);

/** Of the group that this process lies in.
 *  returns  false: neither version has the files; *out is zero then */
bool weft_cgroup_usage(const char *root_z, struct weft_cgroup_usage *out);

#endif
