/* pagemap_test.c - pages counted by range: what was touched, no more; and thread stacks by it. */
#include "unit.h"
#include "mem/pagemap.h"
#include "mem/textfile.h"
#include "mem/threads.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES ((size_t)2000)

static void touched_pages(struct weft_pagemap *map)
{
    size_t bytes = PAGES * WEFT_PAGE_BYTES;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(madvise(memory, bytes, MADV_NOHUGEPAGE), 0);
    assert_int_equal(weft_pagemap_present(map, memory, bytes), 0);
    size_t touched = 0;
    for (size_t page = 0; page < PAGES; page += 3, touched++) /* more runs than a call tells */
        memory[page * WEFT_PAGE_BYTES + 7] = 1;
    assert_int_equal(weft_pagemap_present(map, memory, bytes), touched * WEFT_PAGE_BYTES);
    assert_int_equal(weft_pagemap_present(map, memory + 7, 1), WEFT_PAGE_BYTES);
    assert_int_equal(weft_pagemap_present(map, memory + WEFT_PAGE_BYTES, 2 * WEFT_PAGE_BYTES), 0);
    assert_int_equal(weft_pagemap_present(map, memory, 0), 0);
    assert_int_equal(madvise(memory, bytes / 2, MADV_DONTNEED), 0);
    assert_int_equal(weft_pagemap_present(map, memory, bytes / 2), 0);
    munmap(memory, bytes);
    assert_int_equal(weft_pagemap_present(map, memory, bytes), 0);
}

/* shows GB-06: own ranges are counted by page, with and without the newer system call */
static void counts_pages(void **state)
{
    (void)state;
    struct weft_pagemap map;
    assert_true(weft_pagemap_open(&map));
    touched_pages(&map);
    map.scans = false;
    touched_pages(&map);
    weft_pagemap_close(&map);
    assert_int_equal(weft_pagemap_present(&map, &map, 1), 0); /* closed: nothing is known */
}

static sem_t entered, leave;

static void *thread(void *arg)
{
    weft_thread_enter(*(size_t *)arg);
    sem_post(&entered);
    sem_wait(&leave);
    weft_thread_leave();
    return NULL;
}

/* shows OB-04: threads are counted while they run, with the pages of their stacks */
static void thread_stacks(void **state)
{
    (void)state;
    struct weft_pagemap map;
    struct weft_threads_figures before, with, after;
    size_t bytes = (size_t)256 << 10;
    pthread_attr_t attr;
    pthread_t id;
    assert_true(weft_pagemap_open(&map));
    sem_init(&entered, 0, 0);
    sem_init(&leave, 0, 0);
    weft_threads_read(&map, &before);
    assert_int_equal(before.count, 0);
    assert_true(before.present_bytes >= WEFT_PAGE_BYTES); /* the main thread's own */
    assert_true(before.present_bytes < (size_t)8 << 20);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, bytes);
    assert_int_equal(pthread_create(&id, &attr, thread, &bytes), 0);
    sem_wait(&entered);
    weft_threads_read(&map, &with);
    assert_int_equal(with.count, 1);
    assert_int_equal(with.stack_bytes, bytes);
    assert_true(with.present_bytes >= before.present_bytes + WEFT_PAGE_BYTES);
    sem_post(&leave);
    pthread_join(id, NULL);
    weft_threads_read(&map, &after);
    assert_int_equal(after.count, 0);
    pthread_attr_destroy(&attr);
    weft_pagemap_close(&map);
}

static void stat_fields(void **state)
{
    (void)state;
    uintptr_t here = (uintptr_t)&here;
    uint64_t end = weft_textfile_stat(WEFT_STAT_ENV_END);
    assert_true(end > here);
    assert_true(end - here < (uint64_t)8 << 20);
    uint64_t heap = weft_textfile_stat(WEFT_STAT_START_BRK);
    assert_true(heap > 0);
    assert_true(heap <= (uint64_t)(uintptr_t)sbrk(0));
    assert_int_equal(weft_textfile_stat(1000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_pages),
        cmocka_unit_test(thread_stacks),
        cmocka_unit_test(stat_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
