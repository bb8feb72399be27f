/* A text encoder's forward pass; include it with LANES, LURCHER_UNSIGNED, LURCHER_TILES and ENCODE defined.

   Tokens lie in the lanes of a vector, LANES of them to a tile; every array is [tile][feature][LANES]. So no
   operation but pooling goes across lanes, and what a token gets does not depend on what lies beside it. INT8
   activations are [tile][feature / 4][LANES][4], which is what one multiply-add instruction takes. */
#include "encoder.h"
#include "vectors.h"

#include "products_template.h"

/* The largest size of a tile's features, for each token. */
static floats peak_of(const float *features, int width) {
    floats peak = {0};
    for (int i = 0; i < width; i++) peak = larger(peak, size_of(load(features + i * LANES)));
    return peak;
}

/* The INT8 form of a tile's features as inputs of a matrix, and what its integers are multiples of, for each token.
   A float that MAGIC has been added to holds its nearest integer in its lowest bits, of which a byte is kept. */
static inline __attribute__((always_inline)) void quantise_as(const struct matrix *m, const float *features,
                                                              uint8_t *out, float *units, int fixed, int factors) {
    const floats shift = splat(MAGIC + (float)(m->zero - 128 + OFFSET));
    const floats least = splat((float)-m->zero), most = splat((float)(255 - m->zero));
    floats unit = splat(m->step);
    if (!fixed) unit = larger(peak_of(features, m->columns), splat(1e-12f));
    const floats steps = (fixed ? 1.0f : 127.0f) / unit;
    store(units, unit);
    for (int i = 0; i < m->columns; i += 4) {
        ints word = {0};
        for (int j = 0; j < 4; j++) {
            floats value = load(features + (i + j) * LANES);
            if (factors) value *= m->factor[i + j];
            if (fixed) value = larger(smaller(value * steps, most), least) + shift;
            else value = value * steps + shift;
            word |= (((ints)value) << (8 * j)) & (int32_t)(255u << (8 * j));
        }
        memcpy(out + (size_t)i * LANES, &word, sizeof word);
    }
    const size_t made = (size_t)m->columns * LANES, filled = (size_t)m->steps * STEP * LANES;
    memset(out + made, 0, filled - made);
}

/* Peaks are those of features that no factor has been applied to: description.py knows factors with fixed steps only. */
static void quantise(const struct matrix *m, const float *features, uint8_t *out, float *units) {
    if (m->step == 0) quantise_as(m, features, out, units, 0, 0);
    else if (m->factor) quantise_as(m, features, out, units, 1, 1);
    else quantise_as(m, features, out, units, 1, 0);
}

static void normalise(float *features, int width, const struct norm *norm) {
    floats mean = {0}, variance = {0};
    for (int i = 0; i < width; i++) mean += load(features + i * LANES);
    mean *= 1.0f / (float)width;
    for (int i = 0; i < width; i++) {
        floats apart = load(features + i * LANES) - mean;
        variance += apart * apart;
    }
    floats scale = 1.0f / root(variance * (1.0f / (float)width) + norm->epsilon);
    for (int i = 0; i < width; i++)
        store(features + i * LANES, (load(features + i * LANES) - mean) * scale * norm->gain[i] + norm->bias[i]);
}

/* One head's attention of one tile's tokens to the `length` tokens of their text. */
static void attend(const float *query, const float *keys, const float *values, size_t tile_size, int dimension,
                   int64_t length, float scale, float *scores, float *out) {
    floats peak = splat(-3e38f), total = {0};
    for (int64_t first = 0; first < length; first += 8) {
        const float *key = keys + (size_t)(first / LANES) * tile_size + first % LANES;
        floats sums[8] = {0};
        for (int i = 0; i < dimension; i++) {
            floats one = load(query + i * LANES);
            for (int j = 0; j < 8; j++) sums[j] += one * key[i * LANES + j];
        }
        for (int j = 0; j < 8; j++) {
            sums[j] *= scale;
            store(scores + (first + j) * LANES, sums[j]);
            if (first + j < length) peak = larger(peak, sums[j]);
        }
    }
    for (int64_t j = 0; j < length; j++) {
        floats share = exponential(load(scores + j * LANES) - peak);
        total += share;
        store(scores + j * LANES, share);
    }
    floats part = 1.0f / total;
    for (int i = 0; i < dimension; i += 8) {
        floats sums[8] = {0};
        for (int64_t j = 0; j < length; j++) {
            const float *value = values + (size_t)(j / LANES) * tile_size + (size_t)i * LANES + j % LANES;
            floats share = load(scores + j * LANES);
            for (int k = 0; k < 8; k++) sums[k] += share * value[k * LANES];
        }
        for (int k = 0; k < 8; k++) store(out + (i + k) * LANES, sums[k] * part);
    }
}

static void embed(const struct encoder *e, const int64_t *ids, int64_t first, int64_t left, float *out) {
    for (int lane = 0; lane < LANES; lane++) {
        if (lane >= left) {
            for (int i = 0; i < e->width; i++) out[i * LANES + lane] = 0;
            continue;
        }
        const float *place = e->position_rows + (first + lane) * e->width;
        size_t row = (size_t)ids[lane] * (size_t)e->width;
        if (e->word_integers) {
            float scale = e->word_scales[ids[lane]];
            for (int i = 0; i < e->width; i++)
                out[i * LANES + lane] = (float)e->word_integers[row + i] * scale + e->type_row[i] + place[i];
        } else
            for (int i = 0; i < e->width; i++)
                out[i * LANES + lane] = e->word_floats[row + i] + e->type_row[i] + place[i];
    }
    normalise(out, e->width, &e->first);
}

/* The states (length, width) of a text whose tiles begin at `features`. */
static void put_states(const float *features, size_t tile_size, int width, int64_t length, float *out) {
    for (int64_t token = 0; token < length; token++) {
        const float *column = features + (size_t)(token / LANES) * tile_size + token % LANES;
        for (int i = 0; i < width; i++) out[token * width + i] = column[i * LANES];
    }
}

static void pool(const struct encoder *e, const float *features, size_t tile_size, int64_t length, float *out) {
    float squares = 0;
    for (int i = 0; i < e->width; i++) {
        float sum = 0;
        if (e->cls)
            sum = features[i * LANES];
        else {
            for (int64_t token = 0; token < length; token++)
                sum += features[(size_t)(token / LANES) * tile_size + (size_t)i * LANES + token % LANES];
            sum /= (float)length;
        }
        out[i] = sum;
        squares += sum * sum;
    }
    if (!e->unit) return;
    float norm = __builtin_sqrtf(squares);
    for (int i = 0; i < e->width; i++) out[i] /= norm > 1e-12f ? norm : 1e-12f;
}

/* Each text's states so far, for those that want them. */
static void put_all(const struct encoder *e, const struct batch *b, const float *states, size_t tile_size, float *out) {
    int64_t tile = 0;
    for (int64_t text = 0; text < b->texts; text++) {
        put_states(states + (size_t)tile * tile_size, tile_size, e->width, b->lengths[text], out + text * b->stride);
        tile += (b->lengths[text] + LANES - 1) / LANES;
    }
}

void ENCODE(const struct encoder *e, const struct batch *b) {
    int64_t tiles = 0;
    for (int64_t text = 0; text < b->texts; text++) tiles += (b->lengths[text] + LANES - 1) / LANES;
    const int wide = rounded_up(e->width, PANEL), three = rounded_up(3 * e->width, PANEL);
    const int inner = rounded_up(e->inner, PANEL), most = three > inner ? three : inner;
    const int filled = rounded_up(e->width, STEP), filled_inner = rounded_up(e->inner, STEP);
    const size_t state_size = (size_t)wide * LANES, work_size = (size_t)most * LANES;
    float *states = (float *)(((uintptr_t)b->memory + 63) & ~(uintptr_t)63);
    float *mixed = states + state_size * (size_t)tiles, *work = mixed + state_size * (size_t)tiles;
    float *peaks = work + work_size * (size_t)tiles, *scores = peaks + (size_t)tiles * LANES;
    int64_t longest = 0;
    for (int64_t text = 0; text < b->texts; text++) longest = b->lengths[text] > longest ? b->lengths[text] : longest;
    uint8_t *integers = (uint8_t *)(scores + (size_t)(longest + 15) / 8 * 8 * LANES);
    integers = (uint8_t *)(((uintptr_t)integers + 63) & ~(uintptr_t)63);
    const size_t integer_size = (size_t)(filled > filled_inner ? filled : filled_inner) * LANES;
    const int dimension = e->width / e->heads;
    const float scale = 1.0f / __builtin_sqrtf((float)dimension);

    begin_products();
    int64_t tile = 0;
    const int64_t *ids = b->ids;
    for (int64_t text = 0; text < b->texts; text++)
        for (int64_t first = 0; first < b->lengths[text]; first += LANES, tile++) {
            int64_t left = b->lengths[text] - first;
            embed(e, ids, first, left, states + (size_t)tile * state_size);
            ids += left < LANES ? left : LANES;
        }
    for (int number = 0; number < e->layer_count; number++) {
        const struct layer *layer = e->layers + number;
        const struct matrix *matrix = layer->matrix;
        for (int64_t t = 0; t < tiles; t++)
            quantise(&matrix[QUERY_KEY_VALUE], states + (size_t)t * state_size, integers + (size_t)t * integer_size, peaks + t * LANES);
        multiply(&matrix[QUERY_KEY_VALUE], integers, integer_size, peaks, tiles, work, work_size, NULL, 0, 0);
        tile = 0;
        for (int64_t text = 0; text < b->texts; text++) {
            const float *own = work + (size_t)tile * work_size;
            for (int64_t first = 0; first < b->lengths[text]; first += LANES, tile++)
                for (int head = 0; head < e->heads; head++) {
                    const size_t place = (size_t)head * (size_t)dimension * LANES;
                    const size_t part = (size_t)e->width * LANES;
                    attend(work + (size_t)tile * work_size + place, own + part + place, own + 2 * part + place,
                           work_size, dimension, b->lengths[text], scale, scores,
                           mixed + (size_t)tile * state_size + place);
                }
        }
        for (int64_t t = 0; t < tiles; t++)
            quantise(&matrix[OUT], mixed + (size_t)t * state_size, integers + (size_t)t * integer_size, peaks + t * LANES);
        multiply(&matrix[OUT], integers, integer_size, peaks, tiles, mixed, state_size, states, state_size, 0);
        for (int64_t t = 0; t < tiles; t++) {
            normalise(mixed + (size_t)t * state_size, e->width, &layer->after_attention);
            quantise(&matrix[UP], mixed + (size_t)t * state_size, integers + (size_t)t * integer_size, peaks + t * LANES);
        }
        multiply(&matrix[UP], integers, integer_size, peaks, tiles, work, work_size, NULL, 0, 1);
        for (int64_t t = 0; t < tiles; t++)
            quantise(&matrix[DOWN], work + (size_t)t * work_size, integers + (size_t)t * integer_size, peaks + t * LANES);
        multiply(&matrix[DOWN], integers, integer_size, peaks, tiles, states, state_size, mixed, state_size, 0);
        for (int64_t t = 0; t < tiles; t++)
            normalise(states + (size_t)t * state_size, e->width, &layer->after_feed);
        if (b->lower && b->lower_layer == number) put_all(e, b, states, state_size, b->lower);
    }
    float *last = states;
    if (e->head.rows) {
        for (int64_t t = 0; t < tiles; t++)
            quantise(&e->head, states + (size_t)t * state_size, integers + (size_t)t * integer_size, peaks + t * LANES);
        multiply(&e->head, integers, integer_size, peaks, tiles, mixed, state_size, NULL, 0, 0);
        last = mixed;
    }
    end_products();
    if (b->states) put_all(e, b, last, state_size, b->states);
    if (!b->vectors) return;
    tile = 0;
    for (int64_t text = 0; text < b->texts; text++) {
        if (b->lengths[text])
            pool(e, last + (size_t)tile * state_size, state_size, b->lengths[text], b->vectors + text * e->width);
        tile += (b->lengths[text] + LANES - 1) / LANES;
    }
}
