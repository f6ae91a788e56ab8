/*
 * Which names and values a header may have that people write into a service. Names are tokens of
 * RFC 9110; values are visible ASCII, spaces and tabs, so that nothing can end the header and begin
 * another one. Names that belong to the connection, or that the worker writes itself, are refused.
 * Pure.
 */
#ifndef MIH_DISPATCHER_HEADERNAME_H
#define MIH_DISPATCHER_HEADERNAME_H

#include <stdbool.h>
#include <stddef.h>

/* NULL, or why there can be no header of this name ("is no header name"). */
const char *headername_fault(const char *name);

/* Offset of the first byte that may not stand in a value; len when there is none. */
size_t headername_bad_value_at(const char *value, size_t len);

#endif
