// Attention over packed sequences on tensor cores, in f16 and bf16. The twin of attention.cuh.
#pragma once

#include "attention.cuh"
#include "tensor_cores.cuh"

namespace {

// 16 bytes: eight neighbours of a row.
struct alignas(16) Eight {
    unsigned pairs[4];
};

// Where a warp's work lies: queries of one head of one sequence, and that sequence's keys.
struct Work {
    int head;
    int first, end;          // query rows
    int key_begin, key_end;  // rows of keys and values
};

// Sequence blockIdx.x, and of its heads and tiles of QUERIES queries, a head's tiles side by side, the warp's. False where
// there is none: the grid is as wide as the longest sequence needs.
template <int QUERIES>
__device__ __forceinline__ bool find(Work& work, const unsigned* query_starts, const unsigned* key_starts, int heads) {
    const int sequence = blockIdx.x;
    work.first = query_starts ? query_starts[sequence] : sequence;
    work.end = query_starts ? query_starts[sequence + 1] : sequence + 1;
    const int tiles = (work.end - work.first + QUERIES - 1) / QUERIES;
    const int item = blockIdx.y * WARPS + threadIdx.x / WARP;
    if (item >= heads * tiles) return false;
    work.head = item / tiles;
    work.first += item % tiles * QUERIES;
    work.key_begin = key_starts[sequence];
    work.key_end = key_starts[sequence + 1];
    return true;
}

// Eight values, or zeros.
template <typename T> __device__ __forceinline__ Eight eight(const T* from, bool there) {
    return there ? *reinterpret_cast<const Eight*>(from) : Eight{{0, 0, 0, 0}};
}

// The state of a tile of 16 queries: for each of a lane's two rows, and, in `context`, as mma leaves its sums.
template <int WIDTH> struct Tile {
    float largest[2], sum[2];
    float context[WIDTH / 8][4];
};

// softmax over 16 more keys: `scores`, of which `count` count, turn into weights that are e^(score - largest) by base 2, and
// what the tile has so far is scaled to the new maximum. `scale` has log2(e) in it.
template <int WIDTH>
__device__ __forceinline__ void weigh(Tile<WIDTH>& tile, float (&scores)[2][4], int count, int quad, float scale) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float next = tile.largest[half];
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float& score = scores[n][2 * half + e];
                score = n * 8 + 2 * quad + e < count ? score * scale : -INFINITY;
                next = fmaxf(next, score);
            }
        // A row's scores are with the four lanes of its quad.
        next = fmaxf(next, __shfl_xor_sync(ALL_LANES, next, 1));
        next = fmaxf(next, __shfl_xor_sync(ALL_LANES, next, 2));
        const float keep = exp2f(tile.largest[half] - next);  // 0 the first time
        tile.largest[half] = next;
        tile.sum[half] *= keep;
#pragma unroll
        for (int n = 0; n < 2; n++)
#pragma unroll
            for (int e = 0; e < 2; e++) {
                float& score = scores[n][2 * half + e];
                score = exp2f(score - next);
                tile.sum[half] += score;
            }
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n++)
#pragma unroll
            for (int e = 0; e < 2; e++) tile.context[n][2 * half + e] *= keep;
    }
}

// After Dao et al., "FlashAttention" (2022), without shared memory. A warp takes TILES · 16 queries, and its keys pass by 16 at
// a time. A lane reads 16 bytes of a row at once: which columns a product's inner index stands for is the same for queries
// and keys, and otherwise free, so it is chosen such that these eight neighbours are the lane's own part of two products.
// Values, whose rows are the inner index of the second product, are transposed between the lanes; as columns of the context
// come out in the same order as they went in, a lane has eight neighbours to store.
// Arguments as of attention.cuh; every row of a head begins at whole 16 bytes. `scale` is 1 / sqrt(width).
template <typename T, int WIDTH, int TILES>
__device__ void attention_mma(const T* query, const T* key, const T* value, T* context, const unsigned* query_starts,
                              const unsigned* key_starts, int heads, int query_stride, int key_stride, float scale) {
    constexpr int LOADS = WIDTH / 32;  // of a row, by the four lanes of a quad
    Work work;
    if (!find<16 * TILES>(work, query_starts, key_starts, heads)) return;
    const int lane = threadIdx.x % WARP, row = lane / 4, quad = lane % 4;
    const int column = work.head * WIDTH + 8 * quad;
    scale *= 1.44269504f;  // log2(e)

    unsigned queries[TILES][WIDTH / 16][4];
    Tile<WIDTH> tiles[TILES];
#pragma unroll
    for (int t = 0; t < TILES; t++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int at = work.first + t * 16 + half * 8 + row;
            const T* from = query + (long long)at * query_stride + column;
#pragma unroll
            for (int load = 0; load < LOADS; load++) {
                const Eight part = eight(from + 32 * load, at < work.end);
#pragma unroll
                for (int i = 0; i < 4; i++) queries[t][2 * load + i / 2][half + 2 * (i % 2)] = part.pairs[i];
            }
            tiles[t].largest[half] = -INFINITY;
            tiles[t].sum[half] = 0.0f;
        }
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n++)
#pragma unroll
            for (int e = 0; e < 4; e++) tiles[t].context[n][e] = 0.0f;
    }

    for (int begin = work.key_begin; begin < work.key_end; begin += 16) {
        Eight keys[2][LOADS], values[2][LOADS];
#pragma unroll
        for (int n = 0; n < 2; n++) {
            const int at = begin + 8 * n + row;
            const long long offset = (long long)at * key_stride + column;
#pragma unroll
            for (int load = 0; load < LOADS; load++) keys[n][load] = eight(key + offset + 32 * load, at < work.key_end);
#pragma unroll
            for (int load = 0; load < LOADS; load++)
                values[n][load] = eight(value + offset + 32 * load, at < work.key_end);
        }
        unsigned weights[TILES][4];
#pragma unroll
        for (int t = 0; t < TILES; t++) {
            float scores[2][4] = {};
#pragma unroll
            for (int n = 0; n < 2; n++)
#pragma unroll
                for (int step = 0; step < WIDTH / 16; step++) {
                    const unsigned* pairs = keys[n][step / 2].pairs + step % 2 * 2;
                    multiply<T>(scores[n], queries[t][step], {pairs[0], pairs[1]});
                }
            weigh(tiles[t], scores, work.key_end - begin, quad, scale);
#pragma unroll
            for (int i = 0; i < 4; i++)
                weights[t][i] = pack<T>(scores[i / 2][i % 2 * 2], scores[i / 2][i % 2 * 2 + 1]);
        }
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n++) {
            const unsigned turned[2] = {movmatrix(values[0][n / 4].pairs[n % 4]), movmatrix(values[1][n / 4].pairs[n % 4])};
#pragma unroll
            for (int t = 0; t < TILES; t++) multiply<T>(tiles[t].context[n], weights[t], turned);
        }
    }

#pragma unroll
    for (int t = 0; t < TILES; t++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = tiles[t].sum[half];
            sum += __shfl_xor_sync(ALL_LANES, sum, 1);
            sum += __shfl_xor_sync(ALL_LANES, sum, 2);
            const float inverse = 1.0f / sum;
            const int at = work.first + t * 16 + half * 8 + row;
            if (at >= work.end) continue;
            T* to = context + (long long)at * heads * WIDTH + column;
#pragma unroll
            for (int load = 0; load < LOADS; load++) {
                Eight part;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float* two = tiles[t].context[4 * load + i] + 2 * half;
                    part.pairs[i] = pack<T>(two[0] * inverse, two[1] * inverse);
                }
                *reinterpret_cast<Eight*>(to + 32 * load) = part;
            }
        }
    }
}

}  // namespace

// As many blocks a multiprocessor as registers allow without spilling any.
#define ATTENTION_MMA(T, name, WIDTH, QUERIES)                                                                            \
    extern "C" __global__ void __launch_bounds__(WARPS* WARP, WIDTH * QUERIES > 1024 ? 3 : 4)                             \
        attention_mma_##name##_##WIDTH##_##QUERIES(const T* query, const T* key, const T* value, T* context,              \
                                                   const unsigned* query_starts, const unsigned* key_starts, int heads,   \
                                                   int query_stride, int key_stride, float scale) {                       \
        attention_mma<T, WIDTH, QUERIES / 16>(query, key, value, context, query_starts, key_starts, heads, query_stride,  \
                                              key_stride, scale);                                                         \
    }

#define ATTENTION_MMA_OF_EACH_WIDTH(T, name)                                                                              \
    ATTENTION_MMA(T, name, 32, 16)                                                                                        \
    ATTENTION_MMA(T, name, 32, 32)                                                                                        \
    ATTENTION_MMA(T, name, 64, 16)                                                                                        \
    ATTENTION_MMA(T, name, 64, 32)                                                                                        \
    ATTENTION_MMA(T, name, 96, 16)                                                                                        \
    ATTENTION_MMA(T, name, 128, 16)
