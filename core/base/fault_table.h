// The fault table: every way a connection can end or a request can be refused, one row each
// (DESIGN.md law 5). FAULT(name, close code, HTTP status, text). Code 0: no Close frame is owed or
// possible (before the upgrade, or the peer is gone: counted as 1006). Status 0: cannot happen
// before the upgrade. This file holds only the table.

FAULT(none, 0, 0, "no fault")

// Request heads and bodies (RFC 9110, RFC 9112)
FAULT(request_line_malformed, 0, 400, "malformed request line")
FAULT(target_malformed, 0, 400, "malformed request target")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(path_malformed, 0, 400, "path with a dot segment, an empty segment, %2F or a bad escape")
FAULT(version_unsupported, 0, 505, "HTTP version not supported")
FAULT(version_too_old, 0, 426, "HTTP/1.0 cannot be upgraded")
FAULT(field_malformed, 0, 400, "malformed header field")
FAULT(field_folded, 0, 400, "obsolete line folding in a header field")
FAULT(host_missing, 0, 400, "Host header missing")
FAULT(host_doubled, 0, 400, "more than one Host header")
FAULT(host_malformed, 0, 400, "malformed Host header")
FAULT(header_too_large, 0, 431, "request header larger than the limit")
FAULT(header_too_many, 0, 431, "more header fields than the limit")
FAULT(target_too_long, 0, 414, "request target longer than the limit")
FAULT(method_unknown, 0, 501, "method not implemented")
FAULT(content_length_malformed, 0, 400, "malformed Content-Length")
FAULT(content_length_doubled, 0, 400, "conflicting Content-Length fields")
FAULT(length_and_encoding, 0, 400, "both Content-Length and Transfer-Encoding")
FAULT(transfer_encoding_unknown, 0, 501, "transfer coding not implemented")
FAULT(transfer_encoding_malformed, 0, 400, "malformed Transfer-Encoding")
FAULT(chunk_malformed, 0, 400, "malformed chunk")
FAULT(body_too_large, 0, 413, "request body larger than the limit")
FAULT(expectation_unknown, 0, 417, "expectation other than 100-continue")
FAULT(tls_on_plain_port, 0, 400, "TLS handshake on a plain port")
FAULT(http2_preface, 0, 505, "HTTP/2 preface on an HTTP/1.1 port")
// The upgrade (RFC 6455 section 4)
FAULT(upgrade_method, 0, 405, "upgrade by a method other than GET")
FAULT(upgrade_with_body, 0, 400, "upgrade request with a body")
FAULT(upgrade_token, 0, 400, "Upgrade names no protocol we speak")
FAULT(connection_token, 0, 400, "Connection does not list upgrade")
FAULT(websocket_version, 0, 426, "Sec-WebSocket-Version is not 13")
FAULT(websocket_key, 0, 400, "Sec-WebSocket-Key is missing, doubled or not 16 bytes in base64")
FAULT(websocket_protocol, 0, 400, "malformed Sec-WebSocket-Protocol")
FAULT(websocket_extensions, 0, 400, "malformed Sec-WebSocket-Extensions")
// Routing and admission
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(not_found, 0, 404, "no route")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(method_not_allowed, 0, 405, "method not allowed on this route")
FAULT(upgrade_required, 0, 426, "this route speaks WebSocket only")
FAULT(origin_refused, 0, 403, "Origin not allowed")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(address_limit, 0, 429, "too many connections from this address")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(connection_limit, 0, 503, "connection limit reached")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(route_limit, 0, 503, "connection limit of the route reached")
FAULT(handshake_rate, 0, 503, "handshake rate limit reached")
FAULT(draining, 1012, 503, "server is draining")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(out_of_memory, 1013, 503, "out of buffer memory")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(internal_error, 1011, 500, "internal error")
FAULT(handshake_timeout, 0, 408, "no complete request within the handshake deadline")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(request_idle, 0, 0, "kept-alive connection idle")
// Frames (RFC 6455 section 5)
FAULT(reserved_bit, 1002, 0, "reserved bit set")
FAULT(opcode_reserved, 1002, 0, "reserved opcode")
FAULT(frame_unmasked, 1002, 0, "client frame not masked")
FAULT(control_too_long, 1002, 0, "control frame longer than 125 bytes")
FAULT(control_fragmented, 1002, 0, "fragmented control frame")
FAULT(length_not_minimal, 1002, 0, "frame length not in its shortest form")
FAULT(length_top_bit, 1002, 0, "64-bit frame length with the top bit set")
FAULT(continuation_unexpected, 1002, 0, "continuation frame without a message")
FAULT(continuation_expected, 1002, 0, "new message inside a fragmented one")
FAULT(close_code, 1002, 0, "invalid close code")
FAULT(close_length, 1002, 0, "close payload of one byte")
FAULT(close_utf8, 1007, 0, "close reason is not UTF-8")
FAULT(message_utf8, 1007, 400, "text message is not UTF-8")
FAULT(message_too_big, 1009, 0, "message larger than the limit")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(fragments_too_many, 1009, 0, "message in more fragments than the limit")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(message_kind, 1003, 400, "message of a kind that the route does not accept")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(envelope_malformed, 1007, 0, "message is not an envelope of this route")
FAULT(not_publishable, 1008, 403, "route does not accept messages from clients")
// Time, memory and the operator
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(pong_timeout, 1011, 0, "no answer to a keepalive ping")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(idle_timeout, 1001, 0, "idle longer than the route allows")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(age_limit, 1001, 0, "older than the route allows")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(slow_reader, 1013, 0, "queue limit reached by a slow reader")
FAULT(send_stalled, 1013, 0, "a send made no progress within the stall deadline")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(memory_pressure, 1013, 0, "closed to free queue memory")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(closed_by_operator, 1000, 0, "closed through the admin API")
// How the peer went
FAULT(closed_by_peer, 1000, 0, "closed by the peer")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(close_timeout, 0, 0, "peer did not answer our Close")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(peer_vanished, 0, 0, "peer ended TCP without a Close")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(peer_reset, 0, 0, "connection reset by the peer")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(transport_error, 0, 0, "receive or send failed")
// house: allow fault: tests/conform and tests/system meet it over a socket; no unit test yet
FAULT(request_done, 0, 0, "HTTP exchange finished")
FAULT(killed, 0, 0, "cut at shutdown")
