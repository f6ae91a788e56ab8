/*
 * What can only be known when everything is there: where derivations end, how much the groups
 * hold when they are unfolded, and which child elements a type knows. What goes round in
 * circles, or would grow beyond measure, gets its fault here, so that nobody has to look out for
 * it when a message is made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dispatcher/wsdl_impl.h"

enum { MAX_SIZE = 5000, MAX_GROUP_DEPTH = 16 };

static unsigned add_up(unsigned a, unsigned b)
{
    return a + b > MAX_SIZE ? MAX_SIZE + 1 : a + b;
}

/* Particles in it; above MAX_SIZE: too many, or without end. Its own nesting is bounded by the
 * document's depth. */
static unsigned measure(const struct wsdl_particle *p, unsigned depth);

static unsigned measure_group(const struct wsdl_group *group, unsigned depth)
{
    /* The model is still being made: this is who makes it. */
    union {
        const struct wsdl_group *seen;
        struct wsdl_group *own;
    } g = {group};
    if (g.own->size > 0) {
        return g.own->size - 1;
    }
    if (g.own->measuring || depth > MAX_GROUP_DEPTH) {
        return MAX_SIZE + 1;
    }
    g.own->measuring = true;
    unsigned size = measure(g.own->content, depth + 1);
    g.own->measuring = false;
    g.own->size = size + 1;
    return size;
}

static unsigned measure(const struct wsdl_particle *p, unsigned depth)
{
    unsigned size = 0;
    for (; p && size <= MAX_SIZE; p = p->next) {
        size = add_up(size, 1);
        if (p->kind == WSDL_ELEMENT) {
            continue;
        }
        if (p->kind == WSDL_GROUP) {
            size = add_up(size, p->group ? measure_group(p->group, depth) : 0);
        } else {
            size = add_up(size, measure(p->first, depth));
        }
    }
    return size;
}

/* Follows `base` to its end. NULL, or why that cannot be done. */
static const char *follow(struct wsdl_reader *r, struct wsdl_type *type)
{
    unsigned n = 0;
    for (const struct wsdl_type *b = type->base; b; b = b->base) {
        if (++n > WSDL_MAX_DERIVATION || b == type) {
            return wsdl_fault(r, r->sources[0].url,
                              "the type \"%.80s\" is derived from itself, or too often",
                              type->name ? type->name : "");
        }
        if (b->fault) {
            return b->fault;
        }
    }
    for (const struct wsdl_type *b = type->base; b; b = b->base) {
        type->builtin = type->builtin ? type->builtin : b->builtin;
        type->list_item = type->list_item ? type->list_item : b->list_item;
        type->array_item = type->array_item ? type->array_item : b->array_item;
        type->is_union = type->is_union || b->is_union;
        if (!type->values) {
            type->values = b->values;
            type->n_values = b->n_values;
        }
        if (type->min_length < b->min_length) {
            type->min_length = b->min_length;
        }
        if (type->max_length > b->max_length) {
            type->max_length = b->max_length;
        }
    }
    return NULL;
}

static void add_names(struct wsdl_type *type, const struct wsdl_particle *p)
{
    for (; p; p = p->next) {
        if (p->kind == WSDL_ELEMENT) {
            type->names[type->n_names++] = p->element->name;
        } else if (p->kind == WSDL_GROUP) {
            add_names(type, p->group ? p->group->content : NULL);
        } else {
            add_names(type, p->first);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static int name_children(struct wsdl_reader *r, struct wsdl_type *type)
{
    unsigned size = 0;
    for (const struct wsdl_type *t = type; t; t = t->extends ? t->base : NULL) {
        size = add_up(size, measure(t->content, 0));
    }
    r->steps += size;
    if (!wsdl_step(r)) {
        return -ENOMEM;
    }
    if (size > MAX_SIZE) {
        type->fault = wsdl_fault(r, r->sources[0].url, "the type \"%.80s\" holds too much",
                                 type->name ? type->name : "");
        return type->fault ? 0 : -ENOMEM;
    }
    if (size == 0) {
        return 0;
    }
    type->names = arena_get(&r->wsdl->arena, size * sizeof(*type->names));
    if (!type->names) {
        return -ENOMEM;
    }
    for (const struct wsdl_type *t = type; t; t = t->extends ? t->base : NULL) {
        add_names(type, t->content);
    }
    qsort(type->names, type->n_names, sizeof(*type->names), compare);
    return 0;
}

int wsdl_measure(struct wsdl_reader *r)
{
    for (struct wsdl_type *type = r->types; type; type = type->all) {
        if (type->fault) {
            continue;
        }
        type->fault = follow(r, type);
        if (r->wsdl->arena.failed) {
            return -ENOMEM;
        }
        int result = type->fault ? 0 : name_children(r, type);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

bool wsdl_derives(const struct wsdl_type *a, const struct wsdl_type *b)
{
    for (unsigned i = 0; a && i <= WSDL_MAX_DERIVATION; i++, a = a->base) {
        if (a == b) {
            return true;
        }
    }
    return false;
}
