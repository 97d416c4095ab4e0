/* PREFIX/bin/python3 of a carried interpreter: starts the real one with the dynamic loader and libraries beside it.
 *
 *   PREFIX/bin/python3 ARGS...      this program: static, needs neither a C library nor a shell, and works in any folder
 *     = PREFIX/libs/loader --inhibit-cache --library-path PREFIX/libs --argv0 PREFIX/bin/python3 PREFIX/bin/python3.real ARGS...
 *
 * An ELF file can name its loader by an absolute path alone, and a script can give its interpreter one argument alone:
 * hence this program. It changes no variable, so that commands that tasks start get the image's own libraries.
 * `make launchers` compiles it for each architecture.
 */

#define BUFFER 4096
#define NOT_FOUND 127

#if defined(__x86_64__)
enum { READLINK = 89, EXECVE = 59, WRITE = 1, EXIT = 60 };
static long call(long number, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
static long read_link(const char *path, char *buffer, long size) {
    return call(READLINK, (long)path, (long)buffer, size, 0);
}
__asm__(".globl _start\n_start:\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call launch\n");
#elif defined(__aarch64__)
enum { READLINKAT = 78, EXECVE = 221, WRITE = 64, EXIT = 93, AT_FDCWD = -100 };
static long call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
static long read_link(const char *path, char *buffer, long size) {
    return call(READLINKAT, AT_FDCWD, (long)path, (long)buffer, size);
}
__asm__(".globl _start\n_start:\n  mov x0, sp\n  bl launch\n");
#else
#error "no launcher for this architecture"
#endif

static char own[BUFFER + 32], loader[BUFFER + 32], libraries[BUFFER + 32], real[BUFFER + 32];

static long length_of(const char *text) {
    long length = 0;
    while (text[length]) length++;
    return length;
}

static int has_slash(const char *text) {
    while (*text && *text != '/') text++;
    return *text;
}

static void fail(const char *words, const char *about) {
    call(WRITE, 2, (long)words, length_of(words), 0);
    call(WRITE, 2, (long)about, length_of(about), 0);
    call(WRITE, 2, (long)"\n", 1, 0);
    call(EXIT, NOT_FOUND, 0, 0, 0);
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

    long length = read_link("/proc/self/exe", own, BUFFER);
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
