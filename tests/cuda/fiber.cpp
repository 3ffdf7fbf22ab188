#include "fiber.h"

#include "process.h"

#include <cstdint>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif

// Saves what a call must preserve on the stack that is left, and takes it from the stack that is entered.
extern "C" void emulator_switch(void** left, void* entered);

#if defined(__x86_64__)
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch, @function
emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmpq *%rcx
.size emulator_switch, . - emulator_switch
)");
constexpr size_t SAVED = 8;   // words: six registers, where to go on, and a return address that is never used
constexpr size_t GOES_ON = 6; // the word that says where
#elif defined(__aarch64__)
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
.type emulator_switch, %function
emulator_switch:
    sub sp, sp, #160
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mov x2, sp
    str x2, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #160
    br x30
.size emulator_switch, . - emulator_switch
)");
constexpr size_t SAVED = 20;
constexpr size_t GOES_ON = 11;
#else
#error "the switch between stacks is written for x86-64 and aarch64"
#endif

namespace emulator {

namespace {

constexpr size_t STACK = 128 << 10;

thread_local Fiber* beginning = nullptr;

// What tells AddressSanitizer of a switch; nothing without it.
#ifdef __SANITIZE_ADDRESS__
void leave(void** kept, const char* stack, size_t bytes) {
    if (!stack) {  // the host's
        pthread_attr_t attributes;
        pthread_getattr_np(pthread_self(), &attributes);
        void* lowest;
        pthread_attr_getstack(&attributes, &lowest, &bytes);
        pthread_attr_destroy(&attributes);
        stack = static_cast<char*>(lowest);
    }
    __sanitizer_start_switch_fiber(kept, stack, bytes);
}
void arrive(void* kept) { __sanitizer_finish_switch_fiber(kept, nullptr, nullptr); }
#else
void leave(void**, const char*, size_t) {}
void arrive(void*) {}
#endif

}  // namespace

Fiber::Fiber(void (*body)()) : body(body), stack_bytes(STACK) {
    // The lowest page stays out of bounds: a thread whose stack overflows must not write into the next one's.
    const size_t page = sysconf(_SC_PAGESIZE);
    void* mapped = mmap(nullptr, page + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || mprotect(mapped, page, PROT_NONE) != 0) fault("no memory for the stack of a thread");
    stack = static_cast<char*>(mapped) + page;
    void** words = reinterpret_cast<void**>(stack + STACK) - SAVED;
    words[GOES_ON] = reinterpret_cast<void*>(&Fiber::begin);
    position = words;
}

Fiber::~Fiber() {
    if (!stack) return;
    const size_t page = sysconf(_SC_PAGESIZE);
    munmap(stack - page, page + stack_bytes);
}

void Fiber::begin() {
    arrive(nullptr);
    beginning->body();
    fault("the body of a fiber returned");
}

void Fiber::switch_to(Fiber& next) {
    void* kept = nullptr;
    leave(&kept, next.stack, next.stack_bytes);
    if (!next.begun) {
        next.begun = true;
        beginning = &next;
    }
    emulator_switch(&position, next.position);
    arrive(kept);
}

}  // namespace emulator
