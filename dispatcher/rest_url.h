/*
 * A URL taken apart once for many requests: curl would do it again for each, a tenth of its work.
 */
#ifndef MIH_DISPATCHER_REST_URL_H
#define MIH_DISPATCHER_REST_URL_H

/* curl's CURLU. */
struct Curl_URL;

/* NULL is no fault (CURLOPT_CURLU(3)): curl then takes the text, and says what is wrong with it. So
 * it does for an IPv6 address, whose zone would be lost in the copy that curl makes of this. */
struct Curl_URL *rest_url_new(const char *text);

/* NULL is allowed. */
void rest_url_free(struct Curl_URL *url);

#endif
