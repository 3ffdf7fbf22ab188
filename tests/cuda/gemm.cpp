#include "gemm.h"

#include "memory.h"
#include "process.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <vector>

namespace emulator {

namespace {

// A tile of D is computed in registers: its columns are vectors.
constexpr int64_t TILE_ROWS = 16, TILE_COLUMNS = 4;
// Columns of B that stay in the cache while all of A passes by.
constexpr int64_t CACHED_COLUMNS = 96;

// Without fused products, so that sums are the same with wide vectors as without.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define FOR_THIS_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define FOR_THIS_PROCESSOR
#endif

float from_bits(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// Without branches, unlike __half2float: whole weight matrices pass here. The exponent is put right by a product, which
// is exact and takes subnormal numbers along; that of infinities and NaNs must end up with all bits set.
float widen(uint16_t half) {
    const uint32_t sign = (half & 0x8000u) << 16, rest = (half & 0x7fffu) << 13;
    const float scaled = from_bits(rest) * 0x1p112f;
    uint32_t bits;
    std::memcpy(&bits, &scaled, sizeof bits);
    return from_bits(sign | bits | (rest >= 0x7c00u << 13 ? 0x7f800000u : 0));
}

float widen_e4m3(uint8_t bits) {
    return __half2float(__half(__nv_cvt_fp8_to_halfraw(bits, __NV_E4M3)));
}

FOR_THIS_PROCESSOR void read(const Matrices& from, int64_t offset, int64_t count, float* to) {
    switch (from.type) {
    case CUDA_R_32F: std::memcpy(to, static_cast<const float*>(from.data) + offset, count * sizeof(float)); break;
    case CUDA_R_16F:
        for (int64_t i = 0; i < count; i++) to[i] = widen(static_cast<const uint16_t*>(from.data)[offset + i]);
        break;
    case CUDA_R_8F_E4M3:
        for (int64_t i = 0; i < count; i++) to[i] = widen_e4m3(static_cast<const uint8_t*>(from.data)[offset + i]);
        break;
    default:
        for (int64_t i = 0; i < count; i++)
            to[i] = from_bits(uint32_t{static_cast<const uint16_t*>(from.data)[offset + i]} << 16);
    }
}

float read(const void* from, cudaDataType type, int64_t offset) {
    float value;
    read({from, type, 0, 0}, offset, 1, &value);
    return value;
}

void write(const Matrices& to, int64_t offset, float value) {
    void* const data = const_cast<void*>(to.data);
    switch (to.type) {
    case CUDA_R_32F: static_cast<float*>(data)[offset] = value; break;
    case CUDA_R_16F: static_cast<__half*>(data)[offset] = __float2half_rn(value); break;
    default: static_cast<__nv_bfloat16*>(data)[offset] = __float2bfloat16_rn(value);
    }
}

// To the nearest number with 10 bits of mantissa, ties to even.
void round_to_tf32(float* values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        if (std::isfinite(values[i])) values[i] = from_bits((bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu);
    }
}

// `lines` (rows of op(A) or columns of op(B)) of `depth` values, in panels of `width` lines that alternate value by
// value, the last one filled up with zeros. `along` says whether the values of a line are neighbours in memory.
void pack(const Matrices& from, int64_t offset, int64_t lines, int64_t depth, bool along, bool tf32, int64_t width,
          std::vector<float>& to) {
    to.assign((lines + width - 1) / width * width * depth, 0.0f);
    std::vector<float> values(along ? depth : lines);
    for (int64_t outer = 0; outer < (along ? lines : depth); outer++) {
        read(from, offset + outer * from.leading, values.size(), values.data());
        if (tf32) round_to_tf32(values.data(), values.size());
        if (along) {
            float* panel = &to[outer / width * width * depth + outer % width];
            for (int64_t d = 0; d < depth; d++) panel[d * width] = values[d];
        } else {
            for (int64_t line = 0; line < lines; line += width)
                std::copy_n(&values[line], std::min(width, lines - line), &to[line * depth + outer * width]);
        }
    }
}

using Tile = float[TILE_COLUMNS][TILE_ROWS];

FOR_THIS_PROCESSOR void multiply_tile(const float* a, const float* b, int64_t depth, Tile& tile) {
    typedef float Vector __attribute__((vector_size(32), aligned(alignof(float)), may_alias));
    constexpr int VECTORS = TILE_ROWS * sizeof(float) / sizeof(Vector);
    Vector sums[TILE_COLUMNS][VECTORS] = {};
    for (int64_t d = 0; d < depth; d++, a += TILE_ROWS, b += TILE_COLUMNS) {
        const Vector* rows = reinterpret_cast<const Vector*>(a);
        for (int column = 0; column < TILE_COLUMNS; column++)
            for (int v = 0; v < VECTORS; v++) sums[column][v] += rows[v] * b[column];
    }
    for (int column = 0; column < TILE_COLUMNS; column++)
        for (int v = 0; v < VECTORS; v++) reinterpret_cast<Vector*>(tile[column])[v] = sums[column][v];
}

float activate(float x, Activation activation) {
    switch (activation) {
    case Activation::RELU: return x < 0.0f ? 0.0f : x;
    case Activation::GELU: return 0.5f * x * (1.0f + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
    default: return x;
    }
}

// The rows and columns of a tile that D has.
void write_tile(const Product& product, int64_t batch, int64_t row, int64_t column, const Tile& tile) {
    const Matrices &c = product.c, &d = product.d;
    for (int64_t j = column; j < std::min(column + TILE_COLUMNS, product.n); j++) {
        for (int64_t i = row; i < std::min(row + TILE_ROWS, product.m); i++) {
            float value = product.alpha * tile[j - column][i - row];
            if (product.beta != 0.0f)
                value += product.beta * read(c.data, c.type, batch * c.stride + j * c.leading + i);
            if (product.bias) value += read(product.bias, d.type, batch * product.bias_stride + i);
            write(d, batch * d.stride + j * d.leading + i, activate(value, product.activation));
        }
    }
}

// A is transposed and B is not, so that both lie along the sum.
FOR_THIS_PROCESSOR void multiply_integers(const Product& product) {
    const int8_t *a = static_cast<const int8_t*>(product.a.data), *b = static_cast<const int8_t*>(product.b.data);
    int32_t* d = static_cast<int32_t*>(const_cast<void*>(product.d.data));
    for (int64_t j = 0; j < product.n; j++) {
        for (int64_t i = 0; i < product.m; i++) {
            const int8_t *row = a + i * product.a.leading, *column = b + j * product.b.leading;
            int32_t sum = 0;
            for (int64_t k = 0; k < product.k; k++) sum += row[k] * column[k];
            d[j * product.d.leading + i] = sum;
        }
    }
}

void check(const Matrices& matrices, int64_t rows, int64_t columns, int64_t batch, const char* function, const char* name) {
    if (rows == 0 || columns == 0) return;
    const int64_t last = (batch - 1) * matrices.stride + (columns - 1) * matrices.leading + rows;
    if (!memory::holds(matrices.data, last * size_of(matrices.type)))
        fault("%s: %s, %ld x %ld with a leading dimension of %ld, reaches out of its memory", function, name, rows, columns,
              matrices.leading);
}

}  // namespace

size_t size_of(cudaDataType type) {
    switch (type) {
    case CUDA_R_32F: return 4;
    case CUDA_R_16F:
    case CUDA_R_16BF: return 2;
    case CUDA_R_8I:
    case CUDA_R_8F_E4M3: return 1;
    case CUDA_R_32I: return 4;
    default: return 0;
    }
}

void check(const Product& product, const char* function) {
    const int64_t m = product.m, n = product.n, k = product.k, batch = product.batch;
    check(product.a, product.transpose_a ? k : m, product.transpose_a ? m : k, batch, function, "A");
    check(product.b, product.transpose_b ? n : k, product.transpose_b ? k : n, batch, function, "B");
    if (product.beta != 0.0f) check(product.c, m, n, batch, function, "C");
    check(product.d, m, n, batch, function, "D");
    if (product.bias) check({product.bias, product.d.type, m, product.bias_stride}, m, 1, batch, function, "the bias");
}

void multiply(const Product& product, const char* function) {
    check(product, function);
    if (product.a.type == CUDA_R_8I) return multiply_integers(product);
    const int64_t m = product.m, n = product.n, k = product.k, batch = product.batch;
    std::vector<float> a, b;
    for (int64_t i = 0; i < batch; i++) {
        if (i == 0 || product.a.stride != 0)
            pack(product.a, i * product.a.stride, m, k, product.transpose_a, product.tf32, TILE_ROWS, a);
        if (i == 0 || product.b.stride != 0)
            pack(product.b, i * product.b.stride, n, k, !product.transpose_b, product.tf32, TILE_COLUMNS, b);
        for (int64_t cached = 0; cached < n; cached += CACHED_COLUMNS) {
            for (int64_t row = 0; row < m; row += TILE_ROWS) {
                for (int64_t column = cached; column < std::min(cached + CACHED_COLUMNS, n); column += TILE_COLUMNS) {
                    Tile tile;
                    multiply_tile(a.data() + row * k, b.data() + column * k, k, tile);
                    write_tile(product, i, row, column, tile);
                }
            }
        }
    }
}

}  // namespace emulator
