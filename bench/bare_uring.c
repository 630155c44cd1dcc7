/* bare_uring.c - what the kernel allows on io_uring: receive, send, nothing else.
 *
 * One thread, one submit_and_wait per loop turn. Multishot accept, multishot receive into a ring of
 * provided buffers, one send per receive whose success posts no completion. Nothing is parsed;
 * requests are counted by their length. The defaults are the fastest that was found; the switches
 * turn each choice back, so that the README's table can be measured again.
 */
#include "bench.h"
#include "uring_new.h"
#include <sys/mman.h>

#define FILES_MAX   65536
#define GROUP       1
#define OP_SHIFT    32
#define WAIT_NR     1
#define FILES_FIXED 16384 /* direct descriptors, when they are asked for */

enum op { OP_ACCEPT, OP_RECV, OP_SEND, OP_CLOSE };

struct options {
    int port;
    int cpu;
    unsigned setup;      /* IORING_SETUP_* */
    unsigned entries;    /* of the submission queue */
    unsigned buf_bytes;  /* of one provided buffer */
    unsigned buf_count;  /* of them, a power of two */
    int send_flags;      /* MSG_* */
    bool skip_success;   /* no completion for a good send */
    bool register_ring;  /* the ring's own descriptor is registered */
    bool direct;         /* connections are direct descriptors */
    bool one_shot;       /* each receive is asked for */
    unsigned poll_first; /* 0 or IORING_RECVSEND_POLL_FIRST */
};

static struct options opt;
static struct answer answer;
static uint32_t pending[FILES_MAX]; /* bytes of a request that has not arrived whole */
static struct io_uring ring;
static struct io_uring_buf_ring *bufs;
static char *buf_base;
static unsigned bufs_back; /* buffers to hand back at the end of the turn */

static struct io_uring_sqe *next_sqe(enum op op, int fd)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        if (io_uring_submit(&ring) < 0)
            die("io_uring_submit");
        sqe = io_uring_get_sqe(&ring);
        if (sqe == NULL)
            die("io_uring_get_sqe");
    }
    sqe->user_data = ((uint64_t)op << OP_SHIFT) | (uint32_t)fd;
    return sqe;
}

static void ask_accept(int listener)
{
    struct io_uring_sqe *sqe = next_sqe(OP_ACCEPT, listener);
    uint64_t user_data = sqe->user_data;
    if (opt.direct)
        io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
    else
        io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = user_data;
}

static void ask_recv(int fd)
{
    struct io_uring_sqe *sqe = next_sqe(OP_RECV, fd);
    uint64_t user_data = sqe->user_data;
    if (opt.one_shot)
        io_uring_prep_recv(sqe, fd, NULL, opt.buf_bytes, 0);
    else
        io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->ioprio |= (uint16_t)opt.poll_first;
    sqe->flags |= IOSQE_BUFFER_SELECT | (opt.direct ? IOSQE_FIXED_FILE : 0);
    sqe->buf_group = GROUP;
    sqe->user_data = user_data;
}

static void ask_send(int fd, size_t count)
{
    struct io_uring_sqe *sqe = next_sqe(OP_SEND, fd);
    uint64_t user_data = sqe->user_data;
    io_uring_prep_send(sqe, fd, answer.bytes, count * answer.unit_bytes, opt.send_flags);
    sqe->flags |= (unsigned char)((opt.skip_success ? IOSQE_CQE_SKIP_SUCCESS : 0) |
                                  (opt.direct ? IOSQE_FIXED_FILE : 0));
    sqe->user_data = user_data;
}

static void hang_up(int fd)
{
    if (!opt.direct) {
        close(fd);
        return;
    }
    struct io_uring_sqe *sqe = next_sqe(OP_CLOSE, fd);
    uint64_t user_data = sqe->user_data;
    io_uring_prep_close_direct(sqe, (unsigned)fd);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = user_data;
}

static void on_accept(const struct io_uring_cqe *cqe, int listener)
{
    if (cqe->res >= FILES_MAX) {
        hang_up(cqe->res);
    } else if (cqe->res >= 0) {
        pending[cqe->res] = 0;
        ask_recv(cqe->res);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        ask_accept(listener);
}

static void on_recv(const struct io_uring_cqe *cqe, int fd)
{
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        io_uring_buf_ring_add(bufs, buf_base + (size_t)id * opt.buf_bytes, opt.buf_bytes,
                              (unsigned short)id, (int)opt.buf_count - 1, (int)bufs_back++);
    }
    if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        hang_up(fd);
        return;
    }
    size_t count = cqe->res > 0 ? answer_count(&answer, &pending[fd], (size_t)cqe->res) : 0;
    if (count > 0)
        ask_send(fd, count);
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        ask_recv(fd);
}

static void on_completion(const struct io_uring_cqe *cqe)
{
    int fd = (int)(uint32_t)cqe->user_data;
    switch ((enum op)(cqe->user_data >> OP_SHIFT)) {
    case OP_ACCEPT:
        on_accept(cqe, fd);
        break;
    case OP_RECV:
        on_recv(cqe, fd);
        break;
    case OP_SEND: /* a failed send shows in the receive as well */
    case OP_CLOSE:
        break;
    }
}

static void loop(void)
{
    for (;;) {
        int rc = io_uring_submit_and_wait(&ring, WAIT_NR);
        if (rc < 0 && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN) {
            errno = -rc;
            die("io_uring_submit_and_wait");
        }
        struct io_uring_cqe *cqe;
        unsigned head;
        unsigned seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            on_completion(cqe);
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
        if (bufs_back > 0)
            io_uring_buf_ring_advance(bufs, (int)bufs_back);
        bufs_back = 0;
    }
}

static void provide_buffers(void)
{
    size_t ring_bytes = opt.buf_count * sizeof(struct io_uring_buf);
    size_t bytes = (size_t)opt.buf_count * opt.buf_bytes;
    bufs = mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    buf_base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bufs == MAP_FAILED || buf_base == MAP_FAILED)
        die("mmap");
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)bufs, .ring_entries = opt.buf_count, .bgid = GROUP};
    errno = -io_uring_register_buf_ring(&ring, &reg, 0);
    if (errno != 0)
        die("io_uring_register_buf_ring");
    io_uring_buf_ring_init(bufs);
    for (unsigned i = 0; i < opt.buf_count; i++)
        io_uring_buf_ring_add(bufs, buf_base + (size_t)i * opt.buf_bytes, opt.buf_bytes,
                              (unsigned short)i, (int)opt.buf_count - 1, (int)i);
    io_uring_buf_ring_advance(bufs, (int)opt.buf_count);
}

/* liburing 2.3 fills the index array that NO_SQARRAY leaves out, and would write over the ring's
 * head; so such a ring is mapped by hand. */
static void map_ring_without_array(int fd, const struct io_uring_params *p)
{
    size_t sq_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
    char *base = mmap(NULL, sq_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                      IORING_OFF_SQ_RING);
    void *sqes = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_POPULATE, fd, (off_t)IORING_OFF_SQES);
    if (base == MAP_FAILED || sqes == MAP_FAILED)
        die("mmap");
    memset(&ring, 0, sizeof ring);
    ring.ring_fd = ring.enter_ring_fd = fd;
    ring.flags = p->flags;
    ring.features = p->features;
    ring.sq.khead = (unsigned *)(void *)(base + p->sq_off.head);
    ring.sq.ktail = (unsigned *)(void *)(base + p->sq_off.tail);
    ring.sq.kflags = (unsigned *)(void *)(base + p->sq_off.flags);
    ring.sq.kdropped = (unsigned *)(void *)(base + p->sq_off.dropped);
    ring.sq.ring_mask = p->sq_entries - 1;
    ring.sq.ring_entries = p->sq_entries;
    ring.sq.sqes = sqes;
    ring.cq.khead = (unsigned *)(void *)(base + p->cq_off.head);
    ring.cq.ktail = (unsigned *)(void *)(base + p->cq_off.tail);
    ring.cq.kflags = (unsigned *)(void *)(base + p->cq_off.flags);
    ring.cq.koverflow = (unsigned *)(void *)(base + p->cq_off.overflow);
    ring.cq.ring_mask = p->cq_entries - 1;
    ring.cq.ring_entries = p->cq_entries;
    ring.cq.cqes = (struct io_uring_cqe *)(void *)(base + p->cq_off.cqes);
}

static void open_ring(void)
{
    struct io_uring_params p = {.flags = opt.setup | IORING_SETUP_CQSIZE,
                                .cq_entries = opt.entries * 4};
    int rc;
    if (opt.setup & IORING_SETUP_NO_SQARRAY) {
        rc = io_uring_setup(opt.entries, &p);
        if (rc >= 0)
            map_ring_without_array(rc, &p);
    } else {
        rc = io_uring_queue_init_params(opt.entries, &ring, &p);
    }
    if (rc < 0) {
        errno = -rc;
        die("io_uring_setup");
    }
    if (opt.register_ring && io_uring_register_ring_fd(&ring) < 0)
        die("io_uring_register_ring_fd");
    if (opt.direct && io_uring_register_files_sparse(&ring, FILES_FIXED) < 0)
        die("io_uring_register_files_sparse");
}

static void usage_exit(void)
{
    usage("bare_uring PORT RESPONSE_FILE REQUEST_BYTES [CPU]\n"
          "  -m defer|coop|plain  task work (defer)   -a 0|1  submission index array (0)\n"
          "  -r 0|1  registered ring descriptor (1)   -k 0|1  good sends post no completion (1)\n"
          "  -d 0|1  direct descriptors (0)           -o 0|1  one-shot receives (0)\n"
          "  -b BYTES of a buffer (4096)              -B COUNT of buffers (256)\n"
          "  -w 0|1  MSG_WAITALL on sends (1)         -p 0|1  POLL_FIRST (0)\n"
          "  -e ENTRIES of the submission queue (512)");
}

static unsigned setup_of(const char *mode)
{
    if (strcmp(mode, "defer") == 0)
        return IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (strcmp(mode, "coop") == 0)
        return IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN;
    if (strcmp(mode, "plain") != 0)
        usage_exit();
    return 0;
}

static void set_option(int letter, const char *text)
{
    switch (letter) {
    case 'm':
        opt.setup = setup_of(text) | (opt.setup & IORING_SETUP_NO_SQARRAY);
        break;
    case 'a':
        opt.setup &= ~IORING_SETUP_NO_SQARRAY;
        opt.setup |= number(text, 0, 1) ? 0 : IORING_SETUP_NO_SQARRAY;
        break;
    case 'r':
        opt.register_ring = number(text, 0, 1);
        break;
    case 'k':
        opt.skip_success = number(text, 0, 1);
        break;
    case 'd':
        opt.direct = number(text, 0, 1);
        break;
    case 'o':
        opt.one_shot = number(text, 0, 1);
        break;
    case 'b':
        opt.buf_bytes = (unsigned)number(text, 64, 1 << 20);
        break;
    case 'B':
        opt.buf_count = (unsigned)number(text, 2, 32768);
        break;
    case 'w':
        opt.send_flags = MSG_NOSIGNAL | (number(text, 0, 1) ? MSG_WAITALL : 0);
        break;
    case 'p':
        opt.poll_first = number(text, 0, 1) ? IORING_RECVSEND_POLL_FIRST : 0;
        break;
    case 'e':
        opt.entries = (unsigned)number(text, 8, 32768);
        break;
    default:
        usage_exit();
    }
}

int main(int argc, char **argv)
{
    opt = (struct options){.setup = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                    IORING_SETUP_NO_SQARRAY,
                           .entries = 512,
                           .buf_bytes = 4096,
                           .buf_count = 256,
                           .send_flags = MSG_NOSIGNAL | MSG_WAITALL,
                           .skip_success = true,
                           .register_ring = true};
    for (int letter; (letter = getopt(argc, argv, "m:a:r:k:d:o:b:B:w:p:e:")) != -1;)
        set_option(letter, optarg);
    argc -= optind;
    argv += optind;
    if (argc < 3 || argc > 4)
        usage_exit();
    answer = answer_load(argv[1], number(argv[2], 1, 1 << 20));
    pin_to(argc > 3 ? (int)number(argv[3], -1, 4096) : -1);
    raise_files();
    int listener = listen_on((int)number(argv[0], 1, 65535));
    open_ring();
    provide_buffers();
    ask_accept(listener);
    loop();
}
