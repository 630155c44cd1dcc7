/* bare_csv.c - the least that sends a file in upper case: accept, read(2), a loop over the bytes,
 * send(2), blocking, one client at a time. What weft's /csv/{name} is measured against.
 */
#include "bench.h"

#define BUFFER_BYTES 65536
#define HEAD_MAX     2048

static char buffer[BUFFER_BYTES];

static void send_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0)
            die("send");
        at += n;
        len -= (size_t)n;
    }
}

static void read_head(int fd)
{
    char head[HEAD_MAX + 1];
    size_t len = 0;
    do {
        ssize_t n = recv(fd, head + len, HEAD_MAX - len, 0);
        if (n <= 0)
            die("recv");
        len += (size_t)n;
        head[len] = 0;
    } while (strstr(head, "\r\n\r\n") == NULL);
}

static void upper(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        text[i] = (char)(c - ((unsigned char)(c - 'a') < 26 ? 32 : 0));
    }
}

static void serve(int fd, int file)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"
                                 "Connection: close\r\n\r\n";
    ssize_t n;
    read_head(fd);
    send_all(fd, answer, sizeof answer - 1);
    if (lseek(file, 0, SEEK_SET) < 0)
        die("lseek");
    while ((n = read(file, buffer, sizeof buffer)) > 0) {
        upper(buffer, (size_t)n);
        send_all(fd, buffer, (size_t)n);
    }
    if (n < 0)
        die("read");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        usage("bare_csv PORT FILE");
    int file = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (file < 0)
        die(argv[2]);
    int listener = listen_on((int)number(argv[1], 1, 65535));
    if (fcntl(listener, F_SETFL, 0) < 0) /* it waits in accept() */
        die("fcntl");
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            die("accept");
        serve(fd, file);
        close(fd);
    }
}
