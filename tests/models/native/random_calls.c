/* Random calls of the native library, of odd sizes and with bad arguments, for a build with sanitizers: each buffer
   is as large as it has to be and no larger. Every instruction set gets the same arguments, and has to give nearly the
   same. Prints "fine" at its end. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

static int below(int limit) { return rand() % limit; }

static void *room(size_t bytes) { return malloc(bytes ? bytes : 1); }

static float *floats(size_t count, float size) {
    float *made = room(count * sizeof *made);
    for (size_t i = 0; i < count; i++) made[i] = size * ((float)rand() / (float)RAND_MAX - 0.5f);
    return made;
}

static int8_t *integers(size_t count, int zeros) {
    int8_t *made = room(count);
    for (size_t i = 0; i < count; i++) made[i] = (int8_t)(below(100) < zeros ? 0 : below(255) - 127);
    return made;
}

static void check(int fine, const char *what) {
    if (!fine) {
        printf("wrong: %s\n", what);
        exit(1);
    }
}

static void late(int level) {
    int64_t length = below(36), bits = 8 * (1 + below(30)), passages = below(6), n = 0, counts[6];
    for (int i = 0; i < passages; i++) n += counts[i] = below(5);
    float *queries = floats((size_t)(length * bits), 0.05f);
    float *best = room((size_t)(passages * length) * sizeof *best), *each = room((size_t)(n * length) * sizeof *each);
    uint8_t *codes = room((size_t)(n * bits / 8));
    for (int64_t i = 0; i < n * bits / 8; i++) codes[i] = (uint8_t)rand();
    check(!lurcher_late(level, queries, length, bits, 0.1f, codes, n, counts, passages, -1, best, NULL), "best");
    check(!lurcher_late(level, queries, length, bits, 0.1f, codes, n, NULL, 0, -1, NULL, each), "each");
    check(lurcher_late(level, queries, length, bits, 0.1f, codes, n + 1, counts, passages, -1, best, NULL), "counts");
    check(lurcher_late(level, queries, length, bits + 1, 0.1f, codes, n, counts, passages, -1, best, NULL), "bits");
    free(queries);
    free(best);
    free(each);
    free(codes);
}

/* Whether `numbers` are near to those that the first level gave for the same arguments. */
static void agree(int level, const float *numbers, size_t count) {
    static float first[5 * 72];
    double apart = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        if (level == 0) first[i] = numbers[i];
        apart += fabs((double)first[i] - (double)numbers[i]);
        size += fabs((double)first[i]);
    }
    check(apart <= 0.02 * size, "levels differ");
}

static void encode(int level) {
    const int heads = 1 + below(3), width = heads * 8 * (1 + below(3)), inner = 4 * (1 + below(40));
    const int layers = below(3), positions = 1 + below(40), words = 1 + below(50), head = below(2), zeros = below(101);
    const int64_t sizes[] = {width, heads, inner, layers, positions, words, below(2), below(2)};
    struct encoder *e = lurcher_encoder_new(level, sizes);
    check(e != NULL, "new");
    float *gain = floats((size_t)width, 1), *rows = floats((size_t)(positions * width), 1);
    float *scales = floats((size_t)words, 1), *many = floats((size_t)(4 * width + inner), 0.02f);
    int8_t *table = integers((size_t)(words * width), 0);
    check(lurcher_encoder_ready(e), "ready without weights");
    check(!lurcher_encoder_tables(e, table, scales, NULL, rows, gain, gain, gain, 1e-6f), "tables");
    for (int layer = 0; layer < layers + head; layer++)
        for (int which = layer < layers ? 0 : 4; which < (layer < layers ? 4 : 5); which++) {
            const int out = which == 0 ? 3 * width : which == 2 ? inner : width, in = which == 3 ? inner : width;
            int8_t *weights = integers((size_t)(out * in), zeros);
            const int fixed = below(2);
            check(!lurcher_encoder_matrix(e, layer, which, weights, many, many, fixed && below(2) ? many : NULL,
                                          fixed ? 0.01f : 0, fixed ? below(256) : 128, below(3)), "matrix");
            if (which < 2) check(!lurcher_encoder_norm(e, layer, which, gain, gain, 1e-6f), "norm");
            free(weights);
        }
    check(!lurcher_encoder_ready(e), "ready");
    int64_t lengths[5], texts = below(6), tokens = 0, longest = 0;
    for (int i = 0; i < texts; i++) {
        tokens += lengths[i] = below(positions + 1);
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    int64_t *ids = room((size_t)tokens * sizeof *ids);
    for (int64_t i = 0; i < tokens; i++) ids[i] = below(words);
    const int64_t stride = longest * width, size = lurcher_encoder_memory(e, lengths, texts);
    float *vectors = room((size_t)(texts * width) * sizeof *vectors);
    float *states = room((size_t)(texts * stride) * sizeof *states);
    float *lower = room((size_t)(texts * stride) * sizeof *lower);
    void *memory = room((size_t)size);
    check(!lurcher_encode(e, ids, tokens, lengths, texts, stride, layers - 1, vectors, states, lower, memory, size), "encode");
    agree(level, vectors, (size_t)(texts * width));
    check(lurcher_encode(e, ids, tokens, lengths, texts, stride, 0, vectors, NULL, NULL, memory, size - 1), "little memory");
    if (tokens) {
        ids[below((int)tokens)] = words;
        check(lurcher_encode(e, ids, tokens, lengths, texts, stride, 0, vectors, NULL, NULL, memory, size), "word");
        lengths[0] = positions + 1;
        check(lurcher_encoder_memory(e, lengths, texts) < 0, "length");
    }
    lurcher_encoder_free(e);
    free(gain), free(rows), free(scales), free(many), free(table), free(ids);
    free(vectors), free(states), free(lower), free(memory);
}

int main(int count, char **words) {
    const int rounds = count > 1 ? atoi(words[1]) : 100;
    for (int round = 0; round < rounds; round++)
        for (int level = 0; level <= lurcher_level(); level++) {
            srand((unsigned)round);
            late(level);
            encode(level);
        }
    printf("levels up to %d: fine\n", lurcher_level());
    return 0;
}
