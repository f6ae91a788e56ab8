/* Stored secrets: whatever stands in the column, it is refused with a reason, or is what was
 * encrypted with the key. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/secret.h"
#include "tests/fuzz/fuzz.h"

/* The key of tests/unit/test_secret.c, so that its values are seeds. */
static struct secret_keys *make_keys(void)
{
    static const char name[] = "openssl-aes-256-ctr.key";
    char folder[] = "/tmp/mih-fuzz-XXXXXX";
    char path[64];
    char other[64];
    char reason[400];
    unsigned char key[2][32];
    struct secret_keys *keys = NULL;
    for (int i = 0; i < 32; i++) {
        key[0][i] = (unsigned char)(i * 7);
        key[1][i] = (unsigned char)(255 - i * 5);
    }
    PROPERTY(mkdtemp(folder) != NULL, "no folder");
    snprintf(path, sizeof path, "%s/sodium.key", folder);
    snprintf(other, sizeof other, "%s/%s", folder, name);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(i == 0 ? path : other, "wbe");
        PROPERTY(f && fwrite(key[i], 1, 32, f) == 32, "no key file");
        fclose(f);
    }
    PROPERTY(secret_keys_load(path, &keys, reason, sizeof reason) == 0, "%s", reason);
    unlink(path);
    unlink(other);
    rmdir(folder);
    return keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct secret_keys *keys;
    struct fields f;
    char *text = NULL;
    char reason[400] = "";

    if (!keys)
        keys = make_keys();
    fields_cut(&f, 1, data, size);
    if (secret_is_encrypted(f.text[0])) {
        int r = secret_decrypt(keys, f.text[0], &text, reason, sizeof reason);
        PROPERTY(r == 0 || r == -EBADMSG, "%d", r);
        PROPERTY((r == 0) == (text != NULL) && (r == 0) == !*reason, "%s", reason);
        PROPERTY(!text || strlen(text) < strlen(f.text[0]), "longer than what it came from");
    }
    secret_free(text);
    fields_release(&f);
    return 0;
}
