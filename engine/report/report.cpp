#include "report.h"
#include "charts.h"
#include "data/json.h"
#include <algorithm>
#include <fstream>
#include <map>

namespace theta {

namespace fs = std::filesystem;

namespace {

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
  for (auto &curve : curves) // stages differ in length: each on its own share of training
    if (!curve.x.empty())
      for (const double last = curve.x.back(); double &x : curve.x)
        x *= 100 / last;
  return line_chart("losses of the mini-batches", "% of each stage's steps", curves);
}

// The weights into the first hidden units of a few networks, one row a network.
void add_rows(std::vector<std::string> &labels, std::vector<std::vector<Picture>> &rows, const ZooReader &zoo,
              const std::string &name, std::size_t networks, int side) {
  const auto &first = zoo.format().layout.front();
  const std::size_t area = std::size_t(side * side), units = std::min<std::size_t>(std::size_t(first.shape.at(0)), 12);
  std::vector<float> theta(zoo.parameters());
  for (std::size_t i = 0; i < std::min(networks, zoo.rows()); ++i) {
    zoo.theta(i * (zoo.rows() / std::min(networks, zoo.rows())), theta.data());
    std::vector<Picture> row;
    for (std::size_t u = 0; u < units; ++u)
      row.push_back({{theta.begin() + std::ptrdiff_t(u * area), theta.begin() + std::ptrdiff_t((u + 1) * area)}});
    rows.push_back(std::move(row));
    labels.push_back(name + " " + std::to_string(i + 1));
  }
}

} // namespace

std::vector<fs::path> draw_report(const fs::path &folder, const fs::path &metrics,
                                  const std::vector<GroupReport> &groups, const ZooReader &zoo,
                                  const ZooReader &samples, int side) {
  fs::create_directories(folder);
  std::vector<fs::path> drawn{folder / "loss_curves.png", folder / "accuracy.png"};
  loss_curves(metrics).save(drawn[0]);
  std::vector<Sample> accuracy;
  for (const auto &group : groups)
    accuracy.push_back({group.name, group.accuracy});
  histograms("test accuracy by group", accuracy).save(drawn[1]);
  if (zoo.format().layout.front().shape.back() == side * side) { // the first layer reads images
    std::vector<std::string> labels;
    std::vector<std::vector<Picture>> rows;
    add_rows(labels, rows, zoo, "training", 4, side);
    add_rows(labels, rows, samples, "generated", 4, side);
    drawn.push_back(folder / "first_layer.png");
    picture_grid("first-layer weights, one column a hidden unit", labels, rows, side).save(drawn.back());
  }
  return drawn;
}

} // namespace theta
