/* Text encoders: packed from the numbers that a caller gives, and run by the kernels of an instruction set. */
#include "encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "levels.h"

#define MOST_WIDTH 4096
#define MOST_INNER 16384 /* 16 * the number of a block fits 16 bits */
#define MOST_LAYERS 128

static void *zeros(size_t count, size_t size) {
    void *memory = NULL;
    size_t bytes = (count * size + 63) / 64 * 64 + 64;
#if defined(_WIN32)
    memory = calloc(1, bytes);
#else
    if (posix_memalign(&memory, 64, bytes)) return NULL;
    memset(memory, 0, bytes);
#endif
    return memory;
}

/* A copy of numbers, with zeros to a whole panel. */
static float *copy(const float *from, size_t count) {
    float *memory = zeros((count + PANEL - 1) / PANEL * PANEL, sizeof(float));
    if (memory) memcpy(memory, from, count * sizeof(float));
    return memory;
}

static int all_finite(const float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(numbers[i])) return 0;
    return 1;
}

static void release(struct matrix *m) {
    free(m->weights);
    free(m->blocks);
    free(m->counts);
    free(m->order);
    free(m->scale);
    free(m->bias);
    free(m->factor);
    free(m->correction);
    memset(m, 0, sizeof *m);
}

API void lurcher_encoder_free(struct encoder *e) {
    if (!e) return;
    for (int i = 0; e->layers && i < e->layer_count; i++) {
        for (int j = 0; j < MATRICES; j++) release(&e->layers[i].matrix[j]);
        free(e->layers[i].after_attention.gain);
        free(e->layers[i].after_attention.bias);
        free(e->layers[i].after_feed.gain);
        free(e->layers[i].after_feed.bias);
    }
    free(e->layers);
    release(&e->head);
    free(e->position_rows);
    free(e->type_row);
    free(e->first.gain);
    free(e->first.bias);
    free(e);
}

/* An encoder without weights, or null: sizes that cannot be, or no memory. `sizes`: width, heads, inner width,
   layers, positions, vocabulary; whether the first token stands for the text; whether vectors have norm 1. */
API struct encoder *lurcher_encoder_new(int level, const int64_t *sizes) {
    const int64_t width = sizes[0], heads = sizes[1], inner = sizes[2], layers = sizes[3];
    if (level < 0 || level > lurcher_level() || width <= 0 || width > MOST_WIDTH || heads <= 0 || width % heads ||
        (width / heads) % 8 || width % 4 || inner <= 0 || inner > MOST_INNER || inner % 4 || layers < 0 ||
        layers > MOST_LAYERS || sizes[4] <= 0 || sizes[4] > 1 << 20 || sizes[5] <= 0 || sizes[5] > 1 << 28)
        return NULL;
    struct encoder *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->level = level;
    e->width = (int)width;
    e->heads = (int)heads;
    e->inner = (int)inner;
    e->layer_count = (int)layers;
    e->positions = (int)sizes[4];
    e->vocabulary = (int)sizes[5];
    e->cls = sizes[6] != 0;
    e->unit = sizes[7] != 0;
    e->layers = calloc((size_t)layers + 1, sizeof *e->layers);
    if (!e->layers) {
        lurcher_encoder_free(e);
        return NULL;
    }
    return e;
}

static int set_norm(const struct encoder *e, struct norm *norm, const float *gain, const float *bias, float epsilon) {
    if (norm->gain || !all_finite(gain, (size_t)e->width) || !all_finite(bias, (size_t)e->width) ||
        !(epsilon >= 0 && epsilon < 1))
        return BAD_ARGUMENT;
    norm->gain = copy(gain, (size_t)e->width);
    norm->bias = copy(bias, (size_t)e->width);
    norm->epsilon = epsilon;
    return norm->gain && norm->bias ? DONE : NO_MEMORY;
}

/* The tables. One of `integers` (vocabulary, width) with `scales` (vocabulary), and `words` (vocabulary, width), is
   given, and must stay where it is; `positions` (positions, width) and `type` (width) are copied. */
API int lurcher_encoder_tables(struct encoder *e, const int8_t *integers, const float *scales, const float *words,
                               const float *positions, const float *type, const float *gain, const float *bias,
                               float epsilon) {
    const size_t width = (size_t)e->width, numbers = (size_t)e->positions * width;
    if ((integers == NULL) == (words == NULL) || (integers && !scales) || e->position_rows ||
        !all_finite(positions, numbers) || !all_finite(type, width) ||
        (scales && !all_finite(scales, (size_t)e->vocabulary)) ||
        (words && !all_finite(words, (size_t)e->vocabulary * width)))
        return BAD_ARGUMENT;
    e->word_integers = integers;
    e->word_scales = scales;
    e->word_floats = words;
    e->position_rows = copy(positions, numbers);
    e->type_row = copy(type, width);
    if (!e->position_rows || !e->type_row) return NO_MEMORY;
    return set_norm(e, &e->first, gain, bias, epsilon);
}

/* The normalisation after a layer's attention (`which` 0) or after its feed-forward part (1). */
API int lurcher_encoder_norm(struct encoder *e, int layer, int which, const float *gain, const float *bias,
                             float epsilon) {
    if (layer < 0 || layer >= e->layer_count || which < 0 || which > 1) return BAD_ARGUMENT;
    struct layer *one = e->layers + layer;
    return set_norm(e, which ? &one->after_feed : &one->after_attention, gain, bias, epsilon);
}

static int pack_dense(struct matrix *m, const int8_t *weights) {
    m->weights = zeros((size_t)rounded_up(m->rows, PANEL), (size_t)m->steps * STEP);
    if (!m->weights) return NO_MEMORY;
    for (int row = 0; row < m->rows; row++) {
        int8_t *to = m->weights + (size_t)(row / PANEL) * (size_t)m->steps * PANEL * STEP + (size_t)(row % PANEL) * STEP;
        for (int column = 0; column < m->columns; column++)
            to[(size_t)(column / STEP) * PANEL * STEP + column % STEP] =
                weights[(size_t)column * (size_t)m->rows + (size_t)row];
    }
    return DONE;
}

struct counted {
    int32_t row, blocks;
};

static int by_blocks(const void *one, const void *other) {
    const struct counted *a = one, *b = other;
    if (a->blocks != b->blocks) return a->blocks < b->blocks ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Four weights of a row, from weights (columns, rows), and whether one of them is not zero. */
static int block_at(const struct matrix *m, const int8_t *weights, int row, int block, int8_t *four) {
    int some = 0;
    for (int i = 0; i < 4; i++) {
        four[i] = weights[(size_t)(4 * block + i) * (size_t)m->rows + (size_t)row];
        some |= four[i] != 0;
    }
    return some;
}

static int pack_sparse(struct matrix *m, const int8_t *weights) {
    const int groups = rounded_up(m->rows, GROUP) / GROUP, blocks = m->columns / 4;
    struct counted *counted = zeros((size_t)groups * GROUP, sizeof *counted);
    m->counts = zeros((size_t)groups, sizeof *m->counts);
    m->order = zeros((size_t)groups * GROUP, sizeof *m->order);
    int state = counted && m->counts && m->order ? DONE : NO_MEMORY;
    int8_t four[4];
    size_t total = 0;
    if (state == DONE) {
        for (int row = 0; row < groups * GROUP; row++) {
            counted[row].row = row;
            for (int block = 0; row < m->rows && block < blocks; block++)
                counted[row].blocks += block_at(m, weights, row, block, four);
        }
        qsort(counted, (size_t)groups * GROUP, sizeof *counted, by_blocks);
        for (int group = 0; group < groups; group++) {
            m->counts[group] = counted[group * GROUP + GROUP - 1].blocks;
            total += (size_t)m->counts[group] * GROUP;
        }
        m->weights = zeros(total, 4);
        m->blocks = zeros(total, sizeof *m->blocks);
        if (!m->weights || !m->blocks) state = NO_MEMORY;
    }
    size_t start = 0;
    for (int i = 0; state == DONE && i < groups * GROUP; i++) {
        const int row = m->order[i] = counted[i].row;
        size_t place = start + (size_t)(i % GROUP);
        for (int block = 0; row < m->rows && block < blocks; block++)
            if (block_at(m, weights, row, block, four)) {
                memcpy(m->weights + 4 * place, four, 4);
                m->blocks[place] = (uint16_t)(16 * block);
                place += GROUP;
            }
        if (i % GROUP == GROUP - 1) start += (size_t)m->counts[i / GROUP] * GROUP;
    }
    free(counted);
    return state;
}

/* The share of blocks of four inputs that are not all zero, up to which a matrix is packed as sparse: where both forms
   took as long for 16 tokens. With tiles a dense product costs little more than reading its weights. */
static float sparse_below(int level) { return level == AMX ? 0.32f : level == AVX512 ? 0.45f : 0.65f; }

/* A product's `weights` (columns, rows) INT8, `scale` (rows) so that weights times it are the real ones, `bias` (rows),
   and `factor` (columns) that inputs are multiplied by first, or null. `step`, `zero`: how inputs are rounded, see
   encoder.h. `which`: see encoder.h; MATRICES for the head.
   `form`: 0 dense, 1 sparse, 2 whichever is faster. */
API int lurcher_encoder_matrix(struct encoder *e, int layer, int which, const int8_t *weights, const float *scale,
                               const float *bias, const float *factor, float step, int zero, int form) {
    if (!(step >= 0) || !isfinite(step) || zero < 0 || zero > 255 || (step == 0 && (zero != 128 || factor))) return BAD_ARGUMENT;
    if (which < 0 || which > MATRICES || form < 0 || form > 2 ||
        (which < MATRICES && (layer < 0 || layer >= e->layer_count)))
        return BAD_ARGUMENT;
    struct matrix *m = which == MATRICES ? &e->head : &e->layers[layer].matrix[which];
    if (m->rows) return BAD_ARGUMENT;
    const int rows = which == QUERY_KEY_VALUE ? 3 * e->width : which == UP ? e->inner : e->width;
    const int columns = which == DOWN ? e->inner : e->width;
    if (!all_finite(scale, (size_t)rows) || !all_finite(bias, (size_t)rows) ||
        (factor && !all_finite(factor, (size_t)columns)))
        return BAD_ARGUMENT;
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++)
        if (weights[i] == -128) return BAD_ARGUMENT;
    m->rows = rows;
    m->columns = columns;
    m->step = step;
    m->zero = zero;
    m->steps = rounded_up(columns, STEP) / STEP;
    m->scale = copy(scale, (size_t)rows);
    m->bias = copy(bias, (size_t)rows);
    m->factor = factor ? copy(factor, (size_t)columns) : NULL;
    m->correction = zeros((size_t)rounded_up(rows, PANEL), sizeof *m->correction);
    if (!m->scale || !m->bias || !m->correction || (factor && !m->factor)) return NO_MEMORY;
    int64_t filled = 0;
    int8_t four[4];
    for (int row = 0; row < rows; row++) {
        if (step == 0) m->scale[row] /= 127; /* a token's unit is then its largest input */
        for (int block = 0; block < columns / 4; block++) {
            filled += block_at(m, weights, row, block, four);
            for (int i = 0; i < 4; i++) m->correction[row] += four[i];
        }
        m->correction[row] *= (e->level >= AVXVNNI ? 0 : 128) - zero; /* kernels' OFFSET is 128, or 0 */
    }
    m->sparse = form == 1 || (form == 2 && (float)filled * 4 < sparse_below(e->level) * (float)rows * (float)columns);
    return m->sparse ? pack_sparse(m, weights) : pack_dense(m, weights);
}

/* Whether all weights have been given. */
API int lurcher_encoder_ready(const struct encoder *e) {
    if (!e->position_rows || !e->first.gain) return BAD_ARGUMENT;
    for (int i = 0; i < e->layer_count; i++) {
        const struct layer *layer = e->layers + i;
        if (!layer->after_attention.gain || !layer->after_feed.gain) return BAD_ARGUMENT;
        for (int j = 0; j < MATRICES; j++)
            if (!layer->matrix[j].rows) return BAD_ARGUMENT;
    }
    return DONE;
}

static encoder_kernel kernel_for(int level, int64_t longest, int *lanes) {
#if defined(__x86_64__)
    if (level >= AVX512) {
        *lanes = longest > 8 ? 16 : 8;
        if (level == AMX) return longest > 8 ? encode_amx_16 : encode_amx_8;
        return longest > 8 ? encode_avx512_16 : encode_avx512_8;
    }
    *lanes = 8;
    if (level == AVXVNNI) return encode_avxvnni_8;
    if (level == AVX2) return encode_avx2_8;
#else
    (void)longest;
    *lanes = 8;
#if defined(__aarch64__)
    if (level == DOTPROD) return encode_dotprod_8;
#else
    (void)level;
#endif
#endif
    return encode_plain_8;
}

/* Bytes that `lurcher_encode` needs for `texts` texts of `lengths` tokens; -1 if a length is negative or beyond the
   encoder's positions. */
API int64_t lurcher_encoder_memory(const struct encoder *e, const int64_t *lengths, int64_t texts) {
    int64_t longest = 0, tiles = 0;
    int lanes;
    for (int64_t i = 0; i < texts; i++) {
        if (lengths[i] < 0 || lengths[i] > e->positions) return -1;
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    kernel_for(e->level, longest, &lanes);
    for (int64_t i = 0; i < texts; i++) tiles += (lengths[i] + lanes - 1) / lanes;
    return (int64_t)memory_needed(e, tiles, lanes, longest);
}

/* Encodes `texts` texts of `lengths` tokens; `ids` (tokens) has them one after the other. What comes out, each of
   which may be null: `vectors` (texts, width), and the `states` of the last layer and of `lower_layer`, (stride / width,
   width) for each text, with zeros where a text has ended; a text without tokens has a vector of zeros. `memory` has
   `size` bytes, and NO_MEMORY says that these are too few; threads need memory of their own. */
API int lurcher_encode(const struct encoder *e, const int64_t *ids, int64_t tokens, const int64_t *lengths,
                       int64_t texts, int64_t stride, int lower_layer, float *vectors, float *states, float *lower,
                       void *memory, int64_t size) {
    const int64_t needed = lurcher_encoder_memory(e, lengths, texts);
    int64_t total = 0, longest = 0;
    int lanes;
    if (needed < 0) return BAD_ARGUMENT;
    for (int64_t i = 0; i < texts; i++) {
        total += lengths[i];
        longest = lengths[i] > longest ? lengths[i] : longest;
    }
    if (total != tokens || ((states || lower) && stride < longest * e->width)) return BAD_ARGUMENT;
    for (int64_t i = 0; i < tokens; i++)
        if (ids[i] < 0 || ids[i] >= e->vocabulary) return BAD_ARGUMENT;
    if (needed > size) return NO_MEMORY;
    struct batch batch = {.ids = ids, .lengths = lengths, .texts = texts, .stride = stride, .lower_layer = lower_layer,
                          .vectors = vectors, .states = states, .lower = lower, .memory = memory};
    kernel_for(e->level, longest, &lanes)(e, &batch);
    return DONE;
}
