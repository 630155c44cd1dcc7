/* status.c - see status.h. What is refused is rare: the way of good answers is one compare. */
#include "http/status.h"

static const struct {
    uint16_t status;
    uint16_t counter;
} refusals[] = {
#define REFUSAL(status)                                                                            \
    {                                                                                              \
        status, WEFT_COUNTER_RESPONSES_##status                                                    \
    }
    REFUSAL(400), REFUSAL(401), REFUSAL(403), REFUSAL(404), REFUSAL(405),
    REFUSAL(406), REFUSAL(408), REFUSAL(411), REFUSAL(412), REFUSAL(413),
    REFUSAL(414), REFUSAL(415), REFUSAL(416), REFUSAL(417), REFUSAL(431),
    REFUSAL(500), REFUSAL(501), REFUSAL(503), REFUSAL(505),
#undef REFUSAL
};

void weft_status_count_other(struct weft_loop *loop, int status)
{
    if (status < 400) {
        weft_loop_count(loop, WEFT_COUNTER_RESPONSES_3XX);
        return;
    }
    weft_loop_count(loop, status < 500 ? WEFT_COUNTER_RESPONSES_4XX : WEFT_COUNTER_RESPONSES_5XX);
    for (size_t i = 0; i < WEFT_COUNT_OF(refusals); i++)
        if (refusals[i].status == status)
            weft_loop_count(loop, (enum weft_counter)refusals[i].counter);
}
