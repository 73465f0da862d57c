// Text as a language model writes it: the next character drawn from softmax(scores/temperature), again and again, each from
// as many before it as the network looks at.
#pragma once
#include "engine/memory/arena.h"
#include "engine/networks/kind.h"

namespace theta {

class TextWriter {
public:
  // Throws InputError for networks that learn no text.
  TextWriter(const NetworkShape &, Device);

  std::size_t parameters() const { return parameters_; } // V

  // `characters` codes behind those of `start`, one at least. Temperature 0: always the likeliest. What is drawn depends
  // on seed and stream alone. Throws Interrupted.
  std::vector<std::uint8_t> write(const std::vector<float> &theta, const std::vector<std::uint8_t> &start,
                                  int characters, double temperature, std::uint64_t seed, std::uint32_t stream);

private:
  std::size_t context_, alphabet_, parameters_;
  std::shared_ptr<LayeredNetworks<float>> network_;
  MemoryPlan plan_{"write"};
  Tensor<float> theta_, x_; // [V], [context]
  Stream stream_;
  std::unique_ptr<Arena> arena_;
};

// The alphabet that a zoo's text has (data/text.h). Throws InputError where the zoo says none.
std::vector<std::string> alphabet_of_zoo(const std::string &facts, const std::string &where);

} // namespace theta
