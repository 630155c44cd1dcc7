/* pingpong.c - how far apart two CPUs are right now.
 *
 * Two pinned threads bounce one cache line; the fastest of several short rounds is the distance.
 * On a virtual machine two CPUs may share a cache ("near", about 90 ns a round trip) or not ("far",
 * about 500 ns) and move between two seconds, and everything that crosses them halves. Samples are
 * tagged with this figure so that like is compared with like. Bounded: about 5 ms, at most 2 s.
 */
#include "bench.h"
#include <pthread.h>
#include <stdatomic.h>

#define TRIPS_PER_ROUND 2000u
#define ROUNDS          9
#define GIVE_UP_NS      (2 * NS_PER_S)

static _Alignas(64) _Atomic uint32_t ball;
static _Alignas(64) _Atomic bool stop;
static int cpu_of_echo;

/* Odd numbers go there, the next even one comes back. */
static void *echo(void *unused)
{
    (void)unused;
    pin_to(cpu_of_echo);
    uint32_t want = 1;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        if (atomic_load_explicit(&ball, memory_order_acquire) != want)
            continue;
        atomic_store_explicit(&ball, want + 1, memory_order_release);
        want += 2;
    }
    return NULL;
}

/** ns per round trip; 0 when the time is up. */
static uint64_t one_round(uint32_t *ball_next, uint64_t give_up)
{
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < TRIPS_PER_ROUND; i++, *ball_next += 2) {
        atomic_store_explicit(&ball, *ball_next, memory_order_release);
        for (uint32_t spins = 1;
             atomic_load_explicit(&ball, memory_order_acquire) != *ball_next + 1; spins++)
            if (spins % 65536 == 0 && now_ns() > give_up)
                return 0;
    }
    return (now_ns() - start) / TRIPS_PER_ROUND;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        usage("pingpong CPU CPU");
    pin_to((int)number(argv[1], 0, 4096));
    cpu_of_echo = (int)number(argv[2], 0, 4096);
    pthread_t thread;
    if (pthread_create(&thread, NULL, echo, NULL) != 0)
        die("pthread_create");
    uint64_t give_up = now_ns() + GIVE_UP_NS;
    uint64_t best = UINT64_MAX;
    uint32_t ball_next = 1;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t ns = one_round(&ball_next, give_up);
        if (ns == 0)
            break;
        best = ns < best ? ns : best;
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    if (best == UINT64_MAX)
        usage("the two CPUs are too busy to be measured");
    printf("%llu\n", (unsigned long long)best);
    return 0;
}
