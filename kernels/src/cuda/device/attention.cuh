// Attention over packed sequences on CUDA cores: in every type, for heads of any width that fits.
#pragma once

#include "values.cuh"

namespace {

constexpr int WARPS = 4;  // of a block, of either kernel

// After Dao et al., "FlashAttention" (2022): keys pass by in tiles, with a running maximum and sum for each query.
// A block takes QUERIES queries of one head of one sequence, a warp EACH of them at a time; a lane stands for a key while
// scores are computed, and for every 32nd column of the head while values are summed.
constexpr int EACH = 8;
constexpr int QUERIES = WARPS * EACH;
constexpr int KEYS = WARP;
constexpr int USUAL_WIDTH = 64;  // of a head, in every DistilBERT that is in use
constexpr int MAX_COLUMNS = 3;  // of a lane: heads of up to 96 columns, which the shared memory of a block holds

// Values from one key to the next in shared memory: lanes, a key each, then hit different banks. As many as
// attention.rs asks memory for.
__device__ __forceinline__ int pitch(int width) { return width % 4 == 0 ? width + 4 : width + 1; }

// Four neighbours of shared memory in one load. Both begin at whole 16 bytes.
__device__ __forceinline__ Vector<float, 4> four(const float* values) {
    return *reinterpret_cast<const Vector<float, 4>*>(values);
}

// One row of a head, `width` values, to f32 in shared memory.
template <typename T, int WIDTH>
__device__ __forceinline__ void load_row(const T* from, float* to, int width, int lane, float scale) {
    if (WIDTH > 0 && reinterpret_cast<size_t>(from) % sizeof(Vector<T, 2>) == 0) {
        for (int c = 2 * lane; c < WIDTH; c += 2 * WARP) {
            const Vector<T, 2> pair = *reinterpret_cast<const Vector<T, 2>*>(from + c);
            to[c] = widen(pair.values[0]) * scale;
            to[c + 1] = widen(pair.values[1]) * scale;
        }
    } else {
        for (int c = lane; c < width; c += WARP) to[c] = widen(from[c]) * scale;
    }
}

__device__ __forceinline__ void clear_row(float* to, int width, int lane) {
    for (int c = lane; c < width; c += WARP) to[c] = 0.0f;
}

// query [query rows, query_stride], its columns the heads side by side; key and value [rows, key_stride] likewise;
// context [query rows, heads * width]. Sequence s has the query rows query_starts[s]..query_starts[s + 1], or row s alone
// where there are no starts, and the keys key_starts[s]..key_starts[s + 1]. Grid [sequences, heads, query tiles]; `scale` is
// 1 / sqrt(width). WIDTH is the width where it is known when this is compiled, and a multiple of 4, or 0.
// Shared, in f32: queries [QUERIES, width], keys [KEYS, key pitch], values [KEYS, width], weights [QUERIES, KEYS].
template <typename T, int WIDTH>
__device__ void attention(const T* query, const T* key, const T* value, T* context, const unsigned* query_starts,
                          const unsigned* key_starts, int any_width, int query_stride, int key_stride, float scale) {
    extern __shared__ float shared[];
    const int width = WIDTH > 0 ? WIDTH : any_width;
    const int sequence = blockIdx.x, head = blockIdx.y;
    const int first = (query_starts ? query_starts[sequence] : sequence) + blockIdx.z * QUERIES;
    const int end = query_starts ? query_starts[sequence + 1] : sequence + 1;
    // The grid is as deep as the longest sequence needs.
    if (first >= end) return;
    const int key_begin = key_starts[sequence], key_end = key_starts[sequence + 1];
    const int key_pitch = pitch(width);
    float* queries = shared;
    float* keys = queries + QUERIES * width;
    float* values = keys + KEYS * key_pitch;
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    float* weights = values + KEYS * width + warp * EACH * KEYS;
    const long long column = (long long)head * width;

    for (int q = warp; q < QUERIES; q += WARPS) {
        const int row = first + q;
        if (row < end)
            load_row<T, WIDTH>(query + (long long)row * query_stride + column, queries + q * width, width, lane, scale);
        else
            clear_row(queries + q * width, width, lane);
    }
    const float* mine = queries + warp * EACH * width;
    // A short text, and every text in the last layer, leaves warps without a query: they only help to load.
    const bool idle = first + warp * EACH >= end;
    float sum[EACH], largest[EACH], totals[EACH][MAX_COLUMNS];
#pragma unroll
    for (int q = 0; q < EACH; q++) {
        sum[q] = 0.0f;
        largest[q] = -INFINITY;
#pragma unroll
        for (int c = 0; c < MAX_COLUMNS; c++) totals[q][c] = 0.0f;
    }

    for (int tile = key_begin; tile < key_end; tile += KEYS) {
        const int count = min(KEYS, key_end - tile);
        __syncthreads();  // the tile before is no longer read
        for (int k = warp; k < KEYS; k += WARPS) {
            const long long at = (long long)(tile + k) * key_stride + column;
            if (k < count) {
                load_row<T, WIDTH>(key + at, keys + k * key_pitch, width, lane, 1.0f);
                load_row<T, WIDTH>(value + at, values + k * width, width, lane, 1.0f);
            } else {
                clear_row(keys + k * key_pitch, width, lane);
                clear_row(values + k * width, width, lane);
            }
        }
        __syncthreads();
        if (idle) continue;

        float scores[EACH];
#pragma unroll
        for (int q = 0; q < EACH; q++) scores[q] = 0.0f;
        if (WIDTH > 0) {
#pragma unroll 4
            for (int c = 0; c < WIDTH; c += 4) {
                const Vector<float, 4> k = four(keys + lane * key_pitch + c);
#pragma unroll
                for (int q = 0; q < EACH; q++) {
                    const Vector<float, 4> m = four(mine + q * width + c);
#pragma unroll
                    for (int i = 0; i < 4; i++) scores[q] += m.values[i] * k.values[i];
                }
            }
        } else {
            for (int c = 0; c < width; c++) {
                const float k = keys[lane * key_pitch + c];
#pragma unroll
                for (int q = 0; q < EACH; q++) scores[q] += mine[q * width + c] * k;
            }
        }
#pragma unroll
        for (int q = 0; q < EACH; q++) {
            const float score = lane < count ? scores[q] : -INFINITY;
            const float next = fmaxf(largest[q], warp_max(score));
            const float keep = expf(largest[q] - next);  // 0 the first time
            const float weight = expf(score - next);
            largest[q] = next;
            sum[q] = sum[q] * keep + warp_sum(weight);
            weights[q * KEYS + lane] = weight;
#pragma unroll
            for (int c = 0; c < MAX_COLUMNS; c++) totals[q][c] *= keep;
        }
        __syncwarp();
        // Beyond the keys, weights and values are 0.
        for (int k = 0; k < count; k += 4) {
            Vector<float, 4> w[EACH];
#pragma unroll
            for (int q = 0; q < EACH; q++) w[q] = four(weights + q * KEYS + k);
#pragma unroll
            for (int c = 0; c < MAX_COLUMNS; c++) {
                if (c * WARP + lane < width) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const float v = values[(k + i) * width + c * WARP + lane];
#pragma unroll
                        for (int q = 0; q < EACH; q++) totals[q][c] += w[q].values[i] * v;
                    }
                }
            }
        }
        __syncwarp();
    }

    const long long out_stride = (long long)gridDim.y * width;
#pragma unroll
    for (int q = 0; q < EACH; q++) {
        const int row = first + warp * EACH + q;
        if (row >= end) continue;
#pragma unroll
        for (int c = 0; c < MAX_COLUMNS; c++) {
            if (c * WARP + lane < width) {
                context[row * out_stride + column + c * WARP + lane] = narrow<T>(totals[q][c] / sum[q]);
            }
        }
    }
}

}  // namespace

#define ATTENTION(T, name)                                                                                                 \
    extern "C" __global__ void attention_##name(const T* query, const T* key, const T* value, T* context,                  \
                                                const unsigned* query_starts, const unsigned* key_starts, int width,       \
                                                int query_stride, int key_stride, float scale) {                           \
        if (width == USUAL_WIDTH)                                                                                          \
            attention<T, USUAL_WIDTH>(query, key, value, context, query_starts, key_starts, width, query_stride,           \
                                      key_stride, scale);                                                                  \
        else                                                                                                               \
            attention<T, 0>(query, key, value, context, query_starts, key_starts, width, query_stride, key_stride, scale); \
    }
