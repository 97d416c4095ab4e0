/* PREFIX/bin/python3 of a carried interpreter: starts the real one with the dynamic loader and libraries beside it.
 *
 *   PREFIX/bin/python3 ARGS...      this program: static, needs neither a C library nor a shell, and works in any folder
 *     = PREFIX/libs/loader --inhibit-cache --library-path PREFIX/libs --argv0 PREFIX/bin/python3 PREFIX/bin/python3.real ARGS...
 *
 * An ELF file can name its loader by an absolute path alone, and a script can give its interpreter one argument alone:
 * hence this program. It changes no variable, so that commands that tasks start get the image's own libraries.
 * `make launchers` compiles it for each architecture.
 */

#include "calls.h"

#define BUFFER 4096

static char own[BUFFER + 32], loader[BUFFER + 32], libraries[BUFFER + 32], real[BUFFER + 32];

static int has_slash(const char *text) {
    while (*text && *text != '/') text++;
    return *text;
}

/* Writes the first *length* characters of the own path and *name* to *path*. */
static void join(char *path, long length, const char *name) {
    for (long i = 0; i < length; i++) path[i] = own[i];
    do path[length++] = *name; while (*name++);
}

void launch(long *stack) {
    long count = stack[0];
    char **arguments = (char **)(stack + 1);
    char **variables = arguments + count + 1;

    long length = call(READLINKAT, AT_FDCWD, (long)"/proc/self/exe", (long)own, BUFFER);
    if (length <= 0 || length >= BUFFER) { /* no /proc here: the path by which this was started */
        length = count > 0 ? length_of(arguments[0]) : 0;
        if (length == 0 || length >= BUFFER) fail("cannot find the carried Python: no /proc", "");
        join(own, 0, arguments[0]);
    }
    own[length] = 0;
    for (int up = 0; up < 2; up++) { /* to PREFIX/ from PREFIX/bin/python3 */
        while (length > 0 && own[length - 1] != '/') length--;
        if (length > 0 && up == 0) length--;
    }
    join(loader, length, "libs/loader");
    join(libraries, length, "libs");
    join(real, length, "bin/python3.real");

    char *extended[count + 8];
    char **next = extended;
    *next++ = loader;
    *next++ = "--inhibit-cache"; /* the image's cache may name libraries for another C library */
    *next++ = "--library-path";
    *next++ = libraries;
    *next++ = "--argv0"; /* becomes sys.executable: as given if it is a path, which may lead into a virtual environment */
    *next++ = count > 0 && has_slash(arguments[0]) ? arguments[0] : own;
    *next++ = real;
    for (long i = 1; i < count; i++) *next++ = arguments[i];
    *next = 0;
    call(EXECVE, (long)loader, (long)extended, (long)variables, 0);
    fail("cannot start ", loader);
}
