#include "gateway/config/config.h"

struct span config_demo_text(void) {
    static const char text[] =
        "# Holdfast's built-in demo: a page with a small chat, an echo and channels by path.\n"
        "# Save this text, change it, and start it with: holdfast run -c holdfast.yaml\n"
        "listeners:\n"
        "  - address: 127.0.0.1:8080\n"
        "admin: {address: 127.0.0.1:9090}\n"
        "routes: # the first match wins\n"
        "  - {path: /, page: demo}\n"
        "  - {path: /echo, echo: {}}\n"
        "  - {path: \"/chat/{room}\", channels: {subscribe: [\"chat.{room}\"], publish: "
        "\"chat.{room}\"}}\n";
    return span_make(text, sizeof(text) - 1);
}
