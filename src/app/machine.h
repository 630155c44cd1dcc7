/* machine.h - what the machine gives this process: CPUs, memory, cgroup limits, descriptors.
 *
 * Lifetime: read once at start, before any thread is pinned; plain values afterwards.
 * Threads:  weft_machine_read() before the workers start; the struct is read-only then.
 * Memory:   sizeof(struct weft_machine), about 3 KB.
 */
#ifndef WEFT_APP_MACHINE_H
#define WEFT_APP_MACHINE_H

#include "mem/cgroup.h"

#define WEFT_MACHINE_CPUS_MAX   1024 /* CPUs that are told apart; later ones are not used */
#define WEFT_MACHINE_PATH_BYTES 512  /* room for a path below the root, its final 0 included */
#define WEFT_MACHINE_NO_LIMIT   SIZE_MAX

struct weft_machine {
    size_t memory_bytes;       /* physical; 0: unknown */
    size_t cgroup_limit_bytes; /* the lowest on the way up; WEFT_MACHINE_NO_LIMIT */
    char cgroup_source[WEFT_CGROUP_SOURCE_BYTES]; /* the file that says so; "" without a limit */
    uint64_t nofile_soft;                         /* RLIMIT_NOFILE as it was found */
    uint64_t nofile_hard;
    uint32_t cpu_count;                   /* entries of cpus, at least 1 */
    uint16_t cpus[WEFT_MACHINE_CPUS_MAX]; /* the affinity mask at start, ascending */
};

/** Read everything. What cannot be read counts as unknown or unlimited: a start does not fail here.
 *  root_z   directory that /proc and /sys lie in: "/", or a fixture tree. CPUs and descriptors are
 *           the process's own, whatever the root. */
void weft_machine_read(struct weft_machine *machine, const char *root_z);

/** The default memory limit: the cgroup's where it is below the physical memory, else half of that;
 *  WEFT_MACHINE_NO_LIMIT when neither is known. */
size_t weft_machine_memory_limit(const struct weft_machine *machine);

/** Raise the soft RLIMIT_NOFILE to the hard one.
 *  returns  the limit in force afterwards, UINT64_MAX for none */
uint64_t weft_machine_raise_nofile(void);

#endif
