/*
 * Words for the user, on standard error, each line begun by "ferry: ".
 */
#ifndef FERRY_LOG_H
#define FERRY_LOG_H

enum ferry_log_level { FERRY_LOG_ERROR, FERRY_LOG_WARN, FERRY_LOG_INFO, FERRY_LOG_DEBUG };

/* Prints one line, in one write(), where FERRY_LOG asks for that level (default: warn). Any thread. */
void ferry_log(enum ferry_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says who speaks, such as a rank; -1: nobody. Shown in each line. */
void ferry_log_set_rank(int rank);

#endif
