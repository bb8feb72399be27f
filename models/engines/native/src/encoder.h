/* A text encoder of the BERT family, as packed for the kernels of one instruction set. */
#ifndef LURCHER_ENCODER_H
#define LURCHER_ENCODER_H

#include "native.h"

/* Output rows of a dense panel, input bytes of one step through it, and output rows of a sparse group. */
#define PANEL 16
#define STEP 64
#define GROUP 8

/* A weight matrix of `rows` outputs by `columns` inputs, INT8 with one scale an output row.

   Dense: `weights` is [rows / PANEL][columns / STEP][PANEL][STEP], zeros where it ends sooner.
   Sparse: only blocks of four inputs that are not all zero. Rows are sorted by their number of blocks; each GROUP of
   them has `counts[g]` blocks a row, [count][GROUP][4] bytes in `weights` and [count][GROUP] numbers of blocks, times
   16, in `blocks`, zeros where a row has fewer; `order` says which row each one is. */
struct matrix {
    int rows, columns, sparse, steps;
    int8_t *weights;
    uint16_t *blocks;
    int32_t *counts, *order;
    float *scale, *bias; /* (rows), with zeros to a whole panel */
    float *factor; /* (columns), may be null: what inputs are multiplied by */
    int32_t *correction; /* (rows), as `scale`: what is added to sums for the integers that stand for 0 */
    /* Inputs are rounded to multiples of `step`, with the integer `zero` of 0 to 255 for 0; where `step` is 0, of each
       token's largest input / 127, with 128. */
    float step;
    int zero;
};

struct norm {
    float *gain, *bias;
    float epsilon;
};

enum { QUERY_KEY_VALUE, OUT, UP, DOWN, MATRICES };

struct layer {
    struct matrix matrix[MATRICES];
    struct norm after_attention, after_feed;
};

struct encoder {
    int level, width, heads, inner, layer_count, positions, vocabulary, cls, unit;
    const int8_t *word_integers; /* (vocabulary, width), the caller's; or null */
    const float *word_scales, *word_floats; /* (vocabulary), or (vocabulary, width) */
    float *position_rows, *type_row;
    struct norm first;
    struct layer *layers;
    struct matrix head; /* no rows: none */
};

/* Texts encoded together: each text's tokens fill tiles of as many tokens as the kernel has lanes. */
struct batch {
    const int64_t *ids; /* one text after the other */
    const int64_t *lengths;
    int64_t texts, stride; /* numbers from one text's states to the next one's */
    int lower_layer;
    float *vectors, *states, *lower; /* each may be null */
    void *memory;
};

typedef void (*encoder_kernel)(const struct encoder *, const struct batch *);

void encode_plain_8(const struct encoder *, const struct batch *);
#if defined(__x86_64__)
void encode_avx2_8(const struct encoder *, const struct batch *);
void encode_avxvnni_8(const struct encoder *, const struct batch *);
void encode_avx512_8(const struct encoder *, const struct batch *);
void encode_avx512_16(const struct encoder *, const struct batch *);
void encode_amx_8(const struct encoder *, const struct batch *);
void encode_amx_16(const struct encoder *, const struct batch *);
#elif defined(__aarch64__)
void encode_dotprod_8(const struct encoder *, const struct batch *);
#endif

static inline int rounded_up(int number, int to) { return (number + to - 1) / to * to; }

/* Bytes that a kernel needs for `tiles` tiles of `lanes` tokens; the longest text has `length` tokens. */
static inline size_t memory_needed(const struct encoder *e, int64_t tiles, int lanes, int64_t length) {
    size_t wide = (size_t)rounded_up(e->width, PANEL), inner = (size_t)rounded_up(e->inner, PANEL);
    size_t three = (size_t)rounded_up(3 * e->width, PANEL);
    size_t most = wide > inner ? wide : inner;
    size_t floats = (2 * wide + (three > inner ? three : inner) + 2) * (size_t)tiles + (size_t)length + 16;
    return (floats * sizeof(float) + (size_t)rounded_up((int)most, STEP) * (size_t)tiles) * (size_t)lanes + 4096;
}
#endif
