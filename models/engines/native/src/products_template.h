/* Products of INT8 weights and activations, dense or sparse in blocks of four, for one or two tiles of tokens. */

/* What a matrix is multiplied by, a tile's `activations` (columns / 4, LANES, 4) in `units` (LANES,), and what becomes
   of it: `out` (rows, LANES), with the rows of `added` added if there are any, or through GELU if `bent`; `peaks`
   (LANES,) are then each token's largest sizes. One tile's lie the same distance after the one's before. */
struct product {
    const uint8_t *activations;
    const float *units, *added;
    float *out, *peaks;
    size_t activation_size, added_size, out_size;
    int bent;
};

static inline __attribute__((always_inline)) struct product of_tile(struct product p, size_t tile) {
    p.activations += tile * p.activation_size;
    p.units += tile * LANES;
    p.peaks += tile * LANES;
    p.out += tile * p.out_size;
    if (p.added) p.added += tile * p.added_size;
    return p;
}

/* Integer sums of `count` output rows to floats, scaled and biased. `rows` says which they are, or is null: those from
   `first` on. Rows that only fill a panel up have zeros for weights, and room. */
static inline __attribute__((always_inline)) void finish(const struct matrix *m, struct product p, const int32_t *rows,
                                                         int first, const ints *sums, int count) {
    const floats unit = load(p.units);
    floats peak = p.bent ? load(p.peaks) : unit;
#pragma GCC unroll 16
    for (int r = 0; r < count; r++) {
        const size_t row = (size_t)(rows ? rows[r] : first + r);
        floats value = __builtin_convertvector(sums[r], floats) * m->scale[row] * unit + m->bias[row];
        if (p.bent) peak = larger_size(peak, value = gelu(value));
        if (p.added) value += load(p.added + row * LANES);
        store(p.out + row * LANES, value);
    }
    if (p.bent) store(p.peaks, peak);
}

static inline ints splat_sum(int32_t sum) { return (ints){0} + sum; }

/* GROUP sparse rows for `tiles` tiles; inlined for one and for two. */
static inline __attribute__((always_inline)) void sparse_group(const struct matrix *m, int group, const int8_t *weights,
                                                               const uint16_t *blocks, struct product p, int tiles) {
    const int32_t *rows = m->order + group * GROUP;
    ints sums[GROUP], more[GROUP];
    for (int r = 0; r < GROUP; r++) sums[r] = more[r] = splat_sum(m->correction[rows[r]]);
    __asm__("" : "+r"(p.activations)); /* one register, to which a block's number is added by the load itself */
    for (int32_t i = 0; i < m->counts[group]; i++, weights += 4 * GROUP, blocks += GROUP)
        for (int four = 0; four < GROUP; four += 4) {
            uint64_t places; /* of four blocks, by one load: loads are what this loop waits for */
            memcpy(&places, blocks + four, sizeof places);
            for (int r = four; r < four + 4; r++, places >>= 16) {
                const uint8_t *from = p.activations + (size_t)(uint16_t)places * (LANES / 4);
                sums[r] = dot_at(sums[r], load_bytes(from), weights + 4 * r);
                if (tiles == 2) more[r] = dot_at(more[r], load_bytes(from + p.activation_size), weights + 4 * r);
            }
        }
    finish(m, p, rows, 0, sums, GROUP);
    if (tiles == 2) finish(m, of_tile(p, 1), rows, 0, more, GROUP);
}

/* Bytes of dense weights that are asked for ahead of their use: they come from the third-level cache. */
#define AHEAD 4096

/* Rows of a dense panel that one pass computes: as many as registers hold sums of. */
#if LANES == 16
#define ROWS 16
#else
#define ROWS 8
#endif

static inline __attribute__((always_inline)) void dense_rows(const struct matrix *m, int first, int count,
                                                             struct product p, int tiles) {
    ints sums[ROWS], more[ROWS];
    for (int r = 0; r < count; r++) sums[r] = more[r] = splat_sum(m->correction[first + r]);
    const int8_t *weights =
        m->weights + (size_t)(first / PANEL) * (size_t)m->steps * PANEL * STEP + (size_t)(first % PANEL) * STEP;
    const uint8_t *activations = p.activations;
    for (int step = 0; step < m->steps; step++, weights += PANEL * STEP, activations += STEP * LANES)
        for (int block = 0; block < STEP / 4; block++) {
            bytes one = load_bytes(activations + (size_t)block * (LANES * 4)), two = one;
            if (tiles == 2) two = load_bytes(activations + p.activation_size + (size_t)block * (LANES * 4));
            if (block < count) __builtin_prefetch(weights + AHEAD + block * STEP);
            for (int r = 0; r < count; r++) {
                const int8_t *four = weights + r * STEP + 4 * block;
                sums[r] = dot_at(sums[r], one, four);
                if (tiles == 2) more[r] = dot_at(more[r], two, four);
            }
        }
    finish(m, p, NULL, first, sums, count);
    if (tiles == 2) finish(m, of_tile(p, 1), NULL, first, more, count);
}

#if LURCHER_TILES
struct tile_shape {
    uint8_t palette, first_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

/* Tiles 0 to 3 hold sums, 4 and 5 weights, 6 and 7 activations. */
static void begin_products(void) {
    struct tile_shape shape = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shape.rows[i] = 16;
        shape.bytes[i] = i == 4 || i == 5 ? STEP : LANES * 4;
    }
    _tile_loadconfig(&shape);
}

static void end_products(void) { _tile_release(); }

/* Two panels, or one, of weights for one tile of tokens or two. */
static inline __attribute__((always_inline)) void dense_panels(const struct matrix *m, int panel, int panels,
                                                               struct product p, int tiles) {
    const size_t panel_size = (size_t)m->steps * PANEL * STEP;
    const int8_t *weights = m->weights + (size_t)panel * panel_size;
    const uint8_t *activations = p.activations;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < m->steps; step++, weights += PANEL * STEP, activations += STEP * LANES) {
        for (int r = 0; r < PANEL; r++) {
            __builtin_prefetch(weights + AHEAD + r * STEP);
            if (panels == 2) __builtin_prefetch(weights + panel_size + AHEAD + r * STEP);
        }
        _tile_loadd(4, weights, STEP);
        _tile_loadd(6, activations, LANES * 4);
        _tile_dpbsud(0, 4, 6);
        if (tiles == 2) {
            _tile_loadd(7, activations + p.activation_size, LANES * 4);
            _tile_dpbsud(1, 4, 7);
        }
        if (panels == 2) {
            _tile_loadd(5, weights + panel_size, STEP);
            _tile_dpbsud(2, 5, 6);
            if (tiles == 2) _tile_dpbsud(3, 5, 7);
        }
    }
    ints sums[4][PANEL];
    _tile_stored(0, sums[0], LANES * 4);
    _tile_stored(1, sums[1], LANES * 4);
    _tile_stored(2, sums[2], LANES * 4);
    _tile_stored(3, sums[3], LANES * 4);
    for (int i = 0; i < panels; i++)
        for (int t = 0; t < tiles; t++) {
            const int first = (panel + i) * PANEL;
            for (int r = 0; r < PANEL; r++) sums[2 * i + t][r] += m->correction[first + r];
            finish(m, of_tile(p, (size_t)t), NULL, first, sums[2 * i + t], PANEL);
        }
}
#else
static void begin_products(void) {}
static void end_products(void) {}
#endif

/* The product of each of `tiles` tiles; each panel of weights is read once for all of them. */
static inline __attribute__((always_inline)) void multiply_as(const struct matrix *m, struct product p, size_t tiles) {
#define FOR_TILES(call, ...)                                                                                           \
    do {                                                                                                               \
        size_t t = 0;                                                                                                  \
        for (; t + 2 <= tiles; t += 2) call(__VA_ARGS__, of_tile(p, t), 2);                                            \
        if (t < tiles) call(__VA_ARGS__, of_tile(p, t), 1);                                                            \
    } while (0)
    if (m->sparse) {
        const int8_t *weights = m->weights;
        const uint16_t *blocks = m->blocks;
        for (int group = 0; group * GROUP < m->rows; group++) {
            FOR_TILES(sparse_group, m, group, weights, blocks);
            weights += (size_t)m->counts[group] * 4 * GROUP;
            blocks += (size_t)m->counts[group] * GROUP;
        }
        return;
    }
#if LURCHER_TILES
    const int panels = (m->rows + PANEL - 1) / PANEL;
    int panel = 0;
    for (; panel + 2 <= panels; panel += 2) FOR_TILES(dense_panels, m, panel, 2);
    if (panel < panels) FOR_TILES(dense_panels, m, panel, 1);
#else
    for (int first = 0; first < m->rows; first += ROWS) {
        size_t t = 0;
        for (; t + 2 <= tiles; t += 2) {
            dense_rows(m, first, ROWS / 2, of_tile(p, t), 2);
            dense_rows(m, first + ROWS / 2, ROWS / 2, of_tile(p, t), 2);
        }
        if (t < tiles) dense_rows(m, first, ROWS, of_tile(p, t), 1);
    }
#endif
}

static void multiply(const struct matrix *matrix, struct product p, size_t tiles) {
    /* A copy that nothing else points to, so that its pointers stay in registers while outputs are stored. */
    const struct matrix own = *matrix;
    if (p.bent) {
        memset(p.peaks, 0, tiles * LANES * sizeof *p.peaks);
        p.added = NULL;
        multiply_as(&own, p, tiles);
    } else if (p.added)
        multiply_as(&own, p, tiles);
    else
        multiply_as(&own, p, tiles);
}
