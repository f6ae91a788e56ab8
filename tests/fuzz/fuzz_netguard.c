/* Lists of networks: what is taken allows what it names, what is refused is named, and a list only
 * ever allows more. */
#include <arpa/inet.h>
#include <string.h>

#include "common/netguard.h"
#include "tests/fuzz/fuzz.h"

static const char *const addresses[] = {"127.0.0.1",
                                        "10.1.2.3",
                                        "8.8.8.8",
                                        "255.255.255.255",
                                        "::",
                                        "::1",
                                        "fd00::1",
                                        "::ffff:127.0.0.1",
                                        "64:ff9b::7f00:1",
                                        "2002:7f00:1::",
                                        "2001:4860::8888",
                                        "ff02::1",
                                        "::10.0.0.1",
                                        "64:ff9b::8.8.8.8"};

/* The address that the list begins with, in `size` bytes; false when there is none, or it is one
 * of NAT64, for which a list needs more. */
static bool first_address(const char *list, char *ret_address, size_t size)
{
    static const uint8_t nat64[4] = {0x00, 0x64, 0xff, 0x9b};
    uint8_t bytes[16];
    list += strspn(list, ", \t");
    size_t len = strcspn(list, ", \t/");
    if (len == 0 || len >= size)
        return false;
    memcpy(ret_address, list, len);
    ret_address[len] = '\0';
    if (inet_pton(AF_INET, ret_address, bytes) == 1)
        return true;
    return inet_pton(AF_INET6, ret_address, bytes) == 1 && memcmp(bytes, nat64, sizeof nat64) != 0;
}

static void check_taken(const char *list, const struct netguard *guard)
{
    char address[64];
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        PROPERTY(netguard_check_text(NULL, addresses[i]) != NULL ||
                     netguard_check_text(guard, addresses[i]) == NULL,
                 "%s is refused with %s", addresses[i], list);
    if (first_address(list, address, sizeof address))
        PROPERTY(netguard_check_text(guard, address) == NULL, "%s is refused with %s", address,
                 list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct netguard *guard = NULL;
    struct fields f;
    char error[256];
    fields_cut(&f, 2, data, size);
    reason_clear(error, sizeof error);
    int r = netguard_new(f.text[0], false, &guard, error, sizeof error);
    PROPERTY((r == 0) == (guard != NULL), "%d", r);
    if (r == 0)
        check_taken(f.text[0], guard);
    else
        PROPERTY(is_plain(f.text[0], f.len[0]) ? strlen(error) > 10 : *error != '\0', "%s", error);
    (void)netguard_check_text(guard, f.text[1]);
    netguard_free(guard);
    fields_release(&f);
    return 0;
}
