// From a request's head to claims.
#include "gateway/auth/bearer.h"

#include <stdio.h>

#include "core/crypto/secret.h"
#include "core/http/writer.h"

// Where a token was found; decoded ones lie in `text`.
struct found {
    struct span token; // empty: there is none
    uint8_t text[JWT_BYTES_MAX];
};

// RFC 6750 2.1; the scheme's case does not matter (RFC 9110 11.1). Returns what is wrong, or NULL.
static const char *header_find(const struct http_request *request, struct span *token) {
    const struct http_field *field = http_field_find(request, "authorization", NULL);
    if (field == NULL) {
        return NULL;
    }
    if (http_field_find(request, "authorization", field) != NULL) {
        return "there are two Authorization fields";
    }
    int64_t space = span_find(field->value, ' ');
    struct span scheme = space < 0 ? field->value : span_first(field->value, (uint32_t)space);
    if (!span_is_nocase(scheme, "bearer") || space < 0) {
        return "its Authorization is not Bearer";
    }
    *token = span_from(field->value, (uint32_t)space + 1);
    while (token->length > 0 && token->data[0] == ' ') {
        *token = span_from(*token, 1);
    }
    return NULL;
}

static const char *query_find(const struct http_request *request, struct span name,
                              struct found *found) {
    char text[AUTH_NAME_BYTES_MAX + 1];
    memcpy(text, name.data, name.length);
    text[name.length] = '\0';
    struct span raw;
    struct span_mut decoded = {.data = found->text, .length = sizeof found->text};
    if (!route_query_find(request->query, text, &raw)) {
        return NULL;
    }
    if (!route_query_decode(raw, &decoded)) {
        return "its parameter is too long, or has a bad escape";
    }
    found->token = span_make(decoded.data, decoded.length);
    return NULL;
}

static void subprotocol_find(const struct http_request *request, struct span *token) {
    static const char prefix[] = "bearer.";
    enum { PREFIX_BYTES = sizeof prefix - 1 };
    const struct http_field *field = NULL;
    // Bounded by the head's fields, and each by its length.
    while ((field = http_field_find(request, "sec-websocket-protocol", field)) != NULL) {
        struct span list = field->value;
        struct span offer;
        while (http_list_next(&list, &offer)) {
            if (offer.length > PREFIX_BYTES && span_is(span_first(offer, PREFIX_BYTES), prefix)) {
                *token = span_from(offer, PREFIX_BYTES);
                return;
            }
        }
    }
}

// Fills found->token from the first place that has one. Returns what is wrong there, or NULL.
static const char *token_find(const struct config_auth *auth, const struct http_request *request,
                              struct found *found) {
    const char *reason = NULL;
    for (uint32_t i = 0; i < auth->source_count; i++) {
        const struct config_token_source *source = &auth->sources[i];
        switch ((enum config_token_place)source->place) {
        case CONFIG_TOKEN_HEADER:
            reason = header_find(request, &found->token);
            break;
        case CONFIG_TOKEN_COOKIE:
            (void)http_cookie_find(request, source->name, &found->token); // stays empty
            break;
        case CONFIG_TOKEN_QUERY:
            reason = query_find(request, source->name, found);
            break;
        case CONFIG_TOKEN_SUBPROTOCOL:
            subprotocol_find(request, &found->token);
            break;
        }
        if (reason != NULL || found->token.length > 0) {
            return reason;
        }
    }
    return NULL;
}

// Strings as they are and whole numbers in decimal, the latter written into `number`; anything else
// has no one spelling.
static bool claim_text(const json_t *value, char number[BEARER_NUMBER_BYTES], struct span *text) {
    if (json_is_string(value)) {
        *text = span_make(json_string_value(value), (uint32_t)json_string_length(value));
        return true;
    }
    if (!json_is_integer(value)) {
        return false;
    }
    int length =
        snprintf(number, BEARER_NUMBER_BYTES, "%lld", (long long)json_integer_value(value));
    *text = span_make(number, (uint32_t)length);
    return true;
}

static bool claims_find(struct bearer *bearer, const struct config_route *route) {
    bearer->claims.count = route->claims.count;
    for (uint32_t i = 0; i < route->claims.count; i++) {
        struct span name = route->claims.items[i];
        bearer->claims.values[i] = span_empty();
        const json_t *value =
            json_object_getn(bearer->token.document.root, (const char *)name.data, name.length);
        uint8_t encoded[PLACEHOLDER_BYTES_MAX];
        struct span_mut room = {.data = encoded, .length = sizeof encoded};
        if (value == NULL || !claim_text(value, bearer->numbers[i], &bearer->claims.values[i]) ||
            route_claim_encode(bearer->claims.values[i], room) == 0) {
            return false;
        }
    }
    return true;
}

// --- what services are sent

// False: it has no one spelling, or would end the header or divide a list.
static bool passed_put(struct http_writer *writer, const json_t *value, bool is_of_list) {
    char number[BEARER_NUMBER_BYTES];
    struct span text;
    if (json_is_boolean(value)) {
        text = span_text(json_is_true(value) ? "true" : "false");
    } else if (!claim_text(value, number, &text)) {
        return false;
    }
    bool divides = is_of_list && (text.length == 0 || span_find(text, ',') >= 0);
    if (!http_is_field_value(text) || divides) {
        return false;
    }
    http_put(writer, text);
    return true;
}

static bool passed_put_all(struct http_writer *writer, const json_t *value) {
    if (!json_is_array(value)) {
        return passed_put(writer, value, false);
    }
    for (size_t i = 0; i < json_array_size(value); i++) { // bounded by the token's bytes
        if (i > 0) {
            http_put_text(writer, ",");
        }
        if (!passed_put(writer, json_array_get(value, i), true)) {
            return false;
        }
    }
    return true;
}

static bool passes_fill(struct bearer *bearer, const struct config_auth *auth) {
    struct http_writer writer = {.data = bearer->passed_text, .room = BEARER_PASSED_BYTES};
    for (uint32_t i = 0; i < auth->pass_count; i++) {
        struct span name = auth->passes[i].claim;
        const json_t *value =
            json_object_getn(bearer->token.document.root, (const char *)name.data, name.length);
        uint32_t first = writer.length;
        if (value != NULL && !json_is_null(value) && !passed_put_all(&writer, value)) {
            return false;
        }
        bearer->passed[i] = span_make(writer.data + first, writer.length - first);
    }
    return !writer.is_over;
}

enum fault_id bearer_open(struct bearer *bearer, const struct jwt_keys *keys,
                          const struct config_route *route, const struct http_request *request,
                          uint64_t now_s) {
    *bearer = (struct bearer){.expires_s = 0};
    struct found found;
    found.token = span_empty();
    bearer->reason = token_find(route->auth, request, &found);
    if (bearer->reason != NULL) {
        return FAULT_token_refused;
    }
    if (found.token.length == 0) {
        bearer->reason = "there is no token";
        return FAULT_token_missing;
    }
    bearer->reason = jwt_check(keys, found.token, now_s, &bearer->token);
    secret_wipe(found.text, sizeof found.text);
    if (bearer->reason != NULL) {
        return FAULT_token_refused;
    }
    bearer->expires_s = bearer->token.expires_s + route->auth->leeway_s;
    if (!claims_find(bearer, route)) {
        bearer->reason = "it lacks a claim that the route's channels need, or the claim is no "
                         "string or whole number of 1 to 128 bytes";
        return FAULT_claim_unusable;
    }
    if (!passes_fill(bearer, route->auth)) {
        bearer->reason = "a claim that services are sent is no string, number or list of such that "
                         "a header can carry, or they have more than 4096 bytes together";
        return FAULT_claim_unusable;
    }
    return FAULT_none;
}

void bearer_close(struct bearer *bearer) {
    json_document_close(&bearer->token.document);
}
