#include "report.h"
#include "data/json.h"
#include "engine/training/interrupt.h"
#include <algorithm>
#include <cmath>
#include <fmt/core.h>
#include <fstream>
#include <map>
#include <utility>

namespace theta {

namespace fs = std::filesystem;

Curve mean_by_x(const Curve &curve) {
  std::map<double, std::pair<double, double>> at; // sum and count
  for (std::size_t i = 0; i < curve.x.size(); ++i)
    if (std::isfinite(curve.y[i]))
      at[curve.x[i]].first += curve.y[i], at[curve.x[i]].second += 1;
  Curve mean{curve.name, {}, {}};
  for (const auto &[x, sum] : at)
    mean.x.push_back(x), mean.y.push_back(sum.first / sum.second);
  return mean;
}

namespace {

// A chart a stage, each over its own steps.
Canvas loss_curves(const fs::path &metrics) {
  std::ifstream file(metrics);
  std::vector<Curve> curves;
  for (std::string line; std::getline(file, line);) {
    const Json object = Json::parse(line, nullptr, false);
    if (!object.is_object())
      continue;
    const auto stage = object.value("stage", "");
    for (const char *name : {"train_loss", "mse"})
      if (object.contains(name) && object[name].is_number()) {
        auto curve = std::find_if(curves.begin(), curves.end(), [&](const Curve &c) { return c.name == stage; });
        if (curve == curves.end())
          curve = curves.insert(curves.end(), Curve{stage, {}, {}});
        curve->x.push_back(object.value("step", 0.0));
        curve->y.push_back(object[name].get<double>());
      }
  }
  std::vector<Canvas> charts;
  for (Curve &curve : curves) {
    const std::string stage = std::exchange(curve.name, "");
    if (!std::is_sorted(curve.x.begin(), curve.x.end())) // waves one after another: one mean a step
      curve = mean_by_x(curve);
    charts.push_back(line_chart({.title = stage, .x_label = "step", .y_label = "loss of the mini-batches"}, {curve}));
  }
  return stacked(charts);
}

// The weights into a network's first hidden units.
std::vector<Picture> first_layer(const std::vector<float> &theta, const TensorPlace &tensor, int side) {
  const std::size_t area = std::size_t(side * side), most = 12;
  std::vector<Picture> row;
  for (std::size_t u = 0; u < std::min(most, std::size_t(tensor.shape[0])); ++u) {
    const auto from = theta.begin() + std::ptrdiff_t(tensor.offset + u * area);
    row.push_back({{from, from + std::ptrdiff_t(area)}});
  }
  return row;
}

Canvas weights_beside_nearest(const PicturedNetworks &of) {
  constexpr std::size_t most = 5;
  NetworkSet some = of.generated;
  some.count = std::min(some.count, most);
  const std::size_t v = elements_of(of.layout.back()) + of.layout.back().offset;
  const Skip none = [](std::size_t, std::size_t) { return false; }; // a broken network has no neighbour, and no picture
  const auto nearest = of.assigned ? of.assigned->nearest(some, of.training)
                                   : NearestSearch(v).run(Device{}, some, of.training, 1, none);
  std::vector<std::string> labels;
  std::vector<std::vector<Picture>> rows;
  std::vector<float> mine(v), theirs(v);
  for (std::size_t i = 0; i < some.count; ++i) {
    if (nearest[i].index >= of.training.count)
      continue;
    some.network(i, mine.data()), of.training.network(nearest[i].index, theirs.data());
    if (of.assigned)
      of.assigned->align(theirs.data(), mine.data());
    labels.push_back(fmt::format("generated {}", i + 1)), rows.push_back(first_layer(mine, of.layout.front(), of.side));
    labels.push_back("nearest"), rows.push_back(first_layer(theirs, of.layout.front(), of.side));
  }
  return picture_grid("first-layer weights: generated, and nearest in training", labels, rows, of.side);
}

const Series *series_of(const GroupReport &g, const char *name) {
  const auto found = g.series.find(name);
  return found == g.series.end() || found->second.x.empty() ? nullptr : &found->second;
}

std::vector<double> doubles(const std::vector<float> &x) { return {x.begin(), x.end()}; }

} // namespace

std::vector<fs::path> draw_report(const fs::path &folder, const fs::path &metrics,
                                  const std::vector<GroupReport> &groups, const PicturedNetworks &of) {
  fs::create_directories(folder);
  std::vector<fs::path> drawn;
  const auto save = [&](const char *name, const Canvas &canvas) {
    stop_if_interrupted("report");
    drawn.push_back(folder / name);
    canvas.save(drawn.back());
  };
  save("loss_curves.png", loss_curves(metrics));
  std::vector<Sample> accuracy;
  std::vector<Curve> novelty, lines, spectra;
  std::vector<Bar> memorised;
  for (const GroupReport &g : groups) {
    accuracy.push_back({g.name, g.of("accuracy")});
    novelty.push_back({g.name, doubles(g.of("accuracy")), doubles(g.of("max_iou")), false});
    if (const Estimate share = g.figure("memorised"); share.n > 0)
      memorised.push_back({g.name, share.value, share.low, share.high});
    if (const Series *line = series_of(g, "line"))
      lines.push_back({g.name, line->x, line->y});
    if (const Series *spectrum = series_of(g, "spectrum"))
      spectra.push_back({g.name, spectrum->x, spectrum->y});
  }
  for (const GroupReport &g : groups)
    if (const Series *frontier = series_of(g, "frontier"))
      novelty.push_back({"noise copies' frontier", frontier->x, frontier->y});
  save("accuracy.png", histograms("test accuracy by group", accuracy));
  save("novelty.png", line_chart({.title = "overlap of mistakes with the training network most alike",
                                  .x_label = "accuracy",
                                  .y_label = "largest IoU of mistakes"},
                                 novelty));
  save("memorised.png", bar_chart("nearer to training than to control networks; ½ is no memory", memorised));
  if (!lines.empty())
    save("lines.png", line_chart({.title = "loss on the straight line to the nearest training network",
                                  .x_label = "share of the way",
                                  .y_label = "loss"},
                                 lines));
  if (!spectra.empty())
    save("spectrum.png", line_chart({.title = "covariance of each group's networks",
                                     .x_label = "direction",
                                     .y_label = "variance",
                                     .log_x = true},
                                    spectra));
  if (of.side > 0 && of.layout.front().shape.back() == of.side * of.side && of.generated.count > 0)
    save("first_layer.png", weights_beside_nearest(of));
  return drawn;
}

} // namespace theta
