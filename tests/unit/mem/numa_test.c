/* numa_test.c - nodes: what the machine says, what is bound, what a refusal changes (nothing). */
#include "unit.h"
#include "mem/numa.h"
#include <dlfcn.h>
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint16_t cpus[] = {0, 1};

static struct {
    uint32_t calls, node, preferred;
    size_t bytes;
    weft_rc says;
} told;

static uint32_t three_nodes(const void *context)
{
    (void)context;
    return 3;
}

static uint32_t as_the_cpu(const void *context, uint32_t cpu, uint32_t node_count)
{
    (void)context;
    (void)node_count;
    return cpu;
}

static uint32_t on_cpu_2(const void *context)
{
    (void)context;
    return 2;
}

static weft_rc note_bind(const void *context, void *at, size_t bytes, uint32_t node)
{
    (void)context;
    (void)at;
    told.calls++;
    told.bytes = bytes;
    told.node = node;
    return told.says;
}

static weft_rc note_prefer(const void *context, uint32_t node)
{
    (void)context;
    told.preferred = node;
    return told.says;
}

static const struct weft_numa_ops fake = {.node_count = three_nodes,
                                          .node_of_cpu = as_the_cpu,
                                          .cpu_now = on_cpu_2,
                                          .bind = note_bind,
                                          .prefer = note_prefer};

static void a_worker_has_its_cores_node(void **state)
{
    (void)state;
    struct weft_numa numa;
    char page[1];
    memset(&told, 0, sizeof(told));
    weft_numa_init(&numa, &fake, NULL, cpus, 2, 4); /* four workers on two cores */
    assert_true(weft_numa_has_nodes(&numa));
    assert_int_equal(weft_numa_node_of_worker(&numa, 1), 1);
    assert_int_equal(weft_numa_node_of_worker(&numa, 2), 0);
    assert_int_equal(weft_numa_node_of_worker(&numa, 3), 1);
    weft_numa_place(&numa, 3, page, 8192);
    assert_int_equal(told.node, 1);
    assert_int_equal(told.bytes, 8192);
    assert_int_equal(numa.bound_bytes, 8192);
    weft_numa_place(&numa, 4, page, 8192); /* nobody's worker */
    weft_numa_place(&numa, WEFT_ACCOUNT_PROCESS, page, 8192);
    assert_int_equal(told.calls, 1);
    weft_numa_enter(&numa, 1);
    assert_int_equal(told.preferred, 1);
}

static void a_refusal_is_counted_and_no_more(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *account = NULL;
    struct weft_numa numa;
    void *memory = NULL;
    memset(&told, 0, sizeof(told));
    told.says = (weft_rc)-EPERM;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "a", 1, &account), 0);
    weft_numa_init(&numa, &fake, NULL, cpus, 2, 2);
    ledger.numa = &numa;
    assert_int_equal(weft_account_map(account, 4096, &memory), 0);
    assert_int_equal(told.calls, 1);
    assert_int_equal(numa.refused, 1);
    assert_int_equal(numa.bound_bytes, 0);
    weft_account_unmap(account, memory, 4096);
    weft_ledger_fini(&ledger);
}

/* shows MC-13: the node of the core that calls, and it is told. */
static void memory_comes_from_where_the_caller_runs(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *account = NULL;
    struct weft_numa numa;
    void *memory = NULL;
    uint32_t node = 9;
    memset(&told, 0, sizeof(told));
    assert_int_equal(weft_ledger_init(&ledger, 8192), 0);
    assert_int_equal(weft_account_open(&ledger, "a", WEFT_ACCOUNT_PROCESS, &account), 0);
    weft_numa_init(&numa, &fake, NULL, cpus, 2, 2);
    assert_int_equal(weft_numa_map(&numa, account, 8192, &memory, &node), 0);
    assert_int_equal(node, 2);
    assert_int_equal(told.node, 2);
    void *more = NULL;
    assert_int_equal(weft_numa_map(&numa, account, 4096, &more, &node), WEFT_EBUDGET);
    weft_account_unmap(account, memory, 8192);
    weft_ledger_fini(&ledger);
}

static weft_rc not_there(const void *context)
{
    (void)context;
    return WEFT_ENOTSUP;
}

/* Without the library nothing is placed, and that is said. */
static void without_the_library_there_is_one_node(void **state)
{
    (void)state;
    struct weft_numa numa;
    struct weft_numa_ops ops = fake;
    char page[1];
    memset(&told, 0, sizeof(told));
    ops.open = not_there;
    weft_numa_init(&numa, &ops, NULL, cpus, 2, 2);
    assert_false(weft_numa_has_nodes(&numa));
    weft_numa_place(&numa, 1, page, 4096);
    weft_numa_enter(&numa, 1);
    assert_int_equal(told.calls, 0);
    assert_int_equal(weft_numa_node_of_worker(&numa, 1), 0);
    const struct weft_numa_library *before = weft_numa_use(NULL);
    assert_int_equal(weft_numa_load("libnuma-is-not-there.so"), WEFT_ENOTSUP);
    assert_int_equal(weft_numa_load("libc.so.6"), WEFT_ENOTSUP); /* no mbind in it */
    (void)weft_numa_use(before);
}

/* ---- this machine ---- */

static struct {
    void *at;
    unsigned long bytes, nodes, bits;
    int mode;
    unsigned flags;
    uint32_t binds, prefers;
} call;

static long note_mbind(void *at, unsigned long bytes, int mode, const unsigned long *nodes,
                       unsigned long bits, unsigned flags)
{
    call.binds++;
    call.at = at;
    call.bytes = bytes;
    call.mode = mode;
    call.nodes = nodes[0];
    call.bits = bits;
    call.flags = flags;
    return 0;
}

static long note_set_mempolicy(int mode, const unsigned long *nodes, unsigned long bits)
{
    call.prefers++;
    call.mode = mode;
    call.nodes = nodes[0];
    call.bits = bits;
    return 0;
}

static long on_node_1(int pid, unsigned long count, void **pages, const int *nodes, int *status,
                      int flags)
{
    (void)pid, (void)count, (void)pages, (void)flags;
    assert_null(nodes); /* only asks */
    *status = 1;
    return 0;
}

static const struct weft_numa_library noting = {note_mbind, note_set_mempolicy, on_node_1};

/* The node that the kernel names for a page, "N<node>=" in the mapping's line; -1: none. */
static int node_in_numa_maps(const void *at, bool *out_preferred)
{
    char line[512], start[32];
    int node = -1;
    FILE *maps = fopen("/proc/self/numa_maps", "r");
    if (maps == NULL)
        return -1;
    (void)snprintf(start, sizeof(start), "%lx ", (unsigned long)(uintptr_t)at);
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (strncmp(line, start, strlen(start)) != 0)
            continue;
        const char *found = strstr(line, " N");
        node = found != NULL ? (int)strtol(found + 2, NULL, 10) : -1;
        *out_preferred = strstr(line, " prefer") != NULL;
    }
    (void)fclose(maps);
    return node;
}

/* shows MC-13: memory here is on node 0 of a machine with one node, and the API says so. */
static void this_machine_tells_where_memory_is(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *account = NULL;
    struct weft_numa numa;
    void *memory = NULL;
    uint32_t mapped = 9, found = 9;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "a", WEFT_ACCOUNT_PROCESS, &account), 0);
    weft_numa_init(&numa, &weft_numa_system, NULL, cpus, 1, 1);
    assert_int_equal(weft_numa_map(&numa, account, 1 << 20, &memory, &mapped), 0);
    assert_true(mapped < numa.node_count);
    if (!weft_numa_has_nodes(&numa))
        assert_int_equal(mapped, 0);
    weft_rc rc = weft_numa_node_of(&numa, memory, &found);
    if (rc != (weft_rc)-ENOENT) { /* a container may forbid the question */
        assert_true(rc == (weft_rc)-EPERM || rc == (weft_rc)-ENOSYS || rc == WEFT_ENOTSUP);
        skip();
    }
    memset(memory, 1, 1 << 20);
    assert_int_equal(weft_numa_node_of(&numa, memory, &found), 0);
    assert_int_equal(found, mapped);
    weft_account_unmap(account, memory, 1 << 20);
    weft_ledger_fini(&ledger);
}

/* What weft_numa_system calls is libnuma's. */
static void the_calls_are_libnumas(void **state)
{
    (void)state;
    void *handle = dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        skip();
    assert_int_equal(weft_numa_load("libnuma.so.1"), 0);
    const struct weft_numa_library *library = weft_numa_use(NULL);
    (void)weft_numa_use(library);
    const struct {
        const char *name_z;
        void *is;
    } calls[] = {{"mbind", *(void *const *)&library->mbind},
                 {"set_mempolicy", *(void *const *)&library->set_mempolicy},
                 {"move_pages", *(void *const *)&library->move_pages}};
    for (size_t i = 0; i < WEFT_COUNT_OF(calls); i++) {
        Dl_info info;
        assert_ptr_equal(calls[i].is, dlsym(handle, calls[i].name_z));
        assert_true(dladdr(calls[i].is, &info) != 0);
        assert_non_null(strstr(info.dli_fname, "libnuma"));
    }
    dlclose(handle);
}

/* The real calls, on the only node that is there for sure. */
static void this_machine_binds(void **state)
{
    (void)state;
    bool preferred = false;
    void *memory = weft_map(1 << 20);
    assert_non_null(memory);
    weft_rc rc = weft_numa_system.bind(NULL, memory, 1 << 20, 0);
    if (rc == (weft_rc)-EPERM || rc == (weft_rc)-ENOSYS || rc == WEFT_ENOTSUP)
        skip();
    assert_int_equal(rc, 0);
    assert_int_equal(weft_numa_system.bind(NULL, memory, 1 << 20, 63), -EINVAL); /* no such node */
    memset(memory, 1, 1 << 20);
    if (access("/proc/self/numa_maps", R_OK) == 0) {
        assert_int_equal(node_in_numa_maps(memory, &preferred), 0);
        assert_true(preferred);
    }
    assert_int_equal(weft_numa_system.prefer(NULL, 0), 0);
}

static void make_file(const char *root, const char *path, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        (void)mkdir(full, 0700);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void drop_file(const char *root, const char *path)
{
    char full[256];
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    (void)remove(full);
    for (char *slash; (slash = strrchr(full, '/')) != NULL && strlen(full) > strlen(root);) {
        *slash = 0;
        (void)rmdir(full);
    }
}

/* A machine of two nodes: each worker's memory goes to that of its core, and libnuma is told so.
 * shows MC-13 */
static void libnuma_is_given_the_workers_node(void **state)
{
    (void)state;
    char root[] = "/tmp/weft-numa.XXXXXX";
    static const char *const paths[] = {"devices/system/node/online",
                                        "devices/system/node/node0/cpu0",
                                        "devices/system/node/node1/cpu1"};
    struct weft_numa numa;
    uint32_t node = 9;
    char page[1];
    assert_non_null(mkdtemp(root));
    make_file(root, paths[0], "0-1\n");
    make_file(root, paths[1], "");
    make_file(root, paths[2], "");
    const struct weft_numa_library *before = weft_numa_use(&noting);
    memset(&call, 0, sizeof(call));
    weft_numa_init(&numa, &weft_numa_system, root, cpus, 2, 2);
    assert_true(weft_numa_has_nodes(&numa));
    for (uint32_t worker = 0; worker < 2; worker++) {
        weft_numa_place(&numa, worker, page, 12288);
        assert_int_equal(call.binds, worker + 1);
        assert_ptr_equal(call.at, page);
        assert_int_equal(call.bytes, 12288);
        assert_int_equal(call.mode, MPOL_PREFERRED);
        assert_int_equal(call.nodes, 1u << worker);
        assert_int_equal(call.bits, WEFT_NUMA_NODES_MAX + 1);
        assert_int_equal(call.flags, MPOL_MF_MOVE);
        call.nodes = 0;
        weft_numa_enter(&numa, worker);
        assert_int_equal(call.prefers, worker + 1);
        assert_int_equal(call.nodes, 1u << worker);
    }
    assert_int_equal(numa.bound_bytes, 2 * 12288);
    assert_int_equal(weft_numa_node_of(&numa, page, &node), 0);
    assert_int_equal(node, 1);
    (void)weft_numa_use(before);
    for (size_t i = 0; i < WEFT_COUNT_OF(paths); i++)
        drop_file(root, paths[i]);
    assert_int_not_equal(access(root, F_OK), 0);
}

static void a_tree_of_sys_is_read(void **state)
{
    (void)state;
    char root[] = "/tmp/weft-numa.XXXXXX";
    static const char *const paths[] = {"devices/system/node/online",
                                        "devices/system/node/node0/cpu0",
                                        "devices/system/node/node1/cpu1"};
    assert_non_null(mkdtemp(root));
    assert_int_equal(weft_numa_system.node_count(root), 1); /* nothing there */
    make_file(root, paths[0], "0-1,10\n");
    make_file(root, paths[1], "");
    make_file(root, paths[2], "");
    assert_int_equal(weft_numa_system.node_count(root), 11);
    assert_int_equal(weft_numa_system.node_of_cpu(root, 1, 11), 1);
    assert_int_equal(weft_numa_system.node_of_cpu(root, 7, 11), 0); /* nobody knows */
    make_file(root, paths[0], "0-4000\n");
    assert_int_equal(weft_numa_system.node_count(root), WEFT_NUMA_NODES_MAX);
    for (size_t i = 0; i < WEFT_COUNT_OF(paths); i++)
        drop_file(root, paths[i]);
    assert_int_not_equal(access(root, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_has_its_cores_node),
        cmocka_unit_test(a_refusal_is_counted_and_no_more),
        cmocka_unit_test(memory_comes_from_where_the_caller_runs),
        cmocka_unit_test(this_machine_tells_where_memory_is),
        cmocka_unit_test(without_the_library_there_is_one_node),
        cmocka_unit_test(the_calls_are_libnumas),
        cmocka_unit_test(libnuma_is_given_the_workers_node),
        cmocka_unit_test(this_machine_binds),
        cmocka_unit_test(a_tree_of_sys_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
