// The project's own kernels, compiled from the same source as for a device.
#include "device_shim.h"
#include "kernel.h"

#include "../../kernels/src/cuda/kernels.cu"

namespace {

// What `extern __shared__ float shared[]` in the kernels refers to: as much as a block can have on any device.
alignas(256) thread_local float shared[((227 << 10) + emulator::SHARED_GUARD) / sizeof(float)];

template <auto kernel> emulator::Kernel described(const char* name) {
    using Parameters = emulator::Parameters<kernel>;
    return {name, Parameters::call, Parameters::copy, Parameters::reaches,
            [] { return static_cast<void*>(shared); }};
}

#define KNOWN(kernel) {emulator::Known(described<kernel>(#kernel))}
#define KNOWN_OF_EACH_TYPE(kernel) KNOWN(kernel##_f32), KNOWN(kernel##_f16), KNOWN(kernel##_bf16)
#define KNOWN_OF_HALVES(kernel) KNOWN(kernel##_f16), KNOWN(kernel##_bf16)
#define KNOWN_OF_8_BITS(kind)                                                                                          \
    KNOWN_OF_HALVES(quantize_rows_##kind), KNOWN_OF_HALVES(bias_activation_##kind), KNOWN_OF_HALVES(add_norm_##kind),  \
        KNOWN_OF_HALVES(add_norm_any_##kind)
#define KNOWN_ON_TENSOR_CORES(name)                                                                                    \
    KNOWN(attention_mma_##name##_32_16), KNOWN(attention_mma_##name##_32_32), KNOWN(attention_mma_##name##_64_16),     \
        KNOWN(attention_mma_##name##_64_32), KNOWN(attention_mma_##name##_96_16), KNOWN(attention_mma_##name##_128_16)

const emulator::Known known[] = {
    KNOWN(spans),
    KNOWN_OF_EACH_TYPE(first_rows),
    KNOWN_OF_EACH_TYPE(widen),
    KNOWN_OF_EACH_TYPE(embed_norm),
    KNOWN_OF_EACH_TYPE(embed_norm_any),
    KNOWN_OF_EACH_TYPE(add_norm),
    KNOWN_OF_EACH_TYPE(add_norm_any),
    KNOWN_OF_EACH_TYPE(bias_activation_rows),
    KNOWN_OF_EACH_TYPE(attention),
    KNOWN_ON_TENSOR_CORES(f16),
    KNOWN_ON_TENSOR_CORES(bf16),
    KNOWN_OF_8_BITS(int8),
    KNOWN_OF_8_BITS(e4m3),
};

}  // namespace
