/* sockmem_test.c - what the kernel holds for sockets: its texts, and a sample of a table. */
#include "unit.h"
#include "io/sockmem.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* shows GB-07: buffers of the system, from the kernel's own words */
static void words(void **state)
{
    (void)state;
    struct weft_sockstat now;
    weft_sockstat_parse(WEFT_S("sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 7 mem 3\n"
                               "UDP: inuse 1 mem 2\nUDPLITE: inuse 0\nRAW: inuse 0\n"
                               "FRAG: inuse 0 memory 100\n"),
                        WEFT_S("TCP6: inuse 0\nFRAG6: inuse 0 memory 11\n"), &now);
    assert_int_equal(now.tcp_bytes, 3 * 4096);
    assert_int_equal(now.udp_bytes, 2 * 4096);
    assert_int_equal(now.frag_bytes, 111);
}

static void bad_words(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "TCP:", "TCP: mem", "TCP: mem x\n", "TCP mem 5\n"};
    for (size_t i = 0; i < WEFT_COUNT_OF(texts); i++) {
        struct weft_sockstat now;
        weft_sockstat_parse(weft_str_z(texts[i]), (weft_str){0}, &now);
        assert_int_equal(now.tcp_bytes, 0);
    }
}

/* A table of `count` slots; every one with a descriptor of `fd`. */
static void fill(struct weft_slots *slots, struct weft_slot *table, size_t count, int fd)
{
    for (size_t i = 0; i < count; i++) {
        table[i].fd = fd;
        table[i].state = WEFT_SLOT_IDLE;
    }
    *slots = (struct weft_slots){
        .table = table, .count = count, .top = (uint32_t)count, .used = (uint32_t)count};
}

/* shows GB-07: bytes queued on some connections are taken for all, and the sample has a bound */
static void sample(void **state)
{
    (void)state;
    static struct weft_slot table[1000];
    struct weft_slots slots;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    fill(&slots, table, 1000, pair[0]);
    struct weft_socket_sample empty = {0}, full = {0};
    weft_slots_sample(&slots, 64, &empty);
    assert_int_equal(empty.connections, 1000);
    assert_int_equal(empty.asked, 64);
    char bytes[5000] = {0};
    assert_int_equal(write(pair[0], bytes, sizeof(bytes)), sizeof(bytes));
    assert_int_equal(write(pair[1], bytes, sizeof(bytes)), sizeof(bytes));
    weft_slots_sample(&slots, 10, &full);
    assert_int_equal(full.asked, 10);
    assert_true(full.queued_bytes >= empty.queued_bytes);
    assert_int_equal(weft_sample_queued(&full), full.queued_bytes * 100);
    close(pair[0]);
    close(pair[1]);
}

static void nothing_to_ask(void **state)
{
    (void)state;
    static struct weft_slot table[10];
    struct weft_slots slots;
    struct weft_socket_sample none = {0};
    fill(&slots, table, 10, -1);
    weft_slots_sample(&slots, 64, &none);
    assert_int_equal(none.connections, 10);
    assert_int_equal(none.asked, 0);
    assert_int_equal(weft_sample_queued(&none), 0);
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fill(&slots, table, 10, file); /* no socket any more */
    weft_slots_sample(&slots, 64, &none);
    assert_int_equal(none.asked, 0);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(bad_words),
        cmocka_unit_test(sample),
        cmocka_unit_test(nothing_to_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
