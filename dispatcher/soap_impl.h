/*
 * What the files that write SOAP messages share, and nobody else includes.
 */
#ifndef MIH_DISPATCHER_SOAP_IMPL_H
#define MIH_DISPATCHER_SOAP_IMPL_H

#include <libxml/tree.h>

#include "common/jsonview.h"
#include "dispatcher/soap.h"

#define NS_SOAP11 "http://schemas.xmlsoap.org/soap/envelope/"
#define NS_SOAP12 "http://www.w3.org/2003/05/soap-envelope"
#define NS_ENCODING11 "http://schemas.xmlsoap.org/soap/encoding/"
#define NS_ENCODING12 "http://www.w3.org/2003/05/soap-encoding"
#define NS_SCHEMA "http://www.w3.org/2001/XMLSchema"
#define NS_INSTANCE "http://www.w3.org/2001/XMLSchema-instance"

enum { SOAP_MAX_NAMESPACES = 64, SOAP_PATH_SIZE = 160 };

/* One message while it is written. */
struct soap_writer {
    const struct soap_input *input;
    xmlDoc *doc;
    xmlNode *root;
    xmlNs *envelope;
    struct {
        const char *href;
        xmlNs *ns;
    } spaces[SOAP_MAX_NAMESPACES];
    size_t n_spaces;
    bool encoded;
    struct jsonview view;               /* of what is being written */
    const struct jsonview_node *header; /* the value of a SOAP header: it may have more keys */
    struct buf text;                    /* of one value */
    xmlChar *password;                  /* within doc; NULL: there is none */
    char path[SOAP_PATH_SIZE];
    char *reason;
    size_t reason_size;
};

/* Writes the reason, with the path, and returns -EBADMSG. */
int soap_refuse(struct soap_writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends ".name" or "[index]" to the path; the length to give to soap_leave(). */
size_t soap_enter(struct soap_writer *w, const char *name, size_t len);
size_t soap_enter_index(struct soap_writer *w, size_t index);
void soap_leave(struct soap_writer *w, size_t length);

/* The declaration of a namespace at the root; NULL when memory is out, or there are too many. */
xmlNs *soap_namespace(struct soap_writer *w, const char *href);

/* A new last child; ns NULL: none. NULL when memory is out. */
xmlNode *soap_child(struct soap_writer *w, xmlNode *parent, const char *ns, const char *name);

/* Sets an attribute; ns NULL: none. 0 or -ENOMEM. */
int soap_attribute(struct soap_writer *w, xmlNode *node, const char *ns, const char *name,
                   const char *value) __attribute__((warn_unused_result));

/* xsi:type="prefix:name". */
int soap_mark_type(struct soap_writer *w, xmlNode *node, const char *ns, const char *name)
    __attribute__((warn_unused_result));

/* soap_value.c: the text of a value of a simple type, in w->text. */
int soap_simple(struct soap_writer *w, const struct wsdl_type *type,
                const struct jsonview_node *value) __attribute__((warn_unused_result));

/* soap_content.c: an element with its value (NULL or null: nil, if it may). */
int soap_element(struct soap_writer *w, xmlNode *parent, const struct wsdl_element *element,
                 const struct jsonview_node *value) __attribute__((warn_unused_result));
/* What an element of this type holds, into a node that is there. */
int soap_fill(struct soap_writer *w, xmlNode *node, const struct wsdl_type *type,
              const struct jsonview_node *value) __attribute__((warn_unused_result));
/* True for a key that becomes an attribute of SOAP's own, in a header's value. */
bool soap_is_header_key(const char *name, size_t len);
/* A value of no known type: children are of namespace ns. typed: with xsi:type for scalars. */
int soap_anything(struct soap_writer *w, xmlNode *node, const char *ns, bool typed,
                  const struct jsonview_node *value) __attribute__((warn_unused_result));

/* soap_security.c */
int soap_add_token(struct soap_writer *w, xmlNode *header) __attribute__((warn_unused_result));

#endif
