/* WS-Security: the UsernameToken, OASIS profile 1.0. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>
#include <time.h>

#include "dispatcher/soap_impl.h"

#define OASIS "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
#define NS_SECURITY OASIS "wssecurity-secext-1.0.xsd"
#define NS_UTILITY OASIS "wssecurity-utility-1.0.xsd"
#define TOKEN_PROFILE OASIS "username-token-profile-1.0#"
#define BASE64_TYPE OASIS "soap-message-security-1.0#Base64Binary"

enum { CREATED_SIZE = 24, MAX_PASSWORD = 4096 };

/* Base64(SHA-1(nonce + created + password)). SHA-1 is what the profile says. */
static void digest_of(const struct soap_token *token, const char *created,
                      unsigned char ret_text[64])
{
    unsigned char bytes[SOAP_NONCE_SIZE + CREATED_SIZE + MAX_PASSWORD];
    unsigned char digest[SHA_DIGEST_LENGTH];
    size_t created_len = strnlen(created, CREATED_SIZE);
    size_t len = strnlen(token->password, MAX_PASSWORD);
    memcpy(bytes, token->nonce, SOAP_NONCE_SIZE);
    memcpy(bytes + SOAP_NONCE_SIZE, created, created_len);
    memcpy(bytes + SOAP_NONCE_SIZE + created_len, token->password, len);
    SHA1(bytes, SOAP_NONCE_SIZE + created_len + len, digest);
    explicit_bzero(bytes, sizeof(bytes));
    EVP_EncodeBlock(ret_text, digest, SHA_DIGEST_LENGTH);
}

static int add_text(struct soap_writer *w, xmlNode *parent, const char *ns, const char *name,
                    const char *text, xmlNode **ret_node)
{
    xmlNode *node = soap_child(w, parent, ns, name);
    xmlNode *content = node ? xmlNewDocText(w->doc, (const xmlChar *)text) : NULL;
    if (!content) {
        return -ENOMEM;
    }
    xmlAddChild(node, content);
    *ret_node = node;
    return 0;
}

static int add_password(struct soap_writer *w, xmlNode *parent, const char *created)
{
    const struct soap_token *token = w->input->token;
    unsigned char text[64];
    xmlNode *node;
    int r;
    if (token->digest) {
        digest_of(token, created, text);
        r = add_text(w, parent, NS_SECURITY, "Password", (const char *)text, &node);
        return r < 0 ? r : soap_attribute(w, node, NULL, "Type", TOKEN_PROFILE "PasswordDigest");
    }
    r = add_text(w, parent, NS_SECURITY, "Password", token->password, &node);
    w->password = r < 0 ? NULL : node->children->content;
    return r < 0 ? r : soap_attribute(w, node, NULL, "Type", TOKEN_PROFILE "PasswordText");
}

int soap_add_token(struct soap_writer *w, xmlNode *header)
{
    const struct soap_token *token = w->input->token;
    char created[CREATED_SIZE];
    unsigned char nonce[64];
    time_t now = (time_t)token->now_s;
    struct tm tm;
    xmlNode *node = NULL;
    if (!gmtime_r(&now, &tm) || !strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &tm)) {
        return soap_refuse(w, "the clock is wrong");
    }
    EVP_EncodeBlock(nonce, token->nonce, SOAP_NONCE_SIZE);
    xmlNode *security = soap_child(w, header, NS_SECURITY, "Security");
    if (!security ||
        soap_attribute(w, security, (const char *)w->envelope->href, "mustUnderstand", "1") < 0) {
        return -ENOMEM;
    }
    xmlNode *user = soap_child(w, security, NS_SECURITY, "UsernameToken");
    if (!user || add_text(w, user, NS_SECURITY, "Username", token->user, &node) < 0 ||
        add_password(w, user, created) < 0 ||
        add_text(w, user, NS_SECURITY, "Nonce", (const char *)nonce, &node) < 0 ||
        soap_attribute(w, node, NULL, "EncodingType", BASE64_TYPE) < 0 ||
        add_text(w, user, NS_UTILITY, "Created", created, &node) < 0) {
        return -ENOMEM;
    }
    return 0;
}
