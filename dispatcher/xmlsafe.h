/*
 * The only place where XML that others wrote is parsed: answers of SOAP services, and WSDLs.
 *
 * What libxml2 does with hostile input was measured, and each rule here answers a finding. Before
 * libxml2 sees a byte, one pass over the text refuses every DTD (SOAP forbids one, and entities
 * cost memory and time even when they are not replaced), tags longer than 16 KiB or with more than
 * 256 attributes (attributes cost the square of their number), and depth. The parser's options
 * are exactly XML_PARSE_NONET, nothing external is ever loaded, and a DTD that came through
 * all the same is refused by a flag of our own, for libxml2 calls such a document well formed.
 *
 * UTF-8, UTF-16, and the one-byte encodings that are ASCII in their lower half; no others, for in
 * some of them a tag can be hidden from the pass. Pure but for the loader that libxml2 holds for
 * the whole process. Never logs, never opens anything.
 */
#ifndef MIH_DISPATCHER_XMLSAFE_H
#define MIH_DISPATCHER_XMLSAFE_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

enum {
    XMLSAFE_MAX_TAG = 16 * 1024,
    XMLSAFE_MAX_ATTRIBUTES = 256, /* of one tag */
    XMLSAFE_MAX_DEPTH = 128,
};

/* Once, before the first parse; again does nothing. */
void xmlsafe_init(void);

/* How often something external was asked for, and refused. Above 0 a rule above has a hole. */
unsigned long xmlsafe_refused_loads(void);

/* Parses a whole document of at most max bytes. 0 with a document to free by xmlFreeDoc();
 * -EBADMSG with the reason (and line), which never quotes the document; -ENOMEM. */
int xmlsafe_parse(const char *bytes, size_t len, size_t max, xmlDoc **ret_doc, char *ret_reason,
                  size_t reason_size) __attribute__((warn_unused_result));

/* The pass before parsing, alone; the text is UTF-8 or ASCII-like. 0 or -EBADMSG. */
int xmlsafe_scan(const char *text, size_t len, char *ret_reason, size_t reason_size)
    __attribute__((warn_unused_result));

/* True for an element with this local name and namespace (NULL: none). */
bool xmlsafe_is(const xmlNode *node, const char *ns, const char *local);

/* The first child that is an element, and the next sibling that is one; NULL when there is none. */
const xmlNode *xmlsafe_child(const xmlNode *node);
const xmlNode *xmlsafe_next(const xmlNode *node);

/* The value of an attribute, "" for an empty one, NULL without it; ns NULL: of no namespace.
 * Lives as long as the document: without a DTD a value is one text. */
const char *xmlsafe_attribute(const xmlNode *node, const char *ns, const char *local);

/* Appends the element's own text and CDATA. */
void xmlsafe_text(const xmlNode *node, struct buf *out);

/* The namespace and the local name that a value like "xsd:int" stands for, in the node's scope.
 * Without a prefix it is the default namespace, or NULL. The local name points into the value.
 * False when the prefix is not declared. */
bool xmlsafe_qname(const xmlNode *node, const char *value, const char **ret_ns,
                   const char **ret_local);

/* True when XML 1.0 can hold the text: no control bytes but tab and line ends, valid UTF-8. */
bool xmlsafe_is_text(const char *text, size_t len);

/* True when the text is a name without colon (NCName of ASCII letters, digits, "._-", and
 * whatever is beyond ASCII and valid). */
bool xmlsafe_is_ncname(const char *text, size_t len);

#endif
