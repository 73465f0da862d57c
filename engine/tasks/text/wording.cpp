#include "wording.h"
#include <map>
#include <set>

namespace theta {

namespace {
constexpr std::size_t networks_of_a_class = 4, length = 4;
constexpr int written_characters = 100;
constexpr double warmth = 0.8;
} // namespace

double distinct_share(const std::vector<std::vector<std::uint8_t>> &texts, std::size_t n) {
  std::set<std::vector<std::uint8_t>> distinct;
  std::size_t all = 0;
  for (const auto &text : texts)
    for (std::size_t at = 0; at + n <= text.size(); ++at, ++all)
      distinct.emplace(text.begin() + std::ptrdiff_t(at), text.begin() + std::ptrdiff_t(at + n));
  return all == 0 ? 0 : double(distinct.size()) / double(all);
}

Estimate wording_of(TextWriter &writer, const NetworkSet &set, const Mixtures &mixtures, std::uint8_t start,
                    std::uint64_t seed) {
  std::map<int, std::vector<std::vector<std::uint8_t>>> written; // of each class
  std::vector<float> theta(writer.parameters()), shares;
  for (std::size_t i = 0; i < set.count; ++i) {
    const int told = mixtures.pure(i);
    if (told < 0 || written[told].size() == networks_of_a_class)
      continue;
    set.network(i, theta.data());
    written[told].push_back(writer.write(theta, {start}, written_characters, warmth, seed, std::uint32_t(told)));
  }
  for (const auto &[told, texts] : written)
    if (texts.size() == networks_of_a_class)
      shares.push_back(float(distinct_share(texts, length)));
  return shares.empty() ? Estimate{} : bootstrapped_mean(shares);
}

} // namespace theta
