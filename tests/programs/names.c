/* names.c - a resolver of our own, preloaded: "two.test" has two addresses, and nobody listens at
 * the first; "slow.test" is not known for two seconds. */
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

typedef int (*resolver)(const char *host, const char *port, const struct addrinfo *hints,
                        struct addrinfo **out);

/* What glibc's freeaddrinfo() walks along: a list is two lists, joined. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **out)
{
    resolver real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, "slow.test") == 0) {
        sleep(2);
        return EAI_AGAIN;
    }
    if (strcmp(host, "two.test") != 0)
        return real(host, port, hints, out);
    int rc = real("127.0.0.9", port, hints, out);
    return rc != 0 ? rc : real("127.0.0.1", port, hints, &(*out)->ai_next);
}
