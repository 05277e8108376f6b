/* SPDX-License-Identifier: MIT */
#ifndef IO_NOTIFY_H
#define IO_NOTIFY_H

/*
 * Tells systemd (Type=notify) that the daemon is ready or stopping: one datagram to $NOTIFY_SOCKET,
 * nothing without it. See sd_notify(3); by hand, because it is one sendto.
 */
void notify_ready(void);
void notify_stopping(void);

#endif
