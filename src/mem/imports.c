/* imports.c - see imports.h. The linker has filled the tables in by now and, mostly, made them
 * read-only (RELRO): a page is opened for the one store and shut again. */
#include "mem/imports.h"
#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
#define SLOT_TYPES(type) ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#elif defined(__aarch64__)
#define SLOT_TYPES(type) ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#else
#define SLOT_TYPES(type) false
#endif

struct table {
    const ElfW(Rela) * entries;
    size_t bytes;
};

struct image {
    uintptr_t base;
    const ElfW(Sym) * symbols;
    const char *names;
    struct table tables[2]; /* of calls, and of addresses */
};

static bool read_dynamic(const struct link_map *map, struct image *out)
{
    *out = (struct image){.base = map->l_addr};
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_SYMTAB:
            out->symbols = (const ElfW(Sym) *)entry->d_un.d_ptr;
            break;
        case DT_STRTAB:
            out->names = (const char *)entry->d_un.d_ptr;
            break;
        case DT_JMPREL:
            out->tables[0].entries = (const ElfW(Rela) *)entry->d_un.d_ptr;
            break;
        case DT_PLTRELSZ:
            out->tables[0].bytes = entry->d_un.d_val;
            break;
        case DT_RELA:
            out->tables[1].entries = (const ElfW(Rela) *)entry->d_un.d_ptr;
            break;
        case DT_RELASZ:
            out->tables[1].bytes = entry->d_un.d_val;
            break;
        default:
            break;
        }
    }
    return out->symbols != NULL && out->names != NULL;
}

/* Left open: close_again() shuts what was shut before. */
static bool store(void **slot, void *value)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *at = (void *)((uintptr_t)slot & ~(uintptr_t)(page - 1));
    if (mprotect(at, page, PROT_READ | PROT_WRITE) != 0)
        return false;
    *slot = value;
    return true;
}

/* The segment that the linker makes read-only after it has filled it in. */
static int close_again(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    if (info->dlpi_addr != *(const uintptr_t *)arg)
        return 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t from = (info->dlpi_addr + segment->p_vaddr) & ~(uintptr_t)(page - 1);
        uintptr_t to =
            (info->dlpi_addr + segment->p_vaddr + segment->p_memsz) & ~(uintptr_t)(page - 1);
        if (segment->p_type == PT_GNU_RELRO && to > from)
            (void)mprotect((void *)from, to - from, PROT_READ); /* open, it works as well */
    }
    return 1;
}

static size_t redirect_table(const struct image *image, const struct table *table,
                             const struct weft_import *imports, size_t count)
{
    size_t changed = 0;
    for (size_t i = 0; i < table->bytes / sizeof(*table->entries); i++) {
        const ElfW(Rela) *entry = &table->entries[i];
        const char *name_z = image->names + image->symbols[ELF64_R_SYM(entry->r_info)].st_name;
        if (!SLOT_TYPES(ELF64_R_TYPE(entry->r_info)))
            continue;
        for (size_t k = 0; k < count; k++)
            if (strcmp(name_z, imports[k].name_z) == 0)
                changed +=
                    store((void **)(image->base + entry->r_offset), *(void *const *)&imports[k].fn);
    }
    return changed;
}

size_t weft_imports_redirect(void *library, const struct weft_import *imports, size_t count)
{
    struct link_map *map = NULL;
    struct image image;
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0 || !read_dynamic(map, &image))
        return 0;
    size_t changed = 0;
    for (size_t i = 0; i < WEFT_COUNT_OF(image.tables); i++)
        if (image.tables[i].entries != NULL)
            changed += redirect_table(&image, &image.tables[i], imports, count);
    (void)dl_iterate_phdr(close_again, &image.base);
    return changed;
}
