#include "completion.h"
#include "data/atomic_file.h"
#include "data/json.h"
#include "engine/networks/field.h"
#include "engine/networks/kind.h"
#include "kernels/device/philox.h"
#include "renderer.h"
#include "signals.h"
#include <algorithm>
#include <array>
#include <fmt/core.h>

namespace theta {

namespace {

constexpr std::array parts{"top", "bottom", "left", "right", "scattered"};

float psnr_between(const std::vector<float> &a, const std::vector<float> &b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    sum += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  return psnr_of(float(sum / double(a.size())));
}

} // namespace

void check_part(const std::string &part) {
  if (!part.empty() && std::find(parts.begin(), parts.end(), part) == parts.end())
    throw InputError("sample.complete: found '", part, "', expected top, bottom, left, right, scattered or nothing");
}

bool is_given(const std::string &part, const float *point, int dimensions, std::size_t index) {
  if (part == "scattered")
    return philox(0, Purpose::group_choice, 0, index).word[0] % 4 == 0;
  const float up = dimensions == 2 ? -point[1] : point[1]; // of pictures y goes down
  return part == "top" ? up > 0 : part == "bottom" ? up < 0 : part == "left" ? point[0] < 0 : point[0] > 0;
}

Completion completion_of(const std::string &part, std::size_t count, std::uint64_t seed, const Dataset &data,
                         const ZooReader &zoo, const std::vector<std::size_t> &held_out) {
  Completion completion;
  const auto points = data.coordinates();
  const std::size_t dimensions = std::size_t(data.dimensions());
  for (std::size_t p = 0; p < points.size() / dimensions; ++p)
    (is_given(part, points.data() + p * dimensions, int(dimensions), p) ? completion.given : completion.hidden)
        .push_back(p);
  const auto rows = choose(zoo, held_out, held_out.size(), seed, 1).source;
  const auto signal = zoo.integers("signal");
  if (rows.empty())
    throw InputError("sample.complete: found no held-out field, expected signals to complete (zoo.held_out)");
  for (std::size_t i = 0; i < count; ++i)
    completion.signals.push_back(std::size_t(signal[rows[i % rows.size()]]));
  return completion;
}

FieldGuide guide_of(const std::string &part, int batch, const NetworkShape &shape, const std::vector<float> &points,
                    const Dataset *data, const std::vector<std::size_t> &signals) {
  const int dimensions = dimensions_of(shape);
  std::vector<float> given, values;
  std::vector<std::size_t> which;
  for (std::size_t p = 0; p < points.size() / std::size_t(dimensions); ++p)
    if (const float *point = points.data() + p * std::size_t(dimensions); is_given(part, point, dimensions, p))
      given.insert(given.end(), point, point + dimensions), which.push_back(p);
  if (which.empty() || shape.kind->is_signal())
    throw InputError("sample.complete: found ", which.size(), " given points, expected some of such fields");
  for (const std::size_t signal : signals) {
    const auto of = values_at(*data, signal, which);
    values.insert(values.end(), of.begin(), of.end());
  }
  return FieldGuide(shape, encoded(given, octaves_of(shape)), std::move(values), batch);
}

CompletionReport judge_completion(const Completion &completion, const NetworkShape &shape, Device device,
                                  const Dataset &data, const ZooReader &samples,
                                  const std::vector<std::size_t> &training_signals) {
  CompletionReport report;
  const auto part = [&](const float *values, const std::vector<std::size_t> &points) {
    std::vector<float> some;
    for (const std::size_t p : points)
      for (int c = 0; c < data.channels; ++c)
        some.push_back(values[p * std::size_t(data.channels) + std::size_t(c)] + float(value_shift));
    return some;
  };
  FieldRenderer renderer(shape, data.coordinates(), data.dimensions(), 16);
  renderer.render(
      device, samples.rows(), [&](std::size_t i, float *theta) { samples.theta(i, theta); },
      [&](std::size_t i, const float *values) {
        const std::size_t signal = completion.signals[i];
        const auto given = values_at(data, signal, completion.given),
                   hidden = values_at(data, signal, completion.hidden);
        report.given.push_back(psnr_between(part(values, completion.given), given));
        report.hidden.push_back(psnr_between(part(values, completion.hidden), hidden));
        float nearest = -1e30f;
        std::size_t which = 0;
        for (const std::size_t other : training_signals)
          if (const float near = psnr_between(values_at(data, other, completion.given), given); near > nearest)
            nearest = near, which = other;
        report.nearest.push_back(psnr_between(values_at(data, which, completion.hidden), hidden));
      });
  return report;
}

void write_completion(const std::filesystem::path &path, const CompletionReport &r) {
  write_file(path, Json{{"given", r.given}, {"hidden", r.hidden}, {"nearest", r.nearest}}.dump(1) + "\n");
}

std::string text_of(const CompletionReport &r) {
  const auto mean = [](const std::vector<float> &psnr) {
    const Summary s = summarise(psnr);
    return fmt::format("{:.1f} ± {:.1f} dB", s.mean, s.std);
  };
  return fmt::format("completed: {} where the signals were given, {} where they were hidden; the nearest training "
                     "signal of the same part: {} there\n",
                     mean(r.given), mean(r.hidden), mean(r.nearest));
}

} // namespace theta
