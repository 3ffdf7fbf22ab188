// The instructions of kernels/src/cuda/device/tensor_cores.cuh, by the tables of fragments in the PTX ISA: each lane brings
// its registers, and the last that comes computes for all. Sums are f32, in the order of the inner index.
#pragma once

#include "launch.h"
#include "process.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace emulator {

inline float value_of(__half_raw x) { return __half2float(x); }
inline float value_of(__nv_bfloat16_raw x) { return __bfloat162float(x); }

template <typename T> struct Raw;
template <> struct Raw<__half> { using Type = __half_raw; };
template <> struct Raw<__nv_bfloat16> { using Type = __nv_bfloat16_raw; };

// One of the two values of a register.
template <typename T> float value_in(unsigned bits, unsigned which) {
    typename Raw<T>::Type value;
    value.x = static_cast<unsigned short>(bits >> 16 * which);
    return value_of(value);
}

// What a lane has of d [16, 8] += a [16, 8 · PARTS] · b [8 · PARTS, 8]: of a two registers a part, of b one.
template <int PARTS> struct Fragments {
    float* d;
    unsigned a[2 * PARTS], b[PARTS];
};

template <typename T, int PARTS> void multiply_fragments(void* const brought[WARP_SIZE]) {
    float a[16][8 * PARTS], b[8 * PARTS][8];
    for (unsigned lane = 0; lane < WARP_SIZE; lane++) {
        const auto& own = *static_cast<const Fragments<PARTS>*>(brought[lane]);
        const unsigned row = lane / 4, column = lane % 4 * 2;
        for (unsigned part = 0; part < PARTS; part++) {
            for (unsigned e = 0; e < 2; e++) {
                a[row][8 * part + column + e] = value_in<T>(own.a[2 * part], e);
                a[row + 8][8 * part + column + e] = value_in<T>(own.a[2 * part + 1], e);
                b[8 * part + column + e][row] = value_in<T>(own.b[part], e);
            }
        }
    }
    for (unsigned lane = 0; lane < WARP_SIZE; lane++) {
        float* const d = static_cast<const Fragments<PARTS>*>(brought[lane])->d;
        for (unsigned i = 0; i < 4; i++) {
            const unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
            for (unsigned k = 0; k < 8 * PARTS; k++) d[i] += a[row][k] * b[k][column];
        }
    }
}

inline void transpose_fragments(void* const brought[WARP_SIZE]) {
    unsigned short matrix[8][8];
    for (unsigned lane = 0; lane < WARP_SIZE; lane++)
        std::memcpy(&matrix[lane / 4][lane % 4 * 2], brought[lane], sizeof(unsigned));
    for (unsigned lane = 0; lane < WARP_SIZE; lane++) {
        const unsigned short pair[2] = {matrix[lane % 4 * 2][lane / 4], matrix[lane % 4 * 2 + 1][lane / 4]};
        std::memcpy(brought[lane], pair, sizeof pair);
    }
}

}  // namespace emulator

template <typename T> void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    emulator::Fragments<2> own = {d, {a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    emulator::together("mma.m16n8k16", &own, emulator::multiply_fragments<T, 2>);
}

inline void mma_m16n8k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b0) {
    emulator::Fragments<1> own = {d, {a0, a1}, {b0}};
    emulator::together("mma.m16n8k8", &own, emulator::multiply_fragments<__half, 1>);
}

inline unsigned movmatrix(unsigned x) {
    emulator::together("movmatrix", &x, emulator::transpose_fragments);
    return x;
}

inline bool has_m16n8k16() { return emulator::settings().major >= 8; }
