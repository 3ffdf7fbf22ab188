#include "image.h"

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <string_view>

namespace emulator {

namespace {

struct Fatbin {
    uint32_t magic;
    uint16_t version, header;
    uint64_t bytes;  // behind the header
};
constexpr uint32_t MAGIC = 0xba55ed50;

// One piece of a fatbin, as far as it matters here.
struct Piece {
    uint16_t kind, version;
    uint32_t header;
    uint64_t bytes;
    uint32_t others[3];
    uint32_t architecture;
};
enum Kind : uint16_t { PTX = 1, COMPILED = 2 };

bool of_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$'; }

// The word behind each occurrence of a directive of PTX.
template <typename Use> void each(std::string_view text, std::string_view directive, Use use) {
    for (size_t at = text.find(directive); at != text.npos; at = text.find(directive, at)) {
        size_t begin = at + directive.size();
        while (begin < text.size() && std::isspace(static_cast<unsigned char>(text[begin]))) begin++;
        size_t end = begin;
        while (end < text.size() && of_name(text[end])) end++;
        use(text.substr(begin, end - begin));
        at = end;
    }
}

CUresult read_ptx(std::string_view text, int capability, std::set<std::string>& names) {
    int target = -1;  // 90 for sm_90 or sm_90a
    each(text, ".target ", [&](std::string_view name) {
        if (name.substr(0, 3) == "sm_") target = std::atoi(name.data() + 3);
    });
    if (target < 0) {
        std::fputs("CUDA emulator: a module that is not PTX\n", stderr);
        return CUDA_ERROR_INVALID_IMAGE;
    }
    if (target > capability) return CUDA_ERROR_INVALID_PTX;
    each(text, ".entry ", [&](std::string_view name) { names.emplace(name); });
    return CUDA_SUCCESS;
}

// Each kernel has a section ".text.NAME".
CUresult read_compiled(const char* elf, std::set<std::string>& names) {
    const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(elf);
    const auto* const sections = reinterpret_cast<const Elf64_Shdr*>(elf + header.e_shoff);
    const char* const strings = elf + sections[header.e_shstrndx].sh_offset;
    constexpr std::string_view code = ".text.";
    for (int i = 0; i < header.e_shnum; i++) {
        const std::string_view name = strings + sections[i].sh_name;
        if (name.substr(0, code.size()) == code) names.emplace(name.substr(code.size()));
    }
    return CUDA_SUCCESS;
}

bool suits(const Piece& piece, int capability) {
    const int architecture = static_cast<int>(piece.architecture);
    if (architecture > capability) return false;
    return piece.kind == PTX || (piece.kind == COMPILED && architecture / 10 == capability / 10);
}

CUresult read_fatbin(const char* image, int capability, std::set<std::string>& names) {
    const auto& fatbin = *reinterpret_cast<const Fatbin*>(image);
    const char* const end = image + fatbin.header + fatbin.bytes;
    const Piece* best = nullptr;
    for (const char* at = image + fatbin.header; at < end;) {
        const auto& piece = *reinterpret_cast<const Piece*>(at);
        const auto better = [&] {
            if (!best || piece.kind != best->kind) return !best || piece.kind == COMPILED;
            return piece.architecture > best->architecture;
        };
        if (suits(piece, capability) && better()) best = &piece;
        at += piece.header + piece.bytes;
    }
    if (!best) return CUDA_ERROR_NO_BINARY_FOR_GPU;
    const char* const body = reinterpret_cast<const char*>(best) + best->header;
    return best->kind == PTX ? read_ptx({body, best->bytes}, capability, names) : read_compiled(body, names);
}

}  // namespace

CUresult find_kernels(const void* image, int capability, std::set<std::string>& names) {
    const char* const bytes = static_cast<const char*>(image);
    if (std::memcmp(bytes, &MAGIC, sizeof MAGIC) == 0) return read_fatbin(bytes, capability, names);
    // PTX ends with a null character; compiled code without a fatbin around it does not, and nobody brings it here.
    return read_ptx(std::memcmp(bytes, ELFMAG, SELFMAG) == 0 ? "" : bytes, capability, names);
}

}  // namespace emulator
