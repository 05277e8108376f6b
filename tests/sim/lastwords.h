/* SPDX-License-Identifier: MIT */
#ifndef SIM_LASTWORDS_H
#define SIM_LASTWORDS_H

/* When the code under test breaks an assertion, crashes or trips a sanitizer, the seed is still said. */

void lastwords_prepare(void);

#endif
