/* preload.h - start this program once more, with a library loaded before all others.
 *
 * Debian's jemalloc keeps its thread state in static TLS, of which a running process has none to
 * spare: it cannot be loaded late. So the process executes itself once, the library in LD_PRELOAD;
 * pid, descriptors and arguments stay. The new one puts the environment back as it was, so that its
 * children start with what the user set.
 *
 * Lifetime: process, before any thread.
 * Threads:  one: it changes the environment.
 * Memory:   heap, until the exec.
 */
#ifndef WEFT_MEM_PRELOAD_H
#define WEFT_MEM_PRELOAD_H

#include "base/base.h"

/** Was this process started by weft_preload_exec()? Then the environment is put back: first thing
 *  in main(). Asked again it says the same. */
bool weft_preload_settle(void);

/** Could a library be loaded first?
 *  soname_z  as the dynamic linker knows it: "libjemalloc.so.2"
 *  out_why   room for why_bytes: what is in the way, zero-terminated
 *  returns   0; WEFT_ENOTFOUND (no such library, or it cannot be read); WEFT_ENOTSUP (not on this
 *            platform, not in a static program, not beside a sanitizer's malloc); -EPERM (the
 *            program has set-user-id or file capabilities: the linker ignores LD_PRELOAD) */
WEFT_CHECK weft_rc weft_preload_probe(const char *soname_z, char *out_why, size_t why_bytes);

/** Execute this program again with its arguments, LD_PRELOAD led by soname_z (NULL: as it is), and
 *  an environment variable set. What main() did so far is done again.
 *  returns  only when it failed: a negated errno; the environment is as it was */
WEFT_CHECK weft_rc weft_preload_exec(const char *soname_z, const char *name_z, const char *value_z);

#endif
