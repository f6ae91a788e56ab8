#include "dispatcher/resttrouble.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct row {
    CURLcode code;
    enum outcome_kind kind;
};

/* What is not here is OUTCOME_BROKEN: curl did not understand the answer. */
static const struct row rows[] = {
    {CURLE_COULDNT_RESOLVE_HOST, OUTCOME_DNS},
    {CURLE_COULDNT_RESOLVE_PROXY, OUTCOME_DNS},
    {CURLE_COULDNT_CONNECT, OUTCOME_CONNECT},
    {CURLE_OPERATION_TIMEDOUT, OUTCOME_TIMEOUT},
    {CURLE_SEND_ERROR, OUTCOME_BROKEN},
    {CURLE_RECV_ERROR, OUTCOME_BROKEN},
    {CURLE_GOT_NOTHING, OUTCOME_BROKEN},
    {CURLE_PARTIAL_FILE, OUTCOME_BROKEN},
    {CURLE_FILESIZE_EXCEEDED, OUTCOME_BROKEN},
    {CURLE_SSL_CONNECT_ERROR, OUTCOME_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, OUTCOME_TLS},
    {CURLE_SSL_CERTPROBLEM, OUTCOME_TLS},
    {CURLE_SSL_CIPHER, OUTCOME_TLS},
    {CURLE_SSL_ISSUER_ERROR, OUTCOME_TLS},
    {CURLE_SSL_INVALIDCERTSTATUS, OUTCOME_TLS},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH, OUTCOME_TLS},
    {CURLE_SSL_CLIENTCERT, OUTCOME_TLS},
    {CURLE_URL_MALFORMAT, OUTCOME_INVALID},
    {CURLE_UNSUPPORTED_PROTOCOL, OUTCOME_INVALID},
    {CURLE_BAD_FUNCTION_ARGUMENT, OUTCOME_INVALID},
    {CURLE_OUT_OF_MEMORY, OUTCOME_LOCAL},
    {CURLE_FAILED_INIT, OUTCOME_LOCAL},
    {CURLE_INTERFACE_FAILED, OUTCOME_LOCAL},
    {CURLE_ABORTED_BY_CALLBACK, OUTCOME_LOCAL},
    {CURLE_SSL_CACERT_BADFILE, OUTCOME_LOCAL},
    {CURLE_SSL_ENGINE_INITFAILED, OUTCOME_LOCAL},
    {CURLE_NO_CONNECTION_AVAILABLE, OUTCOME_LOCAL},
};

static enum outcome_kind kind_of(CURLcode code)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return rows[i].kind;
    return OUTCOME_BROKEN;
}

/* The resolver and curl's inner sockets fail without telling that descriptors ran out. */
static int descriptors_errno(void)
{
    int fd = open("/", O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* A handshake that the network cut is no refusal: only the words tell. */
static bool cut_in_handshake(const struct resttrouble *t)
{
    return t->code == CURLE_SSL_CONNECT_ERROR && (strstr(t->words, "SSL_ERROR_SYSCALL") != NULL ||
                                                  strstr(t->words, "unexpected eof") != NULL ||
                                                  strstr(t->words, "Connection reset") != NULL);
}

static void say(struct outcome *o, enum outcome_kind kind, const char *words)
{
    o->kind = kind;
    snprintf(o->text, sizeof o->text, "%s", words);
}

static void say_local(struct outcome *o, int error)
{
    char buffer[128];
    o->kind = OUTCOME_LOCAL;
    snprintf(o->text, sizeof o->text, "cannot open a socket: %s",
             strerror_r(error, buffer, sizeof buffer));
}

/* The words when the answer was ended because of its size, or NULL. */
static const char *oversize(const struct resttrouble *t)
{
    if (t->header_too_large)
        return "the answer's headers are too large";
    if (t->body_too_large || t->code == CURLE_FILESIZE_EXCEEDED)
        return "the answer's body is too large";
    if (t->answer_began && t->code == CURLE_OUT_OF_MEMORY)
        return "a header line of the answer is too long";
    return NULL;
}

/* curl's own, but where they could hold the proxy's URL, and with that its password. */
static const char *words_of(const struct resttrouble *t)
{
    if (t->code == CURLE_COULDNT_RESOLVE_PROXY)
        return "the proxy of [http] proxy cannot be found";
    return t->words[0] != '\0' ? t->words : curl_easy_strerror(t->code);
}

void resttrouble_explain(const struct resttrouble *t, struct outcome *ret_outcome)
{
    const char *words = words_of(t);
    const char *too_large = oversize(t);
    enum outcome_kind kind = kind_of(t->code);
    int error = t->local_errno;
    if (error == 0 && (kind == OUTCOME_DNS || kind == OUTCOME_CONNECT))
        error = descriptors_errno();
    if (t->refusal != NULL)
        say(ret_outcome, OUTCOME_INVALID, t->refusal);
    else if (too_large != NULL)
        say(ret_outcome, OUTCOME_BROKEN, too_large);
    else if (t->answer_began && (kind == OUTCOME_INVALID || kind == OUTCOME_LOCAL))
        say(ret_outcome, OUTCOME_BROKEN, words); /* curl gave up on the answer, not the request */
    else if (error != 0)
        say_local(ret_outcome, error);
    else if (t->stood_still && kind == OUTCOME_TIMEOUT)
        say(ret_outcome, OUTCOME_LOCAL, "this process stood still while the answer was awaited");
    else if (cut_in_handshake(t))
        say(ret_outcome, OUTCOME_BROKEN, "the connection was cut in the TLS handshake");
    else
        say(ret_outcome, kind, words);
}

/* Where the authority begins: behind "scheme://" or "//"; NULL for a location without one. */
static const char *authority_of(const char *location, size_t len)
{
    const char *slashes = memmem(location, len, "//", 2);
    bool leads = slashes == location;
    bool follows_scheme = slashes != NULL && !leads && slashes[-1] == ':' &&
                          memchr(location, '/', (size_t)(slashes - location)) == NULL;
    return leads || follows_scheme ? slashes + 2 : NULL;
}

void resttrouble_location(const char *location, char *ret_text, size_t size)
{
    size_t len = strcspn(location, "?#");
    const char *host = authority_of(location, len);
    const char *at = NULL;
    if (host != NULL)
        at = memrchr(host, '@', strcspn(host, "/?#"));
    if (at == NULL)
        snprintf(ret_text, size, "%.*s", (int)len, location);
    else
        snprintf(ret_text, size, "%.*s%.*s", (int)(host - location), location,
                 (int)(len - (size_t)(at + 1 - location)), at + 1);
}
