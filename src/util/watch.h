/*
 * A thread that watches a descriptor for one that sleeps elsewhere, in a futex, say.
 */
#ifndef FERRY_WATCH_H
#define FERRY_WATCH_H

struct ferry_watch;

/* call: made by the thread, once after each ferry_watch_arm(), when fd can be read. fd stays the caller's.
 * Errors: NULL, no thread or descriptor to be had. */
struct ferry_watch *ferry_watch_open(int fd, void (*call)(void *arg), void *arg);

/* Ends the thread; no call is made after that. */
void ferry_watch_close(struct ferry_watch *watch);

/* May be called from any thread; does nothing where it is armed already. */
void ferry_watch_arm(struct ferry_watch *watch);

#endif
