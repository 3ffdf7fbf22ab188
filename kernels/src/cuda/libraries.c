// Fills the table of functions that build.rs makes: see there.
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

struct library {
    size_t first, end;
};

extern void *textflight_cuda_table[];
extern const char textflight_cuda_names[];
extern const struct library textflight_cuda_libraries[];

// Opens `file`, in `folder` or, if that is NULL, where the system looks. The functions of the library of this number are
// its from then on; what it does not have keeps answering as before. Returns whether it is there. Must not run beside itself.
int textflight_cuda_load(size_t number, const char *folder, const char *file) {
    char path[4096];
    if (folder) {
        int length = snprintf(path, sizeof path, "%s/%s", folder, file);
        if (length >= (int)sizeof path) return 0;
        file = path;
    }
    void *handle = dlopen(file, RTLD_NOW | RTLD_GLOBAL);
    if (!handle) return 0;
    const struct library *library = &textflight_cuda_libraries[number];
    const char *name = textflight_cuda_names;
    for (size_t index = 0; index < library->end; index++) {
        void *function = index >= library->first ? dlsym(handle, name) : NULL;
        if (function) textflight_cuda_table[index] = function;
        while (*name++) {
        }
    }
    return 1;
}
