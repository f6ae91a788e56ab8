/* Breaks on one input of four bytes: tests/fuzz/run must find and show it, or it finds nothing. */
#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PROPERTY(size != 4 || memcmp(data, "boom", 4) != 0, "planted");
    return 0;
}
