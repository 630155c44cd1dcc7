/* idle_clients.c - many connections that did one request each and then keep quiet.
 *
 * Lines as in clients.h, and
 *   ask K       one more request on K connections picked at random: "answered K WORST_US"
 */
#include "clients.h"

static bool answer_is_whole(size_t have)
{
    const char *end = memmem(buf, have, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    for (const char *at = buf; at < end; at++) {
        if (strncasecmp(at, "\ncontent-length:", 16) == 0)
            return have >= (size_t)(end - buf) + 4 + strtoul(at + 16, NULL, 10);
    }
    usage("the answer has no Content-Length");
}

static void ask(int fd)
{
    send_request(fd);
    size_t have = 0;
    do {
        have = receive_more(fd, have);
    } while (!answer_is_whole(have) && have < sizeof buf);
    check_status();
}

static int open_one(void)
{
    int fd = connect_one();
    ask(fd);
    return fd;
}

static void ask_some(const char *line)
{
    if (strncmp(line, "ask ", 4) != 0)
        return;
    long count = number(line + 4, 1, 1000000);
    uint64_t worst = 0;
    for (long i = 0; i < count && conn_count > 0; i++) {
        uint64_t start = now_ns();
        ask(fds[random() % conn_count]);
        uint64_t took = now_ns() - start;
        worst = took > worst ? took : worst;
    }
    printf("answered %ld %llu\n", count, (unsigned long long)(worst / 1000));
}

int main(int argc, char **argv)
{
    obey(take_arguments(argc, argv, "idle_clients PORT SOURCE_IP PATH"), open_one, ask_some);
    return 0;
}
