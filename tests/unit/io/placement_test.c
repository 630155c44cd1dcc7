/* placement_test.c - each worker's memory is bound to the node of its core, before it is touched.
 */
#include "unit.h"
#include "io/loop.h"
#include "mem/numa.h"
#include <sys/mman.h>

#define WORKERS    4
#define RANGES_MAX 256

/* Two nodes, two cores each; a fifth loop is the admin thread's. */
static const uint16_t cpus[WORKERS] = {0, 1, 2, 3};

static struct range {
    const char *at;
    size_t bytes;
    uint32_t node;
} ranges[RANGES_MAX];
static uint32_t range_count;

static uint32_t two_nodes(const void *context)
{
    (void)context;
    return 2;
}

static uint32_t two_cores_each(const void *context, uint32_t cpu, uint32_t node_count)
{
    (void)context;
    assert_int_equal(node_count, 2);
    return cpu / 2;
}

static weft_rc note_range(const void *context, void *at, size_t bytes, uint32_t node)
{
    (void)context;
    unsigned char resident[16] = {0};
    size_t look = WEFT_MIN(bytes, sizeof(resident) * WEFT_PAGE_BYTES);
    assert_int_equal(mincore(at, look, resident), 0);
    for (size_t i = 0; i < look / WEFT_PAGE_BYTES; i++)
        assert_int_equal(resident[i] & 1, 0); /* else it would have to move */
    assert_true(range_count < RANGES_MAX);
    ranges[range_count++] = (struct range){at, bytes, node};
    return 0;
}

static const struct weft_numa_ops fake = {
    .node_count = two_nodes, .node_of_cpu = two_cores_each, .bind = note_range};

static bool is_on(const void *at, uint32_t node)
{
    for (uint32_t i = 0; i < range_count; i++)
        if ((const char *)at >= ranges[i].at && (const char *)at < ranges[i].at + ranges[i].bytes)
            return ranges[i].node == node;
    return false;
}

static void make_loop(struct weft_loop *loop, struct weft_ledger *ledger, uint32_t worker)
{
    static struct weft_conn_share share = {.max = 64};
    static const struct weft_protocol protocol = {.conn_bytes = 512};
    const char *part_z = NULL;
    const struct weft_loop_options options = {
        .engine = &weft_epoll_ops,
        .worker = worker,
        .connections = 64,
        .share = &share,
        .active = 64,
        .waiting = 16,
        .stack_bytes = 16 << 10,
        .buffer_bytes = 4096,
        .buffers = 32,
        .spare_buffers = 32,
        .elastic_bytes = 1 << 20,
        .timer_precision_ms = 1,
        .protocol = &protocol,
        .clock = &weft_clock_system,
    };
    assert_int_equal(weft_loop_init(loop, ledger, &options, &part_z), 0);
}

static size_t reserved_of(const struct weft_ledger *ledger, uint32_t worker)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < ledger->account_count; i++)
        if (ledger->accounts[i].worker == worker)
            bytes += ledger->accounts[i].reserved;
    return bytes;
}

static void all_of_a_loop_is_on(const struct weft_loop *loop, uint32_t node)
{
    assert_true(is_on(loop->counters, node));
    assert_true(is_on(loop->slots.table, node));
    assert_true(is_on(loop->conns.slots, node));
    assert_true(is_on(loop->blocks.slots, node));
    assert_true(is_on(loop->watches.slots, node));
    assert_true(is_on(loop->bufs.pool.slots, node));
    assert_true(is_on(loop->bufs.infos, node));
    assert_true(is_on(loop->tasks.stacks, node));
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        assert_true(is_on(loop->chunks.pools[i].slots, node));
}

/* shows MC-13 */
static void each_worker_is_on_the_node_of_its_core(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_numa numa;
    static struct weft_loop loops[WORKERS + 1];
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    weft_numa_init(&numa, &fake, NULL, cpus, WORKERS, WORKERS);
    ledger.numa = &numa;
    for (uint32_t i = 0; i < WORKERS; i++) {
        range_count = 0;
        size_t before = numa.bound_bytes, bytes = 0;
        make_loop(&loops[i], &ledger, i);
        all_of_a_loop_is_on(&loops[i], i / 2);
        for (uint32_t j = 0; j < range_count; j++) {
            assert_int_equal(ranges[j].node, i / 2); /* and nothing elsewhere */
            bytes += ranges[j].bytes;
        }
        assert_true(bytes >= reserved_of(&ledger, i)); /* all that it may ever touch */
        assert_int_equal(numa.bound_bytes - before, bytes);
    }
    range_count = 0;
    make_loop(&loops[WORKERS], &ledger, WORKERS);
    assert_int_equal(range_count, 0); /* the admin thread is not pinned */
    for (uint32_t i = 0; i <= WORKERS; i++)
        weft_loop_fini(&loops[i]);
    weft_ledger_fini(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_worker_is_on_the_node_of_its_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
