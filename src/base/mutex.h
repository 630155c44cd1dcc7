/* mutex.h - a mutex that is locked or the program is wrong: there is no failure to handle.
 *
 * Lifetime: none; the mutex is its owner's.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_BASE_MUTEX_H
#define WEFT_BASE_MUTEX_H

#include "base/base.h"
#include <pthread.h>

static inline void weft_mutex_lock(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_lock(mutex);
    weft_assert(failed == 0);
}

static inline void weft_mutex_unlock(pthread_mutex_t *mutex)
{
    int failed = pthread_mutex_unlock(mutex);
    weft_assert(failed == 0);
}

#endif
