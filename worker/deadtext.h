/*
 * Texts on their way into the index of dead letters: valid UTF-8, no longer than their columns,
 * without secrets. Pure; only deadindex.c uses it.
 */
#ifndef MIH_WORKER_DEADTEXT_H
#define MIH_WORKER_DEADTEXT_H

#include <stddef.h>

/* Copies at most max bytes of whole characters and a NUL; what is not UTF-8 becomes "?". Returns
 * the byte behind the NUL; target needs no more than min(len, max) + 1. */
char *deadtext_copy(char *target, const char *text, size_t len, size_t max);

/* Cuts a text that is UTF-8 to at most max bytes, between two characters. */
void deadtext_cut(char *text, size_t max);

/* Takes away the query of a URL and what stands before "@" in its authority. A fragment stays: it
 * is the operation of SOAP, and no other address has one. */
void deadtext_strip_endpoint(char *url);

#endif
