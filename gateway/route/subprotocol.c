#include "gateway/route/subprotocol.h"

#include "core/http/request.h"

int32_t subprotocol_choose(const struct config_route *route, const struct span *offers,
                           uint32_t offer_count) {
    uint32_t best = route->subprotocols.count;
    for (uint32_t i = 0; i < offer_count; i++) {
        struct span list = offers[i];
        struct span offer;
        while (http_list_next(&list, &offer)) {
            if (!http_is_token(offer)) {
                return SUBPROTOCOL_MALFORMED;
            }
            for (uint32_t choice = 0; choice < best; choice++) {
                if (span_equal(route->subprotocols.items[choice], offer)) {
                    best = choice;
                }
            }
        }
    }
    return best < route->subprotocols.count ? (int32_t)best : SUBPROTOCOL_NONE;
}
