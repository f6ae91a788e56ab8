#include "dispatcher/xmlsafe.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xmlIO.h>
#include <libxml/xmlerror.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/utf8.h"

enum { MAX_DECLARATION = 1024 };

static unsigned long refused_loads;

static xmlParserInputPtr deny(const char *url, const char *id, xmlParserCtxtPtr context)
{
    (void)url;
    (void)id;
    (void)context;
    refused_loads++;
    return NULL;
}

/* libxml2 would print to stderr. */
static void be_silent(void *context, const char *message, ...)
{
    (void)context;
    (void)message;
}

void xmlsafe_init(void)
{
    static bool done;
    if (done) {
        return;
    }
    done = true;
    xmlInitParser();
    xmlSetExternalEntityLoader(deny);
    xmlSetGenericErrorFunc(NULL, be_silent);
}

unsigned long xmlsafe_refused_loads(void)
{
    return refused_loads;
}

static int refuse(char *ret_reason, size_t size, const char *what)
{
    (void)snprintf(ret_reason, size, "%s", what);
    return -EBADMSG;
}

/* The pass over the text. */

struct scan {
    const char *at;
    const char *end;
    size_t depth;
};

static bool begins(const struct scan *s, const char *start)
{
    size_t len = strlen(start);
    return (size_t)(s->end - s->at) >= len && memcmp(s->at, start, len) == 0;
}

/* Moves behind the next `stop`. NULL, or what is wrong. */
static const char *skip_to(struct scan *s, const char *stop)
{
    const char *found = memmem(s->at, (size_t)(s->end - s->at), stop, strlen(stop));
    if (!found) {
        return "a comment, instruction or CDATA section does not end";
    }
    s->at = found + strlen(stop);
    return NULL;
}

/* From "<" of a tag to behind its ">". */
static const char *skip_tag(struct scan *s)
{
    const char *start = s->at;
    size_t attributes = 0;
    char quote = '\0';
    bool closes = begins(s, "</");
    while (++s->at < s->end && s->at - start <= XMLSAFE_MAX_TAG) {
        char c = *s->at;
        if (quote) {
            if (c == quote) {
                quote = '\0';
            }
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '=' && ++attributes > XMLSAFE_MAX_ATTRIBUTES) {
            return "a tag has too many attributes";
        } else if (c == '>') {
            bool empty = s->at[-1] == '/';
            s->depth += !closes && !empty;
            s->depth -= closes && s->depth > 0;
            s->at++;
            return s->depth > XMLSAFE_MAX_DEPTH ? "it is nested too deep" : NULL;
        }
    }
    return s->at < s->end ? "a tag is too long" : "a tag does not end";
}

static const char *skip_markup(struct scan *s)
{
    if (begins(s, "<!--")) {
        s->at += 4;
        return skip_to(s, "-->");
    }
    if (begins(s, "<![CDATA[")) {
        return skip_to(s, "]]>");
    }
    if (begins(s, "<?")) {
        return skip_to(s, "?>");
    }
    if (begins(s, "<!")) {
        return "it holds a DTD";
    }
    return skip_tag(s);
}

int xmlsafe_scan(const char *text, size_t len, char *ret_reason, size_t reason_size)
{
    struct scan s = {text, text + len, 0};
    while ((s.at = memchr(s.at, '<', (size_t)(s.end - s.at))) != NULL) {
        const char *fault = skip_markup(&s);
        if (fault) {
            return refuse(ret_reason, reason_size, fault);
        }
        if (s.at == s.end) {
            break;
        }
    }
    return 0;
}

/* Encodings. */

enum form { FORM_BYTES, FORM_UTF16LE, FORM_UTF16BE };

static enum form form_of(const unsigned char *b, size_t len)
{
    if (len >= 4 && ((b[0] == 0xff && b[1] == 0xfe) || (b[0] == '<' && !b[1] && b[2] && !b[3]))) {
        return FORM_UTF16LE;
    }
    if (len >= 4 && ((b[0] == 0xfe && b[1] == 0xff) || (!b[0] && b[1] == '<' && !b[2] && b[3]))) {
        return FORM_UTF16BE;
    }
    return FORM_BYTES;
}

static uint32_t unit_at(const unsigned char *b, enum form form)
{
    return form == FORM_UTF16LE ? (uint32_t)b[0] | (uint32_t)b[1] << 8
                                : (uint32_t)b[1] | (uint32_t)b[0] << 8;
}

/* Appends UTF-16 as UTF-8, without its mark. False for what is no UTF-16. */
static bool transcode(const unsigned char *b, size_t len, enum form form, struct buf *out)
{
    if (len % 2 != 0) {
        return false;
    }
    for (size_t i = unit_at(b, form) == 0xfeff ? 2 : 0; i < len; i += 2) {
        uint32_t c = unit_at(b + i, form);
        if (c >= 0xd800 && c <= 0xdbff && i + 3 < len) {
            uint32_t low = unit_at(b + i + 2, form);
            if (low < 0xdc00 || low > 0xdfff) {
                return false;
            }
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
            i += 2;
        } else if (c == 0 || (c >= 0xd800 && c <= 0xdfff)) {
            return false;
        }
        utf8_add(out, c);
    }
    return true;
}

/* Where the XML declaration ends; 0 when there is none. It ends soon, or the whole is refused. */
static size_t declaration_length(const char *text, size_t len)
{
    const char *end;
    if (len < 6 || memcmp(text, "<?xml", 5) != 0 || !strchr(" \t\r\n", text[5])) {
        return 0;
    }
    end = memmem(text, len < MAX_DECLARATION ? len : MAX_DECLARATION, "?>", 2);
    return end ? (size_t)(end - text) + 2 : MAX_DECLARATION + 1;
}

static bool is_known_encoding(const char *name, size_t len)
{
    static const char *const known[] = {"utf-8", "utf8", "us-ascii", "ascii"};
    static const char *const families[] = {"iso-8859-", "windows-125"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strlen(known[i]) == len && strncasecmp(name, known[i], len) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        size_t n = strlen(families[i]);
        if (len > n && len <= n + 2 && strncasecmp(name, families[i], n) == 0) {
            return true;
        }
    }
    return false;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) {
        at++;
    }
    return at;
}

/* True when the declaration names no encoding, or one in which every byte below 0x80 is ASCII. */
static bool is_plain_encoding(const char *text, size_t len)
{
    static const char word[] = "encoding";
    size_t end = declaration_length(text, len);
    const char *at = end > MAX_DECLARATION ? text : memmem(text, end, word, sizeof(word) - 1);
    if (!at || end > MAX_DECLARATION) {
        return !at;
    }
    at += sizeof(word) - 1;
    at = skip_blanks(at, text + end);
    if (*at++ != '=') {
        return false;
    }
    at = skip_blanks(at, text + end);
    if (*at != '"' && *at != '\'') {
        return false;
    }
    const char *stop = memchr(at + 1, *at, (size_t)(text + end - at - 1));
    return stop && is_known_encoding(at + 1, (size_t)(stop - at - 1));
}

/* Parsing. */

static void on_dtd(void *context, const xmlChar *name, const xmlChar *id, const xmlChar *url)
{
    xmlParserCtxtPtr parser = context;
    bool *saw_dtd = parser->_private;
    (void)name;
    (void)id;
    (void)url;
    *saw_dtd = true;
    xmlStopParser(parser);
}

static void on_error(void *context, xmlErrorPtr error)
{
    (void)context;
    (void)error;
}

/* libxml2's words quote the document: its number and line say enough. */
static int explain(xmlParserCtxtPtr parser, char *ret_reason, size_t size)
{
    const xmlError *error = xmlCtxtGetLastError(parser);
    if (error && error->code == XML_ERR_NO_MEMORY) {
        return -ENOMEM;
    }
    if (!error) {
        return refuse(ret_reason, size, "it is no XML");
    }
    (void)snprintf(ret_reason, size, "it is no well-formed XML (line %d, error %d of libxml2)",
                   error->line, error->code);
    return -EBADMSG;
}

static int parse(const char *text, size_t len, xmlDoc **ret_doc, char *ret_reason, size_t size)
{
    bool saw_dtd = false;
    int r = 0;
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    if (!parser) {
        return -ENOMEM;
    }
    parser->_private = &saw_dtd;
    parser->sax->internalSubset = on_dtd;
    parser->sax->externalSubset = on_dtd;
    parser->sax->serror = on_error;
    xmlDoc *doc = xmlCtxtReadMemory(parser, text, (int)len, NULL, NULL, XML_PARSE_NONET);
    if (saw_dtd) {
        r = refuse(ret_reason, size, "it holds a DTD");
    } else if (!doc || !parser->wellFormed || !xmlDocGetRootElement(doc)) {
        r = explain(parser, ret_reason, size);
    }
    if (r == 0) {
        *ret_doc = doc;
    } else {
        xmlFreeDoc(doc);
    }
    xmlFreeParserCtxt(parser);
    return r;
}

/* The text without a mark and, from UTF-16, without the declaration that would now be wrong. */
static int parse_utf16(const unsigned char *bytes, size_t len, enum form form, xmlDoc **ret_doc,
                       char *ret_reason, size_t size)
{
    struct buf text;
    int r;
    buf_init(&text, len / 2 * 3 + 1);
    if (!transcode(bytes, len, form, &text)) {
        r = refuse(ret_reason, size, "it is no UTF-16");
    } else {
        r = buf_error(&text);
    }
    if (r == 0) {
        size_t skip = declaration_length(buf_text(&text), text.len);
        skip = skip > MAX_DECLARATION ? 0 : skip; /* and the parser will not like it */
        const char *rest = buf_text(&text) + skip;
        r = xmlsafe_scan(rest, text.len - skip, ret_reason, size);
        r = r < 0 ? r : parse(rest, text.len - skip, ret_doc, ret_reason, size);
    }
    buf_release(&text);
    return r;
}

/* Six arguments: what is parsed, and the reason, take two each. */
int xmlsafe_parse(const char *bytes, size_t len, size_t max, xmlDoc **ret_doc, char *ret_reason,
                  size_t reason_size)
{
    static const char mark[] = "\xef\xbb\xbf";
    xmlsafe_init();
    if (len > max || len > INT_MAX / 4) {
        return refuse(ret_reason, reason_size, "it is too large");
    }
    enum form form = form_of((const unsigned char *)bytes, len);
    if (form != FORM_BYTES) {
        return parse_utf16((const unsigned char *)bytes, len, form, ret_doc, ret_reason,
                           reason_size);
    }
    if (len >= 3 && memcmp(bytes, mark, 3) == 0) {
        bytes += 3;
        len -= 3;
    }
    size_t blank = (size_t)(skip_blanks(bytes, bytes + len) - bytes);
    if (blank == len || bytes[blank] != '<' || memchr(bytes, '\0', len)) {
        return refuse(ret_reason, reason_size, len == blank ? "it is empty" : "it is no XML");
    }
    bytes += blank;
    len -= blank;
    if (!is_plain_encoding(bytes, len)) {
        return refuse(ret_reason, reason_size, "its encoding is not accepted");
    }
    int r = xmlsafe_scan(bytes, len, ret_reason, reason_size);
    return r < 0 ? r : parse(bytes, len, ret_doc, ret_reason, reason_size);
}

/* Looking at what was parsed. */

static bool same(const xmlChar *a, const char *b)
{
    return strcmp((const char *)a, b) == 0;
}

bool xmlsafe_is(const xmlNode *node, const char *ns, const char *local)
{
    if (!node || node->type != XML_ELEMENT_NODE || !same(node->name, local)) {
        return false;
    }
    return ns ? node->ns && node->ns->href && same(node->ns->href, ns) : !node->ns;
}

static const xmlNode *element_from(const xmlNode *node)
{
    while (node && node->type != XML_ELEMENT_NODE) {
        node = node->next;
    }
    return node;
}

const xmlNode *xmlsafe_child(const xmlNode *node)
{
    return element_from(node->children);
}

const xmlNode *xmlsafe_next(const xmlNode *node)
{
    return element_from(node->next);
}

const char *xmlsafe_attribute(const xmlNode *node, const char *ns, const char *local)
{
    for (const xmlAttr *a = node->properties; a; a = a->next) {
        bool in_ns = ns ? a->ns && a->ns->href && same(a->ns->href, ns) : !a->ns;
        if (in_ns && same(a->name, local)) {
            return a->children && a->children->content ? (const char *)a->children->content : "";
        }
    }
    return NULL;
}

void xmlsafe_text(const xmlNode *node, struct buf *out)
{
    for (const xmlNode *child = node->children; child; child = child->next) {
        if ((child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) &&
            child->content) {
            buf_adds(out, (const char *)child->content);
        }
    }
}

/* The declaration in scope; len 0 asks for the default one. The depth is bounded by the scan. */
static const xmlNs *find_ns(const xmlNode *node, const char *prefix, size_t len)
{
    for (; node && node->type == XML_ELEMENT_NODE; node = node->parent) {
        for (const xmlNs *ns = node->nsDef; ns; ns = ns->next) {
            const char *name = ns->prefix ? (const char *)ns->prefix : "";
            if (strlen(name) == len && memcmp(name, prefix, len) == 0) {
                return ns;
            }
        }
    }
    return NULL;
}

bool xmlsafe_qname(const xmlNode *node, const char *value, const char **ret_ns,
                   const char **ret_local)
{
    const char *colon = strchr(value, ':');
    size_t len = colon ? (size_t)(colon - value) : 0;
    const xmlNs *ns = find_ns(node, value, len);
    if (!ns && len == 3 && memcmp(value, "xml", 3) == 0) {
        *ret_ns = (const char *)XML_XML_NAMESPACE;
    } else if (!ns && colon) {
        return false;
    } else {
        *ret_ns = ns && ns->href && *ns->href ? (const char *)ns->href : NULL;
    }
    *ret_local = colon ? colon + 1 : value;
    return true;
}

bool xmlsafe_is_text(const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t c;
        size_t size = utf8_decode(text + at, len - at, &c);
        if (size == 0 || (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xfffe ||
            c == 0xffff) {
            return false;
        }
        at += size;
    }
    return true;
}

bool xmlsafe_is_ncname(const char *text, size_t len)
{
    char copy[256];
    if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len)) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    return xmlValidateNCName((const xmlChar *)copy, 0) == 0;
}
