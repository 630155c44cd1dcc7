/* task.c - see task.h.
 *
 * Entering is a call, not a switch: the new stack's first frame returns into weft_task_enter(),
 * which goes back to the worker's stack and returns from there. A task that never waits is thus
 * call and return to the processor's return predictor, and costs a handful of moves; only waiting
 * switches. Both ends leave the same frame (the callee-saved registers, then the return address),
 * so whoever comes back, from whichever side, pops the same things.
 */
#include "io/task.h"
#include "base/rehearsal.h"
#include <sys/mman.h>

#if defined(WEFT_ASAN)
#include <sanitizer/common_interface_defs.h>
#define STACK_SCALE 4
#elif defined(WEFT_TSAN)
#include <sanitizer/tsan_interface.h>
#define STACK_SCALE 4
#else
#define STACK_SCALE 1
#endif

#define WEFT_TASK_MAGIC 0x7461736bu

/* The thread sanitizer keeps a call stack per fiber by hooks at a function's begin and end: a
 * function that begins on one stack and ends on another must have none. */
#if defined(WEFT_TSAN)
#define SWITCHES __attribute__((no_sanitize("thread")))
#else
#define SWITCHES
#endif

/* *worker_sp = here; then fn(arg) on the stack below `top`; returns on *worker_sp's stack. */
void weft_task_enter(void **worker_sp, void *top, weft_task_fn *fn, void *arg);
/* *save = here; go on at `load`. */
void weft_task_switch(void **save, void *load);
/* fn(arg) on the stack below `top`, and back. */
void weft_task_borrow(void *top, void (*fn)(void *), void *arg);

#if defined(__x86_64__)
#define PUSH_SAVED "pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
#define POP_SAVED  "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n"
#define FUNCTION(name)                                                                             \
    ".p2align 4\n .globl " name "\n .hidden " name "\n .type " name ",@function\n" name ":\n"
__asm__(".text\n" FUNCTION("weft_task_enter") PUSH_SAVED
        "movq %rsp, (%rdi)\n"
        "movq %rdi, %rbx\n"
        "movq %rsi, %rsp\n"
        "movq %rcx, %rdi\n"
        "xorl %ebp, %ebp\n" /* a debugger's backtrace ends here */
        "callq *%rdx\n"
        "movq (%rbx), %rsp\n" POP_SAVED "ret\n" FUNCTION("weft_task_switch") PUSH_SAVED
        "movq %rsp, (%rdi)\n"
        "movq %rsi, %rsp\n" POP_SAVED "ret\n" FUNCTION("weft_task_borrow") "pushq %rbx\n"
                                                                           "movq %rsp, %rbx\n"
                                                                           "movq %rdi, %rsp\n"
                                                                           "andq $-16, %rsp\n"
                                                                           "movq %rdx, %rdi\n"
                                                                           "callq *%rsi\n"
                                                                           "movq %rbx, %rsp\n"
                                                                           "popq %rbx\n"
                                                                           "ret\n");
#elif defined(__aarch64__)
#define SAVE                                                                                       \
    "sub sp, sp, #160\n stp x19, x20, [sp]\n stp x21, x22, [sp, #16]\n"                            \
    "stp x23, x24, [sp, #32]\n stp x25, x26, [sp, #48]\n stp x27, x28, [sp, #64]\n"                \
    "stp x29, x30, [sp, #80]\n stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n"                 \
    "stp d12, d13, [sp, #128]\n stp d14, d15, [sp, #144]\n"
#define RESTORE                                                                                    \
    "ldp x19, x20, [sp]\n ldp x21, x22, [sp, #16]\n ldp x23, x24, [sp, #32]\n"                     \
    "ldp x25, x26, [sp, #48]\n ldp x27, x28, [sp, #64]\n ldp x29, x30, [sp, #80]\n"                \
    "ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"                \
    "ldp d14, d15, [sp, #144]\n add sp, sp, #160\n"
#define FUNCTION(name)                                                                             \
    ".p2align 4\n .globl " name "\n .hidden " name "\n .type " name ",%function\n" name ":\n"
__asm__(".text\n" FUNCTION("weft_task_enter") SAVE
        "mov x9, sp\n str x9, [x0]\n mov x19, x0\n mov sp, x1\n mov x0, x3\n mov x29, xzr\n"
        "blr x2\n ldr x9, [x19]\n mov sp, x9\n" RESTORE "ret\n" FUNCTION("weft_task_switch") SAVE
        "mov x9, sp\n str x9, [x0]\n mov sp, x1\n" RESTORE "ret\n" FUNCTION(
            "weft_task_borrow") "stp x19, x30, [sp, #-16]!\n mov x19, sp\n and x9, x0, #-16\n mov "
                                "sp, x9\n mov x0, x2\n"
                                "blr x1\n mov sp, x19\n ldp x19, x30, [sp], #16\n ret\n");
#else
#error "task.c: this architecture has no stack switch yet: write the three functions above for it"
#endif

static size_t stride(const struct weft_tasks *tasks)
{
    return tasks->stack_bytes + WEFT_TASK_GUARD_BYTES;
}

static size_t scaled_stack(size_t stack_bytes)
{
    return WEFT_ALIGN_UP(stack_bytes * STACK_SCALE, WEFT_PAGE_BYTES);
}

static size_t list_bytes(size_t count)
{
    return WEFT_ALIGN_UP(count * sizeof(uint32_t), WEFT_PAGE_BYTES);
}

size_t weft_tasks_bytes(size_t stack_bytes, size_t waiting_max)
{
    return (waiting_max + 1) * scaled_stack(stack_bytes) + list_bytes(waiting_max + 1);
}

static struct weft_task *task_at(const struct weft_tasks *tasks, uint32_t index)
{
    char *top = tasks->stacks + (index + 1) * stride(tasks);
    size_t task_bytes = WEFT_ALIGN_UP(sizeof(struct weft_task), (size_t)16);
    return (struct weft_task *)(void *)(top - task_bytes);
}

weft_rc weft_tasks_init(struct weft_tasks *tasks, struct weft_account *account, size_t stack_bytes,
                        size_t waiting_max)
{
    *tasks = (struct weft_tasks){.account = account, .stack_bytes = scaled_stack(stack_bytes)};
    uint32_t count = (uint32_t)waiting_max + 1;
    WEFT_TRY(weft_account_reserve(account, weft_tasks_bytes(stack_bytes, waiting_max)));
    char *list = weft_map(list_bytes(count));
    char *stacks = mmap(NULL, count * stride(tasks), PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (list == NULL || stacks == MAP_FAILED) {
        if (list != NULL)
            munmap(list, list_bytes(count));
        if (stacks != MAP_FAILED)
            munmap(stacks, count * stride(tasks));
        weft_account_release(account, weft_tasks_bytes(stack_bytes, waiting_max));
        return WEFT_ENOMEM;
    }
    weft_account_place(account, list, list_bytes(count));
    weft_account_place(account, stacks, count * stride(tasks));
    account->unit_bytes = tasks->stack_bytes;
    tasks->stacks = stacks;
    tasks->free = (struct weft_lifo){.list = (uint32_t *)(void *)list, .limit = count};
    weft_account_read_off(account, &tasks->free, &tasks->takes);
    return 0;
}

/* The list's page is touched with the first stack. */
static size_t list_touched(const struct weft_tasks *tasks)
{
    return list_bytes(tasks->free.fresh);
}

void weft_tasks_fini(struct weft_tasks *tasks)
{
    if (tasks->stacks == NULL)
        return;
    weft_assert(tasks->waiting == 0);
    weft_account_leave(tasks->account, &tasks->free);
    size_t pages = 0, count = tasks->free.limit;
    for (uint32_t i = 0; i < tasks->free.fresh; i++)
        pages += task_at(tasks, i)->pages;
#if defined(WEFT_TSAN)
    for (uint32_t i = 0; i < tasks->free.fresh; i++)
        __tsan_destroy_fiber(task_at(tasks, i)->fiber);
#endif
    weft_account_commit(tasks->account,
                        -(ptrdiff_t)(pages * WEFT_PAGE_BYTES + list_touched(tasks)));
    munmap(tasks->free.list, list_bytes(count));
    munmap(tasks->stacks, count * stride(tasks));
    weft_account_release(tasks->account, count * tasks->stack_bytes + list_bytes(count));
    *tasks = (struct weft_tasks){0};
}

/* A stack never used before becomes readable and writable: its guard stays PROT_NONE. */
static bool open_stack(struct weft_tasks *tasks, uint32_t index)
{
    char *stack = tasks->stacks + index * stride(tasks) + WEFT_TASK_GUARD_BYTES;
    if (mprotect(stack, tasks->stack_bytes, PROT_READ | PROT_WRITE) != 0)
        return false;
    size_t list = list_bytes(index + 1) - list_bytes(index);
    weft_account_commit(tasks->account, (ptrdiff_t)list);
    atomic_store_explicit(&tasks->fresh, index + 1, memory_order_release);
#if defined(WEFT_TSAN)
    task_at(tasks, index)->fiber = __tsan_create_fiber(0);
#endif
    return true;
}

/* Pages from the top of its stack down to `sp` are in use: book those that were not yet. */
static void book(struct weft_tasks *tasks, struct weft_task *task, const void *sp)
{
    size_t deep = (size_t)((char *)(task + 1) - (const char *)sp);
    uint32_t pages = (uint32_t)(WEFT_ALIGN_UP(deep, WEFT_PAGE_BYTES) / WEFT_PAGE_BYTES);
    if (pages <= task->pages)
        return;
    weft_account_commit(tasks->account, (ptrdiff_t)((pages - task->pages) * WEFT_PAGE_BYTES));
    task->pages = pages;
}

static struct weft_task *take(struct weft_tasks *tasks)
{
    struct weft_lifo *free = &tasks->free;
    uint32_t fresh = free->fresh;
    bool digs = weft_lifo_digs(free, weft_lifo_count(free));
    uint32_t index = weft_fail_point("stack") ? WEFT_LIFO_NONE : weft_lifo_take(free);
    if (WEFT_UNLIKELY(index == fresh) && !open_stack(tasks, index)) {
        free->fresh = fresh;
        index = WEFT_LIFO_NONE;
    }
    if (index == WEFT_LIFO_NONE) {
        weft_account_refuse(tasks->account);
        return NULL;
    }
    struct weft_task *task = task_at(tasks, index);
    task->index = index; /* a stack that was given back reads as zero */
    book(tasks, task, task);
    weft_account_tick(&tasks->takes);
    if (WEFT_UNLIKELY(digs)) /* else as many were out before */
        weft_account_reach(tasks->account, weft_lifo_out(free) * tasks->stack_bytes);
    return task;
}

weft_rc weft_tasks_prefault(struct weft_tasks *tasks)
{
    struct weft_lifo *free = &tasks->free;
    while (free->fresh < free->limit) {
        uint32_t index = free->fresh++;
        if (!open_stack(tasks, index))
            return WEFT_ENOMEM;
        struct weft_task *task = task_at(tasks, index);
        char *bottom = (char *)(task + 1) - tasks->stack_bytes;
        WEFT_TRY(weft_map_touch(bottom, tasks->stack_bytes));
        book(tasks, task, bottom);
        weft_lifo_put(free, index);
    }
    free->quiet = free->count; /* none was ever out */
    return 0;
}

static void put(struct weft_tasks *tasks, struct weft_task *task)
{
    task->magic = 0;
    weft_lifo_put(&tasks->free, task->index);
}

/* How deep a stack went between two waits is not known: all of its pages are handed back. */
static size_t give_back(struct weft_tasks *tasks, uint32_t index)
{
    struct weft_task *task = task_at(tasks, index);
    size_t bytes = task->pages * WEFT_PAGE_BYTES;
#if defined(WEFT_TSAN)
    void *fiber = task->fiber;
#endif
    char *stack = tasks->stacks + index * stride(tasks) + WEFT_TASK_GUARD_BYTES;
    if (bytes == 0 || madvise(stack, tasks->stack_bytes, MADV_DONTNEED) != 0)
        return 0;
    weft_account_commit(tasks->account, -(ptrdiff_t)bytes);
#if defined(WEFT_TSAN)
    task->fiber = fiber;
#endif
    return bytes;
}

size_t weft_tasks_trim(struct weft_tasks *tasks, size_t bytes_max)
{
    size_t released = 0;
    while (released < bytes_max) {
        uint32_t index = weft_lifo_still(&tasks->free);
        if (index == WEFT_LIFO_NONE)
            break;
        released += give_back(tasks, index);
    }
    return released;
}

/* Told to the sanitizers around every change of stack; nothing in a plain build. */
SWITCHES static inline void to_task(struct weft_tasks *tasks, struct weft_task *task, void **fake)
{
#if defined(WEFT_ASAN)
    __sanitizer_start_switch_fiber(fake, (char *)task - tasks->stack_bytes + sizeof(*task),
                                   tasks->stack_bytes - sizeof(*task));
#elif defined(WEFT_TSAN)
    tasks->worker_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(task->fiber, 0);
#endif
    (void)tasks, (void)task, (void)fake;
}

SWITCHES static inline void in_task(struct weft_tasks *tasks, void *fake)
{
#if defined(WEFT_ASAN)
    __sanitizer_finish_switch_fiber(fake, &tasks->worker_bottom, &tasks->worker_bytes);
#endif
    (void)tasks, (void)fake;
}

SWITCHES static inline void to_worker(struct weft_tasks *tasks, void **fake)
{
#if defined(WEFT_ASAN)
    __sanitizer_start_switch_fiber(fake, tasks->worker_bottom, tasks->worker_bytes);
#elif defined(WEFT_TSAN)
    __tsan_switch_to_fiber(tasks->worker_fiber, 0);
#endif
    (void)tasks, (void)fake;
}

SWITCHES static inline void in_worker(void *fake)
{
#if defined(WEFT_ASAN)
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    (void)fake;
}

/* The first frame of a task. */
SWITCHES static void task_main(void *arg)
{
    struct weft_tasks *tasks = arg;
    in_task(tasks, NULL);
    struct weft_task *task = tasks->current;
    task->fn(task->arg);
    task->done = true;
    to_worker(tasks, NULL);
}

/* Back on the worker's stack: the task waits or is done. */
static void left(struct weft_tasks *tasks, struct weft_task *task)
{
    tasks->current = NULL;
    if (task->done)
        put(tasks, task);
}

SWITCHES weft_rc weft_task_run(struct weft_tasks *tasks, weft_task_fn *fn, void *arg)
{
    weft_assert(tasks->current == NULL);
    struct weft_task *task = take(tasks);
    if (task == NULL)
        return WEFT_EFULL;
    task->magic = WEFT_TASK_MAGIC;
    task->fn = fn;
    task->arg = arg;
    task->done = task->waiting = false;
    tasks->current = task;
    void *fake = NULL;
    to_task(tasks, task, &fake);
    weft_task_enter(&tasks->worker_sp, task, task_main, tasks);
    in_worker(fake);
    left(tasks, task);
    return 0;
}

SWITCHES weft_rc weft_task_wait(struct weft_tasks *tasks)
{
    struct weft_task *task = tasks->current;
    weft_assert(task != NULL);
    if (weft_tasks_full(tasks)) {
        weft_account_refuse(tasks->account);
        return WEFT_EFULL;
    }
    task->waiting = true;
    tasks->waiting++;
    void *fake = NULL;
    to_worker(tasks, &fake);
    book(tasks, task, __builtin_frame_address(0));
    weft_task_switch(&task->sp, tasks->worker_sp);
    in_task(tasks, fake);
    return task->resumed;
}

SWITCHES void weft_task_resume(struct weft_tasks *tasks, struct weft_task *task, weft_rc rc)
{
    weft_assert(tasks->current == NULL);
    weft_assert(task->magic == WEFT_TASK_MAGIC);
    weft_assert(task->waiting);
    task->waiting = false;
    tasks->waiting--;
    task->resumed = rc;
    tasks->current = task;
    void *fake = NULL;
    to_task(tasks, task, &fake);
    weft_task_switch(&tasks->worker_sp, task->sp);
    in_worker(fake);
    left(tasks, task);
}

void weft_task_on_worker(struct weft_tasks *tasks, void (*fn)(void *), void *arg)
{
    struct weft_task *task = tasks->current;
    if (task == NULL) {
        fn(arg);
        return;
    }
#if defined(WEFT_ASAN) || defined(WEFT_TSAN)
    fn(arg); /* these builds have stacks four times the size, and dislike a borrowed one */
#else
    weft_task_borrow(tasks->worker_sp, fn, arg);
#endif
}

void weft_tasks_ranges(const struct weft_tasks *tasks, weft_range_fn *tell, void *arg)
{
    uint32_t fresh = atomic_load_explicit(&tasks->fresh, memory_order_acquire);
    tell(arg, tasks->account, tasks->free.list, list_bytes(tasks->free.limit));
    tell(arg, tasks->account, tasks->stacks, fresh * stride(tasks));
}

size_t weft_tasks_high_water(const struct weft_tasks *tasks)
{
    size_t deepest = 0;
    size_t pages = tasks->stack_bytes / WEFT_PAGE_BYTES;
    unsigned char resident[256];
    uint32_t fresh = atomic_load_explicit(&tasks->fresh, memory_order_acquire);
    for (uint32_t i = 0; i < fresh && pages <= sizeof(resident); i++) {
        char *stack = tasks->stacks + i * stride(tasks) + WEFT_TASK_GUARD_BYTES;
        if (mincore(stack, tasks->stack_bytes, resident) != 0)
            continue;
        size_t first = 0;
        while (first < pages && (resident[first] & 1) == 0)
            first++;
        deepest = WEFT_MAX(deepest, (pages - first) * WEFT_PAGE_BYTES);
    }
    return deepest;
}
