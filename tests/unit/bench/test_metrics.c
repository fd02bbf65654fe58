#include <criterion/criterion.h>

#include "bench/metrics.h"

Test(metrics, sums_all_labels_of_one_name) {
    static const char PAGE[] =
        "HTTP/1.0 200 OK\r\n\r\n# HELP drops_total x\n# TYPE drops_total counter\n"
        "drops_total{policy=\"drop_oldest\"} 3\ndrops_total{policy=\"a b\",x=\"1\"} 4.5\n"
        "drops_total_more 100\nother 7\ndrops_total 1\n";
    double sum = -1;
    cr_assert(metrics_sum_text(PAGE, "drops_total", &sum));
    cr_assert_float_eq(sum, 8.5, 1e-9);
    cr_assert(metrics_sum_text(PAGE, "other", &sum));
    cr_assert_float_eq(sum, 7, 1e-9);
    cr_assert(!metrics_sum_text(PAGE, "drops", &sum));
    cr_assert(!metrics_sum_text("", "drops", &sum));
}
