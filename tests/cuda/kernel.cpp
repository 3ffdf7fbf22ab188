#include "kernel.h"

#include <map>
#include <string_view>

namespace emulator {

namespace {

// Made at the first use, for the static objects that fill it are in no order.
std::map<std::string_view, Kernel>& kernels() {
    static auto& kernels = *new std::map<std::string_view, Kernel>;
    return kernels;
}

}  // namespace

void add(const Kernel& kernel) { kernels()[kernel.name] = kernel; }

const Kernel* find_kernel(const char* name) {
    const auto found = kernels().find(name);
    return found == kernels().end() ? nullptr : &found->second;
}

}  // namespace emulator
