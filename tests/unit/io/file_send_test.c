/* file_send_test.c - shows ZC-02: whatever way, and however little the socket takes, the bytes are
 * those of the file and each step begins where the last byte left; a file that gets shorter is an
 * error. */
#include "unit.h"
#include "io/cold.h"
#include "io/file_send.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILE_BYTES ((size_t)300000)

static struct weft_ledger ledger;
static struct weft_account *account;
static char content[FILE_BYTES], got[FILE_BYTES];
static int file, ends[2];

static const enum weft_file_way ways[] = {WEFT_FILE_SENDFILE, WEFT_FILE_READ, WEFT_FILE_MMAP,
                                          WEFT_FILE_SPLICE};

static int make(void **state)
{
    (void)state;
    char name[] = "/tmp/weft-file-send-XXXXXX";
    uint32_t random = 7;
    for (size_t i = 0; i < FILE_BYTES; i++) {
        random = random * 1664525 + 1013904223;
        content[i] = (char)(random >> 24);
    }
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "file sender", 0, &account), 0);
    file = mkstemp(name);
    assert_true(file >= 0);
    unlink(name);
    assert_int_equal(write(file, content, FILE_BYTES), FILE_BYTES);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    int little = 1; /* the kernel makes its least of it */
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    assert_int_equal(weft_account_used(account), 0);
    assert_int_equal(account->reserved, 0);
    close(file);
    close(ends[0]);
    close(ends[1]);
    weft_ledger_fini(&ledger);
    return 0;
}

/* What there is, in pieces of odd sizes. */
static size_t take(size_t at)
{
    size_t taken = 0;
    for (;;) {
        size_t want = WEFT_MIN(FILE_BYTES - at - taken, (size_t)777);
        ssize_t n = want == 0 ? 0 : recv(ends[1], got + at + taken, want, 0);
        if (n <= 0)
            return taken;
        taken += (size_t)n;
    }
}

static void send_all(enum weft_file_way way, uint64_t from, int waits_min)
{
    struct weft_file_sender sender;
    uint64_t at = from, copied = 0;
    size_t received = 0;
    int waits = 0;
    assert_int_equal(weft_file_sender_init(&sender, way, account), 0);
    assert_int_equal(account->reserved, weft_file_sender_bytes(way));
    while (at < FILE_BYTES) {
        ssize_t n = weft_file_send_step(&sender, ends[0], file, at, FILE_BYTES - at, &copied);
        if (n == -EAGAIN) {
            waits++;
            received += take(received);
            continue;
        }
        assert_true(n > 0);
        at += (uint64_t)n;
    }
    received += take(received);
    assert_int_equal(received, FILE_BYTES - from);
    assert_memory_equal(got, content + from, FILE_BYTES - from);
    assert_true(waits >= waits_min);
    assert_int_equal(copied, way == WEFT_FILE_READ ? FILE_BYTES - from : 0);
    weft_file_sender_fini(&sender);
}

static void a_socket_that_takes_little(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(ways); i++)
        send_all(ways[i], 0, 1);
}

static void from_any_offset(void **state)
{
    (void)state;
    for (size_t i = 0; i < WEFT_COUNT_OF(ways); i++) {
        send_all(ways[i], 1, 1);
        send_all(ways[i], WEFT_PAGE_BYTES - 1, 1);
        send_all(ways[i], FILE_BYTES - 50000, 0);
    }
}

/* On a page's edge, where a mapping has nothing behind it, and within one. */
static void a_file_that_gets_shorter(void **state)
{
    (void)state;
    const off_t ends_at[] = {8 * (off_t)WEFT_PAGE_BYTES, 8 * (off_t)WEFT_PAGE_BYTES + 100, 0};
    for (size_t i = 0; i < WEFT_COUNT_OF(ways); i++) {
        struct weft_file_sender sender;
        assert_int_equal(weft_file_sender_init(&sender, ways[i], account), 0);
        for (size_t e = 0; e < WEFT_COUNT_OF(ends_at); e++) {
            uint64_t at = 0, copied = 0;
            ssize_t n = 0;
            assert_int_equal(ftruncate(file, ends_at[e]), 0);
            while (n >= 0 || n == -EAGAIN) {
                n = weft_file_send_step(&sender, ends[0], file, at, FILE_BYTES - at, &copied);
                at += n > 0 ? (uint64_t)n : 0;
                take(0);
            }
            assert_int_equal(n, -EIO);
            assert_true(at <= (uint64_t)ends_at[e]);
        }
        assert_int_equal(pwrite(file, content, FILE_BYTES, 0), FILE_BYTES);
        weft_file_sender_fini(&sender);
    }
}

static void a_closed_socket(void **state)
{
    (void)state;
    uint64_t copied = 0;
    close(ends[1]);
    ends[1] = -1;
    signal(SIGPIPE, SIG_IGN); /* as the server does: sendfile() has no flag for it */
    for (size_t i = 0; i < WEFT_COUNT_OF(ways); i++) {
        struct weft_file_sender sender;
        assert_int_equal(weft_file_sender_init(&sender, ways[i], account), 0);
        assert_int_equal(weft_file_send_step(&sender, ends[0], file, 0, FILE_BYTES, &copied),
                         -EPIPE);
        weft_file_sender_fini(&sender);
    }
}

/* Files of memory are warm wherever they lie; what was just written is in the cache. */
static void what_is_in_memory_is_warm(void **state)
{
    (void)state;
    int memory = memfd_create("warm", MFD_CLOEXEC);
    assert_int_equal(ftruncate(memory, (off_t)FILE_BYTES), 0);
    assert_int_equal(weft_file_warmth(memory, 0, FILE_BYTES), WEFT_WARM);
    assert_int_equal(weft_file_warmth(memory, FILE_BYTES - 1, 1), WEFT_WARM);
    close(memory);
    assert_int_not_equal(weft_file_warmth(file, 0, FILE_BYTES), WEFT_COLD_NOW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_socket_that_takes_little, make, unmake),
        cmocka_unit_test_setup_teardown(from_any_offset, make, unmake),
        cmocka_unit_test_setup_teardown(a_file_that_gets_shorter, make, unmake),
        cmocka_unit_test_setup_teardown(a_closed_socket, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_in_memory_is_warm, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
