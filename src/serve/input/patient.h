/* patient.h - a call by the offload pool for a request that is half done.
 *
 * Lifetime: none.
 * Threads:  the request's worker.
 * Memory:   none.
 */
#ifndef WEFT_SERVE_INPUT_PATIENT_H
#define WEFT_SERVE_INPUT_PATIENT_H

#include <weft/request.h>

#define WEFT_PATIENT_MS 10000 /* for a place in the pool's queue */

/** As weft_offload(), but where the pool's queue is full it waits for a place: half of an upload or
 *  of a stream is no use to anybody. A request that is canceled does not wait.
 *  returns  as weft_offload(); WEFT_EFULL: no place for WEFT_PATIENT_MS, or no stack to wait on */
WEFT_CHECK weft_rc weft_offload_patiently(weft_req *rq, void (*fn)(void *arg), void *arg);

#endif
