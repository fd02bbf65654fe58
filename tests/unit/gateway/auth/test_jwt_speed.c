// What a token costs at a handshake, printed: CPU time, the least of some batches. The bound is
// loose enough for a Debug build under sanitizers on a busy machine.
#include "tests/unit/gateway/auth/jwt_test.h"

#include <time.h>

// Made by OpenSSL (tests/harness/tokens.py); they expire in the year 2096.
static const struct {
    enum signature_kind kind;
    const char *set, *token;
} rows[] = {
    {SIGNATURE_HS256,
     "{\"keys\": [{\"kty\": \"oct\", \"k\": \"BwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy"
     "AhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4_QEFCQ0RFRg\", \"alg\": \"HS256\""
     "}]}",
     "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJhdWQiOiAid2ViIiwgImV4cCI6IDQwM"
     "DAwMDAwMDAsICJzdWIiOiAiYWRhIn0.Z7p_3dnQGetGNqyi5ZuMhIH2j3-h3KJeJXOZmo8hNhY"},
    {SIGNATURE_RS256,
     "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"xXAXjmox8NXOqr6gNl8DHTGLJobxOFZU0U"
     "ccqq_cHKjMfjGgAiF9xc-KHfvwxhUDycdS6sbZUv_MMlqN0Qbb0Gu9Qm_kxZeNdVoa1CHNucmD"
     "Nl8ek0fbIySbLoAMwX7jhSsHlAH9hp4Jmn8rJr0N_w2RqCq6E3iGar3G_x84b4IGC5rpHGPIL2"
     "_ZAJT5uJiK0A14OZUhNG9imRTlpCH69Dnw4JwbDSNQ9ZIliyGZKn8m_tn_eY_KJyi7qgFy6_2f"
     "I86nOQSbXJtM_3O0Jg3JUcWQR_7qvtjUCNxBaOlFSPr0vXQDlSB9saEaeLutzK9npiCppyV0pO"
     "8KZ6CbJer3zw\", \"e\": \"AQAB\", \"alg\": \"RS256\"}]}",
     "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJhdWQiOiAid2ViIiwgImV4cCI6IDQwM"
     "DAwMDAwMDAsICJzdWIiOiAiYWRhIn0.g-n7UlNXpsf4yFmB6gw-LWwDbCwUy7z656KTraCEcnq"
     "NNLivQQqm1QOO2TJbLvqVJnj8Eu2pPjbekovCNeBjjaJhRJf8Q3PqCAdZ4rd72n8JdjC-eBErD"
     "0cLDI03JsItHJdCpzPV0SiTIFL1v3mckMWM5nKYbYjdCITHmmlMCzTHSHoV6Zpi56fK8wtdaMC"
     "q0V6XXfanlmvLPJLfXtL-iQq3rybZjHcJX8QTO7eNichMDCrCrxETf3XgeRiklKLFcaYknQdzf"
     "nBIhdOZmqSTiwtbFUi_CVCoE35qIR_x1YB0jbYUQTGY0Oqo0PLyhbLx05sNS-hDVIDjDq2R7qd"
     "LaQ"},
    {SIGNATURE_EDDSA,
     "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"pydS8ugEaKYN"
     "kYFkRJcXyWpx3ktpS5mtXn2XpErDpgA\", \"alg\": \"EdDSA\"}]}",
     "eyJhbGciOiAiRWREU0EiLCAidHlwIjogIkpXVCJ9.eyJhdWQiOiAid2ViIiwgImV4cCI6IDQwM"
     "DAwMDAwMDAsICJzdWIiOiAiYWRhIn0.UDTgkJB6LMprsb0l1-eI7IQYLzDfNwH6AvMaB2XdmRl"
     "90wxKL7LkkOTwPc0fheHs7zYAQvbw5JTkOU1Mx1czBw"},
    {SIGNATURE_ES256,
     "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"tUvKdhrYK3ihrf0"
     "gYj_sB5aKjnFSxUiK6CPLSZw5jAk\", \"y\": \"hYA5JpHEibkDfUSE0-M828plHol8Vu-Uz"
     "GrLXwWZy7E\", \"alg\": \"ES256\"}]}",
     "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJhdWQiOiAid2ViIiwgImV4cCI6IDQwM"
     "DAwMDAwMDAsICJzdWIiOiAiYWRhIn0.s1q2zIL92w3bwLQXaiVaXdFmm-oShU3nf8IMUynSkej"
     "bl4mboyQ9DSYKAItDDqVhBzCeY4bgZJ4klETmX_q8bQ"},
    {SIGNATURE_ES384,
     "{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-384\", \"x\": \"D9d9lwI6ie2QBO8"
     "wi4p1lGuQuFOet2wVJ7b00htetPxroJMHn_K0nGCfzz6WcTmo\", \"y\": \"0cajbN7n1h7b"
     "qPgFGFVKRu6GtNKKHIg75uYlJhKti4OJZwJFVbNZ4NRj1bRG35yA\", \"alg\": \"ES384\""
     "}]}",
     "eyJhbGciOiAiRVMzODQiLCAidHlwIjogIkpXVCJ9.eyJhdWQiOiAid2ViIiwgImV4cCI6IDQwM"
     "DAwMDAwMDAsICJzdWIiOiAiYWRhIn0.hh67RI25kIdIfp1Lpf6cqTrOoa6AXFh5R3grKqiDcfF"
     "0MigHwzPD7_sKGKfFVATYNrS_g6nA4J48--QzHzhaAJxhbtY1inQE69h7doWo4JI-K2026VQB6"
     "yBa9TqqMk8_"},
};

static uint64_t cpu_ns(void) {
    struct timespec now;
    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

Test(jwt_speed, a_token_at_a_handshake) {
    enum { BATCHES = 5, ROUNDS = 50 };
    struct conn_test *test = jwt_test_open();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct jwt_options options = {.algorithms = 1u << rows[i].kind,
                                      .audience = span_text("web")};
        char problem[JWT_PROBLEM_BYTES];
        struct jwt_keys *keys = jwt_keys_read(span_text(rows[i].set), &options, problem);
        cr_assert_not_null(keys, "%s", problem);
        uint64_t least_ns = UINT64_MAX;
        for (int batch = 0; batch < BATCHES; batch++) {
            uint64_t start_ns = cpu_ns();
            for (int round = 0; round < ROUNDS; round++) {
                struct jwt_claims claims;
                const char *reason =
                    jwt_check(keys, span_text(rows[i].token), JWT_TEST_NOW_S, &claims);
                cr_assert_null(reason, "%s", reason);
                json_document_close(&claims.document);
            }
            uint64_t spent_ns = (cpu_ns() - start_ns) / ROUNDS;
            least_ns = spent_ns < least_ns ? spent_ns : least_ns;
        }
        fprintf(stderr, "%s: %.1f us\n", signature_name(rows[i].kind), (double)least_ns / 1e3);
        cr_assert_lt(least_ns, 20000000);
        jwt_keys_free(keys);
    }
    jwt_test_close(test);
}
