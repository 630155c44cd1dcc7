/* imports.h - another function in the place of one that a loaded library calls.
 *
 * For libraries that allocate and have no hook for it: the calls of that one library go to ours, so
 * that they are counted; everybody else's stay as they are. What is changed is the library's own
 * table of imported functions (ELF: the relocations of its dynamic section).
 *
 * Lifetime: of the library; not undone.
 * Threads:  before another thread calls the library.
 * Memory:   none.
 */
#ifndef WEFT_MEM_IMPORTS_H
#define WEFT_MEM_IMPORTS_H

#include "base/base.h"

struct weft_import {
    const char *name_z;
    void (*fn)(void); /* called instead; of the very same type */
};

/** Redirect the imports of a library that has them; those that it does not import are passed over.
 *  library  as from dlopen()
 *  returns  how many entries of its tables were changed; 0: not one, for instance because this
 *           system's tables are not of the kind that is known here */
size_t weft_imports_redirect(void *library, const struct weft_import *imports, size_t count);

#endif
