// The memory of the devices, which is memory of this process, with a record of every allocation.
#pragma once

#include <cstddef>

namespace emulator::memory {

// Memory of a device, filled with 0xff: a NaN in every floating-point type. Null if the device has not as much left.
void* allocate(int device, size_t bytes);

// False if that is not where a live allocation begins.
bool release(void* start);

// Says that it will be released, which keeps it live. False as above, and if that was said before.
bool announce_release(void* start);

// What goes with a context: whatever its device still holds.
void release_all(int device);

size_t used(int device);

// Whether these bytes lie in one live allocation.
bool holds(const void* start, size_t bytes);

// Whether a kernel on that device may be given this pointer: null, or into (or to the end of) an allocation of it.
bool reaches(int device, const void* pointer);

// Page-locked memory of the host.
void* allocate_host(size_t bytes);
bool release_host(void* start);
bool is_pinned(const void* pointer);
bool host_holds(const void* start, size_t bytes);

}  // namespace emulator::memory
