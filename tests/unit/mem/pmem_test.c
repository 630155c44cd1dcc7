/* pmem_test.c - the record store: what is put is found, also by the next one who opens the file. */
#include "unit.h"
#include "base/str.h"
#include "mem/pmem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES WEFT_PMEM_FILE_BYTES_MIN
#define RECORDS    100

struct place {
    char folder[32];
    char path[64];
    struct weft_ledger ledger;
    struct weft_account *account;
    struct weft_pmem_options options;
};

static int make_place(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    assert_non_null(place);
    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/weft-pmem.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->path, sizeof(place->path), "%s/store", place->folder);
    assert_int_equal(weft_ledger_init(&place->ledger, 0), 0);
    assert_int_equal(weft_account_open(&place->ledger, "pmem", 0, &place->account), 0);
    place->options = (struct weft_pmem_options){
        .path_z = place->path, .file_bytes = FILE_BYTES, .record_count_max = RECORDS};
    *state = place;
    return 0;
}

static int drop_place(void **state)
{
    struct place *place = *state;
    assert_int_equal(place->account->reserved, 0);
    assert_int_equal(place->account->used, 0);
    assert_int_equal(place->account->committed, 0);
    weft_ledger_fini(&place->ledger);
    (void)unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0); /* and nothing else was left in it */
    free(place);
    return 0;
}

static void open_good(struct place *place, struct weft_pmem *store)
{
    struct weft_pmem_problem problem;
    weft_rc rc = weft_pmem_open(store, place->account, &place->options, &problem);
    char text[512] = "";
    weft_pmem_explain(&problem, text, sizeof(text) - 1);
    if (rc != 0)
        fail_msg("%d: %s", rc, text);
}

static weft_rc put(struct weft_pmem *store, const char *key, const char *value)
{
    return weft_pmem_put(store, weft_str_z(key), weft_str_z(value), 0, 0);
}

static bool finds(const struct weft_pmem *store, const char *key, const char *value)
{
    struct weft_pmem_record found;
    if (!weft_pmem_get(store, weft_str_z(key), 0, &found))
        return value == NULL;
    return value != NULL && weft_equal(found.value, weft_str_z(value)) &&
           weft_equal(found.key, weft_str_z(key));
}

static void records_are_found_replaced_and_deleted(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    open_good(place, &store);
    assert_true(finds(&store, "a", NULL));
    assert_int_equal(put(&store, "a", "one"), 0);
    assert_int_equal(put(&store, "b", ""), 0);
    assert_int_equal(put(&store, "a", "another"), 0);
    assert_true(finds(&store, "a", "another"));
    assert_true(finds(&store, "b", ""));
    assert_int_equal(store.record_count, 2);
    assert_int_equal(weft_pmem_delete(&store, WEFT_S("a")), 0);
    assert_int_equal(weft_pmem_delete(&store, WEFT_S("a")), WEFT_ENOTFOUND);
    assert_true(finds(&store, "a", NULL));
    weft_pmem_close(&store);
    weft_pmem_close(&store);
}

static void the_next_one_finds_them(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    for (int way = WEFT_PMEM_BEST; way <= WEFT_PMEM_MSYNC; way++) {
        place->options.way = (enum weft_pmem_way)way;
        open_good(place, &store);
        assert_int_equal(put(&store, "kept", "bytes"), 0);
        assert_int_equal(put(&store, "gone", "bytes"), 0);
        assert_int_equal(weft_pmem_delete(&store, WEFT_S("gone")), 0);
        uint64_t sequence = store.sequence_next;
        weft_pmem_close(&store);
        open_good(place, &store);
        assert_true(finds(&store, "kept", "bytes"));
        assert_true(finds(&store, "gone", NULL));
        assert_true(store.sequence_next >= sequence - 1); /* above all that are there */
        weft_pmem_close(&store);
    }
}

/* Where the library is there, its flush instructions are used on any file if it is told to. */
static void libpmem_flushes_lines(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    assert_int_equal(setenv("PMEM_IS_PMEM_FORCE", "1", 1), 0); /* read when the library loads */
    open_good(place, &store);
    if (store.map.library == NULL) {
        weft_pmem_close(&store);
        skip();
    }
    assert_true(store.map.persistent);
    assert_int_equal(put(&store, "kept", "bytes"), 0);
    weft_pmem_close(&store);
    place->options.way = WEFT_PMEM_MSYNC;
    open_good(place, &store);
    assert_false(store.map.persistent);
    assert_true(finds(&store, "kept", "bytes"));
    weft_pmem_close(&store);
}

static void what_has_expired_is_not_found(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    struct weft_pmem_record found;
    uint32_t removed = 0;
    open_good(place, &store);
    assert_int_equal(weft_pmem_put(&store, WEFT_S("a"), WEFT_S("x"), 10, 5), 0);
    assert_int_equal(weft_pmem_put(&store, WEFT_S("b"), WEFT_S("y"), 11, 5), 0);
    assert_int_equal(weft_pmem_put(&store, WEFT_S("c"), WEFT_S("z"), 0, 5), 0);
    assert_true(weft_pmem_get(&store, WEFT_S("a"), 9, &found));
    assert_int_equal(found.expiry, 10);
    assert_false(weft_pmem_get(&store, WEFT_S("a"), 10, &found));
    assert_int_equal(weft_pmem_sweep(&store, 10, store.slot_count, &removed), 0);
    assert_int_equal(removed, 1);
    assert_int_equal(store.record_count, 2);
    weft_pmem_close(&store);
    open_good(place, &store);
    assert_false(weft_pmem_get(&store, WEFT_S("a"), 0, &found)); /* it is gone for good */
    assert_true(weft_pmem_get(&store, WEFT_S("b"), 10, &found));
    weft_pmem_close(&store);
}

static void count_one(void *context, const struct weft_pmem_record *record)
{
    uint64_t *sum = context;
    *sum += record->sequence << record->key.len;
}

static void each_record_is_told_once(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    uint64_t sum = 0;
    open_good(place, &store);
    assert_int_equal(put(&store, "a", "x"), 0);  /* 1 << 1 */
    assert_int_equal(put(&store, "bb", "x"), 0); /* 2 << 2 */
    assert_int_equal(put(&store, "a", "y"), 0);  /* 3 << 1 */
    weft_pmem_each(&store, count_one, &sum);
    assert_int_equal(sum, 8 + 6);
    weft_pmem_close(&store);
}

static void records_have_a_limit(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    char key[16];
    open_good(place, &store);
    for (int i = 0; i < RECORDS; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_int_equal(put(&store, key, "x"), 0);
    }
    assert_int_equal(put(&store, "more", "x"), WEFT_EFULL);
    assert_int_equal(place->account->refused, 1);
    assert_int_equal(put(&store, "0", "replaced"), 0);
    assert_int_equal(weft_pmem_delete(&store, WEFT_S("0")), 0);
    assert_int_equal(put(&store, "more", "x"), 0);
    weft_pmem_close(&store);

    struct weft_pmem_problem problem;
    place->options.record_count_max = RECORDS - 1;
    assert_int_equal(weft_pmem_open(&store, place->account, &place->options, &problem),
                     WEFT_ECONFIG);
    assert_int_equal(problem.trouble, WEFT_PMEM_TOO_MANY);
}

/* As many bytes as the sum says, whatever is put over and over: segments are emptied meanwhile. */
static void bytes_have_a_limit(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    char key[16];
    static char value[2048];
    memset(value, 'v', sizeof(value));
    open_good(place, &store);
    size_t most = weft_pmem_record_bytes_max(FILE_BYTES);
    assert_int_equal(weft_pmem_put(&store, WEFT_S("k"), weft_str_make(value, most), 0, 0),
                     WEFT_ELIMIT);
    assert_int_equal(weft_pmem_put(&store, WEFT_S("k"), weft_str_make(value, SIZE_MAX), 0, 0),
                     WEFT_ELIMIT);
    int count = 0;
    for (weft_rc rc = 0; rc == 0; count += rc == 0) {
        (void)snprintf(key, sizeof(key), "%04d", count);
        rc = weft_pmem_put(&store, weft_str_z(key), weft_str_make(value, most - 4), 0, 0);
        assert_true(rc == 0 || rc == WEFT_EFULL);
    }
    assert_int_equal(count, store.live_max / store.record_bytes_max);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%04d", (i * 7919) % count);
        assert_int_equal(
            weft_pmem_put(&store, weft_str_z(key), weft_str_make(value, most - 4), 0, 0), 0);
    }
    assert_true(store.cleaned > 10);
    assert_int_equal(store.record_count, count);
    weft_pmem_close(&store);
    open_good(place, &store);
    assert_int_equal(store.record_count, count);
    weft_pmem_close(&store);
}

/* A full store goes on when its oldest go: the newest are there, also for the next process. */
static void the_oldest_make_room(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    char key[16];
    uint32_t removed = 0;
    static char value[600];
    memset(value, 'v', sizeof(value));
    open_good(place, &store);
    assert_int_equal(weft_pmem_drop_oldest(&store, 5, &removed), 0);
    assert_int_equal(removed, 0);
    int i = 0, drops = 0;
    for (; i < 2000; i++) {
        (void)snprintf(key, sizeof(key), "%04d", i);
        weft_str text = weft_str_make(value, sizeof(value));
        weft_rc rc = weft_pmem_put(&store, weft_str_z(key), text, 0, 0);
        if (rc == 0)
            continue;
        assert_int_equal(rc, WEFT_EFULL);
        uint32_t before = store.record_count;
        assert_int_equal(weft_pmem_drop_oldest(&store, 10, &removed), 0);
        assert_int_equal(removed, 10);
        assert_int_equal(store.record_count, before - 10);
        drops++;
        i--;
    }
    assert_in_range(drops, 100, 250);
    weft_pmem_close(&store);
    open_good(place, &store);
    assert_true(store.record_count > 50);
    for (i = 1960; i < 2000; i++) {
        (void)snprintf(key, sizeof(key), "%04d", i);
        struct weft_pmem_record found;
        assert_true(weft_pmem_get(&store, weft_str_z(key), 0, &found));
    }
    assert_int_equal(weft_pmem_drop_oldest(&store, UINT32_MAX, &removed), 0);
    assert_int_equal(store.record_count, 0);
    weft_pmem_close(&store);
}

static void the_index_costs_what_the_sum_says(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    assert_int_equal(weft_pmem_bytes(0), 0);
    assert_int_equal(weft_pmem_bytes(256), 4096);
    assert_int_equal(weft_pmem_bytes(257), 8192);
    assert_int_equal(weft_pmem_bytes(WEFT_PMEM_RECORDS_MAX), (size_t)2 << 30);
    assert_int_equal(weft_pmem_bytes(WEFT_PMEM_RECORDS_MAX + 1), 0);
    open_good(place, &store);
    assert_int_equal(place->account->reserved, weft_pmem_bytes(RECORDS));
    weft_pmem_close(&store);

    struct weft_pmem_problem problem;
    place->ledger.limit = 4095;
    assert_int_equal(weft_pmem_open(&store, place->account, &place->options, &problem),
                     WEFT_EBUDGET);
}

/* Any bit of a record: it is there as it was, or not at all. */
static void no_flipped_bit_shows_a_wrong_record(void **state)
{
    struct place *place = *state;
    static _Alignas(64) char memory[FILE_BYTES], damaged[FILE_BYTES];
    struct weft_pmem store;
    struct weft_pmem_problem problem;
    weft_pmem_format(memory, FILE_BYTES);
    assert_int_equal(
        weft_pmem_attach(&store, place->account, memory, FILE_BYTES, RECORDS, NULL, NULL, &problem),
        0);
    assert_int_equal(put(&store, "key", "the value"), 0);
    assert_int_equal(put(&store, "other", "another value"), 0);
    size_t used = store.segments[0].used;
    weft_pmem_close(&store);
    int lost = 0;
    for (size_t bit = 0; bit < 8 * used; bit++) {
        memcpy(damaged, memory, FILE_BYTES);
        damaged[WEFT_PAGE_BYTES + bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(weft_pmem_attach(&store, place->account, damaged, FILE_BYTES, RECORDS,
                                          NULL, NULL, &problem),
                         0);
        assert_true(finds(&store, "key", "the value") || finds(&store, "key", NULL));
        assert_true(finds(&store, "other", "another value") || finds(&store, "other", NULL));
        lost += (int)(2 - store.record_count);
        assert_int_equal(put(&store, "new", "one"), 0);
        assert_true(finds(&store, "new", "one"));
        weft_pmem_close(&store);
    }
    assert_true(lost > 0);
}

/* ---- files that are not what was expected ---- */

static void write_at(const char *path, off_t at, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    assert_int_equal(close(fd), 0);
}

static size_t read_all(const char *path, char *to, size_t room)
{
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t len = read(fd, to, room);
    assert_true(len >= 0);
    assert_int_equal(close(fd), 0);
    return (size_t)len;
}

/* It is refused with these words, and left as it was. */
static void refused(struct place *place, enum weft_pmem_trouble trouble, const char *words)
{
    static char before[2 * FILE_BYTES], after[2 * FILE_BYTES];
    struct weft_pmem store;
    struct weft_pmem_problem problem;
    char text[512] = "";
    size_t len = read_all(place->path, before, sizeof(before));
    assert_true(weft_pmem_open(&store, place->account, &place->options, &problem) < 0);
    assert_int_equal(problem.trouble, trouble);
    weft_pmem_explain(&problem, text, sizeof(text) - 1);
    if (strstr(text, words) == NULL || strstr(text, place->path) == NULL)
        fail_msg("not in \"%s\": %s", text, words);
    assert_int_equal(read_all(place->path, after, sizeof(after)), len);
    assert_memory_equal(before, after, len);
}

static void another_file_is_left_alone(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    write_at(place->path, 0, "#!/bin/sh\n", 10);
    refused(place, WEFT_PMEM_CUT, "the file has 10 bytes");
    static const char text[FILE_BYTES] = "something else of the right size";
    write_at(place->path, 0, text, sizeof(text));
    refused(place, WEFT_PMEM_NO_STORE, "not a record store");
    static const char zeros[FILE_BYTES];
    write_at(place->path, 0, zeros, sizeof(zeros));
    refused(place, WEFT_PMEM_UNFINISHED, "begins with zeros");
    assert_int_equal(truncate(place->path, 0), 0);
    refused(place, WEFT_PMEM_NO_FILE, "not a regular file");
    assert_int_equal(unlink(place->path), 0);
    open_good(place, &store);
    weft_pmem_close(&store);
}

static void another_version_or_size_is_left_alone(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    open_good(place, &store);
    assert_int_equal(put(&store, "kept", "bytes"), 0);
    weft_pmem_close(&store);

    const uint32_t version = 2;
    write_at(place->path, 8, &version, sizeof(version));
    refused(place, WEFT_PMEM_VERSION_IS, "version 2 found, version 1 expected: start the");
    const uint32_t right = WEFT_PMEM_VERSION;
    write_at(place->path, 8, &right, sizeof(right));

    write_at(place->path, 24, "\1", 1); /* in the checksum */
    refused(place, WEFT_PMEM_HEADER, "its header is damaged");
    assert_int_equal(unlink(place->path), 0);
    open_good(place, &store);
    weft_pmem_close(&store);

    place->options.file_bytes = 2 * FILE_BYTES;
    refused(place, WEFT_PMEM_SIZE_IS, "made with 131072 bytes, 262144 are asked for");
    assert_int_equal(truncate(place->path, FILE_BYTES / 2), 0);
    refused(place, WEFT_PMEM_CUT, "the file has 65536 bytes, its header says 131072");
    place->options.file_bytes = FILE_BYTES + 1;
    refused(place, WEFT_PMEM_SIZE_BAD, "multiple of 4096");
}

static void one_at_a_time(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    open_good(place, &store);
    refused(place, WEFT_PMEM_BUSY, "another process has it open");
    weft_pmem_close(&store);
    open_good(place, &store);
    weft_pmem_close(&store);
}

static void a_missing_folder_is_named(void **state)
{
    struct place *place = *state;
    struct weft_pmem store;
    struct weft_pmem_problem problem;
    char text[256] = "";
    place->options.path_z = "/nowhere/at/all/store";
    assert_int_equal(weft_pmem_open(&store, place->account, &place->options, &problem), -ENOENT);
    weft_pmem_explain(&problem, text, sizeof(text) - 1);
    assert_non_null(strstr(text, "/nowhere/at/all/store: cannot be opened"));
    for (size_t room = 0; room < 60; room++)
        assert_true(weft_pmem_explain(&problem, text, room) <= room);
}

/* ---- a disk that fails ---- */

static int flushes_left;

static void plain_store(void *context, void *to, const void *from, size_t bytes)
{
    (void)context;
    memcpy(to, from, bytes);
}

static void plain_word(void *context, uint64_t *to, uint64_t value)
{
    (void)context;
    *to = value;
}

static weft_rc failing_flush(void *context, const void *at, size_t bytes)
{
    (void)context;
    (void)at;
    (void)bytes;
    return flushes_left-- > 0 ? 0 : (weft_rc)-EIO;
}

static weft_rc plain_fence(void *context)
{
    (void)context;
    return 0;
}

static void after_a_failed_flush_nothing_is_written(void **state)
{
    struct place *place = *state;
    static _Alignas(64) char memory[FILE_BYTES];
    const struct weft_pmem_ops ops = {plain_store, plain_word, failing_flush, plain_fence};
    struct weft_pmem store;
    struct weft_pmem_problem problem;
    uint32_t removed = 0;
    weft_pmem_format(memory, FILE_BYTES);
    assert_int_equal(
        weft_pmem_attach(&store, place->account, memory, FILE_BYTES, RECORDS, &ops, NULL, &problem),
        0);
    flushes_left = 2;
    assert_int_equal(put(&store, "a", "x"), 0);
    assert_int_equal(put(&store, "b", "x"), -EIO);
    flushes_left = 100;
    assert_int_equal(put(&store, "c", "x"), -EIO);
    assert_int_equal(weft_pmem_delete(&store, WEFT_S("a")), -EIO);
    assert_int_equal(weft_pmem_sweep(&store, 1, 10, &removed), -EIO);
    assert_int_equal(flushes_left, 100);
    assert_true(finds(&store, "a", "x"));
    assert_true(finds(&store, "b", NULL));
    weft_pmem_close(&store);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, drop_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_PLACE(libpmem_flushes_lines), /* first: the library reads its environment once */
        IN_PLACE(records_are_found_replaced_and_deleted),
        IN_PLACE(the_next_one_finds_them),
        IN_PLACE(what_has_expired_is_not_found),
        IN_PLACE(each_record_is_told_once),
        IN_PLACE(records_have_a_limit),
        IN_PLACE(bytes_have_a_limit),
        IN_PLACE(the_oldest_make_room),
        IN_PLACE(the_index_costs_what_the_sum_says),
        IN_PLACE(no_flipped_bit_shows_a_wrong_record),
        IN_PLACE(another_file_is_left_alone),
        IN_PLACE(another_version_or_size_is_left_alone),
        IN_PLACE(one_at_a_time),
        IN_PLACE(a_missing_folder_is_named),
        IN_PLACE(after_a_failed_flush_nothing_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
