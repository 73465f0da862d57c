// How much what networks write differs: of those that were told one class alone, begun alike and by the same noise, so that
// networks that are all alike write one text.
#pragma once
#include "engine/analysis/statistics.h"
#include "text_rows.h"
#include "writer.h"

namespace theta {

// The share of different ones among all strings of `length` codes of some texts (distinct-n: Li et al., "A
// diversity-promoting objective function", 2016, of characters). 0 where no text is so long.
double distinct_share(const std::vector<std::vector<std::uint8_t>> &texts, std::size_t length);

// The mean over classes of the distinct share, 4 codes long, of what four networks write that were told the class alone,
// 100 characters each; n: classes that so many were told. Throws Interrupted.
Estimate wording_of(TextWriter &, const NetworkSet &, const Mixtures &, std::uint8_t start, std::uint64_t seed);

} // namespace theta
