// The kernels that candle and cuBLAS do not have, each the twin of a CPU kernel in the folder above.
//
// Values are T (f32, f16 or bf16) in memory and f32 in registers: every sum, softmax and LayerNorm is computed in f32.
// Offsets into a matrix are 64-bit: a large batch has more than 2^31 values in its widest layer.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace {

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }

template <typename T> __device__ __forceinline__ T narrow(float x);
template <> __device__ __forceinline__ float narrow(float x) { return x; }
template <> __device__ __forceinline__ __half narrow(float x) { return __float2half_rn(x); }
template <> __device__ __forceinline__ __nv_bfloat16 narrow(float x) { return __float2bfloat16_rn(x); }

// V neighbours that are loaded and stored at once.
template <typename T, int V> struct alignas(sizeof(T) * V) Vector {
    T values[V];
};

// Whether rows of `width` values can be read V at a time.
template <typename T, int V> __device__ __forceinline__ bool in_vectors(const T* first, int width) {
    return width % V == 0 && reinterpret_cast<size_t>(first) % sizeof(Vector<T, V>) == 0;
}

__device__ __forceinline__ float warp_sum(float x) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, distance));
    return x;
}

// ---- y <- f(y + bias), in place ------------------------------------------------------------------------------------

// The numbers that Rust passes: see Activation in activation.rs.
enum Activation { NONE, GELU, GELU_TANH, RELU, SILU };

__device__ __forceinline__ float activate(float x, int activation) {
    switch (activation) {
    case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case RELU: return x < 0.0f ? 0.0f : x;  // not fmaxf, which would hide a NaN
    case SILU: return x / (1.0f + expf(-x));
    default: return x;
    }
}

// y [rows, width], bias [width]; `count` vectors of V values in y.
template <typename T, int V>
__device__ void bias_activation(T* y, const T* bias, long long count, int width, int activation) {
    using Values = Vector<T, V>;
    const int vectors = width / V;
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
        Values value = reinterpret_cast<Values*>(y)[i];
        const Values shift = reinterpret_cast<const Values*>(bias)[i % vectors];
#pragma unroll
        for (int v = 0; v < V; v++)
            value.values[v] = narrow<T>(activate(widen(value.values[v]) + widen(shift.values[v]), activation));
        reinterpret_cast<Values*>(y)[i] = value;
    }
}

// ---- x <- LayerNorm(x + residual) * weight + bias, in place ----------------------------------------------------------

// x and residual [rows, width], affine [2, width] in f32. A warp takes a row and keeps it, in f32, in shared memory
// [warps, width]. The order of a row's sums is its own: it does not depend on the other rows.
template <typename T, int V>
__device__ void add_layer_norm(T* x, const T* residual, const float* affine, int rows, int width, float epsilon) {
    extern __shared__ float shared[];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const long long row = (long long)blockIdx.x * (blockDim.x / WARP) + warp;
    if (row >= rows) return;
    float* sums = shared + (long long)warp * width;
    using Values = Vector<T, V>;
    Values* values = reinterpret_cast<Values*>(x + row * width);
    const Values* others = reinterpret_cast<const Values*>(residual + row * width);

    float total = 0.0f;
    for (int i = lane; i < width / V; i += WARP) {
        const Values value = values[i], other = others[i];
#pragma unroll
        for (int v = 0; v < V; v++) {
            const float sum = widen(value.values[v]) + widen(other.values[v]);
            sums[i * V + v] = sum;
            total += sum;
        }
    }
    const float mean = warp_sum(total) / width;
    float squares = 0.0f;
    for (int i = lane; i < width / V; i += WARP) {
#pragma unroll
        for (int v = 0; v < V; v++) {
            const float difference = sums[i * V + v] - mean;
            squares += difference * difference;
        }
    }
    const float scale = 1.0f / sqrtf(warp_sum(squares) / width + epsilon);
    for (int i = lane; i < width / V; i += WARP) {
        Values value;
#pragma unroll
        for (int v = 0; v < V; v++) {
            const int column = i * V + v;
            value.values[v] = narrow<T>((sums[column] - mean) * scale * affine[column] + affine[width + column]);
        }
        values[i] = value;
    }
}

// ---- rows of a table ---------------------------------------------------------------------------------------------------

// out [count, width] <- table [., width], row ids[i] for row i; `vectors` of V values in `out`. candle has this in PTX for
// bf16 only where the build is for sm_80 and later.
template <typename T, int V>
__device__ void select_rows(const T* table, const unsigned* ids, T* out, long long vectors, int width) {
    using Values = Vector<T, V>;
    const int each = width / V;
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += stride) {
        const long long row = ids[i / each];
        reinterpret_cast<Values*>(out)[i] = reinterpret_cast<const Values*>(table)[row * each + i % each];
    }
}

// ---- attention over packed sequences ---------------------------------------------------------------------------------

// After Dao et al., "FlashAttention" (2022): keys pass by in tiles, with a running maximum and sum for each query.
// A block takes QUERIES queries of one head of one sequence, a warp EACH of them at a time; a lane stands for a key while
// scores are computed, and for every 32nd column of the head while values are summed.
constexpr int WARPS = 4;
constexpr int EACH = 8;
constexpr int QUERIES = WARPS * EACH;
constexpr int KEYS = WARP;
constexpr int USUAL_WIDTH = 64;  // of a head, in every DistilBERT that is in use
constexpr int MAX_COLUMNS = 3;  // of a lane: heads of up to 96 columns, which the shared memory of a block holds

// Values from one key to the next in shared memory: lanes, a key each, then hit different banks. As many as attention in
// mod.rs asks memory for.
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
// context [query rows, heads * width]. Sequence s has the query rows query_starts[s]..query_starts[s + 1] and the keys
// key_starts[s]..key_starts[s + 1]. Grid [sequences, heads, query tiles]; `scale` is 1 / sqrt(width). WIDTH is the width
// where it is known when this is compiled, and a multiple of 4, or 0.
// Shared, in f32: queries [QUERIES, width], keys [KEYS, key pitch], values [KEYS, width], weights [QUERIES, KEYS].
template <typename T, int WIDTH>
__device__ void attention(const T* query, const T* key, const T* value, T* context, const unsigned* query_starts,
                          const unsigned* key_starts, int any_width, int query_stride, int key_stride, float scale) {
    extern __shared__ float shared[];
    const int width = WIDTH > 0 ? WIDTH : any_width;
    const int sequence = blockIdx.x, head = blockIdx.y;
    const int first = query_starts[sequence] + blockIdx.z * QUERIES;
    const int end = query_starts[sequence + 1];
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

// ---- entry points: <kernel>_<dtype> ------------------------------------------------------------------------------------

// Four values are 8 bytes of f16, 16 of f32.
#define ENTRY_POINTS(T, name)                                                                                              \
    extern "C" __global__ void bias_activation_##name(T* y, const T* bias, long long values, int width, int activation) {  \
        if (in_vectors<T, 4>(y, width) && in_vectors<T, 4>(bias, width))                                                   \
            bias_activation<T, 4>(y, bias, values / 4, width, activation);                                                 \
        else                                                                                                               \
            bias_activation<T, 1>(y, bias, values, width, activation);                                                     \
    }                                                                                                                      \
    extern "C" __global__ void add_layer_norm_##name(T* x, const T* residual, const float* affine, int rows, int width,    \
                                                     float epsilon) {                                                      \
        if (in_vectors<T, 4>(x, width) && in_vectors<T, 4>(residual, width))                                               \
            add_layer_norm<T, 4>(x, residual, affine, rows, width, epsilon);                                               \
        else                                                                                                               \
            add_layer_norm<T, 1>(x, residual, affine, rows, width, epsilon);                                               \
    }                                                                                                                      \
    extern "C" __global__ void select_rows_##name(const T* table, const unsigned* ids, T* out, long long values,           \
                                                  int width) {                                                             \
        if (in_vectors<T, 4>(table, width) && in_vectors<T, 4>(out, width))                                                \
            select_rows<T, 4>(table, ids, out, values / 4, width);                                                         \
        else                                                                                                               \
            select_rows<T, 1>(table, ids, out, values, width);                                                             \
    }                                                                                                                      \
    extern "C" __global__ void attention_##name(const T* query, const T* key, const T* value, T* context,                  \
                                                const unsigned* query_starts, const unsigned* key_starts, int width,       \
                                                int query_stride, int key_stride, float scale) {                           \
        if (width == USUAL_WIDTH)                                                                                          \
            attention<T, USUAL_WIDTH>(query, key, value, context, query_starts, key_starts, width, query_stride,           \
                                      key_stride, scale);                                                                  \
        else                                                                                                               \
            attention<T, 0>(query, key, value, context, query_starts, key_starts, width, query_stride, key_stride, scale); \
    }

ENTRY_POINTS(float, f32)
ENTRY_POINTS(__half, f16)
ENTRY_POINTS(__nv_bfloat16, bf16)
