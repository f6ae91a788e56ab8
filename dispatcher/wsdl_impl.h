/*
 * What the files of the WSDL module share, and nobody else includes: the documents as they were
 * read, the table of everything global that they name, and the model as it grows out of them.
 */
#ifndef MIH_DISPATCHER_WSDL_IMPL_H
#define MIH_DISPATCHER_WSDL_IMPL_H

#include <libxml/tree.h>

#include "dispatcher/arena.h"
#include "dispatcher/wsdl.h"

#define NS_WSDL "http://schemas.xmlsoap.org/wsdl/"
#define NS_WSDL_SOAP11 "http://schemas.xmlsoap.org/wsdl/soap/"
#define NS_WSDL_SOAP12 "http://schemas.xmlsoap.org/wsdl/soap12/"
#define NS_XSD "http://www.w3.org/2001/XMLSchema"
#define NS_SOAPENC11 "http://schemas.xmlsoap.org/soap/encoding/"
#define NS_SOAPENC12 "http://www.w3.org/2003/05/soap-encoding"

struct interned;

/* One document. */
struct wsdl_source {
    char *url;
    unsigned depth;
    const char *adopted_ns; /* of a schema without a namespace: that of who included it */
    xmlDoc *doc;            /* NULL until it is given */
};

/* A schema: a document of its own, or one inside of a WSDL's types. */
struct wsdl_schema {
    const char *ns; /* NULL: none */
    const char *url;
    bool qualified;            /* local elements have the namespace */
    bool attributes_qualified; /* and so have local attributes */
    bool adopted;              /* names without a namespace are of ns */
    const xmlNode *node;
};

enum wsdl_symbol_kind {
    SYMBOL_TYPE,
    SYMBOL_ELEMENT,
    SYMBOL_GROUP,
    SYMBOL_ATTRIBUTE_GROUP,
    SYMBOL_ATTRIBUTE,
    SYMBOL_MESSAGE,
    SYMBOL_PORT_TYPE,
    SYMBOL_BINDING,
};

/* Something global, by kind, namespace and name. */
struct wsdl_symbol {
    enum wsdl_symbol_kind kind;
    const char *ns;
    const char *name;
    const xmlNode *node;
    const struct wsdl_schema *schema; /* of schema symbols */
    const char *url;
    unsigned order; /* of two with the same name the first one counts */
    union {
        struct wsdl_type *type;
        struct wsdl_element *element;
        struct wsdl_group *group;
        const struct wsdl_part **parts; /* of a message, once it is made */
    } made;
    size_t n_parts;
};

struct wsdl {
    struct arena arena;
    struct interned *names;      /* namespaces */
    struct wsdl_symbol *symbols; /* sorted; after reading only types and elements count */
    size_t n_symbols;
    struct wsdl_operation *operations;
    size_t n_operations;
    struct wsdl_type *builtins; /* as builtin_rows */
    struct wsdl_type *any;
    struct wsdl_type *array; /* soapenc:Array itself */
};

struct wsdl_reader {
    char *origins;
    struct wsdl_source sources[WSDL_MAX_DOCUMENTS];
    size_t n_sources, next;
    size_t bytes;
    struct wsdl *wsdl; /* in the making */
    struct wsdl_schema *schemas;
    size_t n_schemas, cap_schemas;
    size_t cap_symbols;
    struct wsdl_type *types; /* all of them, by `all` */
    size_t steps;            /* of work: bounded, for a small document can ask for much */
};

/* Bounded work. False when there was too much. */
bool wsdl_step(struct wsdl_reader *r);

/* wsdl_symbols.c */
int wsdl_collect(struct wsdl_reader *r, char *ret_reason, size_t size)
    __attribute__((warn_unused_result));
const char *wsdl_intern(struct wsdl *w, const char *text) __attribute__((warn_unused_result));
struct wsdl_symbol *wsdl_find(const struct wsdl *w, enum wsdl_symbol_kind kind, const char *ns,
                              const char *name);
/* Namespace (interned; NULL: none) and local name that a QName in the node's scope stands for.
 * schema may be NULL. False when its prefix is not declared. */
bool wsdl_qname(struct wsdl_reader *r, const struct wsdl_schema *schema, const xmlNode *node,
                const char *value, const char **ret_ns, const char **ret_local);
/* The symbol that a QName stands for; NULL when there is none. */
struct wsdl_symbol *wsdl_refer(struct wsdl_reader *r, enum wsdl_symbol_kind kind,
                               const struct wsdl_schema *schema, const xmlNode *node,
                               const char *value);

/* wsdl_builtin.c */
int wsdl_make_builtins(struct wsdl *w) __attribute__((warn_unused_result));

/* A new type, noted in the reader; NULL when memory is out. */
struct wsdl_type *wsdl_new_type(struct wsdl_reader *r) __attribute__((warn_unused_result));
/* "WSDL <url>: <what>", where what is wrong is in a part of it only. NULL when memory is out. */
const char *wsdl_fault(struct wsdl_reader *r, const char *url, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* wsdl_types.c, wsdl_content.c: fill what the symbols stand for. 0 or -ENOMEM; what is wrong goes
 * into faults. */
int wsdl_make_types(struct wsdl_reader *r) __attribute__((warn_unused_result));
int wsdl_fill_type(struct wsdl_reader *r, const struct wsdl_schema *schema, struct wsdl_type *type,
                   const xmlNode *node) __attribute__((warn_unused_result));
int wsdl_fill_simple(struct wsdl_reader *r, const struct wsdl_schema *schema,
                     struct wsdl_type *type, const xmlNode *node)
    __attribute__((warn_unused_result));
int wsdl_fill_element(struct wsdl_reader *r, const struct wsdl_schema *schema,
                      struct wsdl_element *element, const xmlNode *node)
    __attribute__((warn_unused_result));
int wsdl_fill_content(struct wsdl_reader *r, const struct wsdl_schema *schema, const xmlNode *node,
                      struct wsdl_particle **ret_first) __attribute__((warn_unused_result));
int wsdl_fill_attributes(struct wsdl_reader *r, const struct wsdl_schema *schema,
                         struct wsdl_type *type, const xmlNode *node)
    __attribute__((warn_unused_result));
/* The type that a QName names; with a fault put into *fault when there is none. */
const struct wsdl_type *wsdl_type_named(struct wsdl_reader *r, const struct wsdl_schema *schema,
                                        const xmlNode *node, const char *value,
                                        const char **ret_fault);

/* wsdl_measure.c: follows derivations and groups to their end. 0 or -ENOMEM. */
int wsdl_measure(struct wsdl_reader *r) __attribute__((warn_unused_result));

/* wsdl_ports.c */
int wsdl_make_operations(struct wsdl_reader *r, char *ret_reason, size_t size)
    __attribute__((warn_unused_result));
/* wsdl_message.c: the parts of a message, of those that `only` lists if it is not NULL. */
int wsdl_fill_body(struct wsdl_reader *r, struct wsdl_symbol *message, const char *only,
                   struct wsdl_body *body) __attribute__((warn_unused_result));

#endif
