#include "worker/plainsecrets.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/log.h"
#include "dispatcher/catalog.h"

static bool knows(const struct plainsecrets *p, int64_t id)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->told[i] == id)
            return true;
    return false;
}

/* Out of memory, it is told again at the next change. */
static void remember(struct plainsecrets *p, int64_t id)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        int64_t *told = reallocarray(p->told, cap, sizeof *told);
        if (!told)
            return;
        p->told = told;
        p->cap = cap;
    }
    p->told[p->n++] = id;
}

void plainsecrets_tell(struct plainsecrets *p, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog_service_count(catalog); i++) {
        const struct service *s = catalog_service_at(catalog, i);
        if (!s->plain_secrets || knows(p, s->id))
            continue;
        log_warning(
            s->type == SERVICE_AMQP
                ? "the password in this service's base_url is not encrypted in the database"
                  "; it works, and the whole base_url may be encrypted with Moodle's key"
                : "a secret of this service is not encrypted in the database; it works, and "
                  "cli/service.php --encrypt of the plugin mends it",
            "service_id", log_number(s->id), "service", s->name, NULL);
        remember(p, s->id);
    }
}

void plainsecrets_release(struct plainsecrets *p)
{
    free(p->told);
    *p = (struct plainsecrets){0};
}
