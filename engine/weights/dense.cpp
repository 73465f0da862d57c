#include "dense.h"
#include "kernels/device/error.h"
#include <algorithm>
#include <cmath>
#include <eigen3/Eigen/Eigenvalues>

namespace theta {

namespace {

using Matrix = Eigen::MatrixXd;
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Solver = Eigen::SelfAdjointEigenSolver<Matrix>;

// Its products are blocked by the size of caches: the same for every machine.
const bool same_everywhere = (Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 2 << 20), true);

Eigen::Map<const Rows> seen(const double *values, std::size_t rows, std::size_t columns) {
  return {values, Eigen::Index(rows), Eigen::Index(columns)};
}
Eigen::Map<const Rows> seen(const std::vector<double> &values, std::size_t rows) {
  return seen(values.data(), rows, rows ? values.size() / rows : 0);
}

Solver solved(const double *symmetric, std::size_t n, int what) {
  Solver solver(Matrix(seen(symmetric, n, n)), what);
  if (solver.info() != Eigen::Success)
    throw Error("the spectrum of ", n, " × ", n, " did not converge");
  return solver;
}

std::vector<double> values_of(const Eigen::VectorXd &v) { return {v.data(), v.data() + v.size()}; }
std::vector<double> values_of(const Rows &m) { return {m.data(), m.data() + m.size()}; }

} // namespace

Spectrum spectrum_of(const double *symmetric, std::size_t n) {
  const Solver solver = solved(symmetric, n, Eigen::ComputeEigenvectors);
  return {values_of(solver.eigenvalues()), values_of(Rows(solver.eigenvectors().transpose()))};
}
std::vector<double> eigenvalues_of(const double *symmetric, std::size_t n) {
  return values_of(solved(symmetric, n, Eigen::EigenvaluesOnly).eigenvalues());
}

std::vector<double> singular_values(const std::vector<double> &matrix, std::size_t rows, std::size_t columns) {
  const auto m = seen(matrix.data(), rows, columns);
  const Rows gram = rows < columns ? Rows(m * m.transpose()) : Rows(m.transpose() * m);
  std::vector<double> values = eigenvalues_of(gram.data(), std::size_t(gram.rows()));
  std::reverse(values.begin(), values.end());
  for (double &v : values)
    v = std::sqrt(std::max(0.0, v));
  return values;
}

std::vector<double> least_squares(const std::vector<double> &a, const std::vector<double> &b) {
  const std::size_t n = b.size();
  const Spectrum s = spectrum_of(a.data(), n);
  const double largest = std::max(std::abs(s.values.front()), std::abs(s.values.back()));
  std::vector<double> x(n, 0);
  for (std::size_t j = 0; j < n; ++j) {
    if (std::abs(s.values[j]) <= 1e-14 * double(n) * largest)
      continue; // nothing that b says there can be met
    const double *vector = s.vectors.data() + j * n;
    double along = 0;
    for (std::size_t i = 0; i < n; ++i)
      along += vector[i] * b[i];
    for (std::size_t i = 0; i < n; ++i)
      x[i] += along / s.values[j] * vector[i];
  }
  return x;
}

std::vector<double> product(const std::vector<double> &a, const std::vector<double> &b, std::size_t k) {
  return values_of(Rows(seen(a, a.size() / k) * seen(b, k)));
}
std::vector<double> product_transposed(const std::vector<double> &a, const std::vector<double> &b, std::size_t k) {
  return values_of(Rows(seen(a, a.size() / k) * seen(b, b.size() / k).transpose()));
}
std::vector<double> transposed_product(const std::vector<double> &a, const std::vector<double> &b, std::size_t k) {
  return values_of(Rows(seen(a, k).transpose() * seen(b, k)));
}

} // namespace theta
