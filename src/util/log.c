#include "log.h"

#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static atomic_int speaker = -1;

void ferry_log_set_rank(int rank)
{
    atomic_store(&speaker, rank);
}

static bool wanted(enum ferry_log_level level)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    const struct ferry_config *config = ferry_config();
    enum ferry_log_level most = FERRY_LOG_WARN;

    for (size_t i = 0; config != NULL && i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(config->log, words[i]) == 0)
            most = (enum ferry_log_level) i;
    return level <= most;
}

/* One write(), so that lines of several processes don't mix. What can't be written is lost, and a
 * reader that went away is no reason to die: the signal is held back and taken in. */
static void put(const char *line, size_t length)
{
    const struct timespec at_once = {0, 0};
    sigset_t sigpipe, before, pending;
    ssize_t n;

    sigemptyset(&sigpipe);
    sigaddset(&sigpipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    do
        n = write(STDERR_FILENO, line, length);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&sigpipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void ferry_log(enum ferry_log_level level, const char *format, ...)
{
    char line[1024];
    int saved = errno;
    int rank = atomic_load(&speaker);
    size_t length;
    va_list args;

    if (wanted(level)) {
        if (rank >= 0)
            snprintf(line, sizeof(line), "ferry: rank %d: ", rank);
        else
            snprintf(line, sizeof(line), "ferry: ");
        length = strlen(line);
        va_start(args, format);
        vsnprintf(line + length, sizeof(line) - length, format, args);
        va_end(args);
        /* What a peer or the environment put in must not reach the terminal as a command. */
        for (length = 0; line[length] != '\0'; length++)
            if ((unsigned char) line[length] < ' ' || line[length] == '\177')
                line[length] = '?';
        line[length] = '\n'; /* in the place of the zero */
        put(line, length + 1);
    }
    errno = saved;
}
