/* unpack PARTS ROOT COMMAND ARGS...: unpacks a capsule and executes COMMAND, in an image that has nothing for it.
 *
 *   PARTS/part-000, part-001, ... ──> one gzip ──inflate (RFC 1951)──> one tar (ustar) ──> ROOT.HOST.PID, renamed to ROOT
 *   ROOT is there already: nothing is unpacked
 *   execve(COMMAND)
 *
 * Static, needs neither a C library nor a shell, tar or gzip: the image may be empty. The same as the script in
 * `cnflow.capsule.archive` does where the image has a fitting Python. `make launchers` compiles it.
 */

#include "calls.h"

#define WINDOW 32768
#define CODE_BITS 15 /* of the longest code of RFC 1951 */
#define BLOCK 512
#define PATH 4096

static char draft[PATH], path[PATH];

/* Input: all parts, one after the other. */

static const char *parts;
static unsigned char input[65536];
static long input_at, input_length, part_number, part = -1, is_over, beyond;

static int next_part(void) {
    long at = copy(path, 0, parts);
    at = copy(path, at, "/part-");
    for (long digit = 100; digit; digit /= 10) path[at++] = '0' + part_number / digit % 10;
    path[at] = 0;
    part_number++;
    part = call(OPENAT, AT_FDCWD, (long)path, O_RDONLY, 0);
    return part >= 0;
}

static unsigned next_byte(void) {
    while (input_at == input_length) {
        if (part < 0 && (is_over || !next_part())) {
            is_over = 1;
            if (++beyond > 8) fail("cnflow: parts of its code are missing in ", parts); /* the decoder looks ahead */
            return 0;
        }
        input_at = 0;
        input_length = call(READ, part, (long)input, sizeof input, 0);
        if (input_length < 0) fail("cnflow: cannot read ", path);
        if (input_length == 0) {
            call(CLOSE, part, 0, 0, 0);
            part = -1;
        }
    }
    return input[input_at++];
}

static unsigned long held;
static int held_bits;

static unsigned peek(int bits) {
    while (held_bits < bits) {
        held |= (unsigned long)next_byte() << held_bits;
        held_bits += 8;
    }
    return held & ((1UL << bits) - 1);
}

static unsigned take(int bits) {
    unsigned value = peek(bits);
    held >>= bits;
    held_bits -= bits;
    return value;
}

/* Output: a tar, whose files are written as they come. */

static unsigned char header[BLOCK];
static long header_length, file = -1, file_left, padding;

static long number_at(const unsigned char *field, int length) {
    long value = 0;
    for (int i = 0; i < length; i++)
        if (field[i] >= '0' && field[i] <= '7') value = value * 8 + field[i] - '0';
    return value;
}

static long append(long at, const unsigned char *field, int length) {
    path[at++] = '/';
    for (int i = 0; i < length && field[i] && at < PATH - 1; i++) path[at++] = field[i];
    return at;
}

static void on_header(void) {
    if (!header[0]) return; /* the end: blocks of zeros */
    long at = copy(path, 0, draft);
    if (header[345]) at = append(at, header + 345, 155);
    at = append(at, header, 100);
    path[at] = 0;
    file_left = number_at(header + 124, 12);
    padding = (BLOCK - file_left % BLOCK) % BLOCK;
    if (header[156] == '5') {
        if (path[at - 1] == '/') path[at - 1] = 0;
        long result = call(MKDIRAT, AT_FDCWD, (long)path, 0755, 0);
        if (result < 0 && result != -EEXIST) fail("cnflow: cannot make the folder ", path);
        return;
    }
    file = call(OPENAT, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) fail("cnflow: cannot write ", path);
    call(FCHMOD, file, number_at(header + 100, 8), 0, 0);
}

static void on_output(const unsigned char *data, long length) {
    while (length > 0) {
        long step;
        if (file_left > 0) {
            step = file_left < length ? file_left : length;
            for (long done = 0; done < step;) {
                long written = call(WRITE, file, (long)(data + done), step - done, 0);
                if (written <= 0) fail("cnflow: no space for its code: ", path);
                done += written;
            }
            file_left -= step;
        } else if (padding > 0) {
            step = padding < length ? padding : length;
            padding -= step;
        } else {
            step = BLOCK - header_length < length ? BLOCK - header_length : length;
            for (long i = 0; i < step; i++) header[header_length++] = data[i];
            if (header_length == BLOCK) {
                header_length = 0;
                on_header();
            }
        }
        if (file >= 0 && file_left == 0) {
            call(CLOSE, file, 0, 0, 0);
            file = -1;
        }
        data += step;
        length -= step;
    }
}

/* Inflate. A table has, for each possible next 15 bits, the symbol and the length of its code. */

static unsigned char window[WINDOW];
static long window_at;
static unsigned short literals[1 << CODE_BITS], distances[1 << CODE_BITS];

static unsigned checksums[256], checksum = ~0U;

static void flush(void) {
    for (long i = 0; i < window_at; i++) checksum = checksums[(checksum ^ window[i]) & 255] ^ checksum >> 8;
    on_output(window, window_at);
    window_at = 0;
}

static inline void emit(unsigned char byte) {
    window[window_at++] = byte;
    if (window_at == WINDOW) flush();
}

static void make_table(unsigned short *table, const unsigned char *lengths, int symbols) {
    unsigned code = 0;
    for (long i = 0; i < 1 << CODE_BITS; i++) table[i] = 0;
    for (int length = 1; length <= CODE_BITS; length++) {
        code <<= 1;
        for (int symbol = 0; symbol < symbols; symbol++) {
            if (lengths[symbol] != length) continue;
            if (code >> length) fail("cnflow: its code is damaged in ", parts);
            unsigned reversed = 0;
            for (int bit = 0; bit < length; bit++) reversed |= (code >> bit & 1) << (length - 1 - bit);
            for (long i = reversed; i < 1 << CODE_BITS; i += 1L << length) table[i] = symbol << 4 | length;
            code++;
        }
    }
}

static int decode(const unsigned short *table) {
    unsigned entry = table[peek(CODE_BITS)];
    if (!entry) fail("cnflow: its code is damaged in ", parts);
    take(entry & 15);
    return entry >> 4;
}

static void read_lengths(void) {
    static const unsigned char order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    unsigned char lengths[320 + 160];
    for (int i = 0; i < 19; i++) lengths[i] = 0;
    int literal_count = take(5) + 257, distance_count = take(5) + 1, length_count = take(4) + 4;
    for (int i = 0; i < length_count; i++) lengths[order[i]] = take(3);
    make_table(literals, lengths, 19);
    for (int i = 0; i < literal_count + distance_count;) {
        int symbol = decode(literals), value = 0, times = 1;
        if (symbol < 16) value = symbol;
        else if (symbol == 16) {
            if (i == 0) fail("cnflow: its code is damaged in ", parts);
            value = lengths[i - 1], times = 3 + take(2);
        } else times = symbol == 17 ? 3 + (int)take(3) : 11 + (int)take(7);
        while (times--) lengths[i++] = value;
    }
    make_table(distances, lengths + literal_count, distance_count);
    make_table(literals, lengths, literal_count);
}

static void fixed_lengths(void) {
    unsigned char lengths[288];
    for (int i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
    make_table(literals, lengths, 288);
    for (int i = 0; i < 30; i++) lengths[i] = 5;
    make_table(distances, lengths, 30);
}

static void inflate_codes(void) {
    static const unsigned short base_length[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                                   31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const unsigned char more_length[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                  2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const unsigned short base_distance[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                                     33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                                     1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    for (int symbol; (symbol = decode(literals)) != 256;) {
        if (symbol < 256) {
            emit(symbol);
            continue;
        }
        if (symbol > 285) fail("cnflow: its code is damaged in ", parts);
        int length = base_length[symbol - 257] + take(more_length[symbol - 257]);
        int step = decode(distances);
        if (step > 29) fail("cnflow: its code is damaged in ", parts);
        long distance = base_distance[step] + take(step < 4 ? 0 : (step >> 1) - 1);
        while (length--) emit(window[(window_at - distance) & (WINDOW - 1)]);
    }
}

static void inflate(void) {
    for (unsigned i = 0; i < 256; i++) {
        unsigned value = i;
        for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xEDB88320U : 0);
        checksums[i] = value;
    }
    for (int i = 0; i < 10; i++) take(8); /* header of gzip without names, as `capsule_archive` writes it */
    for (int is_last = 0; !is_last;) {
        is_last = take(1);
        int type = take(2);
        if (type == 0) {
            take(held_bits & 7);
            long length = take(16);
            take(16);
            while (length--) emit(take(8));
            continue;
        }
        if (type == 1) fixed_lengths();
        else if (type == 2) read_lengths();
        else fail("cnflow: its code is damaged in ", parts);
        inflate_codes();
    }
    flush();
    take(held_bits & 7);
    unsigned expected = take(16);
    expected |= take(16) << 16;
    if (~checksum != expected || beyond) fail("cnflow: its code is damaged in ", parts);
}

void launch(long *stack) {
    char **arguments = (char **)(stack + 1);
    char **variables = arguments + stack[0] + 1;
    if (stack[0] < 4) fail("usage: unpack PARTS ROOT COMMAND ARGS...", "");
    char *root = arguments[2];
    parts = arguments[1];
    if (length_of(root) + length_of(parts) > PATH - 512) fail("cnflow: the path is too long: ", root);

    if (call(FACCESSAT, AT_FDCWD, (long)root, 0, 0) < 0) {
        static char names[6 * 65]; /* of uname; the second is that of the host */
        call(UNAME, (long)names, 0, 0, 0);
        long at = copy(draft, 0, root);
        at = copy(draft, at, ".");
        at = copy(draft, at, names + 65);
        at = copy(draft, at, ".");
        long digits = 1, id = call(GETPID, 0, 0, 0, 0);
        while (id / digits > 9) digits *= 10;
        for (; digits; digits /= 10) draft[at++] = '0' + id / digits % 10;
        draft[at] = 0;
        if (call(MKDIRAT, AT_FDCWD, (long)draft, 0755, 0) < 0) fail("cnflow: cannot make the folder ", draft);
        inflate();
        if (call(RENAMEAT, AT_FDCWD, (long)draft, AT_FDCWD, (long)root) < 0 &&
            call(FACCESSAT, AT_FDCWD, (long)root, 0, 0) < 0)
            fail("cnflow: cannot make the folder ", root);
    }
    call(EXECVE, (long)arguments[3], (long)(arguments + 3), (long)variables, 0);
    fail("cnflow: cannot start ", arguments[3]);
}
