// The project's own kernels, compiled from the same source as for a device.
#include "device_shim.h"
#include "kernel.h"

#include "../../kernels/src/cuda/kernels.cu"

namespace {

// What `extern __shared__ float shared[]` in the kernels refers to: as much as a block can have on any device.
alignas(256) thread_local float shared[((227 << 10) + emulator::SHARED_GUARD) / sizeof(float)];

template <auto kernel> emulator::Kernel described(const char* name) {
    using Parameters = emulator::Parameters<kernel>;
    return {name, Parameters::call, Parameters::copy, Parameters::reaches, emulator::Threads::EACH,
            [] { return static_cast<void*>(shared); }};
}

#define KNOWN(kernel) {emulator::Known(described<kernel>(#kernel))}
#define OF_EACH_TYPE(kernel) KNOWN(kernel##_f32), KNOWN(kernel##_f16), KNOWN(kernel##_bf16)

const emulator::Known known[] = {OF_EACH_TYPE(bias_activation), OF_EACH_TYPE(add_layer_norm), OF_EACH_TYPE(select_rows),
                                  OF_EACH_TYPE(attention)};

}  // namespace
