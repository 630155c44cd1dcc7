/* numa.c - see numa.h. */
#include "mem/numa.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/str.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <unistd.h>

#define PATH_BYTES 256
#define LIST_BYTES 256 /* "0-3,8-11" */

/* ---- libnuma ---- */

static const struct weft_numa_library *library;

const struct weft_numa_library *weft_numa_use(const struct weft_numa_library *other)
{
    const struct weft_numa_library *before = library;
    library = other;
    return before;
}

weft_rc weft_numa_load(const char *file_z)
{
    static struct weft_numa_library loaded;
    if (library != NULL)
        return 0;
    void *handle = dlopen(file_z, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return WEFT_ENOTSUP;
    struct weft_numa_library found;
    *(void **)&found.mbind = dlsym(handle, "mbind");
    *(void **)&found.set_mempolicy = dlsym(handle, "set_mempolicy");
    *(void **)&found.move_pages = dlsym(handle, "move_pages");
    if (found.mbind == NULL || found.set_mempolicy == NULL || found.move_pages == NULL) {
        dlclose(handle);
        return WEFT_ENOTSUP;
    }
    loaded = found;
    library = &loaded;
    return 0;
}

static weft_rc system_open(const void *context)
{
    (void)context;
    return weft_numa_load("libnuma.so.1");
}

/* ---- this machine ---- */

static const char *root_of(const void *context)
{
    return context != NULL ? context : "/sys";
}

static size_t read_file(const char *path_z, char *to, size_t room)
{
    int fd = open(path_z, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, to, room);
    close(fd);
    return len > 0 ? (size_t)len : 0;
}

/* The last number of a list like "0-3,8-11". */
static uint32_t last_number(const char *list, size_t len)
{
    while (len > 0 && (list[len - 1] < '0' || list[len - 1] > '9'))
        len--;
    size_t from = len;
    while (from > 0 && list[from - 1] >= '0' && list[from - 1] <= '9')
        from--;
    uint64_t number = 0;
    if (weft_str_to_u64(weft_str_make(list + from, len - from), &number) != 0)
        return 0;
    return (uint32_t)WEFT_MIN(number, (uint64_t)WEFT_NUMA_NODES_MAX - 1);
}

static uint32_t system_node_count(const void *context)
{
    char path_z[PATH_BYTES], list[LIST_BYTES];
    size_t len =
        weft_fmt(path_z, sizeof(path_z), "%s/devices/system/node/online%c", root_of(context), '\0');
    if (len > sizeof(path_z))
        return 1;
    return last_number(list, read_file(path_z, list, sizeof(list))) + 1;
}

static uint32_t system_node_of_cpu(const void *context, uint32_t cpu, uint32_t node_count)
{
    for (uint32_t node = 0; node < node_count; node++) {
        char path_z[PATH_BYTES];
        size_t len = weft_fmt(path_z, sizeof(path_z), "%s/devices/system/node/node%u/cpu%u%c",
                              root_of(context), node, cpu, '\0');
        if (len <= sizeof(path_z) && access(path_z, F_OK) == 0)
            return node;
    }
    return 0;
}

static uint32_t system_cpu_now(const void *context)
{
    (void)context;
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu;
}

/* The kernel looks at one bit less than it is told of. */
#define MASK_BITS (WEFT_NUMA_NODES_MAX + 1)

static weft_rc system_bind(const void *context, void *at, size_t bytes, uint32_t node)
{
    const unsigned long mask = 1ul << node;
    WEFT_TRY(system_open(context));
    long rc = library->mbind(at, bytes, MPOL_PREFERRED, &mask, MASK_BITS, MPOL_MF_MOVE);
    return rc == 0 ? 0 : (weft_rc)-errno;
}

static weft_rc system_prefer(const void *context, uint32_t node)
{
    const unsigned long mask = 1ul << node;
    WEFT_TRY(system_open(context));
    long rc = library->set_mempolicy(MPOL_PREFERRED, &mask, MASK_BITS);
    return rc == 0 ? 0 : (weft_rc)-errno;
}

/* Without a node to go to it only tells. */
static weft_rc system_node_of_page(const void *context, const void *at, uint32_t *out_node)
{
    void *page = (void *)((uintptr_t)at & ~(uintptr_t)(WEFT_PAGE_BYTES - 1));
    int node = -1;
    WEFT_TRY(system_open(context));
    if (library->move_pages(0, 1, &page, NULL, &node, 0) != 0)
        return (weft_rc)-errno;
    if (node < 0)
        return (weft_rc)node;
    *out_node = (uint32_t)node;
    return 0;
}

const struct weft_numa_ops weft_numa_system = {
    .open = system_open,
    .node_count = system_node_count,
    .node_of_cpu = system_node_of_cpu,
    .cpu_now = system_cpu_now,
    .bind = system_bind,
    .prefer = system_prefer,
    .node_of_page = system_node_of_page,
};

/* ---- placing ---- */

void weft_numa_init(struct weft_numa *numa, const struct weft_numa_ops *ops, const void *context,
                    const uint16_t *cpus, uint32_t cpu_count, uint32_t worker_count)
{
    weft_assert(cpu_count > 0);
    *numa = (struct weft_numa){.ops = ops,
                               .context = context,
                               .node_count = ops->node_count(context),
                               .cpus = cpus,
                               .cpu_count = cpu_count,
                               .worker_count = worker_count};
    weft_assert(numa->node_count > 0);
    weft_assert(numa->node_count <= WEFT_NUMA_NODES_MAX);
    if (!weft_numa_has_nodes(numa) || ops->open == NULL || ops->open(context) == 0)
        return;
    weft_log_warn("this machine has %u memory nodes, but libnuma.so.1 is not there (package "
                  "libnuma1): memory is placed on none",
                  numa->node_count);
    numa->node_count = 1;
}

static uint32_t node_of_cpu(const struct weft_numa *numa, uint32_t cpu)
{
    if (!weft_numa_has_nodes(numa))
        return 0;
    return numa->ops->node_of_cpu(numa->context, cpu, numa->node_count);
}

uint32_t weft_numa_node_of_worker(const struct weft_numa *numa, uint32_t worker)
{
    return worker < numa->worker_count ? node_of_cpu(numa, numa->cpus[worker % numa->cpu_count])
                                       : 0;
}

weft_rc weft_numa_node_of(const struct weft_numa *numa, const void *at, uint32_t *out_node)
{
    return numa->ops->node_of_page(numa->context, at, out_node);
}

static void bind_to(struct weft_numa *numa, void *at, size_t bytes, uint32_t node)
{
    if (numa->ops->bind(numa->context, at, bytes, node) == 0)
        atomic_fetch_add(&numa->bound_bytes, bytes);
    else
        atomic_fetch_add(&numa->refused, 1);
}

void weft_numa_place(struct weft_numa *numa, uint32_t worker, void *at, size_t bytes)
{
    if (weft_numa_has_nodes(numa) && worker < numa->worker_count)
        bind_to(numa, at, bytes, weft_numa_node_of_worker(numa, worker));
}

void weft_numa_enter(struct weft_numa *numa, uint32_t worker)
{
    if (!weft_numa_has_nodes(numa) || worker >= numa->worker_count)
        return;
    if (numa->ops->prefer(numa->context, weft_numa_node_of_worker(numa, worker)) != 0)
        atomic_fetch_add(&numa->refused, 1);
}

weft_rc weft_numa_map(struct weft_numa *numa, struct weft_account *account, size_t bytes,
                      void **out, uint32_t *out_node)
{
    WEFT_TRY(weft_account_map(account, bytes, out));
    *out_node = 0;
    if (weft_numa_has_nodes(numa)) {
        *out_node = node_of_cpu(numa, numa->ops->cpu_now(numa->context));
        bind_to(numa, *out, bytes, *out_node);
    }
    return 0;
}
