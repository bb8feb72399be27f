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

#define WIDTH ((unsigned)sizeof(lanes_t))
#define TABLE (16 * WIDTH) /* bytes of one group's table */

/* Where the sums of each byte's high and low four bits are in their tables. Many bytes at once, since compilers make
   vectors of this; the sums themselves are then two loads a group and nothing else. */
static inline void find_places(const uint8_t *codes, int64_t bytes, uint16_t *high, uint16_t *low) {
    for (int64_t i = 0; i < bytes; i++) {
        high[i] = (uint16_t)((codes[i] >> 4) * WIDTH);
        low[i] = (uint16_t)((codes[i] & 15) * WIDTH);
    }
}

static inline lanes_t code_sum(const char *table, const uint16_t *high, const uint16_t *low, int64_t bytes) {
    lanes_t one = {0}, two = {0}, three = {0}, four = {0};
    int64_t i = 0;
    for (; i + 4 <= bytes; i += 4, table += 8 * TABLE) {
        one += entry(table, high[i]);
        two += entry(table + TABLE, low[i]);
        three += entry(table + 2 * TABLE, high[i + 1]);
        four += entry(table + 3 * TABLE, low[i + 1]);
        one += entry(table + 4 * TABLE, high[i + 2]);
        two += entry(table + 5 * TABLE, low[i + 2]);
        three += entry(table + 6 * TABLE, high[i + 3]);
        four += entry(table + 7 * TABLE, low[i + 3]);
    }
    for (; i < bytes; i++, table += 2 * TABLE) {
        one += entry(table, high[i]);
        two += entry(table + TABLE, low[i]);
    }
    return (one + two) + (three + four);
}

/* Codes on the way to their sums: `ready` of them have places. */
struct walk {
    const char *table;
    const uint8_t *codes;
    uint16_t *places;
    int64_t bytes, left, ready;
};

/* The sum of the next code; there has to be one. */
static inline lanes_t next_sum(struct walk *w) {
    const int64_t half = LATE_CODES * w->bytes;
    if (!w->ready) {
        w->ready = w->left < LATE_CODES ? w->left : LATE_CODES;
        const int64_t bytes = w->ready * w->bytes;
        /* The last code's places are the last ones, wherever the first one's are. */
        find_places(w->codes, bytes, w->places + half - bytes, w->places + 2 * half - bytes);
        w->codes += bytes;
        w->left -= w->ready;
    }
    const uint16_t *high = w->places + half - w->ready-- * w->bytes;
    return code_sum(w->table, high, high + half, w->bytes);
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
    struct walk walk = {.table = table, .codes = job->codes, .places = job->places, .bytes = job->bits / 8,
                        .left = job->n};
    if (job->each) {
        for (int64_t i = 0; i < job->n; i++)
            put_cosines(job->each + i * job->stride, next_sum(&walk), total, job->used);
        return;
    }
    for (int64_t passage = 0; passage < job->passages; passage++) {
        float *out = job->best + passage * job->stride;
        if (job->counts[passage] == 0) {
            for (int64_t i = 0; i < job->used; i++) out[i] = job->nothing;
            continue;
        }
        lanes_t best = next_sum(&walk);
        for (int64_t i = 1; i < job->counts[passage]; i++) {
            lanes_t sum = next_sum(&walk), higher = sum > best;
            best = (sum & higher) | (best & ~higher);
        }
        put_cosines(out, best, total, job->used);
    }
}
