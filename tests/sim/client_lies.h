// Illegal frames and requests, and what the gateway must answer: FRAME_LIE(path, bytes, close code)
// behind a good handshake, DEFLATE_LIE the same where compression was agreed, HEAD_LIE(bytes,
// status). Masks are zero: legal, and readable here. Only the table.

#ifdef FRAME_LIE
FRAME_LIE("/echo", "\x81\x01x", 1002)         // not masked
FRAME_LIE("/echo", "\xc1\x81\0\0\0\0x", 1002) // reserved bits
FRAME_LIE("/chat/a", "\xa2\x81\0\0\0\0x", 1002)
FRAME_LIE("/chat/b", "\x9a\x81\0\0\0\0x", 1002)
FRAME_LIE("/echo", "\x83\x81\0\0\0\0x", 1002) // reserved opcodes
FRAME_LIE("/chat/a", "\x8b\x80\0\0\0\0", 1002)
FRAME_LIE("/echo", "\x89\xfe\0\x7e\0\0\0\0", 1002)                   // long ping
FRAME_LIE("/echo", "\x09\x80\0\0\0\0", 1002)                         // fragmented ping
FRAME_LIE("/echo", "\x80\x81\0\0\0\0x", 1002)                        // continues nothing
FRAME_LIE("/echo", "\x01\x81\0\0\0\0x\x81\x81\0\0\0\0y", 1002)       // a message in a message
FRAME_LIE("/echo", "\x81\xfe\0\x05\0\0\0\0hello", 1002)              // 16 bits for 5
FRAME_LIE("/echo", "\x82\xff\0\0\0\0\0\0\1\0\0\0\0\0", 1002)         // 64 bits for 256
FRAME_LIE("/chat/a", "\x82\xff\x80\0\0\0\0\0\0\1\0\0\0\0", 1002)     // top bit
FRAME_LIE("/echo", "\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0", 1009) // 2 GiB
FRAME_LIE("/chat/a", "\x82\xff\0\0\0\1\0\0\0\0\0\0\0\0", 1009)       // 4 GiB
FRAME_LIE("/few", "\1\x81\0\0\0\0a\0\x81\0\0\0\0b\0\x81\0\0\0\0c\0\x81\0\0\0\0d\0\x81\0\0\0\0e",
          1009)
FRAME_LIE("/echo", "\x81\x82\0\0\0\0\xc3\x28", 1007) // UTF-8
FRAME_LIE("/chat/a", "\x81\x81\0\0\0\0\xc3", 1007)
FRAME_LIE("/text", "\x81\x83\0\0\0\0\xed\xa0\x80", 1007)
FRAME_LIE("/echo", "\x88\x82\0\0\0\0\3\xed", 1002) // close codes
FRAME_LIE("/chat/a", "\x88\x82\0\0\0\0\3\xe7", 1002)
FRAME_LIE("/echo", "\x88\x81\0\0\0\0\3", 1002) // half a close code
FRAME_LIE("/echo", "\x88\x84\0\0\0\0\3\xe8\xc3\x28", 1007)
FRAME_LIE("/text", "\x82\x81\0\0\0\0x", 1003) // the wrong kind
FRAME_LIE("/binary", "\x81\x81\0\0\0\0x", 1003)
FRAME_LIE("/rooms/u?envelope=json", "\x82\x81\0\0\0\0x", 1003)
FRAME_LIE("/rooms/u?envelope=json", "\x81\x84\0\0\0\0junk", 1007)
FRAME_LIE("/rooms/u?envelope=json", "\x81\x82\0\0\0\0{}", 1007)
FRAME_LIE("/listen/a", "\x81\x81\0\0\0\0x", 1008) // may not publish
#endif

#ifdef DEFLATE_LIE
DEFLATE_LIE("/echo", "\xc9\x80\0\0\0\0", 1002)                     // a compressed ping
DEFLATE_LIE("/chat/a", "\x01\x81\0\0\0\0x\xc0\x80\0\0\0\0", 1002)  // RSV1 on the second frame
DEFLATE_LIE("/echo", "\xa1\x81\0\0\0\0x", 1002)                    // another reserved bit
DEFLATE_LIE("/chat/a", "\xc2\x83\0\0\0\0\xff\xff\xff", 1007)       // a block type that there is not
DEFLATE_LIE("/echo", "\xc2\x82\0\0\0\0\xf2\x48", 1007)             // ends within a block
DEFLATE_LIE("/binary", "\xc2\x85\0\0\0\0\xf2\0\x11\0\0", 1007)     // reaches before its first byte
DEFLATE_LIE("/echo", "\xc1\x87\0\0\0\0\0\1\0\xfe\xff\xff\0", 1007) // UTF-8, inflated
DEFLATE_LIE("/text", "\xc2\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\7\0", 1003) // the wrong kind
#endif

#ifdef HEAD_LIE
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define WS "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
HEAD_LIE("GET / HTTP/1.1\r\n\r\n", 400)
HEAD_LIE("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400)
HEAD_LIE("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400)
HEAD_LIE("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", 400)
HEAD_LIE("GET nothing HTTP/1.1\r\nHost: a\r\n\r\n", 400)
HEAD_LIE("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505)
HEAD_LIE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)
HEAD_LIE("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501)
HEAD_LIE("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400)
HEAD_LIE("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400)
HEAD_LIE("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 400)
HEAD_LIE("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400)
HEAD_LIE(
    "POST /chat/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    400)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413)
HEAD_LIE("POST /chat/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n", 417)
HEAD_LIE("POST /textchat/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\xff", 400)
HEAD_LIE("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)
HEAD_LIE("GET /echo HTTP/1.0\r\n" WS "Sec-WebSocket-Version: 13\r\n" KEY "\r\n", 426)
HEAD_LIE("POST /echo HTTP/1.1\r\n" WS "Sec-WebSocket-Version: 13\r\n" KEY "\r\n", 405)
HEAD_LIE("GET /echo HTTP/1.1\r\n" WS "Sec-WebSocket-Version: 12\r\n" KEY "\r\n", 426)
HEAD_LIE("GET /echo HTTP/1.1\r\n" WS "Sec-WebSocket-Version: 13\r\n\r\n", 400)
HEAD_LIE("GET /echo HTTP/1.1\r\n" WS "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
         400)
HEAD_LIE("GET /echo HTTP/1.1\r\n" WS "Sec-WebSocket-Version: 13\r\nContent-Length: 1\r\n" KEY
         "\r\nx",
         400)
HEAD_LIE("GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: tea\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\n" KEY "\r\n",
         426)
HEAD_LIE("GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: close\r\n"
         "Sec-WebSocket-Version: 13\r\n" KEY "\r\n",
         400)
HEAD_LIE("GET /echo HTTP/1.1\r\n" WS
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a b\r\n" KEY "\r\n",
         400)
HEAD_LIE("GET /echo HTTP/1.1\r\n" WS
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: ;\r\n" KEY "\r\n",
         400)
#undef WS
#undef KEY
#endif
