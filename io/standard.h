/* SPDX-License-Identifier: MIT */
#ifndef IO_STANDARD_H
#define IO_STANDARD_H

/*
 * Standard input, output and error of a program that was started with one of them closed (>&-): the
 * next socket or file opened would get its number, and what is printed would go there.
 */

#include <stdbool.h>

/*
 * Before anything else is opened: takes the numbers that are free, so that using them still fails as on
 * a closed descriptor (EBADF). False: errno says why.
 */
bool standard_open(void);

#endif
