/* pressure.h - what the kernel says of memory that gets short: the cgroup's charge, and time lost
 * to waiting (PSI: Documentation/accounting/psi.rst).
 *
 * Lifetime: process. Files are found once and read anew each time.
 * Threads:  one caller at a time; a look reads four small files, and two to four for each
 *           level of the cgroup: some 50 us.
 * Memory:   sizeof(struct weft_pressure), about 3.2 KB; 8 KiB of stack while it reads.
 */
#ifndef WEFT_OPS_PRESSURE_H
#define WEFT_OPS_PRESSURE_H

#include "mem/cgroup.h"

struct weft_pressure {
    const char *root_z; /* borrowed: "" or a fixture tree */
    bool grouped;
    struct weft_cgroup group;     /* whose charge counts */
    struct weft_cgroup groups[2]; /* whose limits do: of version 1, of version 2 */
    bool limited[2];              /* there is such a group */
};

struct weft_pressure_figures {
    size_t resident;      /* of this process, pages given back lazily included (statm) */
    size_t working_set;   /* of the cgroup; 0: none */
    size_t cgroup_limit;  /* as it is now: it may be changed while we run; 0: none */
    uint64_t stall_us;    /* some task of the cgroup (else of the machine) waited for memory */
    uint64_t io_stall_us; /* some task of the machine waited for disks */
};

/** root_z  directory that /proc and /sys lie in, without a '/' at its end: "" or a fixture tree */
void weft_pressure_init(struct weft_pressure *pressure, const char *root_z);

/** What cannot be read is 0. */
void weft_pressure_read(const struct weft_pressure *pressure, struct weft_pressure_figures *out);

#endif
