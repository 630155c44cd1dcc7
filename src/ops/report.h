/* report.h - the memory ledger: as JSON for programs, as a page for a person with curl.
 *
 * The page answers three questions: how much can it take at most, who holds what right now, and why
 * is it not less.
 *
 * Lifetime: sources are borrowed for the call.
 * Threads:  any.
 * Memory:   one piece of text at a time.
 */
#ifndef WEFT_OPS_REPORT_H
#define WEFT_OPS_REPORT_H

#include "ops/metrics.h"

/** returns  0, or put's error */
WEFT_CHECK weft_rc weft_report_json(const struct weft_metrics_source *source, weft_text_put *put,
                                    void *ctx);
WEFT_CHECK weft_rc weft_report_page(const struct weft_metrics_source *source, weft_text_put *put,
                                    void *ctx);

#endif
