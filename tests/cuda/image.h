// What a module is loaded from: PTX, or a fatbin of PTX and compiled code. It is read for the names of its kernels alone.
#pragma once

#include <cuda.h>

#include <set>
#include <string>

namespace emulator {

// The kernels that a device of this compute capability (75 is 7.5) finds in an image, in the piece that the driver would
// take: the newest compiled code for its generation, or else the newest PTX. A status if there is none for it.
CUresult find_kernels(const void* image, int capability, std::set<std::string>& names);

}  // namespace emulator
