// Dense matrices in double, on the host, row by row: the factorisations and products that judging and subspaces need.
// Eigen makes them; its headers are large, so they are compiled here alone, and for one instruction set, so that sums
// have the same order on every processor.
#pragma once
#include <cstddef>
#include <vector>

namespace theta {

// Of a symmetric [n, n], its eigenvalues ascending; `vectors` [n, n], row j the eigenvector of values[j], of length 1.
// Throws Error where the iteration does not converge.
struct Spectrum {
  std::vector<double> values, vectors;
};
Spectrum spectrum_of(const double *symmetric, std::size_t n);
std::vector<double> eigenvalues_of(const double *symmetric, std::size_t n);

// Of [rows, columns], descending; as many as the smaller of the two. Roots of the eigenvalues of the smaller Gram
// matrix: what is below 1e-8 of the largest is rounding.
std::vector<double> singular_values(const std::vector<double> &matrix, std::size_t rows, std::size_t columns);

// The x of least length among those that minimise |a·x − b|; a [n, n] symmetric, b [n].
std::vector<double> least_squares(const std::vector<double> &a, const std::vector<double> &b);

// a·b of [m, k] and [k, n]; a·bᵀ of [m, k] and [n, k]; aᵀ·b of [k, m] and [k, n].
std::vector<double> product(const std::vector<double> &a, const std::vector<double> &b, std::size_t k);
std::vector<double> product_transposed(const std::vector<double> &a, const std::vector<double> &b, std::size_t k);
std::vector<double> transposed_product(const std::vector<double> &a, const std::vector<double> &b, std::size_t k);

} // namespace theta
