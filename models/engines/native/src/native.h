/* What the library offers to its caller, and what each instruction set's kernels offer to the library. */
#ifndef LURCHER_NATIVE_H
#define LURCHER_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define API __declspec(dllexport)
#else
#define API __attribute__((visibility("default")))
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "bits and weights are packed for little-endian machines"
#endif

/* What every function returns: nothing wrong, or why it did nothing. */
enum { DONE = 0, BAD_ARGUMENT = 1, NOT_EXACT = 2, NO_MEMORY = 3 };

/* Instruction sets, the fastest last; AArch64 has its own number 1. */
enum { PLAIN = 0, AVX2 = 1, AVXVNNI = 2, AVX512 = 3, AMX = 4, DOTPROD = 1 };

/* Codes that late interaction looks up together. */
#define LATE_CODES 16

/* Late interaction for up to `lanes` query tokens. `columns` (bits, width) is what each set bit adds, of which
   `used` columns are query tokens; `total` (width,) is their sum. `table` has room for bits * 4 * width
   numbers, and `places` for LATE_CODES * bits / 4. One of `best` (passages, stride) and `each` (n, stride) is written, at its first `used` columns. */
struct late {
    const int32_t *columns, *total;
    int32_t *table;
    uint16_t *places;
    const uint8_t *codes;
    const int64_t *counts;
    int64_t bits, n, passages, used, stride;
    float nothing;
    float *best, *each;
};

void late_plain_4(const struct late *job);
#if defined(__x86_64__)
void late_avx2_8(const struct late *job);
void late_avx512_8(const struct late *job);
void late_avx512_16(const struct late *job);
#endif

#endif
