#include "dispatcher/rest_url.h"

#include <curl/curl.h>
#include <string.h>

struct Curl_URL *rest_url_new(const char *text)
{
    CURLU *url = strchr(text, '[') ? NULL : curl_url();

    if (url && curl_url_set(url, CURLUPART_URL, text,
                            CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        curl_url_cleanup(url);
        url = NULL;
    }
    return url;
}

void rest_url_free(struct Curl_URL *url)
{
    curl_url_cleanup(url);
}
