// What cuBLASLt asks of a device.
#pragma once

#include "driver.h"
#include "gemm.h"

#pragma GCC visibility push(default)
#include <cublasLt.h>
#pragma GCC visibility pop

namespace emulator {

// Whether there are products of these types of A, B, C and D that are computed like that.
cublasStatus_t are_types_supported(const Product& product, cublasComputeType_t compute);

// Puts a product of which all but the memory has been checked into a stream of a context.
cublasStatus_t execute(const Product& product, CUcontext context, CUstream stream, const char* function);

}  // namespace emulator
