/* Many random calls of late interaction and of a small encoder, the arguments of each drawn anew. Says how much memory
   the process has after the first twentieth of them and at the end, and fails if that has grown. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "library.h"

enum { WIDTH = 16, INNER = 32, POSITIONS = 20, WORDS = 50, TEXTS = 2, BITS = 64, TOKENS = 20, PASSAGES = 3, CODES = 4 };

static uint32_t state = 1;

static int below(int limit) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return (int)(state % (uint32_t)limit);
}

static float numbers[64 * WIDTH];
static int8_t integers[WORDS * WIDTH + 3 * WIDTH * INNER];

static struct encoder *make(int level) {
    const int64_t sizes[] = {WIDTH, 2, INNER, 1, POSITIONS, WORDS, 0, 1};
    struct encoder *e = lurcher_encoder_new(level, sizes);
    int wrong = lurcher_encoder_tables(e, integers, numbers, NULL, numbers, numbers, numbers, numbers, 1e-6f);
    for (int which = 0; which < 4; which++) {
        wrong |= lurcher_encoder_matrix(e, 0, which, integers, numbers, numbers, NULL, 0, 128, below(3));
        if (which < 2) wrong |= lurcher_encoder_norm(e, 0, which, numbers, numbers, 1e-6f);
    }
    if (wrong) exit(2);
    return e;
}

static int encode(const struct encoder *e) {
    static int64_t ids[TEXTS * POSITIONS], lengths[TEXTS];
    static float vectors[TEXTS * WIDTH], states[TEXTS * POSITIONS * WIDTH];
    static char memory[1 << 18];
    int64_t tokens = 0, texts = 1 + below(TEXTS);
    for (int i = 0; i < texts; i++) tokens += lengths[i] = below(POSITIONS + 1);
    for (int i = 0; i < tokens; i++) ids[i] = below(WORDS);
    return lurcher_encode(e, ids, tokens, lengths, texts, POSITIONS * WIDTH, 0, vectors, below(2) ? states : NULL, NULL,
                          memory, sizeof memory);
}

static int late(int level) {
    static uint8_t codes[PASSAGES * CODES * BITS / 8];
    static float best[PASSAGES * TOKENS];
    int64_t counts[PASSAGES], n = 0, bits = 8 * (1 + below(BITS / 8));
    for (int i = 0; i < PASSAGES; i++) n += counts[i] = below(CODES + 1);
    return lurcher_late(level, numbers, 1 + below(64 * WIDTH / BITS), bits, 0.1f, codes, n, counts, PASSAGES, 0, best,
                        NULL);
}

static long pages(void) {
    long all, resident;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2) exit(2);
    fclose(file);
    return resident;
}

int main(int count, char **words) {
    const long calls = count > 1 ? atol(words[1]) : 1000000;
    const int levels = lurcher_level() + 1;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) numbers[i] = 0.0005f * (float)(below(201) - 100);
    for (size_t i = 0; i < sizeof integers; i++) integers[i] = (int8_t)(below(255) - 127);
    struct encoder *encoders[8];
    for (int level = 0; level < levels; level++) encoders[level] = make(level);
    long early = 0;
    for (long i = 0; i < calls; i++) {
        const int level = below(levels);
        if (below(1000) == 0) {
            lurcher_encoder_free(encoders[level]);
            encoders[level] = make(level);
        }
        if (below(2) ? encode(encoders[level]) : late(level)) return 2;
        if (i == calls / 20) early = pages();
    }
    const long grown = pages() - early;
    printf("%ld calls, %ld pages after a twentieth, %ld more at the end\n", calls, early, grown);
    return grown > 16; /* pages of 4 KiB: what an allocator may take once more */
}
