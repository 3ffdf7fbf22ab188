#include "memory.h"

#include "process.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

namespace emulator::memory {

namespace {

constexpr size_t ALIGNMENT = 256;  // as the driver's
constexpr size_t GUARD = 256;      // behind each allocation; nobody writes there
constexpr unsigned char FRESH = 0xff, GUARDED = 0xfd;

constexpr int HOST = -1;  // in the place of a device

struct Allocation {
    size_t bytes;
    int device;
    bool ends = false;  // its release is announced
};

using Allocations = std::map<const char*, Allocation>;

std::mutex mutex;
// Never destroyed, here and wherever the emulator keeps something: threads may still call while the process ends.
auto& live = *new Allocations;
auto& totals = *new std::map<int, size_t>;
auto& host = *new Allocations;  // page-locked

// The allocation that this pointer is in, or at the end of.
auto around(Allocations& allocations, const void* pointer) {
    const char* at = static_cast<const char*>(pointer);
    auto found = allocations.upper_bound(at);
    if (found == allocations.begin()) return allocations.end();
    --found;
    return at <= found->first + found->second.bytes ? found : allocations.end();
}

bool holds(Allocations& allocations, const void* start, size_t bytes) {
    const std::lock_guard lock(mutex);
    const auto found = around(allocations, start);
    if (found == allocations.end()) return false;
    const size_t before = static_cast<const char*>(start) - found->first;
    return bytes <= found->second.bytes - before;
}

// Takes an allocation out of the records. What is still read there afterwards shows as garbage.
auto end(Allocations::iterator allocation) {
    const auto [start, what] = *allocation;
    char* memory = const_cast<char*>(start);
    const char* guard = start + what.bytes;
    if (std::any_of(guard, guard + GUARD, [](char byte) { return static_cast<unsigned char>(byte) != GUARDED; }))
        fault("something was written behind an allocation of %zu bytes", what.bytes);
    std::memset(memory, FRESH, what.bytes);
    std::free(memory);
    totals[what.device] -= what.bytes;
    return live.erase(allocation);
}

}  // namespace

void* allocate(int device, size_t bytes) {
    const std::lock_guard lock(mutex);
    size_t& total = totals[device];
    if (bytes > settings().memory - total) return nullptr;
    const size_t whole = (bytes + GUARD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char* start = static_cast<char*>(std::aligned_alloc(ALIGNMENT, whole));
    if (!start) return nullptr;
    std::memset(start, FRESH, bytes);
    std::memset(start + bytes, GUARDED, GUARD);
    total += bytes;
    live[start] = {bytes, device};
    return start;
}

bool release(void* start) {
    const std::lock_guard lock(mutex);
    const auto found = live.find(static_cast<char*>(start));
    if (found == live.end()) return false;
    end(found);
    return true;
}

bool announce_release(void* start) {
    const std::lock_guard lock(mutex);
    const auto found = live.find(static_cast<char*>(start));
    return found != live.end() && !std::exchange(found->second.ends, true);
}

void release_all(int device) {
    const std::lock_guard lock(mutex);
    for (auto next = live.begin(); next != live.end();) next = next->second.device == device ? end(next) : ++next;
}

size_t used(int device) {
    const std::lock_guard lock(mutex);
    return totals[device];
}

bool holds(const void* start, size_t bytes) { return holds(live, start, bytes); }

bool reaches(int device, const void* pointer) {
    if (!pointer) return true;
    const std::lock_guard lock(mutex);
    const auto found = around(live, pointer);
    return found != live.end() && found->second.device == device;
}

void* allocate_host(size_t bytes) {
    const std::lock_guard lock(mutex);
    char* start = static_cast<char*>(std::malloc(bytes));
    if (!start) return nullptr;
    std::memset(start, FRESH, bytes);
    host[start] = {bytes, HOST};
    return start;
}

bool release_host(void* start) {
    const std::lock_guard lock(mutex);
    if (!host.erase(static_cast<char*>(start))) return false;
    std::free(start);
    return true;
}

bool is_pinned(const void* pointer) {
    const std::lock_guard lock(mutex);
    return around(host, pointer) != host.end();
}

bool host_holds(const void* start, size_t bytes) { return holds(host, start, bytes); }

}  // namespace emulator::memory
