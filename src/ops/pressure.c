/* pressure.c - see pressure.h. */
#include "ops/pressure.h"
#include <stdio.h>

void weft_pressure_init(struct weft_pressure *pressure, const char *root_z)
{
    *pressure = (struct weft_pressure){.root_z = root_z};
    for (int version = 2; version >= 1 && !pressure->grouped; version--) {
        struct weft_cgroup_usage usage;
        pressure->grouped = weft_cgroup_find(&pressure->group, root_z, version) &&
                            weft_cgroup_usage_of(&pressure->group, &usage);
    }
    for (int version = 1; version <= 2; version++)
        pressure->limited[version - 1] =
            weft_cgroup_find(&pressure->groups[version - 1], root_z, version);
}

static size_t limit_now(const struct weft_pressure *p)
{
    size_t limit = SIZE_MAX;
    for (size_t i = 0; i < WEFT_COUNT_OF(p->groups); i++)
        if (p->limited[i])
            limit = WEFT_MIN(limit, weft_cgroup_limit(&p->groups[i], NULL, 0));
    return limit == SIZE_MAX ? 0 : limit;
}

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345" */
static uint64_t some_total(weft_str text)
{
    uint64_t total = 0; /* what is no number leaves it so */
    weft_str line = weft_str_cut(&text, '\n');
    while (line.len > 0) {
        weft_str word = weft_str_cut(&line, ' ');
        if (weft_str_cut(&word, '=').len == sizeof("total") - 1)
            weft_ignore(weft_str_to_u64(word, &total));
    }
    return total;
}

static weft_str read_below(const struct weft_pressure *p, const char *path_z, char *to, size_t room)
{
    char path[WEFT_CGROUP_PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s%s", p->root_z, path_z);
    return n < 0 || (size_t)n >= sizeof(path) ? (weft_str){0} : weft_textfile_read(path, to, room);
}

static uint64_t memory_stall_us(const struct weft_pressure *p)
{
    char text[512];
    weft_str file = {0};
    if (p->grouped && p->group.version == 2)
        file = weft_cgroup_read(&p->group, "memory.pressure", text, sizeof(text));
    if (file.len == 0)
        file = read_below(p, "/proc/pressure/memory", text, sizeof(text));
    return some_total(file);
}

/* The second number of statm: pages. */
static size_t resident_bytes(const struct weft_pressure *p)
{
    char text[256];
    uint64_t pages = 0;
    weft_str file = read_below(p, "/proc/self/statm", text, sizeof(text));
    (void)weft_str_cut(&file, ' ');
    weft_ignore(weft_str_to_u64(weft_str_cut(&file, ' '), &pages)); /* no number: 0 */
    return pages * WEFT_PAGE_BYTES;
}

void weft_pressure_read(const struct weft_pressure *p, struct weft_pressure_figures *out)
{
    char text[512];
    struct weft_cgroup_usage usage = {0};
    *out = (struct weft_pressure_figures){.resident = resident_bytes(p),
                                          .stall_us = memory_stall_us(p)};
    if (p->grouped && weft_cgroup_usage_of(&p->group, &usage))
        out->working_set = usage.working_set;
    out->cgroup_limit = limit_now(p);
    out->io_stall_us = some_total(read_below(p, "/proc/pressure/io", text, sizeof(text)));
}
