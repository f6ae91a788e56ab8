/* Foreign XML: whatever comes, nothing external is asked for, and what is accepted is bounded. */
#include "dispatcher/xmlsafe.h"
#include "tests/fuzz/fuzz.h"

static void check_depth(const xmlNode *node, unsigned depth)
{
    PROPERTY(depth <= XMLSAFE_MAX_DEPTH, "depth %u", depth);
    for (const xmlNode *child = xmlsafe_child(node); child; child = xmlsafe_next(child))
        check_depth(child, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char reason[200];
    xmlDoc *doc = NULL;
    char *text =
        malloc(size > 0 ? size : 1); /* no NUL behind it: the sanitizer sees what reads on */
    if (!text)
        return 0;
    memcpy(text, data, size);
    reason_clear(reason, sizeof reason);
    int r = xmlsafe_parse(text, size, (size_t)64 * 1024, &doc, reason, sizeof reason);
    if (r == 0) {
        PROPERTY(!xmlGetIntSubset(doc), "a DTD came through");
        check_depth(xmlDocGetRootElement(doc), 1);
    } else {
        reason_check(reason, sizeof reason);
    }
    PROPERTY(xmlsafe_refused_loads() == 0, "something external was asked for");
    xmlFreeDoc(doc);
    free(text);
    return 0;
}
