// cuRAND: candle makes a generator for every device, and the project asks none for numbers.
#include "driver.h"

#pragma GCC visibility push(default)
#include <curand.h>
#pragma GCC visibility pop

#include <cstdio>

struct curandGenerator_st {};

namespace {

curandStatus_t no_numbers() {
    std::fputs("CUDA emulator: there are no random numbers\n", stderr);
    return CURAND_STATUS_INTERNAL_ERROR;
}

}  // namespace

curandStatus_t curandCreateGenerator(curandGenerator_t* generator, curandRngType_t) {
    if (emulator::cannot_work()) return CURAND_STATUS_INITIALIZATION_FAILED;
    *generator = new curandGenerator_st;
    return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandDestroyGenerator(curandGenerator_t generator) {
    delete generator;
    return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetStream(curandGenerator_t, cudaStream_t) { return CURAND_STATUS_SUCCESS; }

curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t, unsigned long long) { return CURAND_STATUS_SUCCESS; }

curandStatus_t curandSetGeneratorOffset(curandGenerator_t, unsigned long long) { return CURAND_STATUS_SUCCESS; }

curandStatus_t curandGenerate(curandGenerator_t, unsigned*, size_t) { return no_numbers(); }

curandStatus_t curandGenerateLongLong(curandGenerator_t, unsigned long long*, size_t) { return no_numbers(); }

curandStatus_t curandGenerateUniform(curandGenerator_t, float*, size_t) { return no_numbers(); }

curandStatus_t curandGenerateUniformDouble(curandGenerator_t, double*, size_t) { return no_numbers(); }

curandStatus_t curandGenerateNormal(curandGenerator_t, float*, size_t, float, float) { return no_numbers(); }

curandStatus_t curandGenerateNormalDouble(curandGenerator_t, double*, size_t, double, double) { return no_numbers(); }

curandStatus_t curandGenerateLogNormal(curandGenerator_t, float*, size_t, float, float) { return no_numbers(); }

curandStatus_t curandGenerateLogNormalDouble(curandGenerator_t, double*, size_t, double, double) { return no_numbers(); }

curandStatus_t curandGeneratePoisson(curandGenerator_t, unsigned*, size_t, double) { return no_numbers(); }
