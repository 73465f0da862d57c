#include "form_metric.h"
#include "engine/networks/form.h"
#include "metric.h"
#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <numeric>

namespace theta {

namespace {

// Codes and scales of a group's networks.
struct Stored {
  std::array<double, 256> codes{}; // how often each comes, from −128 on
  double all = 0;
  std::vector<float> scales; // ascending
  std::vector<float> zeros;  // of each network
};

Stored stored(const NetworkSet &group, const ZooFormat &format) {
  const RowCodec codec = *codec_of(format, "eval");
  Stored of;
  std::vector<float> theta(format.parameters);
  std::vector<std::int8_t> codes(format.parameters);
  for (std::size_t i = 0; i < group.count; ++i) {
    group.network(i, theta.data());
    const auto row = codec.encode(theta.data());
    codec.codes(row.data(), codes.data());
    const auto numbers = codec.numbers(row.data());
    std::size_t next = 0, zeros = 0, coded = 0;
    for (const RowCodec::Tensor &t : codec.tensors()) {
      if (t.codec.code == Code::plain) {
        next += t.elements;
        continue;
      }
      for (std::size_t e = t.offset; e < t.offset + t.elements; ++e)
        of.codes[std::size_t(codes[e] + 128)] += 1, zeros += theta[e] == 0, ++coded;
      for (std::size_t g = 0; g < t.groups(); ++g)
        of.scales.push_back(numbers[next++]);
    }
    of.all += double(coded);
    of.zeros.push_back(float(double(zeros) / double(coded)));
  }
  std::sort(of.scales.begin(), of.scales.end());
  return of;
}

double codes_apart(const Stored &a, const Stored &b) {
  double sum = 0;
  for (std::size_t c = 0; c < a.codes.size(); ++c)
    sum += std::abs(a.codes[c] / a.all - b.codes[c] / b.all) / 2;
  return sum;
}

double scales_apart(const std::vector<float> &a, const std::vector<float> &b) {
  double most = 0;
  for (const auto &of : {a, b})
    for (const float scale : of) {
      const auto share = [&](const std::vector<float> &in) {
        return double(std::upper_bound(in.begin(), in.end(), scale) - in.begin()) / double(in.size());
      };
      most = std::max(most, std::abs(share(a) - share(b)));
    }
  return most;
}

const bool added = add_metric([](const EvalWork &work, const NetworkSet &group, GroupReport &report) {
  if (work.shape.form.kind == FormKind::floats)
    return;
  const Layout layout = layout_of(work.shape);
  ZooFormat format{layout.places(), layout.size(), Dtype::f32, {}};
  store_in_form(format, work.shape);
  const std::size_t most = std::size_t(work.eval.networks);
  const Stored mine = stored(group, format),
               theirs = stored(choose(work.zoo, work.held_out, most, work.seed, 1), format);
  const auto figure = [&](const char *name, double value) {
    report.figures[name] = {value, value, value, group.count};
  };
  figure("bytes", double(row_bytes(format)));
  figure("zeros", std::accumulate(mine.zeros.begin(), mine.zeros.end(), 0.0) / double(mine.zeros.size()));
  if (most_code(work.shape.form) > 0) {
    figure("codes", codes_apart(mine, theirs));
    if (!mine.scales.empty() && !theirs.scales.empty())
      figure("scales", scales_apart(mine.scales, theirs.scales));
  }
});

} // namespace

std::string form_table(const std::vector<GroupReport> &reports) {
  std::string out;
  for (const GroupReport &r : reports) {
    if (!r.figures.contains("bytes"))
      continue;
    if (out.empty())
      out = fmt::format("\nwhat networks store: {:.0f} bytes each; zeros, and how far from held-out networks codes and "
                        "scales are\n",
                        r.figure("bytes").value);
    out += fmt::format("{:<22} {:>6.3f}", r.name, r.figure("zeros").value);
    for (const char *name : {"codes", "scales"})
      if (r.figures.contains(name))
        out += fmt::format("  {:>6.3f}", r.figure(name).value);
    out += '\n';
  }
  return out;
}

} // namespace theta
