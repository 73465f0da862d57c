// Euclidean distances between all rows of two matrices, through one matrix product.
#pragma once
#include "kernels/device/device.h"
#include "kernels/device/host_device.h"

namespace theta {

// √max(0, x), and NaN of NaN: what is not known is no distance.
THETA_HOST_DEVICE inline float root_of_difference(float x) { return x > 0 ? std::sqrt(x) : x == x ? 0 : x; }

// d[i, j] = ‖a_i − b_j‖ = √max(0, ‖a_i‖² + ‖b_j‖² − 2·a_i·b_j).
//   a [na, cols], b [nb, cols], d [na, nb]; workspace na + nb floats.
// The three terms cancel where rows are close: the error of d² is about 1e-7·(‖a_i‖² + ‖b_j‖²), so take a common centre
// off both first. FLOPs: 2·na·nb·cols.
void row_l2(Stream &, float *d, const float *a, const float *b, int na, int nb, std::size_t cols, float *workspace);

} // namespace theta
