/* Products of INT8 weights and activations, dense or sparse in blocks of four, for one or two tiles of tokens. */

/* Integer sums of one output row to floats: scaled, biased, and GELU of it or another array's row added. */
static inline void finish(const struct matrix *m, int row, ints sum, floats peak, float *out, const float *added, int bent) {
    floats value = __builtin_convertvector(sum + m->correction[row], floats) * m->scale[row] * peak + m->bias[row];
    if (bent) value = gelu(value);
    if (added) value += load(added + row * LANES);
    store(out + row * LANES, value);
}

/* GROUP sparse rows for `tiles` tiles; inlined for one and for two. */
static inline __attribute__((always_inline)) void sparse_group(
    const struct matrix *m, int group, const int8_t *weights, const uint16_t *blocks, const uint8_t *activations,
    size_t activation_size, const float *peaks, int tiles, float *out, size_t out_size, const float *added,
    size_t added_size, int bent) {
    ints sums[GROUP] = {{0}}, more[GROUP] = {{0}};
    __asm__("" : "+r"(activations)); /* one register, to which a block's number is added by the load itself */
    for (int32_t i = 0; i < m->counts[group]; i++, weights += 4 * GROUP, blocks += GROUP)
        for (int r = 0; r < GROUP; r++) {
            const uint8_t *from = activations + (size_t)blocks[r] * (LANES / 4);
            sums[r] = dot_at(sums[r], load_bytes(from), weights + 4 * r);
            if (tiles == 2) more[r] = dot_at(more[r], load_bytes(from + activation_size), weights + 4 * r);
        }
    const floats unit = load(peaks), next = tiles == 2 ? load(peaks + LANES) : unit;
#pragma GCC unroll 8
    for (int r = 0; r < GROUP; r++) {
        const int row = m->order[group * GROUP + r];
        if (row >= m->rows) continue;
        finish(m, row, sums[r], unit, out, added, bent);
        if (tiles == 2) finish(m, row, more[r], next, out + out_size, added ? added + added_size : NULL, bent);
    }
}

/* Rows of a dense panel that one pass computes: as many as registers hold sums of. */
#if LANES == 16
#define ROWS 16
#else
#define ROWS 8
#endif

static inline __attribute__((always_inline)) void dense_rows(
    const struct matrix *m, int first, int count, const uint8_t *activations, size_t activation_size,
    const float *peaks, int tiles, float *out, size_t out_size, const float *added, size_t added_size, int bent) {
    ints sums[ROWS] = {{0}}, more[ROWS] = {{0}};
    const int8_t *weights =
        m->weights + (size_t)(first / PANEL) * (size_t)m->steps * PANEL * STEP + (size_t)(first % PANEL) * STEP;
    for (int step = 0; step < m->steps; step++, weights += PANEL * STEP, activations += STEP * LANES)
        for (int block = 0; block < STEP / 4; block++) {
            bytes one = load_bytes(activations + (size_t)block * (LANES * 4)), two = one;
            if (tiles == 2) two = load_bytes(activations + activation_size + (size_t)block * (LANES * 4));
            for (int r = 0; r < count; r++) {
                const int8_t *four = weights + r * STEP + 4 * block;
                sums[r] = dot_at(sums[r], one, four);
                if (tiles == 2) more[r] = dot_at(more[r], two, four);
            }
        }
    const floats unit = load(peaks), next = tiles == 2 ? load(peaks + LANES) : unit;
    for (int r = 0; r < count && first + r < m->rows; r++) {
        finish(m, first + r, sums[r], unit, out, added, bent);
        if (tiles == 2) finish(m, first + r, more[r], next, out + out_size, added ? added + added_size : NULL, bent);
    }
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
static inline __attribute__((always_inline)) void dense_panels(
    const struct matrix *m, int panel, int panels, const uint8_t *activations, size_t activation_size,
    const float *peaks, int tiles, float *out, size_t out_size, const float *added, size_t added_size, int bent) {
    const size_t panel_size = (size_t)m->steps * PANEL * STEP;
    const int8_t *weights = m->weights + (size_t)panel * panel_size;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int step = 0; step < m->steps; step++, weights += PANEL * STEP, activations += STEP * LANES) {
        _tile_loadd(4, weights, STEP);
        _tile_loadd(6, activations, LANES * 4);
        _tile_dpbsud(0, 4, 6);
        if (tiles == 2) {
            _tile_loadd(7, activations + activation_size, LANES * 4);
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
    for (int p = 0; p < panels; p++)
        for (int t = 0; t < tiles; t++)
            for (int r = 0; r < PANEL && (panel + p) * PANEL + r < m->rows; r++)
                finish(m, (panel + p) * PANEL + r, sums[2 * p + t][r], load(peaks + t * LANES),
                       out + (size_t)t * out_size, added ? added + (size_t)t * added_size : NULL, bent);
}
#else
static void begin_products(void) {}
static void end_products(void) {}
#endif

/* What each tile's activations make of the matrix: `out` (rows, LANES) a tile, with the rows of `added`, if there
   are any, added; through GELU if `bent`. Each panel of weights is read once for all tiles. */
static inline __attribute__((always_inline)) void multiply_as(
    const struct matrix *m, const uint8_t *activations, size_t activation_size, const float *peaks, int64_t tiles,
    float *out, size_t out_size, const float *added, size_t added_size, int bent) {
#define FOR_TILES(call_two, call_one)                                                                                  \
    do {                                                                                                               \
        int64_t t = 0;                                                                                                 \
        for (; t + 2 <= tiles; t += 2) call_two;                                                                       \
        if (t < tiles) call_one;                                                                                       \
    } while (0)
#define OF_TILE activations + (size_t)t * activation_size, activation_size, peaks + t * LANES
#define TO_TILE out + (size_t)t * out_size, out_size, added ? added + (size_t)t * added_size : NULL, added_size, bent
    if (m->sparse) {
        const int8_t *weights = m->weights;
        const uint16_t *blocks = m->blocks;
        for (int group = 0; group * GROUP < m->rows; group++) {
            FOR_TILES(sparse_group(m, group, weights, blocks, OF_TILE, 2, TO_TILE),
                      sparse_group(m, group, weights, blocks, OF_TILE, 1, TO_TILE));
            weights += (size_t)m->counts[group] * 4 * GROUP;
            blocks += (size_t)m->counts[group] * GROUP;
        }
        return;
    }
#if LURCHER_TILES
    const int panels = (m->rows + PANEL - 1) / PANEL;
    int panel = 0;
    for (; panel + 2 <= panels; panel += 2)
        FOR_TILES(dense_panels(m, panel, 2, OF_TILE, 2, TO_TILE), dense_panels(m, panel, 2, OF_TILE, 1, TO_TILE));
    if (panel < panels)
        FOR_TILES(dense_panels(m, panel, 1, OF_TILE, 2, TO_TILE), dense_panels(m, panel, 1, OF_TILE, 1, TO_TILE));
#else
    for (int first = 0; first < m->rows; first += ROWS)
        FOR_TILES((dense_rows(m, first, ROWS / 2, OF_TILE, 2, TO_TILE),
                   dense_rows(m, first + ROWS / 2, ROWS / 2, OF_TILE, 2, TO_TILE)),
                  dense_rows(m, first, ROWS, OF_TILE, 1, TO_TILE));
#endif
}

static void multiply(const struct matrix *matrix, const uint8_t *activations, size_t activation_size, const float *peaks,
                     int64_t tiles, float *out, size_t out_size, const float *added, size_t added_size, int bent) {
    /* A copy that nothing else points to, so that its pointers stay in registers while outputs are stored. */
    const struct matrix own = *matrix, *m = &own;
    if (bent)
        multiply_as(m, activations, activation_size, peaks, tiles, out, out_size, NULL, 0, 1);
    else if (added)
        multiply_as(m, activations, activation_size, peaks, tiles, out, out_size, added, added_size, 0);
    else
        multiply_as(m, activations, activation_size, peaks, tiles, out, out_size, NULL, 0, 0);
}
