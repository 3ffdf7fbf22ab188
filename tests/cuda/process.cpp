#include "process.h"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace emulator {

namespace {

uint64_t number(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    if (!text || !*text) return otherwise;
    char* end;
    errno = 0;
    const uint64_t value = std::strtoull(text, &end, 10);
    if (errno || *end || *text == '-') fault("%s is \"%s\", which is no number", name, text);
    return value;
}

Settings read() {
    Settings settings{};
    settings.devices = static_cast<int>(number("TEXTFLIGHT_EMULATOR_DEVICES", 1));
    settings.memory = number("TEXTFLIGHT_EMULATOR_MEMORY", size_t{1} << 30);
    settings.work = number("TEXTFLIGHT_EMULATOR_HANGS_AFTER", UINT64_MAX);
    settings.algorithms = static_cast<int>(number("TEXTFLIGHT_EMULATOR_ALGORITHMS", 1));
    settings.launches = number("TEXTFLIGHT_EMULATOR_LAUNCHES", UINT64_MAX);
    settings.driver = static_cast<int>(number("TEXTFLIGHT_EMULATOR_DRIVER", 13000));
    const char* capability = std::getenv("TEXTFLIGHT_EMULATOR_CAPABILITY");
    if (!capability || !*capability) capability = "9.0";
    char rest;
    if (std::sscanf(capability, "%d.%d%c", &settings.major, &settings.minor, &rest) != 2)
        fault("TEXTFLIGHT_EMULATOR_CAPABILITY is \"%s\", which is not like 9.0", capability);
    return settings;
}

std::atomic<uint64_t> launched{0}, worked{0};

}  // namespace

const Settings& settings() {
    static const Settings settings = read();
    return settings;
}

bool count_launch() { return launched++ < settings().launches; }

bool poisoned() { return launched >= settings().launches; }

void count_work() { worked++; }

bool hangs() { return worked >= settings().work; }

void fault(const char* format, ...) {
    std::fputs("CUDA emulator: ", stderr);
    va_list values;
    va_start(values, format);
    std::vfprintf(stderr, format, values);
    va_end(values);
    std::fputc('\n', stderr);
    std::abort();
}

}  // namespace emulator
