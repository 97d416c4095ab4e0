/* A module of PAM that asks questions and knows the answers: "pam_questions.so Password:=secret Token:=123456". An
   argument "text=Hello" is shown. Declares what it uses of libpam itself, so that no headers are needed. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct pam_message { int style; const char *text; };
struct pam_response { char *text; int code; };
struct pam_conv {
    int (*talk)(int, const struct pam_message **, struct pam_response **, void *);
    void *data;
};
int pam_get_item(const void *handle, int item, const void **value);

enum { SUCCESS = 0, FAILED = 7, CONVERSATION = 5, HIDDEN = 1, SHOWN = 4 }; /* security/_pam_types.h, Linux-PAM 1.5 */

int pam_sm_authenticate(void *handle, int flags, int count, const char **arguments) {
    const void *item = NULL;
    if (pam_get_item(handle, CONVERSATION, &item) != SUCCESS || item == NULL) return FAILED;
    const struct pam_conv *conversation = item;
    int is_right = 1;
    (void)flags;
    for (int i = 0; i < count; i++) {
        const char *equals = strchr(arguments[i], '=');
        char question[256] = {0};
        strncpy(question, arguments[i], (size_t)(equals - arguments[i]));
        int is_text = strcmp(question, "text") == 0;
        if (!is_text) strcat(question, " ");
        struct pam_message message = {is_text ? SHOWN : HIDDEN, is_text ? equals + 1 : question};
        const struct pam_message *messages[] = {&message};
        struct pam_response *response = NULL;
        if (conversation->talk(1, messages, &response, conversation->data) != SUCCESS) return FAILED;
        if (!is_text && (response == NULL || response->text == NULL || strcmp(response->text, equals + 1) != 0)) is_right = 0;
    }
    return is_right ? SUCCESS : FAILED;
}

int pam_sm_setcred(void *handle, int flags, int count, const char **arguments) {
    (void)handle, (void)flags, (void)count, (void)arguments;
    return SUCCESS;
}
