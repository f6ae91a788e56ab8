/*
 * What a WSDL 1.1 says, as far as sending a message needs it: operations by name, with the
 * elements and types of their parts. Read once, immutable afterwards, and asked for every message.
 *
 * Understood: bindings of SOAP 1.1 and 1.2 over HTTP; document/literal (wrapped and bare),
 * rpc/literal, rpc/encoded; XML Schema's elements, attributes, groups, complex types (sequence,
 * all, choice, extension, restriction, simple content), simple types (restriction, list, union),
 * soapenc:Array. Of facets only enumeration and lengths are checked. Left out: patterns, ranges,
 * key constraints, substitution groups, xs:redefine's changes (its document is read as included);
 * xs:any is sent empty.
 *
 * Reading takes the documents one by one from whoever can fetch them: the builder names the next
 * one and takes its bytes, so it is pure. At most 32 documents, 2 MiB in all, 5 imports deep; each
 * only once; only of the origin of the first one, or of those that the operator lists. What an
 * operation does not need may be wrong without harm: a type that cannot be used carries its
 * fault, which names document and element, and the message that needs it is refused with it.
 */
#ifndef MIH_DISPATCHER_WSDL_H
#define MIH_DISPATCHER_WSDL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WSDL_MAX_BYTES = 2 * 1024 * 1024, /* of all documents */
    WSDL_MAX_DOCUMENTS = 32,
    WSDL_MAX_DEPTH = 5,
    WSDL_MAX_DERIVATION = 32, /* of types, one from another */
    WSDL_REASON_SIZE = 400,
};

#define WSDL_UNBOUNDED 0xffffffffU

/* How a simple value is written. */
enum wsdl_value {
    WSDL_TEXT,
    WSDL_BOOLEAN,
    WSDL_INTEGER,
    WSDL_DECIMAL,
    WSDL_FLOAT,
    WSDL_DATETIME,
    WSDL_DATE,
    WSDL_TIME,
    WSDL_BASE64,
    WSDL_HEX,
};

/* A simple type of XML Schema itself. */
struct wsdl_builtin {
    const char *name;
    enum wsdl_value value;
    const char *min, *max; /* of integers, as decimal text; "" without a limit */
    bool list;             /* IDREFS and the like */
};

struct wsdl_element;
struct wsdl_type;

enum wsdl_kind { WSDL_ELEMENT, WSDL_SEQUENCE, WSDL_CHOICE, WSDL_ALL, WSDL_GROUP, WSDL_ANY };

struct wsdl_particle {
    enum wsdl_kind kind;
    unsigned min, max;
    const struct wsdl_element *element; /* of WSDL_ELEMENT */
    const struct wsdl_group *group;     /* of WSDL_GROUP */
    struct wsdl_particle *first, *next; /* of the others: what they hold; and their neighbour */
};

/* A named group: what it holds is shared by all that refer to it. */
struct wsdl_group {
    struct wsdl_particle *content;
    unsigned size; /* elements in it, groups unfolded; 0 before it is known */
    bool measuring;
};

struct wsdl_element {
    const char *ns; /* NULL: none */
    const char *name;
    const struct wsdl_type *type;
    const char *fixed;
    const char *fault; /* why it cannot be used, or NULL */
    bool nillable;
    bool abstract;
};

struct wsdl_attribute {
    const char *ns;
    const char *name;
    const struct wsdl_type *type;
    const char *fixed;
    bool required;
    bool prohibited;
};

struct wsdl_type {
    const char *ns, *name;        /* NULL name: anonymous */
    const char *fault;            /* why it cannot be used, or NULL */
    const struct wsdl_type *base; /* what it is derived from, or NULL */
    bool extends;                 /* content and attributes of base come first */
    bool simple;                  /* no child elements, no attributes */
    bool any;                     /* anyType: whatever comes */
    bool abstract;
    bool is_union;
    const struct wsdl_builtin *builtin; /* of a simple type, or of simple content; else NULL */
    const struct wsdl_type *list_item;  /* a list of these; else NULL */
    const char **values;                /* enumeration */
    size_t n_values;
    size_t min_length, max_length; /* in characters; 0 and SIZE_MAX without */
    struct wsdl_particle *content;
    struct wsdl_attribute *attributes;
    size_t n_attributes;
    const struct wsdl_element *array_item; /* soapenc:Array of these; else NULL */
    struct wsdl_type *all;                 /* for the reader */
    const char **names; /* complex: names of its child elements, base included, sorted */
    size_t n_names;
};

/* A part of a message: an element or a type. */
struct wsdl_part {
    const char *name;
    const struct wsdl_element *element; /* of the schema; else one made of part name and type */
    bool by_type;
    const char *fault;
};

struct wsdl_body {
    const char *ns; /* of the rpc wrapper; NULL: none */
    bool encoded;
    const struct wsdl_part **parts;
    size_t n_parts;
    const char *fault;
};

struct wsdl_operation {
    const char *name;
    const char *port;
    bool rpc;
    bool soap12;
    bool one_way;
    const char *action;  /* "" without one */
    const char *address; /* "" when the port has none */
    struct wsdl_body input, output;
    const char *fault;      /* why it cannot be used, or NULL */
    const char *input_name; /* of the rpc wrapper: the operation's name */
};

struct wsdl;

/* Looks in the SOAP ports, in the order in which they stand, of the version only if it is "1.1" or
 * "1.2" and not "". NULL with the reason. */
const struct wsdl_operation *wsdl_operation(const struct wsdl *w, const char *name,
                                            const char *version, char *ret_reason,
                                            size_t reason_size);

/* A global element by name; ns NULL: of whatever namespace it is. NULL when there is none, or
 * several. */
const struct wsdl_element *wsdl_element(const struct wsdl *w, const char *ns, const char *name);

/* A global type by name, ns as above. */
const struct wsdl_type *wsdl_type(const struct wsdl *w, const char *ns, const char *name);

/* A type of XML Schema itself, by its name there, or NULL. */
const struct wsdl_type *wsdl_builtin_type(const struct wsdl *w, const char *name);

/* True when a is b or derived from it. */
bool wsdl_derives(const struct wsdl_type *a, const struct wsdl_type *b);

/* How many operations it has in SOAP ports; one of them. */
size_t wsdl_operation_count(const struct wsdl *w);
const struct wsdl_operation *wsdl_operation_at(const struct wsdl *w, size_t index);

/* Bytes it takes. */
size_t wsdl_size(const struct wsdl *w);

void wsdl_free(struct wsdl *w); /* NULL is allowed */

/* Reading. */
struct wsdl_reader;

/* url is of the first document, origins what origin_listed() takes; both are copied. NULL: no
 * memory. */
struct wsdl_reader *wsdl_reader_new(const char *url, const char *origins);

/* The address of the next document that is wanted; NULL when all are there. Valid until it is
 * given. */
const char *wsdl_reader_wants(const struct wsdl_reader *r);

/* True when that is of the origin of the first document: it may be given credentials. */
bool wsdl_reader_trusts(const struct wsdl_reader *r);

/* Takes the wanted document. 0; -EBADMSG with a reason that names the document; -ENOMEM. */
int wsdl_reader_give(struct wsdl_reader *r, const char *bytes, size_t len, char *ret_reason,
                     size_t reason_size) __attribute__((warn_unused_result));

/* When nothing is wanted any more. The same results. */
int wsdl_reader_finish(struct wsdl_reader *r, struct wsdl **ret_wsdl, char *ret_reason,
                       size_t reason_size) __attribute__((warn_unused_result));

void wsdl_reader_free(struct wsdl_reader *r); /* NULL is allowed */

#endif
