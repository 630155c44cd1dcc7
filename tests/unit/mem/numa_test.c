/* numa_test.c - nodes: what the machine says, what is bound, what a refusal changes (nothing). */
#include "unit.h"
#include "mem/numa.h"
#include <errno.h>
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

/* ---- this machine ---- */

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
        assert_true(rc == (weft_rc)-EPERM || rc == (weft_rc)-ENOSYS);
        skip();
    }
    memset(memory, 1, 1 << 20);
    assert_int_equal(weft_numa_node_of(&numa, memory, &found), 0);
    assert_int_equal(found, mapped);
    weft_account_unmap(account, memory, 1 << 20);
    weft_ledger_fini(&ledger);
}

/* The real calls, on the only node that is there for sure. */
static void this_machine_binds(void **state)
{
    (void)state;
    bool preferred = false;
    void *memory = weft_map(1 << 20);
    assert_non_null(memory);
    weft_rc rc = weft_numa_system.bind(NULL, memory, 1 << 20, 0);
    if (rc == (weft_rc)-EPERM || rc == (weft_rc)-ENOSYS)
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
        cmocka_unit_test(this_machine_binds),
        cmocka_unit_test(a_tree_of_sys_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
