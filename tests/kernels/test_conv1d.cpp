#include "kernels/conv1d.h"
#include "kernels/reduce.h"
#include "tests/check.h"

using namespace theta;
using namespace theta::test;

TEST_CASE("conv1d agrees with PyTorch") {
  for (const auto &[name, stride] :
       {std::pair{"conv1d_k7_s1", 1}, {"conv1d_k7_s2", 2}, {"conv1d_k7_s2_odd", 2}, {"conv1d_k7_c1", 1}}) {
    CAPTURE(name);
    const Golden golden(name);
    in_every_precision([&]<class T>(T, Stream &s) {
      const Conv1d p{golden.side("x", 0), golden.side("x", 1), golden.side("w", 0), golden.side("x", 2), 7, stride, 3};
      REQUIRE(p.out_length() == golden.side("y", 2));
      const Buffer<T> x(s, golden.get<T>("x")), w(s, golden.get<T>("w")), b(s, golden.get<T>("b")),
          dy(s, golden.get<T>("dy"));
      const Buffer<T> y(s, p.y_size()), dx(s, p.x_size()), workspace(s, conv1d_workspace(s.device().backend, p));
      const Buffer<T> dw(s, std::vector<T>(p.w_size())), db(s, std::vector<T>(b.size()));
      conv1d_forward<T>(s, y, x, w, b, workspace, p);
      conv1d_backward_data<T>(s, dx, dy, w, nullptr, workspace, p);
      conv1d_backward_weight<T>(s, dw, dy, x, workspace, p);
      channel_sum<T>(s, db, dy, p.batch, p.out_channels, p.out_length());
      CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
      CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
      CHECK(relative_error(dw.host(), golden.get<T>("dw")) <= golden_tolerance<T>);
      CHECK(relative_error(db.host(), golden.get<T>("db")) <= golden_tolerance<T>);
    });
  }
}

TEST_CASE("transposed conv1d agrees with PyTorch") {
  const Golden golden("conv_transpose1d_k7_s2");
  in_every_precision([&]<class T>(T, Stream &s) {
    const Conv1d p{golden.side("x", 0), golden.side("w", 1), golden.side("w", 0), golden.side("y", 2), 7, 2, 3};
    REQUIRE(p.out_length() == golden.side("x", 2));
    const Buffer<T> x(s, golden.get<T>("x")), w(s, golden.get<T>("w")), b(s, golden.get<T>("b")),
        dy(s, golden.get<T>("dy"));
    const Buffer<T> y(s, p.x_size()), dx(s, p.y_size()), workspace(s, conv1d_workspace(s.device().backend, p));
    const Buffer<T> dw(s, std::vector<T>(p.w_size())), db(s, std::vector<T>(b.size()));
    conv_transpose1d_forward<T>(s, y, x, w, b, workspace, p);
    conv_transpose1d_backward_data<T>(s, dx, dy, w, workspace, p);
    conv_transpose1d_backward_weight<T>(s, dw, dy, x, workspace, p);
    channel_sum<T>(s, db, dy, p.batch, p.in_channels, p.in_length);
    CHECK(relative_error(y.host(), golden.get<T>("y")) <= golden_tolerance<T>);
    CHECK(relative_error(dx.host(), golden.get<T>("dx")) <= golden_tolerance<T>);
    CHECK(relative_error(dw.host(), golden.get<T>("dw")) <= golden_tolerance<T>);
    CHECK(relative_error(db.host(), golden.get<T>("db")) <= golden_tolerance<T>);
  });
}

TEST_CASE("conv1d: every device, odd sizes, gradients added") {
  for (const Conv1d p : {Conv1d{1, 1, 1, 1, 7, 1, 3}, Conv1d{2, 3, 67, 29, 7, 1, 3}, Conv1d{3, 11, 5, 64, 7, 2, 3},
                         Conv1d{2, 2, 3, 13, 5, 3, 1}, Conv1d{40, 9, 2, 17, 7, 2, 3}})
    same_on_every_device(1e-5, [&](Stream &s) {
      const Buffer<float> x(s, random_values<float>(p.x_size(), 1)), w(s, random_values<float>(p.w_size(), 2)),
          dy(s, random_values<float>(p.y_size(), 3)), b(s, random_values<float>(std::size_t(p.in_channels), 4));
      const Buffer<float> y(s, p.y_size()), dx(s, p.x_size()), dw(s, random_values<float>(p.w_size(), 5));
      const Buffer<float> workspace(s, conv1d_workspace(s.device().backend, p));
      conv1d_forward<float>(s, y, x, w, nullptr, workspace, p);
      conv1d_backward_data<float>(s, dx, dy, w, b, workspace, p);
      conv1d_backward_weight<float>(s, dw, dy, x, workspace, p);
      return Results{y.host(), dx.host(), dw.host()};
    });
}
