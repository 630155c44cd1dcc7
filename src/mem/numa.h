/* numa.h - which node a worker's memory lives on: that of the core it is pinned to.
 *
 * The main thread maps a worker's memory before the worker runs; each mapping that is booked on an
 * account of the worker is bound to the node as it is made (weft_account_place), before its first
 * page is touched. The worker's thread prefers the same node for all else that it touches. A node
 * that is full is not insisted on: the page then comes from the next one, nobody is killed.
 *
 * By libnuma, as far as it says what became of a call: mbind(), set_mempolicy() and move_pages();
 * its numa_*() that bind return nothing and print their errors. It is loaded where there is more
 * than one node, so a plain server does without. Nodes and their CPUs are read from one folder of
 * /sys, which a test may hand down.
 *
 * Lifetime: process.
 * Threads:  made at start; placing from any thread afterwards.
 * Memory:   sizeof(struct weft_numa), and libnuma where it is loaded; what is bound costs the
 * kernel a policy per mapping.
 */
#ifndef WEFT_MEM_NUMA_H
#define WEFT_MEM_NUMA_H

#include "mem/budget.h"

/** Nodes that are told apart; a machine with more is served as if its later ones had no memory. */
#define WEFT_NUMA_NODES_MAX 64

/** What is used of libnuma (numaif.h; the library is not needed to build). Each returns 0, or -1
 * and errno. */
struct weft_numa_library {
    long (*mbind)(void *at, unsigned long bytes, int mode, const unsigned long *nodes,
                  unsigned long node_bits, unsigned flags);
    long (*set_mempolicy)(int mode, const unsigned long *nodes, unsigned long node_bits);
    long (*move_pages)(int pid, unsigned long count, void **pages, const int *nodes, int *status,
                       int flags);
};

/** Load it, once; kept. One thread, before the others start.
 *  file_z   its name as the loader knows it
 *  returns  0; WEFT_ENOTSUP: it is not there, or not complete */
WEFT_CHECK weft_rc weft_numa_load(const char *file_z);

/** Have weft_numa_system call these from now on, and return what it called before; NULL: nothing is
 *  loaded. For tests. */
const struct weft_numa_library *weft_numa_use(const struct weft_numa_library *library);

/** The machine as far as placing goes; a test hands down one of its own. */
struct weft_numa_ops {
    /** There is more than one node: get ready to place. returns  0; else nothing is placed.
     *  NULL: always ready */
    weft_rc (*open)(const void *context);
    /** Highest node + 1, 1..WEFT_NUMA_NODES_MAX. */
    uint32_t (*node_count)(const void *context);
    /** The node that a CPU belongs to; 0 where nobody knows. */
    uint32_t (*node_of_cpu)(const void *context, uint32_t cpu, uint32_t node_count);
    /** The CPU that runs this. */
    uint32_t (*cpu_now)(const void *context);
    /** Pages of this mapping are to come from the node, where it has any; those that are there
     *  already move. returns  0 or a negated errno (a container may forbid it) */
    weft_rc (*bind)(const void *context, void *at, size_t bytes, uint32_t node);
    /** The same for what this thread touches and nobody has bound. */
    weft_rc (*prefer)(const void *context, uint32_t node);
    /** The node that a touched page is on. returns  0; -ENOENT: not touched; a negated errno */
    weft_rc (*node_of_page)(const void *context, const void *at, uint32_t *out_node);
};

/** This machine. Its context is the path of a folder with what /sys has, zero-terminated; NULL:
 *  "/sys". */
extern const struct weft_numa_ops weft_numa_system;

struct weft_numa {
    const struct weft_numa_ops *ops;
    const void *context;
    uint32_t node_count;
    const uint16_t *cpus; /* borrowed: worker i is pinned to cpus[i % cpu_count] */
    uint32_t cpu_count;
    uint32_t worker_count;
    _Atomic uint64_t bound_bytes; /* mappings that were bound */
    _Atomic uint64_t refused;     /* mappings and threads that the kernel would not bind */
};

/** Look at the machine. ops, context and cpus are borrowed: they outlive *numa. Where placing
 * cannot be had (libnuma is not there) a log line says so, and it is served as a machine of one
 * node. */
void weft_numa_init(struct weft_numa *numa, const struct weft_numa_ops *ops, const void *context,
                    const uint16_t *cpus, uint32_t cpu_count, uint32_t worker_count);

/** Is there a choice at all? Where not, nothing is bound and every answer is node 0. */
static inline bool weft_numa_has_nodes(const struct weft_numa *numa)
{
    return numa->node_count > 1;
}

/** The node of a worker's core. worker  index below worker_count; else 0 */
uint32_t weft_numa_node_of_worker(const struct weft_numa *numa, uint32_t worker);

/** The node that a touched page is on. returns  0, -ENOENT (not touched), a negated errno */
WEFT_CHECK
weft_rc weft_numa_node_of(const struct weft_numa *numa, const void *at, uint32_t *out_node);

/** Bind a mapping to its worker's node; nothing for one that is shared (WEFT_ACCOUNT_PROCESS) or
 *  the admin thread's. What the kernel refuses is counted: it serves all the same. */
void weft_numa_place(struct weft_numa *numa, uint32_t worker, void *at, size_t bytes);

/** For a worker's thread, once, at its start. */
void weft_numa_enter(struct weft_numa *numa, uint32_t worker);

/** Memory on the node of the core that calls, reserved and zeroed; weft_account_unmap() undoes.
 *  out_node  where its pages will come from
 *  returns   0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK
weft_rc weft_numa_map(struct weft_numa *numa, struct weft_account *account, size_t bytes,
                      void **out, uint32_t *out_node);

#endif
