#include "writer.h"
#include "data/json.h"
#include "engine/networks/gpt.h"
#include "engine/training/interrupt.h"
#include "kernels/device/philox.h"
#include <algorithm>
#include <cmath>

namespace theta {

TextWriter::TextWriter(const NetworkShape &shape, Device device)
    : context_(0), alphabet_(0), parameters_(layout_of(shape).size()), stream_(device) {
  if (!is_text(shape))
    throw InputError("write: found networks of kind ", name_of(shape.kind), ", expected language models");
  context_ = std::size_t(context_of(shape)), alphabet_ = std::size_t(alphabet_of(shape));
  network_ = shape.kind->layered(shape);
  theta_ = plan_.reserve<float>("write.theta", MemoryClass::weights, {std::int64_t(parameters_)});
  x_ = plan_.reserve<float>("write.characters", MemoryClass::data, {std::int64_t(context_)});
  network_->plan(plan_, false, 1, 1);
  plan_.place();
  arena_ = std::make_unique<Arena>(device, plan_);
}

std::vector<std::uint8_t> TextWriter::write(const std::vector<float> &theta, const std::vector<std::uint8_t> &start,
                                            int characters, double temperature, std::uint64_t seed,
                                            std::uint32_t stream) {
  if (start.empty())
    throw InputError("write: found no beginning, expected a character at least");
  copy(stream_, theta_, theta.data(), parameters_ * sizeof(float));
  std::vector<std::uint8_t> text = start, made;
  for (int i = 0; i < characters; ++i) {
    stop_if_interrupted("write");
    const std::size_t seen = std::min(text.size(), context_);
    std::vector<float> x(context_); // what follows the last one is not looked at
    std::copy(text.end() - std::ptrdiff_t(seen), text.end(), x.begin());
    copy(stream_, x_, x.data(), context_ * sizeof(float));
    const float *scores = network_->infer(stream_, theta_, x_, 1, 1) + (seen - 1) * alphabet_;
    const auto of = to_host(stream_, scores, alphabet_);
    std::size_t next = std::size_t(std::max_element(of.begin(), of.end()) - of.begin());
    if (temperature > 0) {
      std::vector<double> share;
      double sum = 0;
      for (const float each : of)
        share.push_back(std::exp((double(each) - double(of[next])) / temperature)), sum += share.back();
      double left = double(uniform01(philox(seed, Purpose::written, stream, std::uint64_t(i)).word[0])) * sum;
      for (std::size_t c = 0; c < alphabet_; ++c)
        if ((left -= share[c]) < 0) {
          next = c;
          break;
        }
    }
    text.push_back(std::uint8_t(next)), made.push_back(std::uint8_t(next));
  }
  return made;
}

std::vector<std::string> alphabet_of_zoo(const std::string &facts, const std::string &where) {
  const Json of = parse_json(facts, where);
  if (!of.contains("dataset") || !of["dataset"].contains("alphabet"))
    throw InputError(where, ": says nothing of an alphabet, expected a zoo of language models");
  std::vector<std::string> alphabet;
  for (const int byte : of["dataset"]["alphabet"].get<std::vector<int>>())
    alphabet.emplace_back(1, char(byte));
  return alphabet;
}

} // namespace theta
