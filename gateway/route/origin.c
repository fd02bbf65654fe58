#include "gateway/route/origin.h"

#include "gateway/config/origin_split.h"

enum origin_verdict origin_check(const struct config_route *route, struct span origin,
                                 bool has_origin) {
    if (!has_origin) {
        return route->origins_required ? ORIGIN_REFUSED : ORIGIN_ABSENT;
    }
    if (!route->has_origins) {
        return ORIGIN_ALLOWED;
    }
    struct config_origin asked;
    if (!config_origin_split(origin, &asked)) {
        return ORIGIN_REFUSED;
    }
    for (uint32_t i = 0; i < route->origins.count; i++) {
        if (config_origin_is_equal(&route->origins.items[i], &asked)) {
            return ORIGIN_ALLOWED;
        }
    }
    return ORIGIN_REFUSED;
}
