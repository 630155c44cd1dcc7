/* sockmem.c - see sockmem.h. */
#include "io/sockmem.h"
#include <linux/sock_diag.h>
#include <stdio.h>

#define SLOTS_LOOKED_MAX 65536 /* free ones are passed over, but not for ever */

/* A direct descriptor belongs to the ring: it cannot be asked from here. */
static bool ask(int fd, size_t *out_bytes)
{
    uint32_t values[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof(values);
    if (fd < 0 || weft_fd_direct(fd) || getsockopt(fd, SOL_SOCKET, SO_MEMINFO, values, &len) != 0)
        return false;
    *out_bytes = (size_t)values[SK_MEMINFO_RMEM_ALLOC] + values[SK_MEMINFO_WMEM_QUEUED] +
                 values[SK_MEMINFO_FWD_ALLOC] + values[SK_MEMINFO_OPTMEM];
    return true;
}

/* The table is its worker's: what is read here may be out of date, and is a whole word each time.
 */
__attribute__((no_sanitize("thread"))) void
weft_slots_sample(const struct weft_slots *slots, size_t most, struct weft_socket_sample *sum)
{
    size_t used = __atomic_load_n(&slots->used, __ATOMIC_RELAXED);
    size_t top = __atomic_load_n(&slots->top, __ATOMIC_RELAXED);
    sum->connections += used;
    size_t step = WEFT_MAX(top / WEFT_MAX(most, (size_t)1), (size_t)1), asked = 0;
    size_t looked = 0;
    for (size_t i = 0; i < top && asked < most && looked < SLOTS_LOOKED_MAX; i += step, looked++) {
        size_t bytes = 0;
        if (__atomic_load_n(&slots->table[i].state, __ATOMIC_RELAXED) == WEFT_SLOT_FREE ||
            !ask(__atomic_load_n(&slots->table[i].fd, __ATOMIC_RELAXED), &bytes))
            continue;
        asked++;
        sum->queued_bytes += bytes;
    }
    sum->asked += asked;
}

size_t weft_sample_queued(const struct weft_socket_sample *sample)
{
    if (sample->asked == 0)
        return 0;
    return (size_t)((double)sample->queued_bytes / (double)sample->asked *
                    (double)sample->connections);
}

/* "TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 3": the number behind a word of the line. */
static size_t number_of(weft_str text, weft_str line_name, weft_str word)
{
    while (text.len > 0) {
        weft_str line = weft_str_cut(&text, '\n');
        if (!weft_str_eq(weft_str_cut(&line, ':'), line_name))
            continue;
        while (line.len > 0) {
            uint64_t value = 0;
            if (weft_str_eq(weft_str_cut(&line, ' '), word) &&
                weft_str_to_u64(weft_str_cut(&line, ' '), &value) == 0)
                return (size_t)value;
        }
    }
    return 0;
}

void weft_sockstat_parse(weft_str v4, weft_str v6, struct weft_sockstat *out)
{
    *out = (struct weft_sockstat){
        .tcp_bytes = number_of(v4, WEFT_S("TCP"), WEFT_S("mem")) * WEFT_PAGE_BYTES,
        .udp_bytes = number_of(v4, WEFT_S("UDP"), WEFT_S("mem")) * WEFT_PAGE_BYTES,
        .frag_bytes = number_of(v4, WEFT_S("FRAG"), WEFT_S("memory")) +
                      number_of(v6, WEFT_S("FRAG6"), WEFT_S("memory")),
    };
}

void weft_sockstat_read(const char *root_z, struct weft_sockstat *out)
{
    char path[256], v4[1024], v6[1024];
    (void)snprintf(path, sizeof(path), "%s/proc/net/sockstat", root_z);
    weft_str first = weft_textfile_read(path, v4, sizeof(v4));
    (void)snprintf(path, sizeof(path), "%s/proc/net/sockstat6", root_z);
    weft_sockstat_parse(first, weft_textfile_read(path, v6, sizeof(v6)), out);
}
