/*
 * What every unit test includes first: cmocka and the headers that it wants before it.
 */
#ifndef FERRY_UNIT_H
#define FERRY_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
