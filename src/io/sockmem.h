/* sockmem.h - what the kernel holds for sockets: of the whole system, and of a sample of ours.
 *
 * A million connections are mostly kernel bytes, and no counter tells a process its own share: so a
 * bounded number of our sockets is asked one by one (SO_MEMINFO), and the rest is taken to be
 * alike.
 *
 * Lifetime: plain values.
 * Threads:  any, for reports. A sample reads the connection table of a running worker: a descriptor
 *           that is closed at that moment is not counted, or another socket of ours is.
 * Memory:   none.
 */
#ifndef WEFT_IO_SOCKMEM_H
#define WEFT_IO_SOCKMEM_H

#include "io/conn.h"
#include "mem/textfile.h"

/* What the kernel itself takes for an accepted connection, without a byte queued: socket, file,
 * directory entry. Measured as what a cgroup is charged for it (tests/mem/plan_test.py): 3,864
 * bytes where sockets are charged, as version 2 does; 1,488 where they are not. */
#define WEFT_KERNEL_CONN_BYTES ((size_t)4096)

struct weft_socket_sample {
    size_t connections; /* that there are */
    size_t asked;       /* sockets that answered */
    size_t
        queued_bytes; /* of those: received and not read, sent and not taken, set aside for more */
};

/** Ask at most `most` sockets of a table, evenly spread; adds to *sum. */
void weft_slots_sample(const struct weft_slots *slots, size_t most, struct weft_socket_sample *sum);

/** Queued bytes of all connections, if the sample is like the rest. */
size_t weft_sample_queued(const struct weft_socket_sample *sample);

struct weft_sockstat {
    size_t tcp_bytes; /* buffers of all TCP sockets of the system, ours among them */
    size_t udp_bytes;
    size_t frag_bytes; /* datagrams in pieces, IPv6 included */
};

/** /proc/net/sockstat and sockstat6 as texts; what is not in them counts as 0. */
void weft_sockstat_parse(weft_str v4, weft_str v6, struct weft_sockstat *out);
void weft_sockstat_read(const char *root_z, struct weft_sockstat *out);

#endif
