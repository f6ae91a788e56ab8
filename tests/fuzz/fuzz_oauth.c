/* Answers of token endpoints: whatever they hold, the token is one line of visible bytes, and a
 * failure names the endpoint and shows nothing of the answer but a code.  A redirect, which is
 * never followed, is the one failure that no retry mends. */
#include <stdbool.h>
#include <string.h>

#include "common/utf8.h"
#include "dispatcher/oauth.h"
#include "tests/fuzz/fuzz.h"

static const char policy[] = "policy: ";
static const char marker[] = "token endpoint h: ";

static void check_failure(const struct outcome *o, const char *body, bool redirected)
{
    const char *code = strrchr(o->text, ' '), *text = o->text;

    if (redirected) {
        PROPERTY(strncmp(text, policy, strlen(policy)) == 0, "%s", text);
        text += strlen(policy);
    }
    PROPERTY(strncmp(text, marker, strlen(marker)) == 0, "%s", o->text);
    PROPERTY(utf8_invalid_at(o->text, strlen(o->text)) == strlen(o->text), "not UTF-8");
    if (redirected)
        PROPERTY(o->kind == OUTCOME_INVALID, "%d", (int)o->kind);
    else
        PROPERTY(o->kind == OUTCOME_HTTP || o->kind == OUTCOME_BROKEN, "%d", (int)o->kind);
    PROPERTY(o->status == 0 || o->status == 401 || o->status == 429 || o->status == 503, "%d",
             o->status);
    if (o->kind == OUTCOME_HTTP && code && code[1] > '9')
        PROPERTY(strstr(body, code + 1) || strchr(body, '\\'), "%s", code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char url[] = "http://h/t", text[] = "x", name[] = "crm";
    static const int statuses[] = {200, 400, 401, 404, 429, 500, 503, 302};
    const struct service service = {.name = name,
                                    .auth = AUTH_OAUTH2,
                                    .auth_url = url,
                                    .auth_user = text,
                                    .auth_token = text,
                                    .auth_scope = text};
    struct oauth *o = oauth_new();
    struct oauth_token *t = oauth_get(o, &service);
    struct outcome failure;
    struct outcome answer = {.kind = OUTCOME_HTTP, .retry_after_s = -1};
    struct fields f;

    fields_cut(&f, 2, data, size);
    answer.status = statuses[f.len[0] % (sizeof statuses / sizeof *statuses)];
    PROPERTY(oauth_request(t, &service) != NULL, "no request");
    if (oauth_fetched(t, &answer, f.text[1], f.len[1], 1000, &failure)) {
        PROPERTY(strncmp(oauth_header(t), "Authorization: Bearer ", 22) == 0, "no header");
        PROPERTY(is_plain(oauth_header(t), strlen(oauth_header(t))), "not visible");
        PROPERTY(oauth_ask(t, 1000) == OAUTH_READY, "not ready");
        PROPERTY(oauth_ask(t, 1000 + INT64_C(86400000)) == OAUTH_FETCH, "good for ever");
    } else {
        PROPERTY(oauth_header(t) == NULL, "a header after a failure");
        PROPERTY(oauth_ask(t, 5999) == OAUTH_PAUSE && oauth_ask(t, 6000) == OAUTH_FETCH, "pause");
        check_failure(&failure, f.text[1], answer.status == 302);
    }
    oauth_put(t);
    oauth_free(o);
    fields_release(&f);
    return 0;
}
