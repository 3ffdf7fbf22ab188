// The matrix product under cuBLASLt: D = f(alpha op(A) op(B) + beta C + bias), matrices column by column.
//
// Sums are in f32, those of i8 in i32, each in the order of k: a column of D depends on the same column of op(B) alone, to the bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <library_types.h>

namespace emulator {

enum class Activation { NONE, RELU, GELU };

// Of a batch of matrices, `stride` elements apart; `leading` elements from one column to the next.
struct Matrices {
    const void* data;
    cudaDataType type;  // one that `size_of` knows; i8 makes i32, and nothing else does
    int64_t leading, stride;
};

struct Product {
    int64_t m, n, k, batch;
    bool transpose_a, transpose_b;
    bool tf32;  // round A and B to TF32 first
    float alpha, beta;
    Matrices a, b, c;
    Matrices d;  // which is written
    const void* bias = nullptr;  // m values of D's type, one for each row; null for none
    int64_t bias_stride = 0;     // from one matrix of the batch to the next
    Activation activation = Activation::NONE;
};

// 0 for a type that there are no products of.
size_t size_of(cudaDataType type);

// Ends the process if a matrix is not in the memory of a device.
void check(const Product& product, const char* function);

// Of at least one value. Checks it as well: memory may have been freed since.
void multiply(const Product& product, const char* function);

}  // namespace emulator
