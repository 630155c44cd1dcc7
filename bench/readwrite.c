/* readwrite.c - what a program does that reads a file and writes it: threads that each take a
 * connection, read() 8 KiB, write() 8 KiB, to the end. The simplest server of one file, for
 * comparison.
 *
 * usage: readwrite PORT FILE CPU
 */
#include "bench.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#define PIECE_BYTES 8192
#define THREADS     16

static const char *path;

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static void answer(int client)
{
    char piece[PIECE_BYTES];
    struct stat info;
    if (recv(client, piece, sizeof piece, 0) <= 0)
        return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &info) != 0)
        die(path);
    int head = snprintf(piece, sizeof piece,
                        "HTTP/1.1 200 OK\r\nContent-Length: %lld\r\nConnection: close\r\n\r\n",
                        (long long)info.st_size);
    ssize_t n = head;
    while (n > 0 && write_all(client, piece, (size_t)n))
        n = read(file, piece, sizeof piece);
    close(file);
}

/* They stay, so that their time can be read when the work is done. */
static void *serve(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            die("accept4");
        answer(client);
        close(client);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        usage("readwrite PORT FILE CPU");
    path = argv[2];
    signal(SIGPIPE, SIG_IGN);
    pin_to((int)number(argv[3], -1, 4096));
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = loopback("127.0.0.1", (int)number(argv[1], 1, 65535));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0 || listen(fd, 1024) < 0)
        die("listen");
    for (int i = 0; i < THREADS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
            die("pthread_create");
    }
    pause();
    return 0;
}
