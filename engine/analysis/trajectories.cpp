#include "trajectories.h"
#include <algorithm>
#include <cmath>
#include <eigen3/Eigen/Eigenvalues>
#include <numbers>

namespace theta {

namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void thin(Way &way, std::size_t v) {
  const std::size_t n = way.states.size() / v;
  if (n <= most_states)
    return;
  std::vector<float> kept;
  for (std::size_t i = 0; i < most_states; ++i) {
    const auto from = way.states.begin() + std::ptrdiff_t((i * (n - 1) / (most_states - 1)) * v);
    kept.insert(kept.end(), from, from + std::ptrdiff_t(v));
  }
  way.states = std::move(kept);
}

void measure(DrawnWay &to, const std::vector<float> &states, std::size_t v) {
  const Eigen::Map<const Rows> all(states.data(), Eigen::Index(states.size() / v), Eigen::Index(v));
  Eigen::VectorXd before;
  double turns = 0;
  for (Eigen::Index i = 0; i + 1 < all.rows(); ++i) {
    const Eigen::VectorXd step = (all.row(i + 1) - all.row(i)).cast<double>();
    to.length += step.norm();
    if (before.size() > 0 && before.norm() > 0 && step.norm() > 0) {
      const double cosine = std::clamp(before.dot(step) / (before.norm() * step.norm()), -1.0, 1.0);
      to.turn += (std::acos(cosine) * 180 / std::numbers::pi - to.turn) / ++turns;
    }
    before = step;
  }
  if (all.rows() > 1)
    to.displacement = double((all.row(all.rows() - 1) - all.row(0)).norm());
}

} // namespace

Plane plane_of(std::vector<Way> ways, const NetworkShape &shape, Evaluator &evaluator, Stream &s, int grid) {
  const std::size_t v = layout_of(shape).size();
  const UnitMatcher matcher(shape, 4);
  const auto groups = unit_elements(shape);
  std::vector<float> reference;
  std::size_t states = 0;
  for (Way &way : ways) {
    if (!all_finite(way.states))
      throw InputError("trajectories: found a weight of ", way.name, " that is not finite, expected numbers");
    thin(way, v);
    const std::size_t n = way.states.size() / v;
    states += n;
    std::vector<float> last(way.states.end() - std::ptrdiff_t(v), way.states.end());
    if (reference.empty()) {
      reference = last;
      continue;
    }
    const UnitOrders orders = matcher.match(last.data(), reference.data());
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t g = 0; g < groups.size(); ++g)
        permute(way.states.data() + i * v, groups[g], orders[g]);
  }
  if (states < 3)
    throw InputError("trajectories: found ", states, " states, expected at least 3");

  Eigen::MatrixXd all = Eigen::MatrixXd::Zero(Eigen::Index(states), Eigen::Index(v));
  Eigen::Index row = 0;
  for (const Way &way : ways) {
    const Eigen::Map<const Rows> mine(way.states.data(), Eigen::Index(way.states.size() / v), Eigen::Index(v));
    all.middleRows(row, mine.rows()) = mine.cast<double>();
    row += mine.rows();
  }
  const Eigen::RowVectorXd mean = all.colwise().mean();
  all.rowwise() -= mean;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(all * all.transpose());
  Plane plane;
  const Eigen::Index last = all.rows() - 1;
  const double total = solver.eigenvalues().cwiseMax(0).sum();
  Eigen::MatrixXd direction = Eigen::MatrixXd::Zero(2, all.cols()), place = Eigen::MatrixXd::Zero(all.rows(), 2);
  for (Eigen::Index d = 0; d < 2; ++d) {
    const double deviation = std::sqrt(std::max(0.0, solver.eigenvalues()(last - d)));
    plane.explained[d] = total > 0 ? std::max(0.0, solver.eigenvalues()(last - d)) / total : 0;
    direction.row(d).setZero();
    if (deviation > 0)
      direction.row(d) = (solver.eigenvectors().col(last - d).transpose() * all) / deviation;
    Eigen::Index largest = 0;
    direction.row(d).cwiseAbs().maxCoeff(&largest);
    if (direction(d, largest) < 0)
      direction.row(d) *= -1;
    place.col(d) = all * direction.row(d).transpose();
  }

  row = 0;
  for (const Way &way : ways) {
    DrawnWay drawn{way.name, way.kind, {}, {}, {}};
    const std::size_t n = way.states.size() / v;
    for (std::size_t i = 0; i < n; ++i, ++row)
      drawn.x.push_back(place(row, 0)), drawn.y.push_back(place(row, 1));
    drawn.loss = evaluator.score_all(s, way.states.data(), n).loss;
    measure(drawn, way.states, v);
    plane.ways.push_back(std::move(drawn));
  }
  for (int axis = 0; axis < 2; ++axis) {
    const double low = place.col(axis).minCoeff(), high = place.col(axis).maxCoeff(), beside = 0.1 * (high - low);
    for (int i = 0; i < grid; ++i)
      (axis == 0 ? plane.grid_x : plane.grid_y)
          .push_back(low - beside + (high - low + 2 * beside) * i / std::max(1, grid - 1));
  }
  std::vector<float> staging(v);
  if (grid > 0)
    plane.grid_loss = evaluator
                          .score_all(
                              s, plane.grid_x.size() * plane.grid_y.size(),
                              [&](std::size_t i, float *theta) {
                                const double x = plane.grid_x[i % plane.grid_x.size()],
                                             y = plane.grid_y[i / plane.grid_x.size()];
                                const Eigen::RowVectorXd at = mean + x * direction.row(0) + y * direction.row(1);
                                for (std::size_t c = 0; c < v; ++c)
                                  theta[c] = float(at(Eigen::Index(c)));
                              },
                              staging.data())
                          .loss;
  return plane;
}

} // namespace theta
