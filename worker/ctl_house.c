#include "worker/ctl_house.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "common/netguard.h"
#include "worker/settings.h"

static int make_base(struct ctl_house *h)
{
    struct event_config *config = event_config_new();

    if (!config)
        return -ENOMEM;
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_NO_CACHE_TIME);
    h->base = event_base_new_with_config(config);
    event_config_free(config);
    return h->base ? 0 : -ENOMEM;
}

struct soap_settings ctl_soap_settings(const struct settings *settings)
{
    return (struct soap_settings){
        .wsdl_folder = settings->soap_wsdl_folder,
        .allow_origins = settings->soap_allow_origins,
        .max_age_ms = settings->soap_wsdl_max_age_ms,
    };
}

int ctl_house_open(struct ctl_house *h, const struct settings *settings, char *ret_reason,
                   size_t size)
{
    struct soap_settings soap = ctl_soap_settings(settings);
    int r;

    *h = (struct ctl_house){0};
    *ret_reason = '\0';
    r = netguard_new(settings->security_allow_networks, settings->security_proxy_enforces_egress,
                     &h->guard, ret_reason, size);
    if (r == 0)
        r = make_base(h);
    if (r == 0)
        r = transports_make(&h->transports, h->base,
                            &(struct transport_settings){
                                .user_agent = "MoodleIntegrationHub/" MIH_VERSION,
                                .max_response_bytes = (size_t)settings->worker_max_response_bytes,
                                .connect_timeout_ms = (long)settings->worker_connect_timeout_ms,
                                .ca_file = settings->worker_ca_file,
                                .guard = h->guard,
                                .proxy = settings->http_proxy,
                                .no_proxy = settings->http_no_proxy,
                            },
                            &soap);
    if (r < 0 && *ret_reason == '\0')
        snprintf(ret_reason, size, "local: the transports cannot be made: %s", strerror(-r));
    return r;
}

void ctl_house_close(struct ctl_house *h)
{
    transports_free(&h->transports);
    netguard_free(h->guard);
    if (h->base)
        event_base_free(h->base);
}
