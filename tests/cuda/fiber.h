// Stacks of their own for the threads of a block, and the switch from one to the next without a system call.
#pragma once

#include <cstddef>

namespace emulator {

class Fiber {
  public:
    // The stack that runs already: the host's.
    Fiber() = default;
    // A new stack, on which `body` begins at the first switch. It never returns.
    explicit Fiber(void (*body)());
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Leaves this fiber, which must be the one that runs, and goes on where `next` was left.
    void switch_to(Fiber& next);

  private:
    static void begin();

    void* position = nullptr;  // the stack pointer where it was left
    void (*body)() = nullptr;
    bool begun = false;
    char* stack = nullptr;
    size_t stack_bytes = 0;
};

}  // namespace emulator
