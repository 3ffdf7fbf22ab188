// The driver: modules, functions and their launch. A module is read for the names of its entry points only; what runs is
// the host's implementation of that name.
#include "driver.h"

#include "counters.h"
#include "image.h"
#include "kernel.h"
#include "launch.h"
#include "process.h"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

using namespace emulator;

struct CUfunc_st {
    std::string name;
    CUcontext context;
    int dynamic_shared = SHARED_MEMORY;  // that a launch may ask for
};

struct CUmod_st {
    CUcontext context;
    std::map<std::string, CUfunc_st, std::less<>> functions;
};

namespace {

std::mutex mutex;
auto& modules = *new std::set<CUmodule>;

CUresult load(CUmodule* module, const void* image) {
    std::set<std::string> names;
    SUCCEED(find_kernels(image, 10 * settings().major + settings().minor, names));
    *module = new CUmod_st{current_context(), {}};
    for (const std::string& name : names) (*module)->functions.emplace(name, CUfunc_st{name, current_context()});
    const std::lock_guard lock(mutex);
    modules.insert(*module);
    return CUDA_SUCCESS;
}

bool is_module(CUmodule module) {
    const std::lock_guard lock(mutex);
    return modules.count(module) > 0;
}

bool fits(const uint3& grid, const uint3& block) {
    if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) return false;
    if (grid.x > MAX_GRID_X || grid.y > MAX_GRID_YZ || grid.z > MAX_GRID_YZ) return false;
    if (block.x > MAX_THREADS || block.y > MAX_THREADS || block.z > MAX_BLOCK_Z) return false;
    return block.x * block.y * block.z <= MAX_THREADS;
}

}  // namespace

CUresult cuModuleLoadData(CUmodule* module, const void* image) {
    SUCCEED(cannot_work());
    return load(module, image);
}

CUresult cuModuleLoad(CUmodule* module, const char* path) {
    SUCCEED(cannot_work());
    std::ifstream file(path, std::ios::binary);
    if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
    return load(module, std::string(std::istreambuf_iterator<char>(file), {}).c_str());
}

CUresult cuModuleUnload(CUmodule module) {
    if (!is_module(module)) return CUDA_ERROR_INVALID_HANDLE;
    synchronize(module->context);
    const std::lock_guard lock(mutex);
    if (!modules.erase(module)) return CUDA_ERROR_INVALID_HANDLE;
    delete module;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction* function, CUmodule module, const char* name) {
    SUCCEED(cannot_work());
    if (!is_module(module)) return CUDA_ERROR_INVALID_HANDLE;
    const auto found = module->functions.find(name);
    if (found == module->functions.end()) return CUDA_ERROR_NOT_FOUND;
    *function = &found->second;
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
    SUCCEED(cannot_work());
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = MAX_THREADS; break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: *value = function->dynamic_shared; break;
    default: return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    SUCCEED(cannot_work());
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        if (value < 0 || value > most_shared_memory()) return CUDA_ERROR_INVALID_VALUE;
        function->dynamic_shared = value;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: return CUDA_SUCCESS;
    default: return CUDA_ERROR_NOT_SUPPORTED;
    }
}

CUresult cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return cannot_work(); }

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void** parameters,
                        void** extra) {
    SUCCEED(cannot_work());
    const uint3 grid{grid_x, grid_y, grid_z}, block{block_x, block_y, block_z};
    if (!function || function->context != current_context() || !is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (extra || !fits(grid, block)) return CUDA_ERROR_INVALID_VALUE;
    if (shared_bytes > static_cast<unsigned>(function->dynamic_shared)) return CUDA_ERROR_INVALID_VALUE;
    const Kernel* const kernel = find_kernel(function->name.c_str());
    if (!kernel) {
        std::fprintf(stderr, "CUDA emulator: there is no implementation of kernel %s\n", function->name.c_str());
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    const CUcontext context = function->context;
    if (!kernel->reaches(context->device, parameters))
        fault("%s: a pointer parameter leads out of the device's memory", kernel->name);
    if (!count_launch()) return CUDA_ERROR_ILLEGAL_ADDRESS;
    count(Count::LAUNCHES);
    put(stream, [=, copies = kernel->copy(parameters)] {
        if (!kernel->reaches(context->device, copies.get()))
            fault("%s runs when memory that it was given has been freed", kernel->name);
        const std::lock_guard lock(context->busy);
        run({kernel->name, grid, block, kernel->call, copies.get(), kernel->shared ? kernel->shared() : nullptr,
             shared_bytes});
    });
    return CUDA_SUCCESS;
}
