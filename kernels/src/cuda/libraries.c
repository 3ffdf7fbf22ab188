// Fills the table of functions that build.rs makes: see there.
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

struct library {
    const char *file;
    size_t first, end;
};

extern void *textflight_cuda_table[];
extern const char textflight_cuda_names[];
extern const struct library textflight_cuda_libraries[];

static void *open_in(const char *folder, const char *file) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", folder, file);
    return length < (int)sizeof path ? dlopen(path, RTLD_NOW | RTLD_GLOBAL) : NULL;
}

// Looks in `folder`, unless it is NULL, then where the system looks. Returns the file that is not there, or NULL. What a
// library does not have keeps answering that it is missing. Must not run beside itself.
const char *textflight_cuda_load(const char *folder) {
    const char *name = textflight_cuda_names;
    size_t index = 0;
    for (const struct library *library = textflight_cuda_libraries; library->file; library++) {
        void *handle = folder ? open_in(folder, library->file) : NULL;
        if (!handle) handle = dlopen(library->file, RTLD_NOW | RTLD_GLOBAL);
        if (!handle) return library->file;
        for (; index < library->end; index++) {
            void *function = index >= library->first ? dlsym(handle, name) : NULL;
            if (function) textflight_cuda_table[index] = function;
            while (*name++) {
            }
        }
    }
    return NULL;
}
