// LayerNorm of a sum of rows: embeddings, or a product with its bias and the residual. A warp takes a row. The order of its
// sums is the row's own: it does not depend on the other rows.
#pragma once

#include "sums.cuh"

namespace {

// words[id] + table[position]
template <typename T> struct Embedding {
    const T *word, *place;

    template <int V> __device__ __forceinline__ void operator()(int column, float (&to)[V]) const {
        float other[V];
        load(word + column, to);
        load(place + column, other);
#pragma unroll
        for (int v = 0; v < V; v++) to[v] += other[v];
    }
};

// product + residual, and the product's bias unless that is null
template <typename T, typename Product> struct Residual {
    Product product;
    const T *residual, *bias;
    long long row;
    int width;

    template <int V> __device__ __forceinline__ void operator()(int column, float (&to)[V]) const {
        float other[V];
        product.read(row, column, width, to);
        load(residual + row * width + column, other);
#pragma unroll
        for (int v = 0; v < V; v++) to[v] += other[v];
        if (!bias) return;
        load(bias + column, other);
#pragma unroll
        for (int v = 0; v < V; v++) to[v] += other[v];
    }
};

__device__ __forceinline__ long long row_of_warp() {
    return (long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
}

__device__ __forceinline__ float deviation_scale(float squares, int width, float epsilon) {
    return 1.0f / sqrtf(warp_sum(squares) / width + epsilon);
}

// out [width] <- LayerNorm of a sum, with a row in registers: a lane holds every 32nd vector of V values, N of them.
template <typename T, int N, typename Sum>
__device__ __forceinline__ void norm_of(const Sum sum, const float* affine, T* out, int width, float epsilon) {
    constexpr int V = FULL<T>;
    const int lane = threadIdx.x % WARP;
    float values[N][V] = {};
    float total = 0.0f, squares = 0.0f;
#pragma unroll
    for (int n = 0; n < N; n++) {
        const int column = (n * WARP + lane) * V;
        if (column < width) sum(column, values[n]);
    }
#pragma unroll
    for (int n = 0; n < N; n++)
#pragma unroll
        for (int v = 0; v < V; v++) total += values[n][v];
    const float mean = warp_sum(total) / width;
#pragma unroll
    for (int n = 0; n < N; n++)
        if ((n * WARP + lane) * V < width) {
#pragma unroll
            for (int v = 0; v < V; v++) {
                values[n][v] -= mean;
                squares += values[n][v] * values[n][v];
            }
        }
    const float scale = deviation_scale(squares, width, epsilon);
#pragma unroll
    for (int n = 0; n < N; n++) {
        const int column = (n * WARP + lane) * V;
        if (column >= width) continue;
        float weight[V], bias[V];
        load(affine + column, weight);
        load(affine + width + column, bias);
#pragma unroll
        for (int v = 0; v < V; v++) values[n][v] = values[n][v] * scale * weight[v] + bias[v];
        store(out + column, values[n]);
    }
}

// For rows of whole vectors, at most 32 values a lane: IN_REGISTERS in norm.rs.
template <typename T, typename Sum>
__device__ void norm_in_registers(const Sum sum, const float* affine, T* out, int width, float epsilon) {
    constexpr int STEP = 256;  // values of a warp: one vector of 16 bits a lane, two of 32
    constexpr int EACH = STEP / WARP / FULL<T>;
    switch ((width + STEP - 1) / STEP) {
    case 1: return norm_of<T, EACH>(sum, affine, out, width, epsilon);
    case 2: return norm_of<T, 2 * EACH>(sum, affine, out, width, epsilon);
    case 3: return norm_of<T, 3 * EACH>(sum, affine, out, width, epsilon);
    default: return norm_of<T, 4 * EACH>(sum, affine, out, width, epsilon);
    }
}

// Its twin for rows of any width, which a warp keeps in shared memory [warps, width].
template <typename T, typename Sum>
__device__ void norm_in_shared(const Sum sum, const float* affine, T* out, int width, float epsilon) {
    extern __shared__ float shared[];
    const int lane = threadIdx.x % WARP;
    float* values = shared + (long long)(threadIdx.x / WARP) * width;
    float total = 0.0f, squares = 0.0f;
    for (int column = lane; column < width; column += WARP) {
        float value[1];
        sum(column, value);
        values[column] = value[0];
        total += value[0];
    }
    const float mean = warp_sum(total) / width;
    for (int column = lane; column < width; column += WARP) {
        const float difference = values[column] - mean;
        squares += difference * difference;
    }
    const float scale = deviation_scale(squares, width, epsilon);
    for (int column = lane; column < width; column += WARP)
        out[column] = narrow<T>((values[column] - mean) * scale * affine[column] + affine[width + column]);
}

}  // namespace

// Each kernel and its twin: `norm` is the function above, affine [2, width] is f32.
#define EMBED_NORM(T, kernel, norm)                                                                                     \
    extern "C" __global__ void kernel(const unsigned* ids, const unsigned* positions, const T* words, const T* table,   \
                                      const float* affine, T* out, int tokens, int width, float epsilon) {              \
        const long long row = row_of_warp();                                                                            \
        if (row >= tokens) return;                                                                                      \
        const Embedding<T> sum{words + (long long)ids[row] * width, table + (long long)positions[row] * width};         \
        norm(sum, affine, out + row * width, width, epsilon);                                                           \
    }

#define ADD_NORM(T, kernel, norm)                                                                                       \
    extern "C" __global__ void kernel(T* x, const T* residual, const T* bias, const float* affine, int rows, int width, \
                                      float epsilon) {                                                                  \
        const long long row = row_of_warp();                                                                            \
        if (row >= rows) return;                                                                                        \
        const Residual<T, Plain<T>> sum{{x}, residual, bias, row, width};                                               \
        norm(sum, affine, x + row * width, width, epsilon);                                                             \
    }

#define SCALED_ADD_NORM(Kind, T, kernel, norm)                                                                          \
    extern "C" __global__ void kernel(const Kind::Sum* sums, const float* row_scales, const float* column_scales,       \
                                      const T* bias, const T* residual, const float* affine, T* out, int rows,          \
                                      int width, float epsilon) {                                                       \
        const long long row = row_of_warp();                                                                            \
        if (row >= rows) return;                                                                                        \
        const Residual<T, Scaled<Kind>> sum{{sums, row_scales, column_scales}, residual, bias, row, width};             \
        norm(sum, affine, out + row * width, width, epsilon);                                                           \
    }
