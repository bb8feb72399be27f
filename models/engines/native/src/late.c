/* Late interaction: arguments checked, query tokens rounded and shared out among kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "levels.h"
#include "native.h"

/* No |2 sum - total| is beyond the sum of the columns' sizes; above this, a float might not hold it. */
static const int64_t MOST = 1 << 24;

#define WIDEST 16

typedef void (*late_kernel)(const struct late *);

static late_kernel kernel_for(int level, int64_t left, int64_t *lanes) {
#if defined(__x86_64__)
    if (level >= AVX512) {
        *lanes = left > 8 ? 16 : 8;
        return left > 8 ? late_avx512_16 : late_avx512_8;
    }
    if (level >= AVX2) {
        *lanes = 8;
        return late_avx2_8;
    }
#else
    (void)level;
    (void)left;
#endif
    *lanes = 4;
    return late_plain_4;
}

/* The columns (bits, lanes) of query tokens (used, bits), multiples of 2^-22 as integers, and their sums. */
static int round_queries(const float *queries, int64_t used, int64_t bits, int64_t lanes, float factor,
                         int32_t *columns, int32_t *total) {
    memset(columns, 0, (size_t)(bits * lanes) * sizeof *columns);
    memset(total, 0, (size_t)lanes * sizeof *total);
    for (int64_t token = 0; token < used; token++) {
        int64_t sum = 0, size = 0;
        for (int64_t bit = 0; bit < bits; bit++) {
            float scaled = queries[token * bits + bit] * factor * 0x1p22f;
            if (!(fabsf(scaled) < 0x1p24f)) return NOT_EXACT; /* not a number, too */
            int32_t rounded = (int32_t)lrintf(scaled); /* one instruction, unlike rintf without SSE4.1 */
            columns[bit * lanes + token] = rounded;
            sum += rounded;
            size += rounded < 0 ? -rounded : rounded;
        }
        if (size > MOST) return NOT_EXACT;
        total[token] = (int32_t)sum;
    }
    return DONE;
}

/* For query tokens (length, bits) and codes (n, bits / 8): the cosines `each` (n, length), or where that is null
   the highest ones `best` (passages, length) of the `counts` (passages,) codes of each passage; a passage
   without codes has `nothing`. `factor` is 2 / sqrt(bits). NOT_EXACT: a query token is not of norm 1, or not
   finite, and nothing can be relied on in what was written. */
API int lurcher_late(int level, const float *queries, int64_t length, int64_t bits, float factor,
                     const uint8_t *codes, int64_t n, const int64_t *counts, int64_t passages, float nothing,
                     float *best, float *each) {
    if (level < 0 || level > lurcher_level() || length < 0 || bits <= 0 || bits % 8 || bits > 1 << 16 ||
        n < 0 || (!best && !each) || passages < 0)
        return BAD_ARGUMENT;
    if (!each) {
        int64_t left = n;
        for (int64_t i = 0; i < passages; i++) {
            if (counts[i] < 0 || counts[i] > left) return BAD_ARGUMENT;
            left -= counts[i];
        }
        if (left) return BAD_ARGUMENT;
    }
    const size_t numbers = (size_t)bits * WIDEST * 5 + WIDEST;
    void *memory = malloc(numbers * sizeof(int32_t) + (size_t)bits / 4 * LATE_CODES * sizeof(uint16_t) + 64);
    if (!memory) return NO_MEMORY;
    int32_t *table = (int32_t *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    int32_t *columns = table + bits * WIDEST * 4, *total = columns + bits * WIDEST;
    uint16_t *places = (uint16_t *)(total + WIDEST);
    int state = DONE;
    for (int64_t first = 0, lanes; first < length && state == DONE; first += lanes) {
        late_kernel kernel = kernel_for(level, length - first, &lanes);
        int64_t used = length - first < lanes ? length - first : lanes;
        state = round_queries(queries + first * bits, used, bits, lanes, factor, columns, total);
        if (state != DONE) break;
        struct late job = {.columns = columns, .total = total, .table = table, .places = places, .codes = codes,
                           .counts = counts, .bits = bits, .n = n, .passages = passages, .used = used,
                           .stride = length, .nothing = nothing, .best = best ? best + first : NULL,
                           .each = each ? each + first : NULL};
        kernel(&job);
    }
    free(memory);
    return state;
}
