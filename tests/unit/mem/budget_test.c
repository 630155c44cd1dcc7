/* budget_test.c - the ledger: what is reserved, used and refused, and that it adds up. */
#include "unit.h"
#include "mem/budget.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static void a_reservation_counts_twice_and_goes_back(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *a = NULL, *b = NULL;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "a", 0, &a), 0);
    assert_int_equal(weft_account_open(&ledger, "b", WEFT_ACCOUNT_PROCESS, &b), 0);
    assert_int_equal(ledger.account_count, 2);
    assert_string_equal(b->name_z, "b");
    assert_int_equal(weft_account_reserve(a, 100), 0);
    assert_int_equal(weft_account_reserve(b, 11), 0);
    assert_int_equal(a->reserved, 100);
    assert_int_equal(ledger.reserved, 111);
    weft_account_release(a, 100);
    assert_int_equal(a->reserved, 0);
    assert_int_equal(ledger.reserved, 11);
    weft_ledger_fini(&ledger);
}

static void the_limit_holds_to_the_byte(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *a = NULL, *b = NULL;
    assert_int_equal(weft_ledger_init(&ledger, 1000), 0);
    assert_int_equal(weft_account_open(&ledger, "a", 0, &a), 0);
    assert_int_equal(weft_account_open(&ledger, "b", 0, &b), 0);
    assert_int_equal(weft_account_reserve(a, 999), 0);
    assert_int_equal(weft_account_reserve(b, 2), WEFT_EBUDGET);
    assert_int_equal(b->refused, 1);
    assert_int_equal(b->reserved, 0);
    assert_int_equal(ledger.reserved, 999);
    assert_int_equal(weft_account_reserve(b, 1), 0);
    assert_int_equal(weft_account_reserve(b, SIZE_MAX), WEFT_EBUDGET); /* no wrap-around */
    assert_int_equal(ledger.reserved, 1000);
    weft_ledger_fini(&ledger);
}

static void peak_is_the_highest_use(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *a = NULL;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    assert_int_equal(weft_account_open(&ledger, "a", 0, &a), 0);
    weft_account_use(a, 10);
    weft_account_use(a, 20);
    weft_account_unuse(a, 25);
    weft_account_use(a, 1);
    assert_int_equal(a->used, 6);
    assert_int_equal(a->peak, 30);
    weft_account_commit(a, 8192);
    weft_account_commit(a, -4096);
    assert_int_equal(a->committed, 4096);
    weft_ledger_fini(&ledger);
}

static void mapped_memory_is_zero_and_reserved(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *a = NULL;
    void *memory = NULL;
    assert_int_equal(weft_ledger_init(&ledger, 1u << 20), 0);
    assert_int_equal(weft_account_open(&ledger, "a", 0, &a), 0);
    assert_int_equal(weft_account_map(a, 8192, &memory), 0);
    for (size_t i = 0; i < 8192; i++)
        assert_int_equal(((char *)memory)[i], 0);
    assert_int_equal(a->reserved, 8192);
    weft_account_unmap(a, memory, 8192);
    assert_int_equal(ledger.reserved, 0);
    weft_account_unmap(a, NULL, 8192); /* half-made owners do this */
    assert_int_equal(ledger.reserved, 0);

    void *untouched = &ledger;
    assert_int_equal(weft_account_map(a, 2u << 20, &untouched), WEFT_EBUDGET);
    assert_ptr_equal(untouched, &ledger);
    weft_ledger_fini(&ledger);
}

static void accounts_run_out(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    struct weft_account *a = NULL;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    for (size_t i = 0; i < WEFT_ACCOUNTS_MAX; i++)
        assert_int_equal(weft_account_open(&ledger, "a", 0, &a), 0);
    assert_int_equal(weft_account_open(&ledger, "a", 0, &a), WEFT_EFULL);
    weft_ledger_fini(&ledger);
    weft_ledger_fini(&ledger);
}

/* Is there a line of smaps of the mapping at `memory` with this word in its flags? */
static bool mapping_says(const void *memory, const char *flag_z)
{
    char line[512], start[32];
    bool ours = false, found = false;
    FILE *smaps = fopen("/proc/self/smaps", "re");
    assert_non_null(smaps);
    (void)snprintf(start, sizeof(start), "%lx-", (unsigned long)(uintptr_t)memory);
    while (fgets(line, sizeof(line), smaps) != NULL) {
        ours = ours || strncmp(line, start, strlen(start)) == 0;
        if (ours && strncmp(line, "VmFlags:", 8) == 0) {
            found = strstr(line, flag_z) != NULL;
            break;
        }
    }
    (void)fclose(smaps);
    return found;
}

/* Where the system gives huge pages to all, one byte would otherwise be 2 MiB. */
static void mappings_have_no_huge_pages(void **state)
{
    (void)state;
    if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0)
        skip();
    void *memory = weft_map((size_t)64 << 20);
    assert_non_null(memory);
    (void)mprotect(memory, WEFT_PAGE_BYTES, PROT_READ); /* a line of its own */
    assert_true(mapping_says(memory, " nh"));
    munmap(memory, (size_t)64 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reservation_counts_twice_and_goes_back),
        cmocka_unit_test(the_limit_holds_to_the_byte),
        cmocka_unit_test(peak_is_the_highest_use),
        cmocka_unit_test(mappings_have_no_huge_pages),
        cmocka_unit_test(mapped_memory_is_zero_and_reserved),
        cmocka_unit_test(accounts_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
