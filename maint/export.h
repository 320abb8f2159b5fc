/*
 * Included before every file of the library: what ferry.h declares is shown to the users of the
 * shared library; the rest is compiled with -fvisibility=hidden.
 */
#pragma GCC visibility push(default)
#include "ferry.h"
#pragma GCC visibility pop
