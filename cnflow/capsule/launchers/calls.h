/* Calls of the Linux kernel without a C library, for the programs of this folder. `launch(stack)` is their start. */

#define NOT_FOUND 127

enum { AT_FDCWD = -100, EEXIST = 17, O_RDONLY = 0, O_WRONLY = 1, O_CREAT = 0100, O_TRUNC = 01000 };

#if defined(__x86_64__)
enum { READ = 0, WRITE = 1, CLOSE = 3, GETPID = 39, EXECVE = 59, EXIT = 60, UNAME = 63, FCHMOD = 91 };
enum { OPENAT = 257, MKDIRAT = 258, RENAMEAT = 264, READLINKAT = 267, FACCESSAT = 269 };
static long call(long number, long a, long b, long c, long d) {
    register long r10 __asm__("r10") = d;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start:\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call launch\n");
#elif defined(__aarch64__)
enum { READ = 63, WRITE = 64, CLOSE = 57, GETPID = 172, EXECVE = 221, EXIT = 93, UNAME = 160, FCHMOD = 52 };
enum { OPENAT = 56, MKDIRAT = 34, RENAMEAT = 38, READLINKAT = 78, FACCESSAT = 48 };
static long call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
__asm__(".globl _start\n_start:\n  mov x0, sp\n  bl launch\n");
#else
#error "no program for this architecture"
#endif

static inline long length_of(const char *text) {
    long length = 0;
    while (text[length]) length++;
    return length;
}

/* Writes *text* to *path* from *at* on; returns its end. */
static inline long copy(char *path, long at, const char *text) {
    while ((path[at] = *text++)) at++;
    return at;
}

static inline void fail(const char *words, const char *about) {
    call(WRITE, 2, (long)words, length_of(words), 0);
    call(WRITE, 2, (long)about, length_of(about), 0);
    call(WRITE, 2, (long)"\n", 1, 0);
    call(EXIT, NOT_FOUND, 0, 0, 0);
    __builtin_unreachable();
}
