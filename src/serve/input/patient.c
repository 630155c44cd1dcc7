/* patient.c - see patient.h. */
#include "serve/input/patient.h"

#define STEP_MS 2

weft_rc weft_offload_patiently(weft_req *rq, void (*fn)(void *arg), void *arg)
{
    weft_rc rc = weft_offload(rq, fn, arg);
    for (uint64_t waited_ms = 0; rc == WEFT_EFULL && waited_ms < WEFT_PATIENT_MS;
         waited_ms += STEP_MS) {
        WEFT_TRY(weft_sleep_ms(rq, STEP_MS));
        rc = weft_offload(rq, fn, arg);
    }
    return rc;
}
