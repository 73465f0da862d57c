// Weights that are trained in the form in which they run: rounded to codes with a scale a group (kernels/parts/codes.h),
// or all but some of them zero. What the rounded weights are worth moves the weights behind them (straight-through:
// Bengio et al., 2013), so that rounding has no backward.
#pragma once
#include "kernels/device/device.h"
#include "kernels/parts/codes.h"
#include <vector>

namespace theta {

// rounded [networks, parameters]: theta, its coded tensors rounded to codes of −most..most. It may not be theta.
// Bytes: 12·n; on cuda a warp takes a group.
template <class T>
void round_to_codes(Stream &, T *rounded, const T *theta, int networks, std::size_t parameters,
                    const std::vector<CodedTensor> &, int most);

// All but the `keep` largest by magnitude of a network's weights in such tensors become zero, and with them their
// moments, each null or [networks, parameters]; of equal ones the first stay. Bytes: some 4·n a pass: two on the cpu; on
// cuda 33 in a block a network, which bisects the bits of their magnitudes.
template <class T>
void keep_largest(Stream &, T *theta, T *moment1, T *moment2, int networks, std::size_t parameters,
                  const std::vector<CodedTensor> &, std::size_t keep);

// The same of every four neighbours along a row (the last of a row may be fewer): the two largest stay (2:4: Mishra et
// al., 2021). Bytes: 16·n at most.
template <class T>
void keep_two_of_four(Stream &, T *theta, T *moment1, T *moment2, int networks, std::size_t parameters,
                      const std::vector<CodedTensor> &);

// The gradient of such weights that are zero becomes zero. Bytes: 4·n and as many for each zero.
template <class T>
void hold_zeros(Stream &, T *gradient, const T *theta, int networks, std::size_t parameters,
                const std::vector<CodedTensor> &);

inline constexpr std::size_t most_coded_tensors = 120; // which go to kernels as arguments

} // namespace theta
