/* task_test.c - stacks that come and go: run, wait, resume, run out, overflow. */
#include "unit.h"
#include "death.h"
#include "io/task.h"

#define STACK_BYTES ((size_t)16 << 10)
#define WAITING_MAX 100

static struct weft_ledger ledger;
static struct weft_account *account;
static struct weft_tasks tasks;

static int open_tasks(void **state)
{
    (void)state;
    return weft_ledger_init(&ledger, 0) || weft_account_open(&ledger, "stacks", 0, &account) ||
           weft_tasks_init(&tasks, account, STACK_BYTES, WAITING_MAX);
}

static int close_tasks(void **state)
{
    (void)state;
    bool all_back = weft_account_used(account) == 0 && tasks.waiting == 0 && tasks.current == NULL;
    weft_tasks_fini(&tasks);
    bool balanced = ledger.reserved == 0 && account->committed == 0;
    weft_ledger_fini(&ledger);
    return all_back && balanced ? 0 : -1;
}

static uint32_t stacks_out(void)
{
    return (uint32_t)(weft_account_used(account) / tasks.stack_bytes);
}

/* ---- running and waiting ---- */

struct waiter {
    struct weft_task *task; /* set while it waits */
    int rounds;             /* waits to do */
    int done;               /* waits done */
    weft_rc last;
    bool over;
};

static void wait_rounds(void *arg)
{
    struct waiter *w = arg;
    for (int i = 0; i < w->rounds; i++) {
        w->task = tasks.current;
        w->last = weft_task_wait(&tasks);
        w->task = NULL;
        w->done++;
    }
    w->over = true;
}

static void run_without_waiting_gives_the_stack_back(void **state)
{
    (void)state;
    for (int i = 0; i < 10000; i++) {
        struct waiter w = {0};
        assert_int_equal(weft_task_run(&tasks, wait_rounds, &w), 0);
        assert_true(w.over);
        assert_int_equal(stacks_out(), 0);
    }
    assert_int_equal(tasks.fresh, 1); /* always the same stack */
    assert_int_equal(account->peak, tasks.stack_bytes);
}

static void a_task_that_waits_keeps_its_stack(void **state)
{
    (void)state;
    struct waiter w = {.rounds = 2};
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &w), 0);
    assert_false(w.over);
    assert_null(tasks.current);
    assert_int_equal(tasks.waiting, 1);
    assert_int_equal(stacks_out(), 1);
    weft_task_resume(&tasks, w.task, WEFT_EDEADLINE);
    assert_int_equal(w.last, WEFT_EDEADLINE);
    assert_int_equal(w.done, 1);
    weft_task_resume(&tasks, w.task, 0);
    assert_int_equal(w.last, 0);
    assert_true(w.over);
    assert_int_equal(stacks_out(), 0);
}

static void many_wait_and_are_resumed_in_any_order(void **state)
{
    (void)state;
    static struct waiter all[WAITING_MAX];
    memset(all, 0, sizeof(all));
    for (int i = 0; i < WAITING_MAX; i++) {
        all[i].rounds = 1 + i % 5;
        assert_int_equal(weft_task_run(&tasks, wait_rounds, &all[i]), 0);
    }
    assert_int_equal(tasks.waiting, WAITING_MAX);
    uint32_t seed = 12345; /* any order, the same every time */
    while (tasks.waiting > 0) {
        seed = seed * 1664525u + 1013904223u;
        struct waiter *w = &all[(seed >> 8) % WAITING_MAX];
        if (w->task != NULL)
            weft_task_resume(&tasks, w->task, 0);
    }
    for (int i = 0; i < WAITING_MAX; i++) {
        assert_true(all[i].over);
        assert_int_equal(all[i].done, 1 + i % 5);
    }
}

static void the_last_stack_back_is_the_next_one_out(void **state)
{
    (void)state;
    struct waiter a = {.rounds = 1}, b = {.rounds = 1}, c = {.rounds = 1};
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &a), 0);
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &b), 0);
    uint32_t first = a.task->index;
    assert_int_not_equal(first, b.task->index);
    weft_task_resume(&tasks, a.task, 0);
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &c), 0);
    assert_int_equal(c.task->index, first);
    weft_task_resume(&tasks, b.task, 0);
    weft_task_resume(&tasks, c.task, 0);
}

static void the_last_stack_may_run_but_not_wait(void **state)
{
    (void)state;
    static struct waiter all[WAITING_MAX];
    memset(all, 0, sizeof(all));
    for (int i = 0; i < WAITING_MAX; i++) {
        all[i].rounds = 1;
        assert_false(weft_tasks_full(&tasks));
        assert_int_equal(weft_task_run(&tasks, wait_rounds, &all[i]), 0);
    }
    uint64_t refused = account->refused;
    struct waiter quick = {0}, slow = {.rounds = 1};
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &quick), 0); /* quick ones are served */
    assert_true(quick.over);
    assert_int_equal(account->refused, refused);
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &slow), 0);
    assert_true(slow.over);
    assert_int_equal(slow.last, WEFT_EFULL); /* told at once */
    assert_int_equal(account->refused, refused + 1);
    assert_int_equal(tasks.waiting, WAITING_MAX);

    weft_task_resume(&tasks, all[0].task, 0); /* one is back: the next may wait */
    slow = (struct waiter){.rounds = 1};
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &slow), 0);
    assert_false(slow.over);
    weft_task_resume(&tasks, slow.task, 0);
    for (int i = 1; i < WAITING_MAX; i++)
        weft_task_resume(&tasks, all[i].task, 0);
}

static void note_full(void *arg)
{
    struct waiter *w = arg;
    for (int i = 0; i < w->rounds; i++) {
        w->task = tasks.current;
        w->last = weft_task_wait(&tasks);
        w->over |= weft_tasks_full(&tasks);
    }
    w->task = NULL;
}

/* Callers rely on it: what was asked before a wait need not be asked again behind it. */
static void who_could_wait_once_always_can(void **state)
{
    (void)state;
    static struct waiter all[WAITING_MAX];
    memset(all, 0, sizeof(all));
    for (int i = 0; i < WAITING_MAX; i++) {
        all[i].rounds = 5;
        assert_int_equal(weft_task_run(&tasks, note_full, &all[i]), 0);
    }
    for (int round = 0; round < 5; round++) { /* all the others wait meanwhile */
        for (int i = 0; i < WAITING_MAX; i++) {
            assert_int_equal(all[i].last, 0);
            weft_task_resume(&tasks, all[i].task, 0);
            assert_false(all[i].over);
        }
    }
    assert_int_equal(tasks.waiting, 0);
}

static void tasks_from_nowhere(void **state)
{
    (void)state;
    struct weft_tasks none = {0};
    weft_tasks_fini(&none); /* half-made ones are accepted */
    struct weft_ledger small;
    struct weft_account *owner = NULL;
    assert_int_equal(weft_ledger_init(&small, 4096), 0);
    assert_int_equal(weft_account_open(&small, "small", 0, &owner), 0);
    assert_int_equal(weft_tasks_init(&none, owner, STACK_BYTES, 1), WEFT_EBUDGET);
    weft_tasks_fini(&none);
    assert_int_equal(small.reserved, 0);
    weft_ledger_fini(&small);
    assert_int_equal(account->reserved, weft_tasks_bytes(STACK_BYTES, WAITING_MAX));
}

/* ---- what a switch keeps ---- */

static struct weft_task *sleeper;

#if defined(__x86_64__) && !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
/* rbx, r12..r14 hold a pattern across a wait while another task and the worker clobber them; r15
 * holds the stack pointer (the compiler may keep things below it, and may not have aligned it). */
static bool registers_survive(uint64_t pattern)
{
    uint64_t rbx, r12, r13, r14, wanted = pattern;
    struct weft_tasks *arg = &tasks;
    __asm__ volatile(
        "movq %[p], %%rbx\n leaq 1(%%rbx), %%r12\n leaq 2(%%rbx), %%r13\n"
        "leaq 3(%%rbx), %%r14\n movq %%rsp, %%r15\n"
        "leaq -128(%%rsp), %%rsp\n andq $-16, %%rsp\n"
        "callq *%[wait]\n"
        "movq %%r15, %%rsp\n"
        "movq %%rbx, %[b]\n movq %%r12, %[c]\n movq %%r13, %[d]\n movq %%r14, %[e]\n"
        : [b] "=m"(rbx), [c] "=m"(r12), [d] "=m"(r13), [e] "=m"(r14), "+D"(arg), [p] "+a"(pattern)
        : [wait] "d"(weft_task_wait)
        : "rbx", "r12", "r13", "r14", "r15", "rcx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc",
          "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
          "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return rbx == wanted && r12 == rbx + 1 && r13 == rbx + 2 && r14 == rbx + 3;
}
#else
static bool registers_survive(uint64_t pattern)
{
    weft_rc rc = weft_task_wait(&tasks);
    return pattern != 0 && rc == 0;
}
#endif

struct keeper {
    struct weft_task *task;
    uint64_t pattern;
    double sum;
    bool registers, locals;
};

static void keep(void *arg)
{
    struct keeper *k = arg;
    volatile double values[32]; /* spilled or not: they are the same afterwards */
    for (int i = 0; i < 32; i++)
        values[i] = (double)(k->pattern % 1000) + i / 32.0;
    k->task = tasks.current;
    k->registers = registers_survive(k->pattern);
    k->locals = true;
    for (int i = 0; i < 32; i++) {
        k->locals = k->locals && values[i] == (double)(k->pattern % 1000) + i / 32.0;
        k->sum += values[i];
    }
}

static void registers_and_locals_survive_a_wait(void **state)
{
    (void)state;
    struct keeper k[3] = {{.pattern = 0x1111111111111111},
                          {.pattern = 0x2222222222222222},
                          {.pattern = 0xfedcba9876543210}};
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_task_run(&tasks, keep, &k[i]), 0);
    for (int i = 0; i < 3; i++)
        weft_task_resume(&tasks, k[i].task, 0);
    for (int i = 0; i < 3; i++) {
        assert_true(k[i].registers);
        assert_true(k[i].locals);
        assert_true(k[i].sum == 32 * (double)(k[i].pattern % 1000) + 15.5);
    }
}

/* The worker's own registers are the compiler's: a loop whose state lives in them shows them kept.
 */
static void the_workers_registers_survive_too(void **state)
{
    (void)state;
    uint64_t a = 1, b = 2, c = 3, d = 4, e = 5;
    for (uint64_t i = 0; i < 1000; i++) {
        struct keeper k = {.pattern = (i + 1) * 0x9e3779b97f4a7c15};
        assert_int_equal(weft_task_run(&tasks, keep, &k), 0);
        weft_task_resume(&tasks, k.task, 0);
        a += i, b += a, c ^= b, d += c & 1, e += d;
        assert_true(k.registers);
    }
    uint64_t a2 = 1, b2 = 2, c2 = 3, d2 = 4, e2 = 5;
    for (uint64_t i = 0; i < 1000; i++)
        a2 += i, b2 += a2, c2 ^= b2, d2 += c2 & 1, e2 += d2;
    assert_true(a == a2 && b == b2 && c == c2 && d == d2 && e == e2);
}

static void check_alignment(void *arg)
{
    _Alignas(16) char local[16];
    *(bool *)arg = (uintptr_t)__builtin_frame_address(0) % 16 == 0 && (uintptr_t)local % 16 == 0;
}

static void stacks_are_aligned_as_the_abi_wants(void **state)
{
    (void)state;
    bool aligned = false;
    assert_int_equal(weft_task_run(&tasks, check_alignment, &aligned), 0);
    assert_true(aligned);
    aligned = false;
    weft_task_on_worker(&tasks, check_alignment, &aligned);
    assert_true(aligned);
}

/* ---- the worker's stack, from a task ---- */

static const char *worker_frame;
static weft_rc borrowed_rc = WEFT_EFULL;

static void note_frame(void *arg)
{
    char here;
    *(ptrdiff_t *)arg = &here - worker_frame;
}

static void borrow(void *arg)
{
    weft_task_on_worker(&tasks, note_frame, arg);
    sleeper = tasks.current;
    borrowed_rc = weft_task_wait(&tasks); /* borrowing left everything as it was */
    weft_task_on_worker(&tasks, note_frame, arg);
}

static void a_task_borrows_the_workers_stack(void **state)
{
    (void)state;
    char here;
    ptrdiff_t distance = 0;
    worker_frame = &here;
    assert_int_equal(weft_task_run(&tasks, borrow, &distance), 0);
    weft_task_resume(&tasks, sleeper, 0);
    assert_int_equal(borrowed_rc, 0);
#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN) /* there it stays on its own, which is larger */
    assert_true(distance > -64 * 1024 && distance < 64 * 1024);
#endif
    assert_true(distance != 0);
}

/* ---- depth ---- */

static __attribute__((noinline)) int use_stack(size_t bytes)
{
    volatile char page[512];
    page[0] = (char)bytes;
    int below = bytes > 640 ? use_stack(bytes - 640) : 0;
    return below + page[0];
}

static void go_deep(void *arg)
{
    (void)use_stack(*(size_t *)arg);
}

static void nearly_all_of_a_stack_can_be_used(void **state)
{
    (void)state;
    size_t bytes = STACK_BYTES - 2048;
    for (int i = 0; i < 3; i++)
        assert_int_equal(weft_task_run(&tasks, go_deep, &bytes), 0);
    assert_int_equal(stacks_out(), 0);
}

static void the_high_water_mark_follows_the_depth(void **state)
{
    (void)state;
    size_t little = 1, much = STACK_BYTES - 3072;
    assert_int_equal(weft_tasks_high_water(&tasks), 0);
    assert_int_equal(weft_task_run(&tasks, go_deep, &little), 0);
    size_t low = weft_tasks_high_water(&tasks);
    assert_int_equal(weft_task_run(&tasks, go_deep, &much), 0);
    size_t high = weft_tasks_high_water(&tasks);
    assert_in_range(low, 4096, 8192);
    assert_true(high > low);
    assert_in_range(high, 12288, tasks.stack_bytes);
}

static void run_deep(void *arg)
{
    (void)!weft_task_run(&tasks, go_deep, arg); /* if it returns at all, it is good */
}

/* The handler of SIGSEGV would need a stack of its own: by default the kernel ends the process. */
static void an_overflow_hits_the_guard(void **state)
{
    (void)state;
    size_t fits = STACK_BYTES / 2, beyond = tasks.stack_bytes * 3 / 2;
    assert_int_equal(death_of(run_deep, &fits), 0);
    assert_int_equal(death_of(run_deep, &beyond), SIGSEGV);

    /* also from a stack that has neighbours on both sides */
    struct waiter below = {.rounds = 1}, above = {.rounds = 1};
    struct waiter between = {.rounds = 1};
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &below), 0);
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &between), 0);
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &above), 0);
    weft_task_resume(&tasks, between.task, 0);
    assert_int_equal(death_of(run_deep, &beyond), SIGSEGV);
    weft_task_resume(&tasks, below.task, 0);
    weft_task_resume(&tasks, above.task, 0);
}

/* ---- our own mistakes ---- */

static void wait_on_no_task(void *arg)
{
    (void)arg;
    (void)!weft_task_wait(&tasks);
}

static void resume_twice(void *arg)
{
    struct waiter *w = arg;
    struct weft_task *task = w->task;
    weft_task_resume(&tasks, task, 0);
    weft_task_resume(&tasks, task, 0);
}

static void nest(void *arg)
{
    (void)!weft_task_run(&tasks, wait_rounds, arg);
}

static void run_nested(void *arg)
{
    (void)!weft_task_run(&tasks, nest, arg);
}

static void fini_while_waiting(void *arg)
{
    (void)arg;
    weft_tasks_fini(&tasks);
}

static void mistakes_abort(void **state)
{
    (void)state;
    struct waiter w = {.rounds = 1}, inner = {0};
    assert_int_equal(weft_task_run(&tasks, wait_rounds, &w), 0);
    assert_int_equal(death_of(wait_on_no_task, NULL), SIGABRT);
    assert_int_equal(death_of(resume_twice, &w), SIGABRT);
    assert_int_equal(death_of(run_nested, &inner), SIGABRT);
    assert_int_equal(death_of(fini_while_waiting, NULL), SIGABRT);
    weft_task_resume(&tasks, w.task, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TASK_TEST(name) cmocka_unit_test_setup_teardown(name, open_tasks, close_tasks)
        TASK_TEST(run_without_waiting_gives_the_stack_back),
        TASK_TEST(a_task_that_waits_keeps_its_stack),
        TASK_TEST(many_wait_and_are_resumed_in_any_order),
        TASK_TEST(the_last_stack_back_is_the_next_one_out),
        TASK_TEST(the_last_stack_may_run_but_not_wait),
        TASK_TEST(who_could_wait_once_always_can),
        TASK_TEST(tasks_from_nowhere),
        TASK_TEST(registers_and_locals_survive_a_wait),
        TASK_TEST(the_workers_registers_survive_too),
        TASK_TEST(stacks_are_aligned_as_the_abi_wants),
        TASK_TEST(a_task_borrows_the_workers_stack),
        TASK_TEST(nearly_all_of_a_stack_can_be_used),
        TASK_TEST(the_high_water_mark_follows_the_depth),
        TASK_TEST(an_overflow_hits_the_guard),
        TASK_TEST(mistakes_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
