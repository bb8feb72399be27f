/* Late interaction by tables; include it with LANES and LATE (the function's name) defined.

   A code of `bits` bits is worth the sum of the columns of its set bits. A table holds, for each four bits of
   a code, the sixteen sums that these can have, for LANES query tokens at once: a code costs one addition of a
   vector for every four bits. All numbers are integers, so sums do not depend on any order. */
#include <stdint.h>
#include <string.h>

#include "native.h"

typedef int32_t lanes_t __attribute__((vector_size(LANES * 4)));
typedef float floats_t __attribute__((vector_size(LANES * 4)));

static inline lanes_t entry(const char *table, uint64_t offset) {
    lanes_t value;
    memcpy(&value, table + offset, sizeof value);
    return value;
}

/* The offset of the nibble that begins at bit `place` of `word` in its table of sixteen entries; a rotation and a
   mask, each one instruction. */
#define WIDTH ((uint32_t)sizeof(lanes_t))
#define TURNED(word, by) ((word) >> ((by)&31) | (word) << ((32 - (by)) & 31))
#define OFFSET(word, place) (TURNED(word, (32 + (place) - (LANES == 16 ? 6 : LANES == 8 ? 5 : 4)) % 32) & (15 * WIDTH))
#define TABLE (16 * WIDTH)

static inline lanes_t code_sum(const char *table, const uint8_t *code, int64_t bytes) {
    lanes_t one = {0}, two = {0}, three = {0}, four = {0};
    int64_t place = 0;
    for (; place + 4 <= bytes; place += 4, table += 8 * TABLE) {
        uint32_t word;
        memcpy(&word, code + place, 4);
        one += entry(table, OFFSET(word, 4));
        two += entry(table + TABLE, OFFSET(word, 0));
        three += entry(table + 2 * TABLE, OFFSET(word, 12));
        four += entry(table + 3 * TABLE, OFFSET(word, 8));
        one += entry(table + 4 * TABLE, OFFSET(word, 20));
        two += entry(table + 5 * TABLE, OFFSET(word, 16));
        three += entry(table + 6 * TABLE, OFFSET(word, 28));
        four += entry(table + 7 * TABLE, OFFSET(word, 24));
    }
    for (; place < bytes; place++, table += 2 * TABLE) {
        one += entry(table, (uint32_t)(code[place] >> 4) * WIDTH);
        two += entry(table + TABLE, (uint32_t)(code[place] & 15) * WIDTH);
    }
    return (one + two) + (three + four);
}

/* Of bits 0 and 1 the cosines: 2^-23 (2 sum - total), exact in a float. */
static inline void put_cosines(float *out, lanes_t sum, lanes_t total, int64_t used) {
    floats_t cosines = __builtin_convertvector(2 * sum - total, floats_t) * 0x1p-23f;
    memcpy(out, &cosines, (size_t)used * sizeof(float));
}

void LATE(const struct late *job) {
    char *table = (char *)job->table;
    for (int64_t group = 0; group < job->bits / 4; group++) {
        lanes_t sums[16], added[4]; /* the first of four bits is the highest */
        memcpy(added, job->columns + group * 4 * LANES, sizeof added);
        sums[0] = added[0] - added[0];
        for (int bit = 0; bit < 4; bit++)
            for (int value = 0; value < 1 << bit; value++)
                sums[(1 << bit) + value] = sums[value] + added[3 - bit];
        memcpy(table + (uint64_t)group * sizeof sums, sums, sizeof sums);
    }
    lanes_t total;
    memcpy(&total, job->total, sizeof total);
    const int64_t bytes = job->bits / 8;
    const uint8_t *code = job->codes;
    if (job->each) {
        for (int64_t i = 0; i < job->n; i++, code += bytes)
            put_cosines(job->each + i * job->stride, code_sum(table, code, bytes), total, job->used);
        return;
    }
    for (int64_t passage = 0; passage < job->passages; passage++) {
        float *out = job->best + passage * job->stride;
        int64_t count = job->counts[passage];
        if (count == 0) {
            for (int64_t i = 0; i < job->used; i++) out[i] = job->nothing;
            continue;
        }
        lanes_t best = code_sum(table, code, bytes);
        code += bytes;
        for (int64_t i = 1; i < count; i++, code += bytes) {
            lanes_t sum = code_sum(table, code, bytes), higher = sum > best;
            best = (sum & higher) | (best & ~higher);
        }
        put_cosines(out, best, total, job->used);
    }
}
