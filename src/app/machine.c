/* machine.c - limits as the kernel tells them below /proc and /sys.
 *
 * Version 1 and version 2 of cgroups may be mounted side by side (hybrid hosts): both are walked
 * and the lower limit counts.
 */
#include "app/machine.h"
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#define CPU_BITS 8192 /* the kernel refuses a mask smaller than its own */

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
    weft_str rest = weft_textfile_read(path, text, sizeof(text));
    while (rest.len > 0) {
        weft_str line = weft_str_cut(&rest, '\n');
        weft_str name = weft_str_cut(&line, ':');
        weft_str value = weft_str_trim(line);
        if (weft_str_eq(name, WEFT_S("MemTotal")) &&
            weft_str_to_u64(weft_str_cut(&value, ' '), &kib) == 0 && kib <= SIZE_MAX >> 10)
            return (size_t)kib << 10;
    }
    return 0;
}

/* In both versions: the lower one counts. */
static void read_cgroups(struct weft_machine *machine, const char *root_z)
{
    for (int version = 1; version <= 2; version++) {
        struct weft_cgroup group;
        char source[sizeof(machine->cgroup_source)];
        if (!weft_cgroup_find(&group, root_z, version))
            continue;
        size_t limit = weft_cgroup_limit(&group, source, sizeof(source));
        if (limit >= machine->cgroup_limit_bytes)
            continue;
        machine->cgroup_limit_bytes = limit;
        (void)snprintf(machine->cgroup_source, sizeof(machine->cgroup_source), "%s", source);
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
    size_t len = strlen(root_z);
    while (len > 0 && root_z[len - 1] == '/')
        len--; /* so that "/proc" follows it */
    if (len >= sizeof(root))
        return;
    memcpy(root, root_z, len);
    root[len] = '\0';
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
