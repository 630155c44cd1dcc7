/* weft.h - all of the public API.
 *
 * Lifetime: see each header.
 * Threads:  see each header.
 * Memory:   see each header.
 */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include <weft/app.h>
#include <weft/base.h>
#include <weft/cache.h>
#include <weft/cookie.h>
#include <weft/csv.h>
#include <weft/channel.h>
#include <weft/form.h>
#include <weft/files.h>
#include <weft/json.h>
#include <weft/mem.h>
#include <weft/reader.h>
#include <weft/request.h>
#include <weft/response.h>
#include <weft/stream.h>

#endif
