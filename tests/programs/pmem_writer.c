/* pmem_writer.c - puts and deletes records until it is killed, for tests/mem/pmem_kill_test.py.
 *
 *     pmem_writer FILE SEED
 *
 * First it prints what the file holds, a line "has KEY NUMBER" per record, or "torn KEY" where the
 * bytes are not those that NUMBER makes; then "open". From then on it tells each change before it
 * begins, "put KEY NUMBER" or "del KEY", and "ok" once it is acknowledged.
 */
#include "base/str.h"
#include "mem/pmem.h"
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES      ((size_t)256 << 10)
#define RECORDS         300
#define KEYS            250
#define VALUE_BYTES_MAX 1500

static char value[VALUE_BYTES_MAX + 20];

/* The number in digits, a colon, and as many bytes as it wants. */
static weft_str value_of(uint32_t number)
{
    size_t len = (size_t)snprintf(value, sizeof(value), "%u:", number);
    uint64_t state = number;
    for (size_t more = number % VALUE_BYTES_MAX; more > 0; more--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value[len++] = (char)(state >> 56);
    }
    return weft_str_make(value, len);
}

static void print_record(void *context, const struct weft_pmem_record *record)
{
    (void)context;
    uint32_t number = (uint32_t)strtoul(record->value.ptr, NULL, 10);
    const char *word = weft_equal(record->value, value_of(number)) ? "has" : "torn";
    printf("%s %.*s %u\n", word, (int)record->key.len, record->key.ptr, number);
}

static weft_rc change(struct weft_pmem *store, uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    uint32_t number = (uint32_t)(*random >> 33), key = (number >> 8) % KEYS;
    char name[16];
    weft_str named = weft_str_make(name, (size_t)snprintf(name, sizeof(name), "key-%u", key));
    if (number % 4 == 0) {
        printf("del %s\n", name);
        fflush(stdout);
        return weft_pmem_delete(store, named);
    }
    printf("put %s %u\n", name, number);
    fflush(stdout);
    return weft_pmem_put(store, named, value_of(number), 0, 0);
}

int main(int argc, char **argv)
{
    struct weft_ledger ledger;
    struct weft_account *account = NULL;
    struct weft_pmem store;
    struct weft_pmem_problem problem;
    if (argc != 3 || weft_ledger_init(&ledger, 0) != 0 ||
        weft_account_open(&ledger, "pmem", 0, &account) != 0)
        return 2;
    const struct weft_pmem_options options = {
        .path_z = argv[1], .file_bytes = FILE_BYTES, .record_count_max = RECORDS};
    if (weft_pmem_open(&store, account, &options, &problem) != 0) {
        char text[512];
        size_t len = weft_pmem_explain(&problem, text, sizeof(text));
        (void)fprintf(stderr, "%.*s\n", (int)len, text);
        return 2;
    }
    if (store.damaged != 0)
        printf("torn file\n");
    weft_pmem_each(&store, print_record, NULL);
    printf("open\n");
    uint64_t random = strtoull(argv[2], NULL, 10);
    for (;;) {
        weft_rc rc = change(&store, &random);
        if (rc != 0 && rc != WEFT_ENOTFOUND && rc != WEFT_EFULL)
            return 3;
        printf(rc == WEFT_EFULL ? "full\n" : "ok\n");
        fflush(stdout);
    }
}
