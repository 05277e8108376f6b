/* SPDX-License-Identifier: MIT */
#ifndef TORTURE_EIO_H
#define TORTURE_EIO_H

/* What eio_preload.so is told, by the environment. */

#define EIO_DATA  "TORTURE_DATA"  /* the data directory */
#define EIO_FILES "TORTURE_FILES" /* "tree", or "log": all others but locks and the reserve */
#define EIO_CALL  "TORTURE_CALL"  /* "write" or "sync" */
#define EIO_NTH   "TORTURE_NTH"   /* which one fails, from 1 */
#define EIO_FLAG  "TORTURE_FLAG"  /* a file that is made when it does */

#endif
