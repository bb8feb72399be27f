/* A text encoder's forward pass; include it with LANES, LURCHER_UNSIGNED, LURCHER_TILES and ENCODE defined.

   Tokens lie in the lanes of a vector, LANES of them to a tile; every array is [tile][feature][LANES]. So no
   operation but pooling goes across lanes, and what a token gets does not depend on what lies beside it. INT8
   activations are [tile][feature / 4][LANES][4], which is what one multiply-add instruction takes. */
#include "encoder.h"
#include "vectors.h"

#include "products_template.h"

/* The INT8 form of a tile's features, whose largest sizes are `peaks`, as inputs of a matrix, and what its integers
   are multiples of. A float that MAGIC has been added to holds its nearest integer in its lowest bits, of which a byte is
   kept. */
static inline __attribute__((always_inline)) void quantise_as(const struct matrix *m, const float *features,
                                                              const float *peaks, uint8_t *out, float *units, int fixed,
                                                              int factors) {
    const floats shift = splat(MAGIC + (float)(m->zero - 128 + OFFSET));
    const floats least = splat((float)-m->zero), most = splat((float)(255 - m->zero));
    const floats unit = fixed ? splat(m->step) : larger(load(peaks), splat(1e-12f));
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
static void quantise(const struct matrix *m, const float *features, const float *peaks, uint8_t *out, float *units) {
    if (m->step == 0) quantise_as(m, features, peaks, out, units, 0, 0);
    else if (m->factor) quantise_as(m, features, peaks, out, units, 1, 1);
    else quantise_as(m, features, peaks, out, units, 1, 0);
}

/* Four sums side by side, since each addition waits for the one before. */
#define SUMS 4

static floats total_of(const floats *sums) { return (sums[0] + sums[1]) + (sums[2] + sums[3]); }

static void normalise(float *features, int width, const struct norm *norm, float *peaks) {
    floats sums[SUMS] = {{0}}, squares[SUMS] = {{0}};
    for (int i = 0; i < width; i += SUMS)
        for (int j = 0; j < SUMS; j++) sums[j] += load(features + (i + j) * LANES);
    const floats mean = total_of(sums) * (1.0f / (float)width);
    for (int i = 0; i < width; i += SUMS)
        for (int j = 0; j < SUMS; j++) {
            floats apart = load(features + (i + j) * LANES) - mean;
            squares[j] += apart * apart;
        }
    const floats scale = 1.0f / root(total_of(squares) * (1.0f / (float)width) + norm->epsilon);
    floats peak[SUMS] = {{0}};
    for (int i = 0; i < width; i += SUMS)
        for (int j = 0; j < SUMS; j++) {
            floats apart = load(features + (i + j) * LANES) - mean;
            floats value = apart * scale * norm->gain[i + j] + norm->bias[i + j];
            peak[j] = larger_size(peak[j], value);
            store(features + (i + j) * LANES, value);
        }
    store(peaks, larger(larger(peak[0], peak[1]), larger(peak[2], peak[3])));
}

/* One head's attention of one tile's tokens to the `length` tokens of their text. */
static floats attend(const float *query, const float *keys, const float *values, size_t tile_size, int dimension,
                     int64_t length, float scale, float *scores, float *out, floats largest) {
    floats peak = splat(-3e38f), total = {0};
    for (int64_t first = 0; first < length; first += 8) {
        const float *key = keys + (size_t)(first / LANES) * tile_size + first % LANES;
        floats sums[8] = {{0}};
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
    const floats part = 1.0f / total;
    for (int i = 0; i < dimension; i += 8) {
        floats sums[8] = {{0}};
        for (int64_t j = 0; j < length; j++) {
            const float *value = values + (size_t)(j / LANES) * tile_size + (size_t)i * LANES + j % LANES;
            floats share = load(scores + j * LANES);
            for (int k = 0; k < 8; k++) sums[k] += share * value[k * LANES];
        }
        for (int k = 0; k < 8; k++) {
            largest = larger_size(largest, sums[k] * part);
            store(out + (i + k) * LANES, sums[k] * part);
        }
    }
    return largest;
}

static void embed(const struct encoder *e, const int64_t *ids, int64_t first, int64_t left, float *out, float *peaks) {
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
    normalise(out, e->width, &e->first, peaks);
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

/* Each text's states so far, for those that want them, and zeros from where it ends. */
static void put_all(const struct encoder *e, const struct batch *b, const float *states, size_t tile_size, float *out) {
    int64_t tile = 0;
    for (int64_t text = 0; text < b->texts; text++) {
        float *own = out + text * b->stride;
        const int64_t numbers = b->lengths[text] * e->width;
        put_states(states + (size_t)tile * tile_size, tile_size, e->width, b->lengths[text], own);
        memset(own + numbers, 0, (size_t)(b->stride - numbers) * sizeof *own);
        tile += (b->lengths[text] + LANES - 1) / LANES;
    }
}

/* Arrays of one call, each [tile]: states, another width of them, one of whatever is widest, integers; and by token the
   largest size of what comes next and what its integers are multiples of. */
struct work {
    size_t tiles, state_size, wide_size, integer_size;
    float *states, *mixed, *wide, *peaks, *units, *scores;
    uint8_t *integers;
};

static struct work work_in(const struct encoder *e, const struct batch *b) {
    struct work w = {0};
    int64_t longest = 0;
    for (int64_t text = 0; text < b->texts; text++) {
        w.tiles += (size_t)(b->lengths[text] + LANES - 1) / LANES;
        longest = b->lengths[text] > longest ? b->lengths[text] : longest;
    }
    const int three = rounded_up(3 * e->width, PANEL), inner = rounded_up(e->inner, PANEL);
    const int filled = rounded_up(e->width, STEP), filled_inner = rounded_up(e->inner, STEP);
    w.state_size = (size_t)rounded_up(e->width, PANEL) * LANES;
    w.wide_size = (size_t)(three > inner ? three : inner) * LANES;
    w.integer_size = (size_t)(filled > filled_inner ? filled : filled_inner) * LANES;
    w.states = (float *)(((uintptr_t)b->memory + 63) & ~(uintptr_t)63);
    w.mixed = w.states + w.state_size * w.tiles;
    w.wide = w.mixed + w.state_size * w.tiles;
    w.peaks = w.wide + w.wide_size * w.tiles;
    w.units = w.peaks + LANES * w.tiles;
    w.scores = w.units + LANES * w.tiles;
    w.integers = (uint8_t *)(w.scores + (size_t)(longest + 15) / 8 * 8 * LANES);
    w.integers = (uint8_t *)(((uintptr_t)w.integers + 63) & ~(uintptr_t)63);
    return w;
}

/* The product of `features`, whose largest sizes are w->peaks, and a matrix. */
static void apply(const struct matrix *m, const struct work *w, const float *features, size_t size, float *out,
                  size_t out_size, const float *added, int bent) {
    for (size_t t = 0; t < w->tiles; t++)
        quantise(m, features + t * size, w->peaks + t * LANES, w->integers + t * w->integer_size, w->units + t * LANES);
    struct product p = {.activations = w->integers, .units = w->units, .added = added, .out = out, .peaks = w->peaks,
                        .activation_size = w->integer_size, .added_size = w->state_size, .out_size = out_size,
                        .bent = bent};
    multiply(m, p, w->tiles);
}

/* Attention of all texts from w->wide, which has queries, keys and values, to w->mixed. */
static void attend_all(const struct encoder *e, const struct batch *b, const struct work *w) {
    const int dimension = e->width / e->heads;
    const float scale = 1.0f / __builtin_sqrtf((float)dimension);
    const size_t part = (size_t)e->width * LANES, head_size = (size_t)dimension * LANES;
    size_t tile = 0;
    for (int64_t text = 0; text < b->texts; text++) {
        const float *keys = w->wide + tile * w->wide_size + part, *values = keys + part;
        for (int64_t first = 0; first < b->lengths[text]; first += LANES, tile++) {
            const float *queries = w->wide + tile * w->wide_size;
            float *out = w->mixed + tile * w->state_size;
            floats largest = {0};
            for (size_t place = 0; place < part; place += head_size)
                largest = attend(queries + place, keys + place, values + place, w->wide_size, dimension,
                                 b->lengths[text], scale, w->scores, out + place, largest);
            store(w->peaks + tile * LANES, largest);
        }
    }
}

void ENCODE(const struct encoder *e, const struct batch *b) {
    const struct work w = work_in(e, b);
    size_t tile = 0;
    const int64_t *ids = b->ids;
    begin_products();
    for (int64_t text = 0; text < b->texts; text++)
        for (int64_t first = 0; first < b->lengths[text]; first += LANES, tile++) {
            int64_t left = b->lengths[text] - first;
            embed(e, ids, first, left, w.states + tile * w.state_size, w.peaks + tile * LANES);
            ids += left < LANES ? left : LANES;
        }
    for (int number = 0; number < e->layer_count; number++) {
        const struct layer *layer = e->layers + number;
        const struct matrix *matrix = layer->matrix;
        apply(&matrix[QUERY_KEY_VALUE], &w, w.states, w.state_size, w.wide, w.wide_size, NULL, 0);
        attend_all(e, b, &w);
        apply(&matrix[OUT], &w, w.mixed, w.state_size, w.mixed, w.state_size, w.states, 0);
        for (size_t t = 0; t < w.tiles; t++)
            normalise(w.mixed + t * w.state_size, e->width, &layer->after_attention, w.peaks + t * LANES);
        apply(&matrix[UP], &w, w.mixed, w.state_size, w.wide, w.wide_size, NULL, 1);
        apply(&matrix[DOWN], &w, w.wide, w.wide_size, w.states, w.state_size, w.mixed, 0);
        for (size_t t = 0; t < w.tiles; t++)
            normalise(w.states + t * w.state_size, e->width, &layer->after_feed, w.peaks + t * LANES);
        if (b->lower && b->lower_layer == number) put_all(e, b, w.states, w.state_size, b->lower);
    }
    const float *last = w.states;
    if (e->head.rows) {
        apply(&e->head, &w, w.states, w.state_size, w.mixed, w.state_size, NULL, 0);
        last = w.mixed;
    }
    end_products();
    if (b->states) put_all(e, b, last, w.state_size, b->states);
    if (!b->vectors) return;
    tile = 0;
    for (int64_t text = 0; text < b->texts; text++) {
        float *out = b->vectors + text * e->width;
        if (b->lengths[text]) pool(e, last + tile * w.state_size, w.state_size, b->lengths[text], out);
        else memset(out, 0, (size_t)e->width * sizeof *out);
        tile += (size_t)(b->lengths[text] + LANES - 1) / LANES;
    }
}
