/* The types of XML Schema itself, and those of SOAP's encoding that are the same. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "dispatcher/wsdl_impl.h"

static const struct wsdl_builtin builtins[] = {
    {"string", WSDL_TEXT, "", "", false},
    {"normalizedString", WSDL_TEXT, "", "", false},
    {"token", WSDL_TEXT, "", "", false},
    {"language", WSDL_TEXT, "", "", false},
    {"Name", WSDL_TEXT, "", "", false},
    {"NCName", WSDL_TEXT, "", "", false},
    {"NMTOKEN", WSDL_TEXT, "", "", false},
    {"NMTOKENS", WSDL_TEXT, "", "", true},
    {"ID", WSDL_TEXT, "", "", false},
    {"IDREF", WSDL_TEXT, "", "", false},
    {"IDREFS", WSDL_TEXT, "", "", true},
    {"ENTITY", WSDL_TEXT, "", "", false},
    {"ENTITIES", WSDL_TEXT, "", "", true},
    {"anyURI", WSDL_TEXT, "", "", false},
    {"QName", WSDL_TEXT, "", "", false},
    {"NOTATION", WSDL_TEXT, "", "", false},
    {"duration", WSDL_TEXT, "", "", false},
    {"gYear", WSDL_TEXT, "", "", false},
    {"gYearMonth", WSDL_TEXT, "", "", false},
    {"gMonth", WSDL_TEXT, "", "", false},
    {"gMonthDay", WSDL_TEXT, "", "", false},
    {"gDay", WSDL_TEXT, "", "", false},
    {"anySimpleType", WSDL_TEXT, "", "", false},
    {"boolean", WSDL_BOOLEAN, "", "", false},
    {"integer", WSDL_INTEGER, "", "", false},
    {"nonNegativeInteger", WSDL_INTEGER, "0", "", false},
    {"positiveInteger", WSDL_INTEGER, "1", "", false},
    {"nonPositiveInteger", WSDL_INTEGER, "", "0", false},
    {"negativeInteger", WSDL_INTEGER, "", "-1", false},
    {"long", WSDL_INTEGER, "-9223372036854775808", "9223372036854775807", false},
    {"int", WSDL_INTEGER, "-2147483648", "2147483647", false},
    {"short", WSDL_INTEGER, "-32768", "32767", false},
    {"byte", WSDL_INTEGER, "-128", "127", false},
    {"unsignedLong", WSDL_INTEGER, "0", "18446744073709551615", false},
    {"unsignedInt", WSDL_INTEGER, "0", "4294967295", false},
    {"unsignedShort", WSDL_INTEGER, "0", "65535", false},
    {"unsignedByte", WSDL_INTEGER, "0", "255", false},
    {"decimal", WSDL_DECIMAL, "", "", false},
    {"float", WSDL_FLOAT, "", "", false},
    {"double", WSDL_FLOAT, "", "", false},
    {"dateTime", WSDL_DATETIME, "", "", false},
    {"date", WSDL_DATE, "", "", false},
    {"time", WSDL_TIME, "", "", false},
    {"base64Binary", WSDL_BASE64, "", "", false},
    {"base64", WSDL_BASE64, "", "", false}, /* of SOAP's encoding only */
    {"hexBinary", WSDL_HEX, "", "", false},
};

enum { N_BUILTINS = sizeof(builtins) / sizeof(builtins[0]) };

int wsdl_make_builtins(struct wsdl *w)
{
    const char *ns = wsdl_intern(w, NS_XSD);
    w->builtins = arena_get(&w->arena, N_BUILTINS * sizeof(*w->builtins));
    w->any = arena_get(&w->arena, sizeof(*w->any));
    w->array = arena_get(&w->arena, sizeof(*w->array));
    struct wsdl_element *item = arena_get(&w->arena, sizeof(*item));
    if (!ns || !w->builtins || !w->any || !w->array || !item) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < N_BUILTINS; i++) {
        w->builtins[i] = (struct wsdl_type){.ns = ns,
                                            .name = builtins[i].name,
                                            .simple = true,
                                            .builtin = &builtins[i],
                                            .max_length = SIZE_MAX};
    }
    *w->any = (struct wsdl_type){.ns = ns, .name = "anyType", .any = true, .max_length = SIZE_MAX};
    *item = (struct wsdl_element){.name = "item", .type = w->any, .nillable = true};
    *w->array =
        (struct wsdl_type){.ns = wsdl_intern(w, NS_SOAPENC11), .name = "Array", .array_item = item};
    return 0;
}

const struct wsdl_type *wsdl_builtin_type(const struct wsdl *w, const char *name)
{
    if (strcmp(name, "anyType") == 0 || strcmp(name, "ur-type") == 0) {
        return w->any;
    }
    for (size_t i = 0; i < N_BUILTINS; i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            return &w->builtins[i];
        }
    }
    return NULL;
}
