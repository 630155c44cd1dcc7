/* death.h - what must end a process: called in a forked child, its signal is looked at. */
#ifndef WEFT_TESTS_DEATH_H
#define WEFT_TESTS_DEATH_H
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The signal that fn(arg) died of; 0: it returned. A child that does neither within 10 s is killed
 * by SIGALRM. What it prints and cores it would leave are dropped. */
static inline int death_of(void (*fn)(void *arg), void *arg)
{
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(null, STDERR_FILENO);
        /* cmocka and the sanitizers catch these: here the kernel's way is wanted */
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        (void)signal(SIGILL, SIG_DFL);
        alarm(10);
        fn(arg);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
#endif
